"""Winograd's algorithm: it is the convolution it stands in for, to the bit where the numbers are small integers."""

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minigrad import kernels
from minigrad.kernels import conv_pool, reference, winograd
from minigrad.kernels.layout import channels_last
from minigrad.kernels.pairs import PAIRS
from minigrad.kernels.stretch import S, shrink, stretch
from minigrad.kernels.transform import LANES, make_transform

from .layouts import LAYOUTS, draw_values

WIDE = pytest.mark.skipif(LANES == 4, reason="36 is a multiple of four lanes, so the algorithm is for it")


@st.composite
def cases(draw, even=False):
    """(x, weight, bias or None, g, padding) that the algorithm knows; small integers, so that all sums are exact.

    With `even` sides of the result, and padding of at most 2, they are such that a 2 x 2 pool may follow.
    """
    channels, filters = (winograd.LEAST + LANES * draw(st.integers(0, 2)) for _ in range(2))
    padding = draw(st.tuples(*[st.integers(0, 2 if even else 3)] * 2))
    if even:
        size = [max(2, 4 - 2 * p) + 2 * draw(st.integers(0, 4)) for p in padding]
    else:
        size = [max(1, 3 - 2 * p) + draw(st.integers(0, 8)) for p in padding]
    shape = draw(st.integers(0, 5)), channels, *size
    layout = LAYOUTS[draw(st.sampled_from(sorted(LAYOUTS)))]
    x = layout(draw_values(draw, shape, np.float32))
    weight = layout(draw_values(draw, (filters, channels, 3, 3), np.float32))
    bias = draw_values(draw, (filters,), np.float32) if draw(st.booleans()) else None
    g = layout(draw_values(draw, (shape[0], filters, *(n + 2 * p - 2 for n, p in zip(size, padding))), np.float32))
    return x, weight, bias, g, padding


def settings(padding):
    return (1, 1), padding, (1, 1), 1


