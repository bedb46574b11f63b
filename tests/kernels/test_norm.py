"""Channels' moments, dots and affine maps: compiled against their definitions, and numbers that cancel."""

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minigrad import kernels
from minigrad.kernels import reference

from .layouts import LAYOUTS

CHANNELS = st.integers(1, 5) | st.sampled_from([8, 16, 32, 41])  # shorter than a vector, and longer
images_with_or_without_weights = given(
    st.tuples(st.integers(1, 4), CHANNELS, st.integers(1, 6), st.integers(1, 6)),
    st.sampled_from([np.float32, np.float64]),
    st.sampled_from(sorted(LAYOUTS)),
    st.booleans(),
    st.integers(0, 2**32),
)


@given(
    st.tuples(st.integers(1, 4), CHANNELS, st.integers(1, 6), st.integers(1, 6)),
    st.sampled_from([np.float32, np.float64]),
    st.sampled_from(sorted(LAYOUTS)),
    st.integers(0, 2**32),
)
def test_moments_are_their_definition(shape, dtype, layout, seed):
    x = LAYOUTS[layout](np.random.default_rng(seed).normal(size=shape).astype(dtype))
    moments = kernels.channel_moments(x)
    assert moments.shape == (2, shape[1]) and moments.dtype == dtype
    eps = np.finfo(dtype).eps
    assert_allclose(moments, reference.channel_moments(x), rtol=16 * eps, atol=4 * eps)


@given(
    st.tuples(st.integers(0, 4), CHANNELS, st.integers(1, 6), st.integers(1, 6)),
    st.sampled_from([np.float32, np.float64]),
    st.sampled_from(sorted(LAYOUTS)),
    st.integers(0, 2**32),
)
def test_affine_and_dot_are_their_definitions(shape, dtype, layout, seed):
    rng = np.random.default_rng(seed)
    x, g = (LAYOUTS[layout](rng.normal(size=shape).astype(dtype)) for _ in range(2))
    center, scale, shift = rng.normal(size=(3, shape[1])).astype(dtype)
    eps = np.finfo(dtype).eps
    y = kernels.channel_affine(x, center, scale, shift)
    assert y.dtype == dtype
    assert_allclose(y, reference.channel_affine(x, center, scale, shift), rtol=8 * eps, atol=16 * eps)
    dot = kernels.channel_dot(g, x, center)
    assert dot.shape == (shape[1],) and dot.dtype == dtype
    assert_allclose(dot, reference.channel_dot(g, x, center), rtol=16 * eps, atol=64 * eps)


@images_with_or_without_weights
def test_gradients_are_their_definition(shape, dtype, layout, weighted, seed):
    rng = np.random.default_rng(seed)
    x, g = (LAYOUTS[layout](rng.normal(size=shape).astype(dtype)) for _ in range(2))
    weight = rng.normal(size=shape[1]).astype(dtype) if weighted else None
    moments = kernels.channel_moments(x)
    expected = reference.batch_norm_grads(*(a.astype(np.float64) for a in (g, x, moments)), weight, 0.1)
    for ours, theirs in zip(kernels.batch_norm_grads(g, x, moments, weight, 0.1), expected, strict=True):
        assert ours.dtype == dtype and ours.shape == theirs.shape
        assert_allclose(ours, theirs, rtol=1e-5 if dtype == np.float32 else 1e-12, atol=64 * np.finfo(dtype).eps)


def test_gradients_with_a_large_mean():
    rng = np.random.default_rng(0)
    x, g = (1e4 + rng.normal(size=(8, 2, 6, 6))).astype(np.float32), rng.normal(size=(8, 2, 6, 6)).astype(np.float32)
    moments = kernels.channel_moments(x)
    exact = reference.batch_norm_grads(*(a.astype(np.float64) for a in (g, x, moments)), None, 1e-5)
    for ours, theirs in zip(kernels.batch_norm_grads(g, x, moments, None, 1e-5), exact, strict=True):
        assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_a_large_center_is_taken_away_first():
    x = (1e4 + np.random.default_rng(0).normal(size=(8, 2, 6, 6))).astype(np.float32)
    g, center, one = np.sign(x - np.float32(1e4)), np.full(2, 1e4, np.float32), np.ones(2, np.float32)
    exact = x.astype(float) - 1e4
    assert_allclose(kernels.channel_dot(g, x, center), np.abs(exact).sum((0, 2, 3)), rtol=1e-6)
    assert_array_equal(kernels.channel_affine(x, center, one, 0 * one), exact.astype(np.float32))


@pytest.mark.parametrize("dtype, mean, rtol", [(np.float32, 1e4, 1e-5), (np.float64, 1e10, 1e-5)])
@pytest.mark.parametrize("shape", [(8, 3, 6, 6), (40, 2, 3, 3), (1, 2, 30, 20), (200, 2, 1, 1)])
def test_a_large_mean_does_not_eat_the_variance(shape, dtype, mean, rtol):
    x = (mean * np.arange(1, shape[1] + 1)[:, None, None] + np.random.default_rng(0).normal(size=shape)).astype(dtype)
    exact = x.astype(np.longdouble)
    moments = kernels.channel_moments(x)
    assert_allclose(moments[0], exact.mean((0, 2, 3)).astype(dtype), rtol=2 * np.finfo(dtype).eps)
    assert_allclose(moments[1], exact.var((0, 2, 3)).astype(dtype), rtol=rtol)


