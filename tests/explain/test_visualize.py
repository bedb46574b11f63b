"""Images made for a class or a unit: canvases and regularisers against their definitions, scores that rise."""

import numpy as np
import pytest

import explain
import minigrad
from explain.canvas import Fourier, Hartley, Pixels, fit_colours, logits, power
from explain.regularisers import L2, Blur, Jitter, Regulariser, TotalVariation, roll
from minigrad import check_grads

from . import nets, trained

RNG = np.random.default_rng


def small(model=None, **options):
    options = {"target": [0, 3], "shape": nets.SHAPE, "preset": "small", "steps": 8, "rng": RNG(0), **options}
    return explain.class_visualization(nets.build("cnn") if model is None else model, **options)


def test_hartley_is_its_definition_its_own_inverse_and_its_own_derivative():
    x = RNG(0).normal(size=(2, 1, 4, 5))
    u, v, i, j = np.ogrid[:4, :5, :4, :5]
    angle = 2 * np.pi * (u * i / 4 + v * j / 5)
    dense = ((np.cos(angle) + np.sin(angle)) / np.sqrt(20)).reshape(20, 20)
    np.testing.assert_allclose(Hartley().forward(x).reshape(2, 20), x.reshape(2, 20) @ dense.T, atol=1e-12)
    np.testing.assert_allclose(Hartley().forward(Hartley().forward(x)), x, atol=1e-12)
    check_grads(lambda t: Hartley()(t), x)
    assert Hartley().forward(x.astype(np.float32)).dtype == np.float32


def test_a_fourier_canvas_is_invertible_and_differentiable():
    images = RNG(1).uniform(0.1, 0.9, (3, 3, 6, 8))
    canvas = Fourier(images)
    numbers = canvas.encode(images)
    np.testing.assert_allclose(canvas.decode(minigrad.Tensor(numbers)).data, images, rtol=1e-9)
    check_grads(canvas.decode, numbers[:1])
    alone = Fourier()
    np.testing.assert_allclose(alone.decode(minigrad.Tensor(alone.encode(images))).data, images, rtol=1e-9)


def test_white_noise_has_the_colours_and_the_spectrum_of_the_data():
    rng = RNG(2)
    mixed = np.einsum("ij,njhw->nihw", [[1.0, 0, 0], [0.9, 0.3, 0], [0.7, 0.2, 0.1]], rng.normal(size=(20, 3, 16, 16)))
    images = 1 / (1 + np.exp(-mixed - np.array([0.5, 0, -1]).reshape(1, 3, 1, 1)))
    mean, matrix = fit_colours(images)
    pixels = logits(images).transpose(1, 0, 2, 3).reshape(3, -1)
    np.testing.assert_allclose(matrix @ matrix.T, np.cov(pixels), rtol=1e-9)
    np.testing.assert_allclose(mean, pixels.mean(1))
    made = Fourier(images, decay=0).decode(minigrad.Tensor(rng.normal(size=(40, 3, 16, 16)))).data
    np.testing.assert_allclose(np.cov(logits(made).transpose(1, 0, 2, 3).reshape(3, -1)), np.cov(pixels), atol=0.06)
    amplitude = power(16, 16, 1.0)
    np.testing.assert_allclose(amplitude[0, 2] / amplitude[0, 6], 3)
    np.testing.assert_allclose((amplitude**2).mean(), 1)


def test_penalties_are_their_formulas():
    x = RNG(3).random((2, 3, 5, 4))
    t = minigrad.Tensor(x)
    np.testing.assert_allclose(L2(0.1).penalty(t).data, 0.1 * ((x - 0.5) ** 2).sum((1, 2, 3)))
    right = [sum((a[c, i + 1, j] - a[c, i, j]) ** 2 for c in range(3) for i in range(4) for j in range(4))
             + sum((a[c, i, j + 1] - a[c, i, j]) ** 2 for c in range(3) for i in range(5) for j in range(3)) for a in x]
    np.testing.assert_allclose(TotalVariation(2.0).penalty(t).data, 2 * np.array(right))
    for regulariser in (L2(0.1), TotalVariation(2.0)):
        check_grads(regulariser.penalty, x)