def random(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


@given(cases())
def test_it_is_the_convolution_and_its_gradients(case):
    x, weight, bias, g, padding = case
    assert winograd.pays(weight.shape, x.dtype, (1, 1), (1, 1), 1)
    window = settings(padding)
    assert_array_equal(kernels.conv2d(x, weight, bias, *window), reference.conv2d(x, weight, bias, *window))
    dx = kernels.conv2d_input_grad(g, weight, x.shape, *window)
    assert_array_equal(dx, reference.conv2d_input_grad(g, weight, x.shape, *window))
    dw = kernels.conv2d_weight_grad(x, g, weight.shape, *window)
    assert_array_equal(dw, reference.conv2d_weight_grad(x, g, weight.shape, *window))
    assert dw.strides == kernels.weight_layout(weight).strides


@given(cases(even=True), st.data())
def test_with_a_rectifier_and_a_pool_it_is_the_three_in_turn(case, data):
    x, weight, bias, _, padding = case
    if data.draw(st.booleans()):
        x = np.where(x == 3, np.float32(np.nan), x)
    window = settings(padding)
    assert conv_pool.by_tiles(weight.shape, x.dtype, *window)
    convolved = kernels.conv2d(x, weight, bias, *window)
    y, winners = kernels.conv2d_relu_max_pool2d(x, weight, bias, window)
    expected = kernels.relu_max_pool2d_winners(convolved, *PAIRS)
    for ours, theirs in zip((y, winners), expected, strict=True):
        assert_array_equal(ours, theirs)
    g, x = draw_values(data.draw, y.shape, np.float32), np.nan_to_num(x)
    routed = kernels.route_winners(g, winners, convolved.shape, *PAIRS)
    dx = kernels.conv2d_relu_max_pool2d_input_grad(g, winners, weight, x.shape, *window)
    assert_array_equal(dx, kernels.conv2d_input_grad(routed, weight, x.shape, *window))
    dw, total = kernels.conv2d_relu_max_pool2d_grads(x, winners, g, weight.shape, *window)
    assert_array_equal(dw, kernels.conv2d_weight_grad(x, routed, weight.shape, *window))
    assert_array_equal(total, kernels.channel_sum(routed))


def test_images_cut_into_blocks_are_pooled_alike():
    x, weight, bias, window = random(1, 64, 70, 50), random(64, 64, 3, 3), random(64), settings((1, 1))
    assert winograd.cut((1, 70, 50, 64), 64, team=2) > 2
    expected = kernels.relu_max_pool2d_winners(kernels.conv2d(x, weight, bias, *window), *PAIRS)
    y, winners = kernels.conv2d_relu_max_pool2d(x, weight, bias, window)
    for ours, theirs in zip((y, winners), expected, strict=True):
        assert_array_equal(ours, theirs)
    g = random(*y.shape)
    dx = kernels.conv2d_relu_max_pool2d_input_grad(g, winners, weight, x.shape, *window)
    routed = kernels.route_winners(g, winners, (1, 64, 70, 50), *PAIRS)
    assert_array_equal(dx, kernels.conv2d_input_grad(routed, weight, x.shape, *window))


@pytest.mark.parametrize("shape", [(2, 32, 0, 8), (2, 32, 8, 0), (0, 32, 8, 8)])
def test_images_without_pixels(shape):
    weight, window = random(32, 32, 3, 3), settings((2, 2))
    g = np.zeros((shape[0], 32, shape[2] + 2, shape[3] + 2), np.float32)
    assert kernels.conv2d_input_grad(g, weight, shape, *window).shape == shape
    assert_array_equal(kernels.conv2d_weight_grad(np.zeros(shape, np.float32), g, weight.shape, *window), 0)


@pytest.mark.parametrize(
    "weight_shape, dtype, stride, dilation, groups",
    [
        ((32, 32, 3, 3), np.float64, (1, 1), (1, 1), 1),
        ((32, 32, 3, 3), np.float32, (2, 2), (1, 1), 1),
        ((32, 32, 3, 3), np.float32, (1, 1), (1, 2), 1),
        ((32, 16, 3, 3), np.float32, (1, 1), (1, 1), 2),
        ((32, 32, 1, 3), np.float32, (1, 1), (1, 1), 1),
        ((32, 3, 3, 3), np.float32, (1, 1), (1, 1), 1),
        ((64, 16, 3, 3), np.float32, (1, 1), (1, 1), 1),
        ((34, 34, 3, 3), np.float32, (1, 1), (1, 1), 1),
        pytest.param((36, 36, 3, 3), np.float32, (1, 1), (1, 1), 1, marks=WIDE),
        ((512, 512, 3, 3), np.float32, (1, 1), (1, 1), 1),
    ],
)
def test_what_it_does_not_know_is_left_to_others(weight_shape, dtype, stride, dilation, groups):
    assert not winograd.pays(weight_shape, np.dtype(dtype), stride, dilation, groups)


@pytest.mark.parametrize("shape, filters", [((2, 64, 14, 14), 32), ((1, 32, 90, 90), 64)])
def test_it_is_as_close_to_float64_as_the_direct_sum(shape, filters):
    x, w, g = random(*shape), random(filters, shape[1], 3, 3), random(shape[0], filters, *shape[2:])
    results = kernels.conv2d(x, w, None, *settings((1, 1))), kernels.conv2d_weight_grad(
        x, g, w.shape, *settings((1, 1))
    )
    x, w, g = (a.astype(np.float64) for a in (x, w, g))
    exact = kernels.conv2d(x, w, None, *settings((1, 1))), kernels.conv2d_weight_grad(x, g, w.shape, *settings((1, 1)))
    for ours, theirs in zip(results, exact):
        assert_allclose(ours, theirs, atol=4e-6 * np.abs(theirs).max())


def test_nan_reaches_exactly_the_outputs_that_see_it():
    w = np.ones((winograd.LEAST, winograd.LEAST, 3, 3), np.float32)
    for row, column in np.ndindex(9, 9):
        x = np.zeros((1, winograd.LEAST, 9, 9), np.float32)
        x[0, 1, row, column] = np.nan
        expected = np.zeros((9, 9), bool)
        expected[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = True
        y = kernels.conv2d(x, w, None, *settings((1, 1)))
        assert_array_equal(np.isnan(y), np.broadcast_to(expected, y.shape))


def test_an_image_alone_gives_what_it_gives_in_a_batch():
    x, w, b = random(7, 32, 13, 14), random(32, 32, 3, 3), random(32)
    batch = kernels.conv2d(x, w, b, *settings((1, 1)))
    for n in range(len(x)):
        assert_array_equal(kernels.conv2d(x[n : n + 1], w, b, *settings((1, 1)))[0], batch[n])


@pytest.mark.compiled
@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="needs two threads")
def test_results_agree_for_any_number_of_threads():
    x, w, g, ours = random(3, 32, 20, 17), random(32, 32, 3, 3), random(3, 32, 20, 17), numba.get_num_threads()
    y = kernels.conv2d(x, w, None, *settings((1, 1)))
    dw = kernels.conv2d_weight_grad(x, g, w.shape, *settings((1, 1)))
    try:
        numba.set_num_threads(1)
        assert_array_equal(kernels.conv2d(x, w, None, *settings((1, 1))), y)
        again = kernels.conv2d_weight_grad(x, g, w.shape, *settings((1, 1)))
        assert_allclose(again, dw, rtol=1e-3, atol=1e-3)
    finally:
        numba.set_num_threads(ours)


def test_a_transform_is_two_matrix_products_for_each_channel():
    signs = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])
    d, y = random(4, 4, 2 * LANES), np.full((2, 2, 2 * LANES), np.nan, np.float32)
    transformed(make_transform(signs), y, d)
    assert_allclose(y, np.einsum("ia,jb,abc->ijc", signs, signs, d), rtol=1e-5, atol=1e-6)


