"""Convolution and its gradients: compiled against their definitions, each other's transposes, in any memory order."""

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minigrad import kernels
from minigrad.kernels import conv, conv_grad, pack, reference, scatter, weights
from minigrad.kernels.geometry import conv_output_size
from minigrad.kernels.layout import channels_last

from .layouts import LAYOUTS, draw_values

PLAIN = (1, 1), (0, 0), (1, 1), 1


@st.composite
def convolutions(draw, even=False):
    """(x, weight, bias or None, g, (stride, padding, dilation, groups)): small integers, so that all sums are exact.

    With `even` sides of the result, so that a 2 x 2 pool may follow.
    """
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    ranges = (1, 4), (1, 3), (0, 5), (1, 3)
    kernel_size, stride, padding, dilation = (draw(st.tuples(*[st.integers(*r)] * 2)) for r in ranges)
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    size = [
        max(1, d * (k - 1) + 1 - 2 * p) + draw(st.integers(0, 7)) for k, p, d in zip(kernel_size, padding, dilation)
    ]
    geometry = list(zip(kernel_size, stride, padding, dilation))
    if even:
        size = [n + g[1] * (conv_output_size(n, *g) % 2) for n, g in zip(size, geometry)]
    channels = groups * draw(st.integers(1, 5))
    each = draw(st.sampled_from([1, 2, 5, 8, 16, 17, 32, 33, 40]))
    shape = draw(st.integers(0, 4)), channels, *size
    out = [conv_output_size(n, *g) for n, g in zip(size, geometry)]
    layout = LAYOUTS[draw(st.sampled_from(sorted(LAYOUTS)))]
    x = layout(draw_values(draw, shape, dtype))
    weight = draw_values(draw, (groups * each, channels // groups, *kernel_size), dtype)
    weight = draw(st.sampled_from([*LAYOUTS.values(), kernels.weight_layout]))(weight)
    bias = draw_values(draw, (groups * each,), dtype) if draw(st.booleans()) else None
    g = layout(draw_values(draw, (shape[0], groups * each, *out), dtype))
    return x, weight, bias, g, (stride, padding, dilation, groups)


def random(*shape, dtype=np.float32):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(dtype)


def is_channels_last(y):
    return y.transpose(0, 2, 3, 1).flags.c_contiguous


@given(convolutions())
def test_convolution_is_its_definition(case):
    x, weight, bias, _, settings = case
    y = kernels.conv2d(x, weight, bias, *settings)
    assert_array_equal(y, reference.conv2d(x, weight, bias, *settings))
    assert y.dtype == x.dtype and is_channels_last(y)


@given(convolutions())
def test_input_gradient_is_its_definition(case):
    x, weight, _, g, settings = case
    dx = kernels.conv2d_input_grad(g, weight, x.shape, *settings)
    assert_array_equal(dx, reference.conv2d_input_grad(g, weight, x.shape, *settings))
    assert dx.dtype == g.dtype and is_channels_last(dx)


@given(convolutions())
def test_input_gradient_by_scattering_is_the_same(case):
    x, weight, _, g, (stride, padding, dilation, _) = case
    weight = np.ascontiguousarray(weight)  # of a group's channels: no groups
    shape = x.shape[0], weight.shape[1], *x.shape[2:]
    dx = scatter.scatter(channels_last(g), weights.filters_last(weight), shape[2:], stride, padding, dilation)
    expected = reference.conv2d_input_grad(g, weight, shape, stride, padding, dilation, 1)
    assert_array_equal(dx.transpose(0, 3, 1, 2), expected)


@given(convolutions())
def test_weight_and_bias_gradients_are_their_definitions(case):
    x, weight, _, g, settings = case
    dw = kernels.conv2d_weight_grad(x, g, weight.shape, *settings)
    assert_array_equal(dw, reference.conv2d_weight_grad(x, g, weight.shape, *settings))
    assert dw.dtype == x.dtype and dw.strides == kernels.weight_layout(weight).strides
    assert_array_equal(kernels.channel_sum(g), reference.channel_sum(g))


@pytest.mark.parametrize(
    "shape, filters, settings",
    [
        ((2, 1, 28, 28), (32, 1, 3, 3), ((1, 1), (1, 1), (1, 1), 1)),
        ((1, 3, 61, 59), (24, 3, 7, 7), ((2, 2), (0, 0), (1, 1), 1)),
        ((3, 64, 9, 9), (128, 64, 3, 3), ((1, 1), (1, 1), (1, 1), 1)),
        ((1, 260, 4, 5), (520, 260, 1, 1), PLAIN),
        ((2, 40, 70, 9), (70, 20, 3, 1), ((2, 1), (1, 0), (1, 2), 2)),
        ((2, 16, 5, 5), (30, 16, 5, 5), PLAIN),
        ((2, 12, 9, 9), (12, 1, 3, 3), ((2, 2), (1, 1), (1, 1), 12)),
    ],
)
def test_the_three_are_transposes_of_one_another(shape, filters, settings):
    """<conv(x, w), g> == <x, input_grad(g, w)> == <w, weight_grad(x, g)>, at sizes of several blocks and panels."""
    x, w = random(*shape, dtype=np.float64), random(*filters, dtype=np.float64)
    y = kernels.conv2d(x, w, None, *settings)
    assert_allclose(y, reference.conv2d(x, w, None, *settings), rtol=1e-9, atol=1e-9)
    g = random(*y.shape, dtype=np.float64)
    product = np.vdot(y, g)
    assert_allclose(np.vdot(x, kernels.conv2d_input_grad(g, w, shape, *settings)), product, rtol=1e-9)
    assert_allclose(np.vdot(w, kernels.conv2d_weight_grad(x, g, filters, *settings)), product, rtol=1e-9)


def test_float32_stays_close_to_float64():
    x, w, b = random(2, 64, 14, 14), random(40, 64, 3, 3), random(40)
    settings = (1, 1), (1, 1), (1, 1), 1
    exact = kernels.conv2d(*(a.astype(np.float64) for a in (x, w, b)), *settings)
    assert_allclose(kernels.conv2d(x, w, b, *settings), exact, atol=1e-4)


def test_channel_sum_does_not_drift_over_a_large_batch():
    g = np.full((8, 3, 300, 300), 0.1, np.float32)  # a running float32 sum of these is off by 1e-4
    assert_allclose(kernels.channel_sum(g), np.full(3, 72000 * np.float64(np.float32(0.1)) * 10), rtol=2e-6)


def test_nan_and_infinity_reach_exactly_the_outputs_that_see_them():
    x = np.zeros((1, 2, 9, 9), np.float32)
    x[0, 1, 4, 4] = np.nan
    y = kernels.conv2d(x, np.ones((3, 2, 3, 3), np.float32), None, (1, 1), (1, 1), (1, 1), 1)
    expected = np.zeros((9, 9), bool)
    expected[3:6, 3:6] = True
    assert_array_equal(np.isnan(y), np.broadcast_to(expected, y.shape))


@pytest.mark.parametrize(
    "shape, filters",
    [((0, 3, 5, 5), (4, 3, 3, 3)), ((2, 0, 5, 5), (4, 0, 3, 3)), ((2, 3, 5, 5), (0, 3, 3, 3))],
)
def test_empty_batches_inputs_and_outputs(shape, filters):
    x, w, b = np.ones(shape, np.float32), np.ones(filters, np.float32), np.ones(filters[0], np.float32)
    y = kernels.conv2d(x, w, b, *PLAIN)
    assert_array_equal(y, np.full((shape[0], filters[0], 3, 3), 9 * shape[1] + 1))
    assert_array_equal(kernels.conv2d_input_grad(y, w, shape, *PLAIN), np.zeros(shape))
    assert_array_equal(kernels.conv2d_weight_grad(x, y, filters, *PLAIN), np.zeros(filters))
    assert_array_equal(kernels.channel_sum(y), y.sum((0, 2, 3)))


@pytest.mark.parametrize(
    "kernel_size, stride, padding", [((1, 1), 1, 2), ((5, 5), 1, 2), ((7, 7), 2, 3), ((3, 2), 3, 0)]
)
@pytest.mark.parametrize("groups", [1, 2])
def test_an_image_that_is_its_own_frame_gives_the_same_bytes(kernel_size, stride, padding, groups):
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(3, 4, 13, 14)), rng.normal(size=(6, 4 // groups, *kernel_size))
    padded = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    framed = (stride, stride), (padding, padding), (1, 1), groups
    in_place = (stride, stride), (0, 0), (1, 1), groups
    y = kernels.conv2d(x, weight, None, *framed)
    assert_array_equal(kernels.conv2d(padded, weight, None, *in_place), y)
    g = rng.normal(size=y.shape)
    dw = kernels.conv2d_weight_grad(x, g, weight.shape, *framed)
    assert_array_equal(kernels.conv2d_weight_grad(padded, g, weight.shape, *in_place), dw)


def test_a_window_that_does_not_fit_is_named():
    with pytest.raises(ValueError, match="window reaches over 5 elements"):
        kernels.conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 3, 3)), None, (1, 1), (0, 0), (2, 2), 1)