def test_jitter_rolls_there_and_back_and_in_every_direction():
    x = RNG(4).random((1, 2, 6, 5))
    t = minigrad.Tensor(x, requires_grad=True)
    for shift, dim in ((2, 2), (-3, 3), (0, 2), (7, 3)):
        np.testing.assert_array_equal(roll(t, shift, dim).data, np.roll(x, shift, dim))
    seed = RNG(5).random(x.shape)
    np.testing.assert_array_equal(minigrad.grad(roll(t, 2, 2), t, seed).data, np.roll(seed, -2, 2))
    spot = np.zeros((1, 1, 7, 7), np.float32)
    spot[0, 0, 3, 3] = 1
    rng, places = RNG(0), set()
    for _ in range(400):
        moved = Jitter(2).transform(minigrad.Tensor(spot), rng).data[0, 0]
        places.add(tuple(int(n) - 3 for n in np.argwhere(moved)[0]))
    assert places == {(i, j) for i in range(-2, 3) for j in range(-2, 3)}


def test_blur_is_a_gaussian_mean_at_its_turn_only():
    x = RNG(6).random((2, 1, 9, 9))
    blur = Blur(1.0, every=3)
    assert blur.project(x, 1) is x and blur.project(x, 5) is x
    blurred = blur.project(x, 6)
    kernel = np.exp(-0.5 * np.arange(-4, 5) ** 2)
    kernel = np.outer(kernel, kernel) / kernel.sum() ** 2
    np.testing.assert_allclose(blurred[:, 0, 4, 4], (x[:, 0] * kernel).sum((1, 2)), rtol=1e-10)
    np.testing.assert_allclose(blur.project(np.full((1, 3, 5, 5), 0.3), 3), 0.3)
    np.testing.assert_allclose(blurred.sum((1, 2, 3)), x.sum((1, 2, 3)), rtol=1e-10)


def test_one_normalised_step_by_hand():
    model, x = nets.build("smooth"), nets.images(1) * 0.2 + 0.4
    made = explain.class_visualization(model, x, 2, preset="small", regularisers=[L2(0.3)], steps=1, rate=0.05)
    leaf = minigrad.Tensor(x, requires_grad=True)
    g = minigrad.grad(model(leaf)[0, 2], leaf).data - 0.6 * (x - 0.5)
    np.testing.assert_allclose(made.images, x + 0.05 * g / np.linalg.norm(g), rtol=1e-10)
    np.testing.assert_allclose(made.trace["score"], model(minigrad.Tensor(x)).data[:, 2:3])
    np.testing.assert_allclose(made.trace["loss"], made.trace["L2"] - made.trace["score"])


@pytest.mark.parametrize("canvas", [Pixels(), Fourier(), Fourier(nets.images())])
@pytest.mark.parametrize("optimizer", ["normalised", "adam"])
def test_the_score_rises_and_pixels_stay_in_bounds(canvas, optimizer):
    made = small(canvas=canvas, optimizer=optimizer, rate=0.3, steps=12, regularisers=())
    assert (made.trace["score"][-1] > made.trace["score"][0] + 0.5).all()
    assert made.images.min() >= 0 and made.images.max() <= 1 and made.steps == 12
    assert made.images.dtype == np.float64 and made.shape == (2, *nets.SHAPE)


def test_a_trained_network_takes_its_image_for_the_class():
    model, _ = trained.cnn()
    made = explain.class_visualization(model, target=[1, 7], shape=(1, 8, 8), preset="small", steps=30, rng=RNG(0),
                                       score="log_probability", regularisers=[L2(0.01), Jitter(1)])  # fmt: skip
    assert model(minigrad.Tensor(made.images)).data.argmax(1).tolist() == [1, 7]


def test_images_of_a_call_do_not_depend_on_each_other_and_the_draws_are_the_callers():
    both, swapped, one = small(), small(target=[3, 0]), small(target=3)
    np.testing.assert_allclose(both.images, swapped.images[::-1], rtol=1e-12)
    np.testing.assert_allclose(both.images[1:], one.images, rtol=1e-9)
    np.testing.assert_array_equal(small().images, both.images)
    assert not np.array_equal(small(rng=RNG(1)).images, both.images)