def transformed(transform, y, d):
    def run(y, d, channels):
        transform(y, 0, 2 * channels, channels, d, 0, 4 * channels, channels, channels)

    (run if numba.config.DISABLE_JIT else numba.njit(run))(y.reshape(-1), d.reshape(-1), d.shape[2])


@pytest.mark.parametrize("channels, filters", [(LANES, LANES), (32, 48), (96, 2 * LANES)])
def test_stretching_is_a_product_and_shrinking_its_transpose(channels, filters):
    w, du = random(3, 3, channels, filters), random(16 * channels * filters)
    u, dw = stretch(w), shrink(du, channels, filters)
    assert_allclose(u.reshape(16, -1), S @ w.reshape(9, -1), rtol=1e-5, atol=1e-5)
    assert_allclose(dw.reshape(9, -1), S.T @ du.reshape(16, -1), rtol=1e-5, atol=1e-5)
    turned = w[::-1, ::-1].swapaxes(2, 3)
    assert_array_equal(stretch(turned), stretch(np.ascontiguousarray(turned)))
    assert_array_equal(stretch(w, turned_around=True), stretch(turned))


def test_an_infinite_weight_stays_in_the_planes_it_belongs_to():
    w = np.ones((3, 3, LANES, LANES), np.float32)
    w[0, 0, 0, 0] = np.inf
    u = stretch(w).reshape(16, LANES, LANES)
    assert_array_equal(np.isfinite(u[:, 0, 0]), S[:, 0] == 0)
    assert np.isfinite(u.reshape(16, -1)[:, 1:]).all()


def test_every_memory_order_will_do():
    x, w = random(2, winograd.LEAST, 6, 5), random(winograd.LEAST, winograd.LEAST, 3, 3)
    y = kernels.conv2d(x, w, None, *settings((1, 1)))
    assert channels_last(y).base is not None and y.transpose(0, 2, 3, 1).flags.c_contiguous
    for layout in LAYOUTS.values():
        assert_array_equal(kernels.conv2d(layout(x), layout(w), None, *settings((1, 1))), y)