@pytest.mark.parametrize("channels", [2, 32])
def test_a_center_that_tells_nothing_of_the_image_does_not_eat_the_variance(channels):
    x = np.random.default_rng(0).normal(size=(2, channels, 64, 64)).astype(np.float32)
    pixels = x.reshape(2, channels, -1)
    pixels[:, :, :: 4096 // 16] += 1e3  # all that the mean of a few is taken of, if the few are every 256th pixel
    x[:, :, ::4] += 1e3  # or every fourth row
    exact = x.astype(np.float64)
    moments = kernels.channel_moments(x)
    assert_allclose(moments[0], exact.mean((0, 2, 3)), rtol=1e-6)
    assert_allclose(moments[1], exact.var((0, 2, 3)), rtol=4e-6)


def test_images_far_apart():
    x = np.array([0.0, 1e4], np.float32).reshape(2, 1, 1, 1) + np.zeros((2, 1, 4, 4), np.float32)
    assert_array_equal(kernels.channel_moments(x), [[5e3], [2.5e7]])


def test_a_constant_channel_has_no_variance():
    x = np.full((3, 2, 5, 7), 0.1, np.float32)
    assert_array_equal(kernels.channel_moments(x), [[np.float32(0.1)] * 2, [0, 0]])


@pytest.mark.parametrize("shape", [(1, 4, 3, 3), (1, 64, 3, 3), (2, 2, 17, 1), (3, 1, 2, 2), (5, 40, 9, 11)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.1, -2.0400567, 1.9e13])
def test_equal_numbers_have_no_variance(shape, dtype, value):
    x = np.full(shape, value, dtype)
    assert_array_equal(kernels.channel_moments(x), [[dtype(value)] * shape[1], [0] * shape[1]])
    assert_array_equal(kernels.batch_norm(x, None, None, 1e-5)[0], 0)


@pytest.mark.parametrize("shape", [(0, 3, 2, 2), (2, 3, 2, 0), (2, 3, 0, 2), (2, 64, 2, 0)])
def test_images_without_pixels(shape):
    x, channels = np.zeros(shape, np.float32), np.ones(shape[1], np.float32)
    assert kernels.channel_affine(x, channels, channels, channels).shape == shape
    assert_array_equal(kernels.channel_dot(x, x, channels), 0 * channels)


def test_nan_stays_in_its_channel():
    x = np.ones((2, 3, 4, 4), np.float32)
    x[1, 2, 3, 3] = np.nan
    assert_array_equal(np.isnan(kernels.channel_moments(x)), [[False, False, True]] * 2)


@pytest.mark.compiled
def test_any_number_of_threads_gives_the_same_bytes():
    x = LAYOUTS["channels-last"](np.random.default_rng(0).normal(size=(9, 16, 20, 20)).astype(np.float32))
    together, team = kernels.channel_moments(x), numba.get_num_threads()
    dot = kernels.channel_dot(x, x, together[0])
    assert_allclose(together, reference.channel_moments(x), rtol=1e-6, atol=1e-7)
    try:
        numba.set_num_threads(1)
        assert kernels.channel_moments(x).tobytes() == together.tobytes()
        assert kernels.channel_dot(x, x, together[0]).tobytes() == dot.tobytes()
    finally:
        numba.set_num_threads(team)


@images_with_or_without_weights
def test_normalising_is_its_definition(shape, dtype, layout, affine, seed):
    rng = np.random.default_rng(seed)
    x = LAYOUTS[layout](rng.normal(size=shape).astype(dtype))
    weight, bias = rng.normal(size=(2, shape[1])).astype(dtype) if affine else (None, None)
    ours, theirs = kernels.batch_norm(x, weight, bias, 0.1), reference.batch_norm(x, weight, bias, 0.1)
    for result, expected in zip(ours, theirs, strict=True):
        assert result.dtype == dtype and result.shape == expected.shape
        assert_allclose(result, expected, rtol=64 * np.finfo(dtype).eps, atol=64 * np.finfo(dtype).eps)
    assert_array_equal(ours[1], kernels.channel_moments(x))


@pytest.mark.compiled
def test_normalising_gives_the_same_bytes_with_any_number_of_threads():
    rng = np.random.default_rng(0)
    x, g = (LAYOUTS["channels-last"](rng.normal(size=(9, 16, 20, 20)).astype(np.float32)) for _ in range(2))
    weight, team = rng.normal(size=16).astype(np.float32), numba.get_num_threads()

    def everything():
        y, moments = kernels.batch_norm(x, weight, weight, 1e-5)
        return y, moments, *kernels.batch_norm_grads(g, x, moments, weight, 1e-5)

    together = everything()
    try:
        numba.set_num_threads(1)
        for alone, expected in zip(everything(), together, strict=True):
            assert alone.tobytes() == expected.tobytes()
    finally:
        numba.set_num_threads(team)