def test_a_photograph_is_the_start_and_its_class_the_default():
    model, x = nets.build("cnn"), nets.images()
    still = explain.class_visualization(model, x, steps=0)
    np.testing.assert_array_equal(still.images, x)
    assert still.settings["target"] == model(minigrad.Tensor(x)).data.argmax(1).tolist()
    three = explain.class_visualization(model, x[:1], [0, 1, 2], preset="small", steps=1)
    assert three.shape == (3, *nets.SHAPE)


def test_units_channels_and_functions_of_a_layer():
    model = nets.build("cnn")
    wanted = [2, (2, 1, 1), lambda a: a[:, 0].mean((1, 2))]
    made = explain.activation_maximization(model, layer="3", neuron=wanted, shape=nets.SHAPE, preset="small",
                                           steps=6, rng=RNG(0), regularisers=[])  # fmt: skip
    assert (made.trace["score"][-1] > made.trace["score"][0]).all() and made.settings["layer"] == "3"
    x = nets.images(1)
    at = explain.activation_maximization(model, x, layer=model[3], neuron=2, steps=1, regularisers=())
    activation = explain.layer_activation(model, x, layer="3").values
    np.testing.assert_allclose(at.trace["score"], [[activation[0, 2].mean()]])


def test_a_unit_that_is_off_is_asked_what_would_turn_it_on():
    model = nets.build("cnn")
    model[0].bias.data = np.full(4, -0.6)
    x = np.zeros((1, *nets.SHAPE))
    made = explain.activation_maximization(model, x, layer="1", neuron=[1], steps=20, preset="small", regularisers=())
    assert made.trace["score"][0] == 0 < made.trace["score"][-1]


@pytest.mark.parametrize("after", [0, 3])
def test_an_interruption_keeps_what_is_done_and_leaves_the_model(after):
    model = nets.build("normed").train()
    state = model.state_dict()

    class Interrupt(Regulariser):
        def project(self, images, step):
            if step > after:
                raise KeyboardInterrupt
            return images

    made = small(model, regularisers=[Interrupt(), Jitter(2)])
    assert made.interrupted and made.steps == after and len(made.trace["loss"]) == after
    full = small(model, regularisers=[Regulariser(), Jitter(2)], steps=after)
    np.testing.assert_array_equal(made.images, full.images)
    assert "interrupted" in repr(made) and model.training
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, state[name])
    assert all(p.grad is None for p in model.parameters())


def test_an_error_in_the_loss_is_said():
    class Broken(Regulariser):
        def penalty(self, image):
            return image.sum((1, 2, 3)) * np.nan

    with pytest.raises(FloatingPointError, match=r"class_visualization: the loss is \[nan, nan\] at step 1"):
        small(regularisers=[Broken()])


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"preset": "course2"}, ValueError, r"preset is 'course2', expected one of course, smooth, fourier, small"),
        ({"shape": None}, ValueError, r"got neither x and shape|got neither x"),
        ({"shape": (2, 12)}, ValueError, r"shape is \(2, 12\), expected \(C, H, W\)"),
        ({"x": nets.images()}, ValueError, r"got both x and shape, expected one of them"),
        ({"target": None}, ValueError, r"got neither x nor target, expected a target"),
        ({"target": 5}, ValueError, r"class_visualization: target 5 is out of range, the model has classes 0..4"),
        ({"rate": 0}, ValueError, r"class_visualization: rate is 0, expected a positive number"),
        ({"steps": -1}, ValueError, r"class_visualization: steps is -1"),
        ({"optimizer": "sgd"}, ValueError, r"optimizer is 'sgd', expected one of normalised, adam"),
        ({"regularisers": [1]}, TypeError, r"regularisers holds 1, expected a Regulariser"),
        ({"stepz": 3}, TypeError, r"got stepz, expected options among preset, rng, progress, canvas"),
        ({"canvas": Fourier(np.zeros((1, 3, 4, 4)))}, ValueError, r"Fourier: it was fitted to 3 channels, .* have 2"),
    ],
)
def test_bad_options_are_named(options, error, match):
    with pytest.raises(error, match=match):
        small(**options)


