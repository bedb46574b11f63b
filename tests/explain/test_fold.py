"""Batch norm and standardization folded on the tape: as if the layers had been merged by hand."""

import numpy as np
import pytest

import explain
import minigrad
from explain import Composite, Line, rules
from explain.composite import preset
from explain.kinds import Scaling
from minigrad import nn, ops
from tests.explain import dense, nets, trained
from tests.explain.walks import PRESETS, bound, names


def test_standardization_is_folded_into_the_first_layer():
    model, x = trained.cnn()
    np.testing.assert_allclose(
        explain.lrp(model, x, composite="zero").values, explain.input_x_gradient(model, x).values, atol=1e-12
    )
    boxed = names(bound(preset("epsilon_gamma_box"), model, x)[2])
    assert boxed[:3] == [
        ("Sub", "0", "pass_through"),
        ("Div", "0", "pass_through"),
        ("Conv2d", "1", "box(0, 1), folded"),
    ]


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("features", ["2d", "1d"])
def test_batch_norm_after_a_layer_is_as_if_it_were_merged(features, name):
    rng = np.random.default_rng(1)
    if features == "2d":
        layer, norm, tail = (
            nn.Conv2d(2, 4, 3, padding=1, rng=rng),
            nn.BatchNorm2d(4),
            [nn.ReLU(), nn.Flatten(), nn.Linear(4 * 144, 5, rng=rng)],
        )
        head, merged = [], nn.Conv2d(2, 4, 3, padding=1)
    else:
        layer, norm, tail = nn.Linear(288, 6, rng=rng), nn.BatchNorm1d(6), [nn.ReLU(), nn.Linear(6, 5, rng=rng)]
        head, merged = [nn.Flatten()], nn.Linear(288, 6)
    state = {
        "weight": rng.normal(size=norm.weight.shape),
        "bias": rng.normal(size=norm.weight.shape),
        "running_mean": rng.normal(size=norm.weight.shape),
        "running_var": rng.uniform(0.5, 2, norm.weight.shape),
    }
    model, plain = (
        nn.Sequential(*head, layer, norm, *tail).to(np.float64),
        nn.Sequential(*head, merged, *tail).to(np.float64),
    )
    norm.load_state_dict(state, strict=False)
    scale = state["weight"] / np.sqrt(state["running_var"] + norm.eps)
    merged.weight.data = layer.weight.data * scale.reshape(-1, *[1] * (layer.weight.ndim - 1))
    merged.bias.data = (layer.bias.data - state["running_mean"]) * scale + state["bias"]
    x = nets.images()
    ours, expected = (explain.lrp(m, x, 2, composite=name, epsilon=1e-2).values for m in (model, plain))
    np.testing.assert_allclose(ours, expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("name", ["epsilon", "gamma", "zplus", "alpha2_beta1"])
def test_batch_norm_before_a_layer_is_folded_with_its_padding(name):
    """A convolution pads after the batch norm, so the folded bias differs at the border: an image in the oracle."""
    rng = np.random.default_rng(2)
    norm, conv = nn.BatchNorm2d(2), nn.Conv2d(2, 3, 3, padding=1, rng=rng)
    norm.load_state_dict(
        {
            "weight": np.array([0.7, -1.2]),
            "bias": np.array([0.3, -0.4]),
            "running_mean": np.array([0.2, 0.5]),
            "running_var": np.array([0.8, 1.5]),
        },
        strict=False,
    )
    model = nn.Sequential(norm, conv, nn.Flatten()).to(np.float64).eval()
    x = np.random.default_rng(0).random((2, 2, 4, 4))
    scale = norm.weight.data / np.sqrt(norm.running_var.data + norm.eps)
    shift = norm.bias.data - norm.running_mean.data * scale
    op = ops.Conv2d((1, 1), (1, 1))
    weight = minigrad.Tensor(conv.weight.data * scale[:, None, None])
    moved = (
        op(minigrad.Tensor(np.zeros((1, 2, 4, 4)) + shift[:, None, None]), conv.weight).data
        + conv.bias.data[:, None, None]
    )

    oracle = {
        "epsilon": lambda *a: dense.epsilon(*a),
        "gamma": lambda *a: dense.gamma(*a, 0.25),
        "zplus": lambda *a: dense.alpha_beta(*a, 1, 0),
        "alpha2_beta1": lambda *a: dense.alpha_beta(*a, 2, 1),
    }[name]
    W = dense.matrix(op, weight.data, (2, 4, 4))
    y = model(minigrad.Tensor(x)).data
    target = np.array([5, 47])
    r = np.zeros(y.shape)
    r[[0, 1], target] = y[[0, 1], target]
    expected = np.reshape([oracle(v.ravel(), W, moved.ravel(), s, 1e-6) for v, s in zip(x, r)], x.shape)
    np.testing.assert_allclose(explain.lrp(model, x, target, composite=name).values, expected, rtol=1e-7, atol=1e-12)


def test_what_cannot_be_folded_has_its_own_rule():
    class Net(nn.Module):
        def __init__(self):
            self.norm, self.conv, self.head = nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1), nn.Linear(288, 5)

        def forward(self, x):
            x = self.norm(x)
            return self.head((self.conv(x) + x).flatten(1))

    model, x = Net().to(np.float64).eval(), nets.images()
    binding = bound(preset("zplus"), model, x)[2]
    assert ("BatchNorm", "norm", "pass_through") in names(binding) and ("Conv2d", "conv", "zplus") in names(binding)
    attribution = explain.lrp(model, x, ledger=True)
    assert abs(attribution.extra["ledger"].residual).max() < 1e-12
    np.testing.assert_allclose(
        explain.lrp(model, x, epsilon=0).values, explain.input_x_gradient(model, x).values, rtol=1e-8, atol=1e-12
    )


def test_scalings_are_told_from_products():
    model = nn.Sequential(lambda x: 2 - x / np.array([[[0.5]], [[2.0]]]), nn.Flatten(), nn.Linear(288, 5)).to(
        np.float64
    )
    binding = bound(Composite(Line(Scaling, rules.pass_through), *preset("zplus").lines), model, nets.images())[2]
    assert names(binding)[-1][2] == "zplus, folded"
    ours = explain.lrp(model, nets.images(), composite="zero").values
    np.testing.assert_allclose(ours, explain.input_x_gradient(model, nets.images()).values, rtol=1e-9, atol=1e-12)
