"""Class activation maps against their formulas, written out in NumPy on activations and gradients."""

import numpy as np
import pytest

import explain
import minigrad
from minigrad import functional as F
from minigrad import nn

from . import nets

CAMS = [explain.grad_cam, explain.grad_cam_plus_plus, explain.layer_cam, explain.score_cam]


def activation_and_gradient(model, x, target, layer):
    leaf = minigrad.Tensor(x, requires_grad=True)
    y, activations = model.named_activations(leaf)
    return activations[layer].data, minigrad.grad(y[:, target].sum(), activations[layer]).data


def test_maps_are_those_of_the_papers():
    model, x = nets.build("smooth"), nets.images()
    a, g = activation_and_gradient(model, x, 2, "1")
    n, c, h, w = a.shape
    right = {
        explain.grad_cam: np.zeros((n, h, w)),
        explain.grad_cam_plus_plus: np.zeros((n, h, w)),
        explain.layer_cam: np.zeros((n, h, w)),
    }
    for i, k in np.ndindex(n, c):
        right[explain.grad_cam][i] += g[i, k].mean() * a[i, k]
        alpha = g[i, k] ** 2 / (2 * g[i, k] ** 2 + a[i, k].sum() * g[i, k] ** 3)
        right[explain.grad_cam_plus_plus][i] += (alpha * np.maximum(g[i, k], 0)).sum() * a[i, k]
        right[explain.layer_cam][i] += np.maximum(g[i, k], 0) * a[i, k]
    for method, maps in right.items():
        raw = method(model, x, 2, layer="1", relu_attributions=False, upsample=None)
        np.testing.assert_allclose(raw.values[:, 0], maps, rtol=1e-10, atol=1e-14)
        found = method(model, x, 2, layer=model[1])
        np.testing.assert_allclose(found.extra["map"][:, 0], np.maximum(maps, 0), rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(found.values, F.interpolate(found.extra["map"], size=(12, 12), mode="bilinear").data)
        assert found.settings["layer"] == "1"


def test_score_cam_weighs_channels_by_the_scores_of_masked_images():
    model, x = nets.build("cnn"), nets.images(2)
    a, _ = activation_and_gradient(model, x, 2, "4")
    found = explain.score_cam(model, x, 2, layer="4", upsample=None, relu_attributions=False)
    for i in range(2):
        masks = F.interpolate(a[i : i + 1], size=(12, 12), mode="bilinear").data[0]
        low, high = masks.min((1, 2)), masks.max((1, 2))
        scores = []
        for k in range(6):
            mask = (masks[k] - low[k]) / (high[k] - low[k]) if high[k] > low[k] else 0 * masks[k]
            scores.append(model(minigrad.Tensor(mask * x[i : i + 1])).data[0, 2])
        weights = np.exp(scores) / np.exp(scores).sum()
        np.testing.assert_allclose(found.values[i, 0], (weights[:, None, None] * a[i]).sum(0), rtol=1e-8, atol=1e-14)
    assert found.forwards == 2 * (1 + 6)


def test_a_channel_without_contrast_does_no_harm():
    model, black = nets.build("cnn"), np.zeros((1, *nets.SHAPE))
    dead = nn.Sequential(*model, lambda z: z)
    for p in (dead[0].weight, dead[0].bias):
        p.data = np.zeros_like(p.data)
    for method in CAMS:
        assert np.isfinite(method(dead, black, 1, layer="1").values).all()


def test_grad_cam_is_cam_on_a_network_with_global_average_pooling():
    model, x = nets.build("normed"), nets.images()
    a, _ = activation_and_gradient(model, x, 2, "6")
    cam = np.einsum("c,nchw->nhw", model[9].weight.data[2], a)
    found = explain.grad_cam(model, x, 2, layer="6", relu_attributions=False, upsample=None)
    np.testing.assert_allclose(found.values[:, 0], cam / a[0, 0].size, rtol=1e-10)


def test_guided_grad_cam_is_the_product():
    model, x = nets.build("cnn"), nets.images()
    for mode in ("bilinear", "nearest"):
        found = explain.guided_grad_cam(model, x, layer="3", upsample=mode)
        product = explain.guided_backprop(model, x).values * explain.grad_cam(model, x, layer="3", upsample=mode).values
        np.testing.assert_array_equal(found.values, product)
        assert found.shape == x.shape and found.method == "guided_grad_cam"


def test_upsampling_is_stated_and_done():
    model, x = nets.build("cnn"), nets.images()
    for mode, shape in (
        ("bilinear", (3, 1, 12, 12)),
        ("bicubic", (3, 1, 12, 12)),
        ("nearest", (3, 1, 12, 12)),
        (None, (3, 1, 4, 4)),
    ):
        found = explain.grad_cam(model, x, 1, layer="3", upsample=mode)
        assert found.shape == shape and found.settings["upsample"] == mode


def test_the_second_call_of_a_module_has_a_map_of_its_own():
    model, x = nets.build("branched"), nets.images()
    first, second = (explain.layer_cam(model, x, 1, layer=p).extra["map"] for p in ("relu", "relu#2"))
    assert first.shape == second.shape and not np.allclose(first, second)
    np.testing.assert_array_equal(explain.layer_cam(model, x, 1, layer=model.relu).extra["map"], first)


@pytest.mark.parametrize(
    ("layer", "error", "match"),
    [
        (
            "7",
            ValueError,
            r"layer '7' gives shape \(3, 8\), expected \(N, C, h, w\); choose a layer before the flattening",
        ),
        ("12", ValueError, r"grad_cam: no module at '12'; nearest: '2', '1'"),
        ("0#2", ValueError, r"layer '0#2' did not run in the forward pass; nearest that did: .*'0'"),
        (nn.ReLU(), ValueError, r"layer ReLU is not part of the model; give a path such as '0', '1'"),
    ],
)
def test_bad_layers_are_named(layer, error, match):
    with pytest.raises(error, match=match):
        explain.grad_cam(nets.build("cnn"), nets.images(), layer=layer)


def test_bad_options_are_named():
    model, x = nets.build("cnn"), nets.images()
    with pytest.raises(
        ValueError, match=r"grad_cam: upsample is 'cubic', expected one of 'bilinear', 'bicubic', 'nearest', None"
    ):
        explain.grad_cam(model, x, layer="3", upsample="cubic")
    with pytest.raises(ValueError, match=r"guided_grad_cam: upsample is None"):
        explain.guided_grad_cam(model, x, layer="3", upsample=None)
    with pytest.raises(TypeError, match=r"grad_cam: model is function, expected a Module"):
        explain.grad_cam(lambda t: model(t), x, layer="3")