def test_the_same_bytes_every_time():
    x, g, w = random(5, 3, 40, 37), random(5, 40, 40, 37), random(40, 3, 3, 3)
    settings = (1, 1), (1, 1), (1, 1), 1
    runs = [
        (
            kernels.conv2d(x, w, None, *settings).tobytes(),
            kernels.conv2d_input_grad(g, w, x.shape, *settings).tobytes(),
            kernels.conv2d_weight_grad(x, g, w.shape, *settings).tobytes(),
            kernels.channel_sum(g).tobytes(),
        )
        for _ in range(5)
    ]
    assert len(set(runs)) == 1


def test_an_image_alone_gives_what_it_gives_in_a_batch():
    x, w, b = random(7, 3, 19, 17), random(40, 3, 5, 5), random(40)
    settings = (2, 2), (2, 2), (1, 1), 1
    batch = kernels.conv2d(x, w, b, *settings)
    for n in range(len(x)):
        assert_array_equal(kernels.conv2d(x[n : n + 1], w, b, *settings)[0], batch[n])


def test_inputs_stay_as_they_were():
    arrays = [LAYOUTS["channels-last"](random(2, 3, 8, 8)), kernels.weight_layout(random(4, 3, 3, 3)), random(4)]
    before = [a.copy() for a in arrays]
    g = kernels.conv2d(*arrays, (1, 1), (1, 1), (1, 1), 1)
    kernels.conv2d_input_grad(g, arrays[1], arrays[0].shape, (1, 1), (1, 1), (1, 1), 1)
    kernels.conv2d_weight_grad(arrays[0], g, arrays[1].shape, (1, 1), (1, 1), (1, 1), 1)
    for a, b in zip(arrays, before):
        assert_array_equal(a, b)
        assert a.flags.writeable


