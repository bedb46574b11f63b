"""Shifts and rotations against scipy and against what must hold of any."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from minigrad import data

RNG = np.random.default_rng(0)
SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))


@given(SHAPES, st.integers(0, 2**32 - 1))
def test_shift_by_is_scipys(shape, seed):
    rng = np.random.default_rng(seed)
    images, offsets = rng.random(shape, np.float32), rng.integers(-10, 11, (shape[0], 2))
    expected = [ndimage.shift(image, (0, *offset), order=0) for image, offset in zip(images, offsets)]
    result = data.shift_by(images, offsets)
    np.testing.assert_array_equal(result, np.array(expected))
    assert result.dtype == np.float32 and not np.shares_memory(result, images)


@given(SHAPES, st.integers(0, 2**32 - 1))
def test_rotate_by_is_scipys(shape, seed):
    rng = np.random.default_rng(seed)
    images, angles = rng.random(shape), rng.uniform(-360, 360, shape[0])
    expected = [ndimage.rotate(image, angle, axes=(1, 2), reshape=False, order=1, mode="grid-constant")
                for image, angle in zip(images, angles)]
    np.testing.assert_allclose(data.rotate_by(images, angles), np.array(expected), rtol=0, atol=1e-9)


def test_positive_angles_turn_counter_clockwise():
    image = np.zeros((1, 1, 5, 5), np.float32)
    image[0, 0, 0, 2] = 1  # twelve o'clock
    turned = data.rotate_by(image, [90])
    assert turned[0, 0, 2, 0] == pytest.approx(1) and turned.sum() == pytest.approx(1)  # nine o'clock


@pytest.mark.parametrize("augment", [data.shift, data.rotate])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_augmentations_keep_type_range_and_input(augment, dtype):
    images = (RNG.random((50, 3, 12, 12)) > 0.5).astype(dtype)
    before = images.copy()
    result = augment(images, rng=np.random.default_rng(1))
    assert result.dtype == dtype and result.shape == images.shape and 0 <= result.min() and result.max() <= 1
    assert (result != images).any()
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(result, augment(images, rng=np.random.default_rng(1)))


@pytest.mark.parametrize("augment", [data.shift, data.rotate])
def test_no_move_is_the_identity_and_no_images_are_none(augment):
    images = RNG.random((3, 1, 6, 7), np.float32)
    np.testing.assert_array_equal(augment(images, 0, rng=np.random.default_rng(0)), images)
    assert augment(images[:0], rng=np.random.default_rng(0)).shape == (0, 1, 6, 7)


def test_shift_reaches_every_move_and_none_beyond():
    images = np.zeros((2000, 1, 9, 9), np.float32)
    images[:, :, 4, 4] = 1
    moves = np.argwhere(data.shift(images, 2, rng=np.random.default_rng(0)))[:, 2:] - 4
    every = {(i, j) for i in range(-2, 3) for j in range(-2, 3)}
    assert len(moves) == 2000 and {tuple(move) for move in moves} == every


@pytest.mark.parametrize("error, call, message", [
    (TypeError, lambda x: data.shift(x, rng=0), "shift: rng is 0, expected a numpy Generator"),
    (TypeError, lambda x: data.rotate(x, rng=None), "rotate: rng is None"),
    (ValueError, lambda x: data.shift(x[0], rng=RNG), r"shift: images have shape \(1, 4, 4\), expected \(N, C"),
    (ValueError, lambda x: data.rotate(x[0], rng=RNG), r"rotate: images have shape \(1, 4, 4\)"),
    (ValueError, lambda x: data.shift(x, -1, rng=RNG), "shift: pixels is -1, expected 0 or more"),
    (ValueError, lambda x: data.rotate(x, -1, rng=RNG), "rotate: degrees is -1, expected 0 or more"),
    (TypeError, lambda x: data.rotate(x.astype(np.uint8), rng=RNG), "rotate: images are uint8, expected floating"),
])
def test_refusals(error, call, message):
    with pytest.raises(error, match=message):
        call(np.zeros((2, 1, 4, 4), np.float32))
