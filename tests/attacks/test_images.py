"""Pictures from gradients: what each maximises, what it keeps, and what it draws."""

import numpy as np
import pytest

import minigrad
from attacks import show
from attacks.gradient import bim
from attacks.images import fooling_image, image_to_image, rubbish_image

from . import subjects

MODEL = subjects.cnn()
X = subjects.images(8)[0]
Y = subjects.predicted(MODEL, X)
WANTED = np.argsort(MODEL(minigrad.Tensor(X)).data, axis=1)[:, -2]  # the class that comes second
SHAPE = (1, 8, 8)


def rng():
    return np.random.default_rng(0)


def logit(image, y):
    return MODEL(minigrad.Tensor(image)).data[np.arange(len(y)), y]


def lead(image, y):
    logits = MODEL(minigrad.Tensor(image)).data
    others = np.where(np.arange(subjects.CLASSES) == y[:, None], -np.inf, logits).max(1)
    return logits[np.arange(len(y)), y] - others


def test_a_fooling_image_is_the_first_on_the_normalised_ascent_that_is_taken_for_the_class():
    found = fooling_image(MODEL, X, WANTED, abs_stepsize=0.1)
    assert found.rate() > 0.7
    i = int(np.flatnonzero(found.success)[0])
    image, wanted = X[i:i + 1], int(WANTED[i])
    for _ in range(int(found.gradients[i]) - 1):
        assert subjects.predicted(MODEL, image)[0] != wanted
        leaf = minigrad.Tensor(image, requires_grad=True)
        g = minigrad.grad(MODEL(leaf)[:, wanted].sum(), leaf).data
        image = np.clip(image + np.float32(0.1) * g / np.sqrt((g**2).sum()), 0, 1)
    np.testing.assert_allclose(found.x_adv[i:i + 1], image, atol=1e-5)
    assert subjects.predicted(MODEL, found.x_adv)[i] == wanted


def test_a_surer_fooling_image_is_a_further_one():
    first, sure = (fooling_image(MODEL, X, WANTED, abs_stepsize=0.1, confidence=c) for c in (0, 0.1))
    assert sure.rate() > 0.5 and (sure.distance["l2"] >= first.distance["l2"])[sure.success].all()
    np.testing.assert_array_equal(lead(sure.x_adv, WANTED) >= 0.1, sure.success)


def test_a_fooling_image_of_the_own_class_is_the_image():
    found = fooling_image(MODEL, X, Y)
    assert (found.status == "already_wrong").all() and found.x_adv.tobytes() == X.tobytes()


def test_a_fooling_image_that_fails_is_the_one_that_came_closest():
    found = fooling_image(MODEL, X, WANTED, steps=2, abs_stepsize=0.02)
    assert (found.status == "failed").any()
    margins = np.array([entry["margin"] for entry in found.trace])
    np.testing.assert_allclose(-lead(found.x_adv, WANTED), np.nanmin(margins, 0), atol=1e-5)
    assert (lead(found.x_adv, WANTED) > lead(X, WANTED)).any()


@pytest.mark.parametrize("start", ["noise", "grey", np.full((4, *SHAPE), 0.3, np.float32)])
def test_a_rubbish_image_is_surely_of_its_class(start):
    found = rubbish_image(MODEL, np.arange(4), shape=SHAPE, steps=40, start=start, rng=rng())
    assert found.success.any() and found.x_adv.min() >= 0 and found.x_adv.max() <= 1
    cost = np.array([entry["cost"] for entry in found.trace])
    assert cost.shape == (41, 4) and (cost[-1] < cost[0]).all()
    assert (found.trace[-1]["loss"] > found.trace[0]["loss"] + 2).all()
    np.testing.assert_allclose(cost[0], -found.trace[0]["loss"], rtol=1e-6)
    assert isinstance(start, str) and start == "noise" or np.ptp(found.x) == 0


def test_regularisers_do_what_they_say():
    plain, dark, smooth, blurred = (
        rubbish_image(MODEL, np.arange(4), shape=SHAPE, steps=40, rng=rng(), **options).x_adv
        for options in ({}, {"l2": 1.0}, {"tv": 1.0}, {"blur": 0.6}))  # fmt: skip

    def roughness(image):
        return (np.diff(image, axis=2) ** 2).sum() + (np.diff(image, axis=3) ** 2).sum()

    assert (dark**2).sum() < 0.7 * (plain**2).sum()
    assert roughness(smooth) < 0.5 * roughness(plain) and roughness(blurred) < 0.7 * roughness(plain)


def test_penalties_count_in_the_cost():
    found = rubbish_image(MODEL, np.array([2]), shape=SHAPE, steps=1, l2=0.5, tv=0.25, rng=rng())
    x = found.x.astype(np.float64)
    rough = (np.diff(x, axis=2) ** 2).sum() + (np.diff(x, axis=3) ** 2).sum()
    expected = -logit(found.x, np.array([2])) + 0.5 * (x**2).sum() + 0.25 * rough
    np.testing.assert_allclose(found.trace[0]["cost"], expected, rtol=1e-5)


def test_rubbish_images_of_one_class_differ_and_do_not_depend_on_their_neighbours():
    together = rubbish_image(MODEL, np.array([1, 3, 1]), shape=SHAPE, steps=3, jitter=1, rng=rng()).x_adv
    alone = rubbish_image(MODEL, np.array([3]), shape=SHAPE, steps=3, jitter=1, rng=rng()).x_adv
    subjects.same(together[1], alone[0])
    assert (together[0] != together[2]).any()


