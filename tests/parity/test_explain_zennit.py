"""LRP's rules and composites beside Zennit's."""

import importlib.util
import sys
import types

import numpy as np
import pytest

import explain
from explain import Line, rules
from explain.composite import rest
from explain.kinds import WEIGHTED
from tests.parity.explained import TARGET, pair

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def zennit():
    """Zennit's modules. It names torchvision's models at import and uses them in canonizers for those models only."""
    models = ("torchvision", "torchvision.models", "torchvision.models.resnet", "torchvision.models.vgg")
    stubs = () if importlib.util.find_spec("torchvision") else models
    with pytest.MonkeyPatch.context() as patch:
        for name in stubs:
            stub = types.ModuleType(name)
            stub.__getattr__ = lambda name: type(name, (), {})
            patch.setitem(sys.modules, name, stub)
        composites = pytest.importorskip("zennit.composites")
    from zennit import canonizers
    from zennit import rules as their_rules

    return types.SimpleNamespace(composites=composites, rules=their_rules, canonizers=canonizers)


def zennit_map(zennit, theirs, composite, x):
    leaf = torch.tensor(x, requires_grad=True)
    with composite.context(theirs) as modified:
        y = modified(leaf)
        seed = torch.zeros_like(y)
        seed[range(len(x)), TARGET] = y[range(len(x)), TARGET].detach()
        return torch.autograd.grad(y, leaf, seed)[0].detach().numpy()


PAIRS = {
    "epsilon": (lambda z: z.Epsilon(0.01), rules.epsilon(0.01)),
    "gamma": (lambda z: z.Gamma(0.3, 1e-4), rules.gamma(0.3, stabilizer=1e-4)),
    "zplus": (lambda z: z.ZPlus(1e-4), rules.zplus(stabilizer=1e-4)),
    "alpha_beta": (lambda z: z.AlphaBeta(2, 1, 1e-4), rules.alpha_beta(2, 1, stabilizer=1e-4)),
    "box": (
        lambda z: z.ZBox(torch.tensor([0.0]).double(), torch.tensor([1.0]).double(), 1e-4),
        rules.box(0, 1, stabilizer=1e-4),
    ),
    "w_square": (lambda z: z.WSquare(1e-4), rules.w_square(stabilizer=1e-4)),
    "flat": (lambda z: z.Flat(1e-4), rules.flat(stabilizer=1e-4)),
}


@pytest.mark.parametrize("rule", PAIRS)
@pytest.mark.parametrize("name", ["cnn", "strided", "smooth"])
def test_rules_equal_zennits(zennit, name, rule):
    """The rule on every layer with weights, also where activations are negative (tanh)."""
    theirs_rule, mine = PAIRS[rule]
    ours, theirs, x = pair(name)
    layer_map = [((torch.nn.Conv2d, torch.nn.Linear), theirs_rule(zennit.rules)), *zennit.composites.layer_map_base()]
    expected = zennit_map(zennit, theirs, zennit.composites.LayerMapComposite(layer_map), x)
    found = explain.lrp(ours, x, TARGET, composite=[Line(WEIGHTED, mine), *rest()])
    np.testing.assert_allclose(found.values, expected, rtol=1e-6, atol=1e-9)


COMPOSITES = {
    "epsilon_plus": "EpsilonPlus",
    "epsilon_plus_flat": "EpsilonPlusFlat",
    "epsilon_alpha2_beta1": "EpsilonAlpha2Beta1",
    "epsilon_alpha2_beta1_flat": "EpsilonAlpha2Beta1Flat",
    "epsilon_gamma_box": "EpsilonGammaBox",
}


@pytest.mark.parametrize("name", ["cnn", "strided", "normed"])
@pytest.mark.parametrize("composite", COMPOSITES)
def test_composites_equal_zennits(zennit, composite, name):
    ours, theirs, x = pair(name)
    limits = (
        {"low": torch.zeros(1).double(), "high": torch.ones(1).double()} if composite == "epsilon_gamma_box" else {}
    )
    canonizers = [zennit.canonizers.SequentialMergeBatchNorm()]
    their_composite = getattr(zennit.composites, COMPOSITES[composite])(canonizers=canonizers, **limits)
    expected = zennit_map(zennit, theirs, their_composite, x)
    np.testing.assert_allclose(explain.lrp(ours, x, TARGET, composite=composite).values, expected, rtol=1e-6, atol=1e-9)


def test_excitation_backprop_equals_zennits(zennit):
    ours, theirs, x = pair("cnn")
    leaf = torch.tensor(x, requires_grad=True)
    with zennit.composites.ExcitationBackprop(stabilizer=1e-12, zero_params=["bias"]).context(theirs) as modified:
        expected = torch.autograd.grad(modified(leaf), leaf, torch.eye(5).double()[TARGET])[0]
    np.testing.assert_allclose(
        explain.excitation_backprop(ours, x, TARGET).values, expected.detach(), rtol=1e-6, atol=1e-9
    )