def test_bad_settings_of_parts_are_named():
    for make, match in (
        (lambda: L2(-1), r"L2: strength is -1, expected a number of at least 0"),
        (lambda: TotalVariation(-1), r"TotalVariation: strength is -1"),
        (lambda: Jitter(-1), r"Jitter: pixels is -1"),
        (lambda: Blur(-1), r"Blur: sigma is -1"),
        (lambda: Blur(1, every=0), r"Blur: every is 0, expected at least 1 step"),
        (lambda: fit_colours(np.zeros((3, 4, 4))), r"fit_colours: images have shape \(3, 4, 4\), expected"),
        (lambda: explain.tile(np.zeros((3, 4))), r"tile: got shape \(3, 4\), expected \(N, C, H, W\)"),
        (lambda: explain.activation_maximization(nets.build("cnn"), nets.images(2), layer="3", neuron=[0, 1, 2]),
         r"got 3 neurons for 2 images, expected one for each"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=match):
            make()


def test_tiles_lie_where_they_should():
    pictures = np.arange(5, dtype=float).reshape(5, 1, 1, 1) * np.ones((1, 3, 2, 4)) / 10
    whole = explain.tile(pictures, 2, gap=1, fill=1.0)
    assert whole.shape == (3, 8, 9)
    assert (whole[:, 3:5, 5:9] == 0.3).all() and (whole[:, 2] == 1).all() and (whole[:, 6:8, 5:9] == 1).all()
    rows = explain.tile(np.zeros((2, 5, 3, 3)), gap=0)
    assert rows.shape == (1, 6, 15)


def test_filters_and_activations_as_pictures():
    model, x = nets.build("cnn"), nets.images()
    weight = model[0].weight.data
    each = explain.filters(model, "0")
    np.testing.assert_allclose(each, 0.5 + 0.5 * weight / np.abs(weight).max((1, 2, 3), keepdims=True))
    assert np.abs(explain.filters(model, model[0], scale="all") - 0.5).max() == 0.5
    dense = explain.filters(model, "6", shape=(6, 4, 4))
    assert dense.shape == (8, 6, 4, 4)
    grid = explain.activation_grid(model, x, layer="1")
    values = explain.layer_activation(model, x, layer="1").values
    assert grid.min() == 0 and grid.max() == 1 and grid.shape == values.shape
    np.testing.assert_allclose(grid * values.max((2, 3), keepdims=True), values, atol=1e-12)
    signed = explain.activation_grid(model, x, layer="0", scale="all")
    assert ((signed > 0.5) == (explain.layer_activation(model, x, layer="0").values > 0)).all()
    for call, match in (
        (lambda: explain.filters(model, "1"), r"filters: the weights of layer '1' are none"),
        (lambda: explain.filters(model, "6"), r"layer '6' is dense with 96 inputs and shape is None"),
        (lambda: explain.filters(model, "0", scale="some"), r"filters: scale is 'some', expected one of each, all"),
        (lambda: explain.activation_grid(model, x, layer="6"), r"layer '6' returned shape \(3, 8\), expected maps"),
    ):
        with pytest.raises(ValueError, match=match):
            call()


def test_results_can_be_drawn():
    pytest.importorskip("matplotlib").use("Agg")
    assert small(steps=1).plot(columns=2, title="two").get_title() == "two"


@pytest.mark.compiled  # a photograph in plain Python takes minutes
def test_squeezenet_takes_noise_for_a_gorilla():
    try:
        model = minigrad.models.pretrained_squeezenet()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    made = explain.class_visualization(model, target=366, shape=(3, 96, 96), preset="fourier", steps=20, rate=0.3,
                                       regularisers=(), rng=RNG(0))  # fmt: skip
    assert made.trace["score"][-1] > made.trace["score"][0] + 20
    assert model(minigrad.Tensor(made.images)).data.argmax() == 366
