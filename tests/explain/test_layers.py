"""Layers and neurons: the sums that must agree, and definitions against slow ones."""

import numpy as np
import pytest

import explain
import minigrad
from minigrad import nn

from . import nets

INSIDE = {"cnn": "3", "strided": "2", "normed": "5", "smooth": "3"}  # all paths of these networks pass there
RULES = [("gausslegendre", 7), ("riemann_trapezoid", 5), ("riemann_left", 4)]


def total(found):
    return found.values.sum(axis=tuple(range(1, found.ndim)))


@pytest.mark.parametrize("name", list(INSIDE))
def test_conductance_adds_up_to_integrated_gradients(name):
    """Not just roughly: rule by rule, to the last bits, although 5 points integrate badly."""
    model, x, b = nets.build(name), nets.images(), nets.images(seed=5)
    for method, steps in RULES:
        options = {"baselines": b, "method": method, "n_steps": steps}
        found = explain.layer_conductance(model, x, 1, layer=INSIDE[name], **options)
        ig = explain.integrated_gradients(model, x, 1, **options)
        np.testing.assert_allclose(total(found), total(ig), rtol=1e-10)
        np.testing.assert_allclose(found.delta, ig.delta, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("name", ["cnn", "strided", "normed"])
def test_exact_integrals_at_a_layer_are_complete(name):
    model, x, b = nets.build(name), nets.images(), nets.images(seed=5)
    for method in (explain.layer_conductance, explain.layer_integrated_gradients):
        assert np.abs(method(model, x, 1, layer=INSIDE[name], baselines=b, method="exact").delta).max() < 1e-12
    unit = explain.neuron_integrated_gradients(
        model, x, layer=INSIDE[name], neuron=(1, 1, 1), baselines=b, method="exact"
    )
    assert np.abs(unit.delta).max() < 1e-12


@pytest.mark.parametrize("name", list(INSIDE))
def test_neuron_conductance_divides_up_both_ways(name):
    model, x = nets.build(name), nets.images(2)
    options = {"layer": INSIDE[name], "n_steps": 4}
    layer = explain.layer_conductance(model, x, 1, **options)
    unit = explain.neuron_conductance(model, x, 1, neuron=(1, 1, 2), **options)
    np.testing.assert_allclose(total(unit), layer.values[:, 1, 1, 2], rtol=1e-9, atol=1e-14)
    everything = explain.neuron_conductance(model, x, 1, neuron=(slice(None),), **options)
    ig = explain.integrated_gradients(model, x, 1, n_steps=4)
    np.testing.assert_allclose(everything.values, ig.values, rtol=1e-9, atol=1e-14)


def test_conductance_beside_a_skip_connection_is_a_part():
    """`second` is passed over by the skip: what flows through it and what goes round it add up to everything."""
    model, x = nets.build("branched"), nets.images()
    part = explain.layer_conductance(model, x, 1, layer="second", n_steps=5)
    assert part.delta is None
    whole = explain.layer_conductance(model, x, 1, layer="first", n_steps=5)
    assert whole.delta is not None and not np.allclose(total(part), total(whole))


def test_conductance_against_finite_differences_of_the_path():
    model, x, n, h = nets.build("smooth"), nets.images(1), 3, 1e-5
    points, weights = np.polynomial.legendre.leggauss(n)
    right = 0

    def at(t):
        leaf = minigrad.Tensor(t * x, requires_grad=True)
        y, activations = model.named_activations(leaf)
        return activations["3"].data, minigrad.grad(y[:, 2].sum(), activations["3"]).data

    for t, w in zip((1 + points) / 2, weights / 2):
        right = right + w * at(t)[1] * (at(t + h)[0] - at(t - h)[0]) / (2 * h)
    np.testing.assert_allclose(
        explain.layer_conductance(model, x, 2, layer="3", n_steps=n).values, right, rtol=1e-6, atol=1e-11
    )


def test_layer_integrated_gradients_keeps_what_goes_round_the_layer():
    """In branched, y = second(x) + x: with the skip fixed at x, the path changes second's output alone."""
    model, x, b = nets.build("branched"), nets.images(2), nets.images(2, seed=5)
    found = explain.layer_integrated_gradients(model, x, 1, layer="second", baselines=b, method="exact")

    def score(second):
        h = model.relu(model.first(minigrad.Tensor(x)))
        y = model.relu(second + h)
        return model.head(minigrad.cat([y, model.third(h).relu()], 1).mean((2, 3)))

    start, stop = (model.second(model.relu(model.first(minigrad.Tensor(v)))) for v in (b, x))
    change = (score(stop) - score(start)).data[:, 1]
    np.testing.assert_allclose(total(found), change, rtol=1e-10)
    np.testing.assert_allclose(found.delta, 0, atol=1e-12)


def test_the_input_layer_gives_the_methods_of_the_input():
    model = nn.Sequential(nn.Identity(), nets.build("cnn"))
    x, b = nets.images(), nets.images(seed=5)
    shifted = nn.Sequential(nn.Standardize([0.0], [1.0]), nets.build("cnn"))
    pairs = (
        (explain.layer_integrated_gradients, explain.integrated_gradients),
        (explain.layer_conductance, explain.integrated_gradients),
    )
    for at_layer, at_input in pairs:
        found = at_layer(shifted, x, 1, layer="0", baselines=b, n_steps=5)
        np.testing.assert_allclose(
            found.values, at_input(shifted, x, 1, baselines=b, n_steps=5).values, rtol=1e-10, atol=1e-14
        )
    np.testing.assert_allclose(
        explain.layer_gradient_x_activation(model, x, 1, layer="0").values, explain.input_x_gradient(model, x, 1).values
    )


def test_activations_and_gradients():
    model, x = nets.build("smooth"), nets.images()
    leaf = minigrad.Tensor(x, requires_grad=True)
    y, activations = model.named_activations(leaf)
    g = minigrad.grad(y[:, 3].sum(), activations["4"]).data
    np.testing.assert_array_equal(explain.layer_activation(model, x, layer=model[4]).values, activations["4"].data)
    np.testing.assert_allclose(
        explain.layer_gradient_x_activation(model, x, 3, layer="4").values, g * activations["4"].data
    )
    np.testing.assert_allclose(
        explain.layer_gradient_x_activation(model, x, 3, layer="4", multiply_by_inputs=False).values, g
    )
    flat = explain.internal_influence(model, x, 3, layer="4", baselines=x, n_steps=3)
    np.testing.assert_allclose(flat.values, g, rtol=1e-12)


def test_ways_to_choose_a_neuron():
    model, x = nets.build("cnn"), nets.images()
    one = explain.neuron_gradient(model, x, layer="3", neuron=(2, 1, 3)).values
    np.testing.assert_array_equal(
        one, explain.neuron_gradient(model, x, layer=model[3], neuron=lambda a: a[:, 2, 1, 3]).values
    )
    apart = sum(explain.neuron_gradient(model, x, layer="3", neuron=(2, 1, i)).values for i in range(4))
    for neuron in ((2, 1), (2, 1, slice(None))):
        np.testing.assert_allclose(
            explain.neuron_gradient(model, x, layer="3", neuron=neuron).values, apart, atol=1e-14
        )
    np.testing.assert_allclose(
        explain.neuron_gradient(model, x, layer="6", neuron=-1).values,
        explain.neuron_gradient(model, x, layer="6", neuron=7).values,
    )
    logit = explain.neuron_gradient(model, x, layer="8", neuron=2)
    np.testing.assert_allclose(logit.values, explain.saliency(model, x, 2, absolute=False).values)
    np.testing.assert_allclose(
        explain.neuron_guided_backprop(model, x, layer="8", neuron=2).values,
        explain.guided_backprop(model, x, 2).values,
    )


@pytest.mark.parametrize(
    ("neuron", "error", "match"),
    [
        (
            (6, 0, 0),
            ValueError,
            r"neuron \(6, 0, 0\) is outside of the layer's output, whose shape without the batch is \(6, 4, 4\)",
        ),
        ((0, 0, 0, 0), ValueError, r"neuron \(0, 0, 0, 0\) is outside"),
        ("3", TypeError, r"neuron is '3', expected an integer, a tuple of integers and slices, or a callable"),
        (True, TypeError, r"neuron is True"),
        (
            lambda a: a,
            ValueError,
            r"neuron returned \(\d+, 6, 4, 4\) for the layer's output \(\d+, 6, 4, 4\), expected a Tensor of shape",
        ),
        (lambda a: 1.0, ValueError, r"neuron returned float"),
    ],
)
def test_bad_neurons_are_named(neuron, error, match):
    for method in (explain.neuron_gradient, explain.neuron_conductance):
        with pytest.raises(error, match=match):
            method(nets.build("cnn"), nets.images(), layer="3", neuron=neuron)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"n_steps": 0}, r"n_steps is 0, expected at least 1"),
        ({"n_steps": 0, "compat": "captum"}, r"n_steps is 0, expected at least 1"),
        ({"method": "exact", "compat": "captum"}, r"method is 'exact', expected one of gausslegendre"),
        ({"baselines": np.zeros(5)}, r"layer_conductance: baselines has shape \(5,\)"),
        ({"layer": "first"}, r"layer_conductance: no module at 'first'; nearest"),
    ],
)
def test_bad_options_are_named(options, match):
    with pytest.raises(ValueError, match=match):
        explain.layer_conductance(nets.build("cnn"), nets.images(), 1, **{"layer": "3", **options})


def test_a_layer_that_returns_several_tensors_is_refused():
    class Two(nn.Module):
        def forward(self, x):
            return x, x

    class Model(nn.Module):
        def __init__(self):
            self.two, self.net = Two(), nets.build("cnn")

        def forward(self, x):
            return self.net(self.two(x)[0])

    with pytest.raises(
        TypeError, match=r"layer_activation: layer 'two' returned tuple, expected one Tensor; choose a layer in it"
    ):
        explain.layer_activation(Model(), nets.images(), layer="two")
