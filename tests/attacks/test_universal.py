"""One change for all: learned, carried over, and beside its control."""

import numpy as np
import pytest

from attacks.carryover import added, carry_over, noise_matrix
from attacks.universal import Sticker, adversarial_patch, universal_perturbation

from . import subjects

MODEL = subjects.cnn()
X = subjects.images(24)[0]
Y = subjects.predicted(MODEL, X)
LEARN, OTHERS = (X[:16], Y[:16]), (X[16:], Y[16:])


def rng():
    return np.random.default_rng(0)


def test_carry_over_counts_only_images_that_were_right():
    noise, wrong = np.full((1, 8, 8), 0.3, np.float32), Y.copy()
    wrong[:4] = (Y[:4] + 1) % subjects.CLASSES
    found = carry_over(MODEL, noise, X, wrong, controls=3, rng=rng())
    turned = subjects.predicted(MODEL, np.clip(X + noise, 0, 1)) != Y
    assert found.tried == 20 and found.rate == turned[4:].mean() and not found.success[:4].any()
    np.testing.assert_array_equal(found.success[4:], turned[4:])
    assert found.controls.shape == (3,) and found.control == found.controls.mean()
    assert "of 20 images, control" in repr(found)


def test_the_control_has_equal_norms(monkeypatch):
    noise = np.random.default_rng(3).normal(0, 0.2, (1, 8, 8)).astype(np.float32)
    seen = []
    monkeypatch.setattr("attacks.carryover.added", lambda x, n, bounds: seen.append(n) or added(x, n, bounds))
    carry_over(MODEL, noise, X, Y, controls=2, rng=rng())
    np.testing.assert_array_equal(seen[0], noise)
    for control in seen[1:]:
        np.testing.assert_array_equal(np.sort(np.abs(control), None), np.sort(np.abs(noise), None))
        assert (control != noise).any()


def test_carry_over_of_nothing_to_turn():
    found = carry_over(MODEL, np.zeros((1, 8, 8)), X, (Y + 1) % subjects.CLASSES, controls=2)
    assert found.tried == 0 and np.isnan(found.rate) and not found.success.any()
    with pytest.raises(ValueError, match=r"carry_over: noise has shape \(8, 8\), expected one image's, \(1, 8, 8\)"):
        carry_over(MODEL, np.zeros((8, 8)), X, Y)


@pytest.mark.parametrize("targeted", [False, True])
def test_a_noise_matrix_turns_more_than_random_noise_of_equal_norm(targeted):
    learn, others = ((x, np.full(len(y), 2)) if targeted else (x, y) for x, y in (LEARN, OTHERS))
    found = noise_matrix(MODEL, *learn, eps=0.3, steps=40, lr=0.02, targeted=targeted, others=others, rng=rng())
    noise = found.extra["noise"]
    assert noise.shape == (1, 8, 8) and np.abs(noise).max() <= 0.3 and noise.dtype == np.float32
    right = found.status != "already_wrong"
    rounded = np.finfo(np.float32).eps  # the sum is rounded toward x, so that it stays in the ball
    np.testing.assert_allclose(found.x_adv[right], np.clip(learn[0] + noise, 0, 1)[right], rtol=0, atol=rounded)
    assert found.extra["learned"].rate == found.rate() > found.extra["learned"].control + 0.2
    assert found.extra["carried"].rate > found.extra["carried"].control


def test_a_noise_matrix_of_a_linear_model_follows_the_closed_form():
    """The margin is linear with slope w: l2 |n|^2 / 2 - w n is smallest at w / l2, cut at eps."""
    w = np.random.default_rng(0).normal(0, 0.1, (2, 9))
    x = np.full((3, 1, 3, 3), 0.5)
    model = subjects.linear(w, [1.0, 0])
    found = noise_matrix(model, x, np.zeros(3, int), eps=0.3, l2=0.5, steps=300, lr=0.005, controls=0)
    np.testing.assert_allclose(found.extra["noise"].ravel(), np.clip((w[1] - w[0]) / 0.5, -0.3, 0.3), atol=1e-3)


def test_a_noise_matrix_is_not_held_at_the_bounds():
    """Where n pushes a black pixel below 0, its slope is cut, but not on the way back."""
    w = np.zeros((2, 9))
    w[1, :5], w[1, 5:] = 1, -1
    x = np.zeros((2, 1, 3, 3))
    found = noise_matrix(subjects.linear(w, [9.0, 0]), x, np.zeros(2, int), eps=0.2, steps=40, lr=0.02, l2=0)
    np.testing.assert_allclose(found.x_adv[0].ravel(), [0.2] * 5 + [0] * 4, atol=1e-6)


@pytest.mark.parametrize("norm, eps", [("linf", 0.25), ("l2", 1.5)])
def test_a_universal_perturbation_is_small_and_turns_many(norm, eps):
    found = universal_perturbation(MODEL, *LEARN, eps=eps, norm=norm, delta=0.3, epochs=3, others=OTHERS, controls=4,
                                   rng=rng())  # fmt: skip
    noise = found.extra["noise"].astype(np.float64)
    size = np.abs(noise).max() if norm == "linf" else np.sqrt((noise**2).sum())
    assert size <= eps and (found.distance[norm] <= eps).all()
    assert found.rate() == found.extra["learned"].rate > found.extra["learned"].control
    assert found.queries.sum() > len(found.trace) * len(X) / 2 and 1 <= len(found.trace) <= 3


