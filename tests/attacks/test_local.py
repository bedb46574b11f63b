"""Attacks on a part of the image, by moving it, and by noise: what changes, what does not, and which comes first."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attacks.ball import top_region
from attacks.local import BASELINES, moved, noise_baselines, occlude, spatial
from attacks.warp import places, read, spread

from . import subjects

MODEL = subjects.cnn()
X = subjects.images(8)[0]
Y = subjects.predicted(MODEL, X)


def rng():
    return np.random.default_rng(0)


def test_occlusion_paints_the_region_and_nothing_else():
    region = top_region(X, 0.25)
    found = occlude(MODEL, X, Y, mask=region, value=0.5)
    assert (found.x_adv[region] == 0.5).all() and (found.x_adv[~region] == X[~region]).all()
    assert (found.distance["l0"] <= 16).all()
    np.testing.assert_array_equal(found.success, subjects.predicted(MODEL, found.x_adv) != Y)
    np.testing.assert_array_equal(occlude(MODEL, X, Y, mask=region, value=X).x_adv, X)
    assert not occlude(MODEL, X, Y, mask=np.ones((8, 8), bool)).x_adv.any()


@pytest.mark.parametrize("options, error, message", [
    ({"mask": None}, ValueError, "occlude: mask is None"),
    ({"mask": X}, TypeError, "occlude: mask has dtype float32, expected bool"),
    ({"mask": X > 0, "value": 2}, ValueError, "occlude: value goes from 2 to 2, outside bounds"),
    ({"mask": X > 0, "value": np.zeros(3)}, ValueError, r"occlude: value has shape \(3,\), which does not broadcast"),
    ({"mask": X > 0, "value": np.zeros((2, 1, 1, 1, 1))}, ValueError, "occlude: value has shape"),
])  # fmt: skip
def test_occlusion_checks_what_it_paints(options, error, message):
    with pytest.raises(error, match=message):
        occlude(MODEL, X, Y, **options)


def test_moving_by_whole_pixels_and_right_angles_is_exact():
    np.testing.assert_allclose(moved(X, 0, 0, 0), X, atol=1e-7)
    down = moved(X, 0, 2, -1, fill=0.25)
    np.testing.assert_allclose(down[:, :, 2:, :-1], X[:, :, :-2, 1:], atol=1e-6)
    assert (down[:, :, :2] == 0.25).all() and (down[..., -1] == 0.25).all()
    np.testing.assert_allclose(moved(X, 90, 0, 0), np.rot90(X, 1, (2, 3)), atol=1e-5)  # counterclockwise


@given(st.integers(0, 2**32 - 1))
def test_spread_is_the_transpose_of_read(seed):
    rng = np.random.default_rng(seed)
    patch, g = rng.normal(size=(2, 4, 5)), rng.normal(size=(3, 2, 6, 6))
    at = places((6, 6), rng.uniform(-90, 90, 3), rng.uniform(0.5, 2, 3), rng.uniform(0, 5, 3), rng.uniform(0, 5, 3),
                (1.5, 2.0))  # fmt: skip
    np.testing.assert_allclose((read(patch[None], at) * g).sum(), (patch * spread(g, at, patch.shape)).sum(), rtol=1e-9)


def test_spatial_returns_the_smallest_move_of_the_grid_that_fools():
    found = spatial(MODEL, X, Y, num_rotations=3, num_translations=3)
    assert found.success.any()
    for i in np.flatnonzero(found.status == "success"):
        move = (found.extra["rotation"][i], *found.extra["translation"][i])
        np.testing.assert_array_equal(found.x_adv[i:i + 1], moved(X[i:i + 1], *move))
        assert abs(move[0]) in (0, 30) and abs(move[1]) in (0, 3)
        cheaper = [m for m in [(30, 0, 0), (-30, 0, 0), (0, 3, 0), (0, -3, 0), (0, 0, 3), (0, 0, -3)]
                   if np.count_nonzero(m) < np.count_nonzero(move)]  # fmt: skip
        assert all(subjects.predicted(MODEL, moved(X[i:i + 1], *m))[0] == Y[i] for m in cheaper)


def test_without_room_to_move_nothing_moves():
    found = spatial(MODEL, X, Y, max_rotation=0, max_translation=0)
    np.testing.assert_allclose(found.x_adv, X, atol=1e-7)
    assert (found.status == "failed").all()


def test_the_baselines_stop_at_the_first_strength_that_changes_the_answer():
    found = noise_baselines(MODEL, X, Y, strengths=5, rng=rng())
    assert list(found) == list(BASELINES)
    for result in found.values():
        assert result.x_adv.min() >= 0 and result.x_adv.max() <= 1 and result.x_adv.dtype == X.dtype
        np.testing.assert_array_equal(np.isnan(result.extra["strength"]), ~result.success)
        spent = np.where(result.success, result.extra["strength"] * 5, 5)
        np.testing.assert_allclose(result.queries, 1 + spent)
    assert any(result.success.any() for result in found.values())


def test_at_full_strength_the_baselines_are_what_they_say():
    kinds = ("contrast", "brightness", "inversion", "salt_and_pepper")
    stubborn = subjects.linear(np.zeros((4, 64)), [9.0, 0, 0, 0]).to(np.float32)
    everything = noise_baselines(stubborn, X, Y * 0, kinds=kinds, strengths=1, rng=rng())
    grey, white, inverted, pepper = (everything[kind].trace for kind in kinds)
    assert all(len(trace) == 1 for trace in (grey, white, inverted, pepper))
    np.testing.assert_allclose(grey[0]["linf"], np.abs(0.5 - X).max((1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(white[0]["l2"], np.sqrt(((1 - X) ** 2).sum((1, 2, 3))), rtol=1e-5)
    np.testing.assert_allclose(inverted[0]["l2"], np.sqrt(((1 - 2 * X) ** 2).sum((1, 2, 3))), rtol=1e-5)


@pytest.mark.parametrize("attack", [
    lambda x, y: noise_baselines(MODEL, x, y, kinds=["gaussian_noise"], strengths=3, rng=rng())["gaussian_noise"],
    lambda x, y: noise_baselines(MODEL, x, y, kinds="salt_and_pepper", strengths=3, rng=rng())["salt_and_pepper"],
    lambda x, y: spatial(MODEL, x, y, num_rotations=3, num_translations=1),
])  # fmt: skip
def test_the_order_of_images_does_not_matter(attack):
    order = np.random.default_rng(1).permutation(len(X))
    subjects.same(attack(X[order], Y[order]).x_adv, attack(X, Y).x_adv[order])


def test_where_all_are_wrong_from_the_start_there_is_nothing_to_do():
    wrong = (Y + 1) % subjects.CLASSES
    for found in (spatial(MODEL, X, wrong), occlude(MODEL, X, wrong, mask=X > 0),
                  noise_baselines(MODEL, X, wrong, kinds="blur")["blur"]):  # fmt: skip
        assert (found.status == "already_wrong").all() and found.x_adv.tobytes() == X.tobytes()


@pytest.mark.parametrize("call, message", [
    (lambda: spatial(MODEL, X, Y, max_rotation=-1), "spatial: max_rotation is -1, expected a number of at least 0"),
    (lambda: spatial(MODEL, X, Y, num_rotations=0), "spatial: num_rotations is 0, expected an integer of at least 1"),
    (lambda: noise_baselines(MODEL, X, Y, kinds="fog"), "noise_baselines: kinds is 'fog', expected one of 'gaussian"),
    (lambda: noise_baselines(MODEL, X, Y, strengths=0), "noise_baselines: strengths is 0"),
])  # fmt: skip
def test_bad_settings_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
