"""Small networks in minigrad and in PyTorch, with the same weights, for the tests of LRP and DeepLIFT."""

import numpy as np
import pytest

import minigrad
from tests.explain import nets

torch = pytest.importorskip("torch")

TARGET = np.array([0, 3, 1])
EPSILON = 1e-12


def normed(lib):
    """Batch norm with hardly any eps: Zennit leaves it in the norm that it has merged, and is 5e-6 off."""
    layers = lib.nn
    return layers.Sequential(
        layers.Conv2d(2, 4, 3, padding=1),
        layers.BatchNorm2d(4, 1e-12),
        layers.ReLU(),
        layers.MaxPool2d(2),
        layers.Conv2d(4, 6, 3, stride=2),
        layers.BatchNorm2d(6, 1e-12),
        layers.ReLU(),
        layers.AdaptiveAvgPool2d(1),
        layers.Flatten(),
        layers.Linear(6, nets.CLASSES),
    )


BUILDERS = {"cnn": nets.cnn, "strided": nets.strided, "smooth": nets.smooth, "normed": normed}


def pair(name):
    ours, rng = BUILDERS[name](minigrad).to(np.float64).eval(), np.random.default_rng(0)
    ours.load_state_dict({k: nets._random(k, a, rng) for k, a in ours.state_dict().items()})
    return ours, twin(ours, BUILDERS[name](torch)), nets.images()


def twin(ours, theirs):
    theirs.double().load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    return theirs.eval()


class WithoutFlatten(torch.nn.Module):
    """A Sequential whose Flatten is a function, since Captum's LRP has no rule for the module."""

    def __init__(self, layers):
        super().__init__()
        at = [type(m) for m in layers].index(torch.nn.Flatten)
        self.features, self.head = layers[:at], layers[at + 1 :]

    def forward(self, x):
        return self.head(self.features(x).flatten(1))


def with_epsilon(layers):
    """Captum's LRP-epsilon everywhere.

    Its default of 1e-9 also stands in the denominators of max-pools, whose inputs may be
    as small, so that two right answers would differ.
    """
    from captum.attr._utils.lrp_rules import EpsilonRule

    for module in layers:
        if not isinstance(module, (torch.nn.ReLU, torch.nn.Flatten)):
            module.rule = EpsilonRule(EPSILON)
    return WithoutFlatten(layers)
