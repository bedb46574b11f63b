"""What the tests of LRP share: the names of the presets, and the rules that one chooses for a model."""

import minigrad

PRESETS = (
    "zero",
    "epsilon",
    "gamma",
    "zplus",
    "alpha2_beta1",
    "deep_taylor",
    "epsilon_plus",
    "epsilon_plus_flat",
    "epsilon_alpha2_beta1",
    "epsilon_alpha2_beta1_flat",
    "epsilon_gamma_box",
)


def bound(composite, model, x):
    leaf = minigrad.Tensor(x, requires_grad=True)
    y = model(leaf)
    return leaf, y, composite.bind(y, leaf)


def names(binding):
    return [(type(t.op).__name__, t.scope, binding(t).__qualname__) for t in binding.trail.steps]
