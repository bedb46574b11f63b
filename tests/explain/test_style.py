"""Style transfer: its losses against plain NumPy, their gradients, and that they fall."""

import numpy as np
import pytest

import explain
import minigrad
from explain.style import content_loss, gram, style_loss
from minigrad import check_grads, data

from . import nets

LAYERS = {"1": 1.0, "4": 0.5}


def transfer(**options):
    options = {"content": nets.images(1), "style": nets.images(1, seed=8), "content_layer": "3",
               "style_layers": LAYERS, "steps": 15, "rng": np.random.default_rng(0), **options}  # fmt: skip
    return explain.style_transfer(options.pop("model", None) or nets.build("cnn"), **options)


def dense_gram(features, normalize=True):
    n, c, height, width = features.shape
    found = np.zeros((n, c, c))
    for s, i, j in np.ndindex(n, c, c):
        found[s, i, j] = sum(features[s, i, y, x] * features[s, j, y, x] for y in range(height) for x in range(width))
    return found / (c * height * width) if normalize else found


def test_gram_matrices_and_losses_are_their_formulas():
    rng = np.random.default_rng(0)
    f, g = rng.normal(size=(2, 3, 4, 5)), rng.normal(size=(2, 3, 4, 5))
    for normalize in (True, False):
        np.testing.assert_allclose(gram(minigrad.Tensor(f), normalize).data, dense_gram(f, normalize), rtol=1e-10)
    F, G = minigrad.Tensor(f), minigrad.Tensor(g)
    np.testing.assert_allclose(content_loss(F, G, 0.7).data, [0.7 * ((a - b) ** 2).sum() for a, b in zip(f, g)])
    right = 3 * ((dense_gram(f) - dense_gram(g)) ** 2).sum((1, 2)) + 2 * (dense_gram(g) ** 2).sum((1, 2))
    found = style_loss([F, G], [gram(G), minigrad.Tensor(np.zeros((2, 3, 3)))], [3.0, 2.0])
    np.testing.assert_allclose(found.data, right, rtol=1e-10)
    check_grads(gram, f)
    check_grads(lambda a, b: content_loss(a, b, 0.7), f, g)
    check_grads(lambda a: style_loss([a], [gram(G)], [3.0]), f)


@pytest.mark.parametrize("definition", ["relative", "cs231n", "johnson"])
def test_the_first_losses_are_those_of_the_definition(definition):
    model, content, style, start = nets.build("cnn"), nets.images(1), nets.images(1, seed=8), nets.images(1, seed=9)
    made = transfer(definition=definition, content_weight=0.3, tv_weight=2.0, start=start, steps=1)
    at = {k: {p: explain.layer_activation(model, x, layer=p).values for p in "134"}
          for k, x in (("content", content), ("style", style), ("start", start))}
    content_sum = ((at["start"]["3"] - at["content"]["3"]) ** 2).sum()
    content_size = {"cs231n": 1, "johnson": at["content"]["3"].size, "relative": (at["content"]["3"] ** 2).sum()}
    style_sum = 0
    for path, weight in LAYERS.items():
        goal = dense_gram(at["style"][path])
        term = ((dense_gram(at["start"][path]) - goal) ** 2).sum()
        style_sum += weight * term / ((goal**2).sum() if definition == "relative" else 1)
    tv = (np.diff(start, axis=2) ** 2).sum() + (np.diff(start, axis=3) ** 2).sum()
    np.testing.assert_allclose(made.trace["content"][0], 0.3 * content_sum / content_size[definition], rtol=1e-8)
    np.testing.assert_allclose(made.trace["style"][0], style_sum, rtol=1e-8)
    np.testing.assert_allclose(
        made.trace["total variation"][0], 2 * tv / (start.size if definition == "relative" else 1), rtol=1e-8
    )


def test_losses_fall_and_the_model_stays():
    model = nets.build("normed").train()
    state = model.state_dict()
    made = transfer(model=model, style_layers={"2": 1.0, "5": 1.0})
    assert made.trace["loss"][-1, 0] < 0.8 * made.trace["loss"][0, 0]
    assert made.trace["content"][0, 0] == 0 and model.training
    assert made.images.min() >= 0 and made.images.max() <= 1
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, state[name])


def test_a_picture_in_its_own_style_is_left_as_it_is():
    x = nets.images(1)
    made = transfer(content=x, style=x, tv_weight=0, steps=3)
    np.testing.assert_allclose(made.trace["loss"], 0, atol=1e-20)
    np.testing.assert_array_equal(made.images, x)


def test_several_pictures_are_painted_as_if_alone():
    x, style = nets.images(2), nets.images(2, seed=8)
    both = transfer(content=x, style=style, steps=4)
    for i in range(2):
        one = transfer(content=x[i : i + 1], style=style[i : i + 1], steps=4)
        np.testing.assert_allclose(both.images[i : i + 1], one.images, rtol=1e-9)
    noise = transfer(start="noise", steps=0)
    np.testing.assert_array_equal(noise.images, transfer(start="noise", steps=0).images)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"definition": "gatys"}, ValueError, r"definition is 'gatys', expected one of relative, cs231n, johnson"),
        ({"start": "zero"}, ValueError, r"start is 'zero', expected an array or one of content, noise"),
        ({"start": nets.images(2)}, ValueError, r"start has shape \(2, 2, 12, 12\), expected that of content"),
        ({"style": nets.images(1)[:, :1]}, ValueError, r"style has shape \(1, 1, 12, 12\) and content"),
        ({"content": nets.images(1) * 255}, ValueError, r"content is float64 .*expected floats \(N, C, H, W\) in \[0"),
        ({"style_layers": ["1"]}, TypeError, r"style_layers is \['1'\], expected a dict"),
        ({"style_layers": {"6": 1.0}}, ValueError, r"layer '6' returned shape \(1, 8\), expected maps"),
        ({"content_layer": "12"}, ValueError, r"style_transfer: no module at '12'; nearest"),
        ({"steps": 1.5}, ValueError, r"steps is 1.5"),
    ],
)
def test_bad_options_are_named(options, error, match):
    with pytest.raises(error, match=match):
        transfer(**options)


@pytest.mark.compiled  # a photograph in plain Python takes minutes
def test_squeezenet_paints():
    try:
        model = minigrad.models.pretrained_squeezenet()
        folder = minigrad.data.download.folders("style")[0]
        content, style = (data.load_photo(folder / f, (48, 64)) for f in ("tubingen.jpg", "starry_night.jpg"))
    except FileNotFoundError as error:
        pytest.skip(str(error))
    made = explain.style_transfer(model, content, style, content_layer="features.3", steps=10,
                                  style_layers={"features.1": 1.0, "features.4": 1.0, "features.7": 1.0})  # fmt: skip
    assert made.trace["style"][-1, 0] < 0.5 * made.trace["style"][0, 0]
    assert made.images.dtype == np.float32