@pytest.mark.compiled
def test_every_kernel_compiles_once_per_dtype():
    """Whatever memory order or permission its inputs have."""
    for layout in LAYOUTS.values():
        for dtype in (np.float32, np.float64):
            x, w = layout(random(3, 2, 8, 8).astype(dtype)), layout(random(3, 2, 3, 3).astype(dtype))
            g = layout(kernels.conv2d(x, w, layout(random(3).astype(dtype)[None])[0], *PLAIN))
            kernels.conv2d_input_grad(g, w, x.shape, *PLAIN)
            kernels.conv2d_weight_grad(x, g, w.shape, *PLAIN)
            kernels.channel_sum(g)
    for function in (conv._convolve, conv_grad._correlate, conv_grad._sum_parallel, pack._pack, scatter._scatter):
        assert len(function.compiled.signatures) <= 2, function.__name__


@pytest.mark.compiled
@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="needs two threads")
def test_results_agree_for_any_number_of_threads():
    x, w = random(3, 3, 40, 37), random(40, 3, 3, 3)
    settings = (1, 1), (1, 1), (1, 1), 1
    g, ours = kernels.conv2d(x, w, None, *settings), numba.get_num_threads()
    both = kernels.conv2d_weight_grad(x, g, w.shape, *settings)
    try:
        numba.set_num_threads(1)
        assert_array_equal(kernels.conv2d(x, w, None, *settings), g)
        assert_allclose(kernels.conv2d_weight_grad(x, g, w.shape, *settings), both, rtol=1e-3, atol=1e-3)
    finally:
        numba.set_num_threads(ours)