@pytest.mark.parametrize("start", ["image", "noise"])
def test_image_to_image_trades_likeness_for_certainty(start):
    near, sure = (image_to_image(MODEL, X, WANTED, beta=beta, start=start, steps=60, rng=rng()) for beta in (1, 0.01))
    assert near.rate() > 0.4 and sure.rate() > 0.7
    assert near.distance["l2"].mean() < sure.distance["l2"].mean()
    both = near.success & sure.success
    assert (logit(near.x_adv, WANTED) < logit(sure.x_adv, WANTED))[both].all()
    last = sure.trace[-1]
    np.testing.assert_allclose(last["cost"], -last["loss"] + 0.01 * last["l2"] ** 2, rtol=1e-4)


def test_image_to_image_of_a_linear_model_reaches_the_closed_form():
    """z = w x less beta |x - x0|^2 is largest at x0 + w / (2 beta), where the box does not interfere."""
    w = np.random.default_rng(0).normal(0, 0.3, (2, 9))
    x = np.full((1, 1, 3, 3), 0.5)
    model = subjects.linear(w, [0.0, (w[0] - w[1]).sum() / 2 - 0.1])  # class 0 leads by 0.1
    found = image_to_image(model, x, np.array([1]), beta=1.0, steps=300, lr=0.01)
    assert found.success.all()
    np.testing.assert_allclose(found.x_adv, x + w[1].reshape(x.shape) / 2, atol=1e-3)


def test_the_order_of_images_does_not_matter():
    order = np.random.default_rng(1).permutation(len(X))
    for attack in (fooling_image, image_to_image):
        options = {"steps": 4} | ({"rng": rng(), "start": "noise"} if attack is image_to_image else {})
        together = attack(MODEL, X, WANTED, **options).x_adv
        options |= {"rng": rng()} if "rng" in options else {}
        subjects.same(attack(MODEL, X[order], WANTED[order], **options).x_adv, together[order])


@pytest.mark.parametrize("call, message", [
    (lambda: fooling_image(MODEL, X, WANTED, steps=0), "fooling_image: steps is 0, expected an integer of at least 1"),
    (lambda: fooling_image(MODEL, X, WANTED, abs_stepsize=0), "fooling_image: abs_stepsize is 0, expected a"),
    (lambda: fooling_image(MODEL, X, WANTED, confidence=-1), "fooling_image: confidence is -1"),
    (lambda: fooling_image(MODEL, X * 9, WANTED), "fooling_image: x goes from 0 to 9, outside bounds"),
    (lambda: fooling_image(MODEL, X, None), "fooling_image: y is None, expected 8 targets"),
    (lambda: rubbish_image(MODEL, np.array([9]), shape=SHAPE), "rubbish_image: y goes from 9 to 9, the model has"),
    (lambda: rubbish_image(MODEL, 3, shape=SHAPE), r"rubbish_image: y is int64 of shape \(\), exp"),
    (lambda: rubbish_image(MODEL, [1], shape=(8, 8)), r"rubbish_image: shape is \(8, 8\), expected \(C, H, W\)"),
    (lambda: rubbish_image(MODEL, [1], shape=SHAPE, start="cat"), "rubbish_image: start is 'cat', expected one of"),
    (lambda: rubbish_image(MODEL, [1], shape=SHAPE, bounds=(1, 1)), r"rubbish_image: bounds are \(1, 1\)"),
    (lambda: rubbish_image(MODEL, [1], shape=SHAPE, jitter=-1), "rubbish_image: jitter is -1, expected an integer"),
    (lambda: rubbish_image(MODEL, [1], shape=SHAPE, lr=0), "rubbish_image: lr is 0, expected a number of more than 0"),
    (lambda: image_to_image(MODEL, X, WANTED, beta=-1), "image_to_image: beta is -1, expected a number of at least 0"),
    (lambda: image_to_image(MODEL, X, WANTED, start="x"), "image_to_image: start is 'x', expected one of"),
])  # fmt: skip
def test_bad_settings_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_differences_are_magnified_about_grey():
    np.testing.assert_allclose(show.magnified(np.array([0.51, 0.5, 0.3, 1]), np.array([0.5, 0.5, 0.5, 0.5])),
                               [0.6, 0.5, 0, 1])  # fmt: skip


def test_pictures_of_attacks_can_be_drawn():
    pytest.importorskip("matplotlib").use("Agg")
    film = show.Film(1, every=2)
    found = bim(MODEL, X, Y, eps=0.1, steps=6, callback=film)
    assert film.steps == [0, 2, 4, 6] and len(film.images) == 4
    np.testing.assert_array_equal(film.images[0], X[1])
    figure = show.compare(found, [0, 3], factor=5)
    assert len(figure.axes) == 6 and figure.axes[4].get_ylabel() == "difference x 5"
    assert len(show.filmstrip(film).axes) == 8
    assert len(show.path(found).lines) == 2 and len(show.path(found, ["l2"], index=0).lines) == 1
    with pytest.raises(ValueError, match="path: the trace of bim holds no 'cost'; it has loss, margin, l2, linf"):
        show.path(found, ["cost"])
    with pytest.raises(ValueError, match="filmstrip: the film holds no image"):
        show.filmstrip(show.Film())
    with pytest.raises(ValueError, match="compare: index is empty"):
        show.compare(found, [])
    from matplotlib import pyplot

    pyplot.close("all")