def test_a_universal_perturbation_stops_when_enough_are_turned():
    assert len(universal_perturbation(MODEL, *LEARN, eps=0.3, delta=1.0, epochs=5, rng=rng()).trace) == 1
    found = universal_perturbation(MODEL, *LEARN, eps=0, delta=0.0, epochs=2, rng=rng())
    assert not found.extra["noise"].any() and (found.status == "failed").all()


@pytest.mark.parametrize("shape", ["circle", "square"])
def test_a_patch_covers_a_little_and_becomes_what_the_other_class_likes(shape):
    """To a linear model in which class 1 likes light and class 0 is ahead of an image by half the patch's light."""
    model = subjects.linear(np.stack([np.zeros(64), np.ones(64)]), [38.0, 0.0]).to(np.float32)
    x = np.full((16, 1, 8, 8), 0.5, np.float32)
    found = adversarial_patch(model, x, np.zeros(16, int), size=5, shape=shape, steps=40, rng=rng())
    changed = (found.x_adv != x).any(1).reshape(16, -1).sum(1)
    assert (changed <= 8**2).all() and found.x_adv.min() >= 0 and found.x_adv.max() <= 1
    patch = found.extra["patch"]
    opaque = found.extra["opaque"]
    assert opaque.sum() == (25 if shape == "square" else 21)
    np.testing.assert_array_equal(patch[:, opaque], 1)
    np.testing.assert_array_equal(patch[:, ~opaque], 0.5)  # what does not cover has no gradient
    assert found.success.any() and found.trace[-1]["loss"].mean() > found.trace[0]["loss"].mean()


def test_a_patch_turns_more_than_its_pixels_in_disorder():
    """Class 1 likes a bright row above a dark one: in disorder nothing is left of that."""
    weight = np.zeros((2, 8, 8))
    weight[1, 2:4], weight[1, 4:6] = 3, -3
    model = subjects.linear(weight.reshape(2, 64), [8.0, 0.0]).to(np.float32)
    x = np.random.default_rng(0).random((16, 1, 8, 8)).astype(np.float32)
    y = np.zeros(16, int)
    found = adversarial_patch(model, x[:8], y[:8], size=4, shape="square", rotation=0, scale=(1, 1), steps=40, lr=0.1,
                              placement=(3.5, 3.5), others=(x[8:], y[8:]), rng=rng())  # fmt: skip
    for rates in (found.extra["learned"], found.extra["carried"]):
        assert rates.rate > 0.9 and rates.control < 0.5


def test_a_patch_at_a_fixed_place_is_put_there():
    found = adversarial_patch(MODEL, *LEARN, size=3, shape="square", steps=5, rotation=0, scale=(1, 1),
                              placement=(2, 5), rng=rng())  # fmt: skip
    right = found.status != "already_wrong"
    for image in found.x_adv[right]:
        np.testing.assert_allclose(image[:, 1:4, 4:7], found.extra["patch"], atol=1e-6)
    outside = np.ones((8, 8), bool)
    outside[1:4, 4:7] = False
    np.testing.assert_array_equal(found.x_adv[..., outside], X[:16][..., outside])


def test_a_sticker_stays_on_the_image_whatever_its_turn_and_scale():
    sticker = Sticker("patch", (12, 12), 5, "circle", 90, (0.6, 2.0), "random")
    at = sticker.draw(200, rng())
    black, white = np.zeros((200, 1, 12, 12)), np.ones((1, 5, 5))
    cover = sticker.stuck(black, white, at).sum((1, 2, 3))
    assert cover.min() > 0.5 * sticker.opaque.sum() * 0.36 and cover.max() < 2 * sticker.opaque.sum() * 4
    edge = sticker.stuck(np.zeros((200, 1, 16, 16)), white, Sticker("patch", (16, 16), 5, "circle", 90, (0.6, 2.0),
                         (-9, -9)).draw(200, rng()))  # fmt: skip
    assert not edge.any()


def test_the_same_rng_gives_the_same_bytes():
    for attack in (lambda: noise_matrix(MODEL, *LEARN, steps=3, rng=rng()).extra["learned"].controls,
                   lambda: universal_perturbation(MODEL, *LEARN, eps=0.1, epochs=1, rng=rng()).x_adv,
                   lambda: adversarial_patch(MODEL, *LEARN, size=3, steps=3, rng=rng()).x_adv):  # fmt: skip
        assert attack().tobytes() == attack().tobytes()


@pytest.mark.parametrize("call, message", [
    (lambda: noise_matrix(MODEL, X, Y, eps=-1), "noise_matrix: eps is -1, expected a number of at least 0"),
    (lambda: noise_matrix(MODEL, X, Y, loss="x"), "noise_matrix: loss is 'x', expected one of"),
    (lambda: universal_perturbation(MODEL, X, Y, eps=0.1, norm="l1"), "universal_perturbation: norm is 'l1', expected"),
    (lambda: universal_perturbation(MODEL, X, Y, eps=0.1, delta=2), "universal_perturbation: delta is 2, expected"),
    (lambda: adversarial_patch(MODEL, X, Y, size=8), "adversarial_patch: a sticker of 8 pixels at scale 1.2 does not"),
    (lambda: adversarial_patch(MODEL, X, Y, size=3, scale=2), "adversarial_patch: scale is 2, expected"),
    (lambda: adversarial_patch(MODEL, X, Y, size=3, shape="star"), "adversarial_patch: shape is 'star', expected one"),
    (lambda: adversarial_patch(MODEL, X, Y, size=3, placement="left"), "adversarial_patch: placement is 'left', exp"),
    (lambda: adversarial_patch(MODEL, X, Y, size=3, rotation=200), "adversarial_patch: rotation is 200, expected"),
])  # fmt: skip
def test_bad_settings_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
