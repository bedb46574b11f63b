"""The definitions themselves: output sizes, and pictures small enough to do by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minigrad import kernels
from minigrad.kernels import reference
from minigrad.kernels.geometry import conv_output_size, pair, pool_output_size

SIZES = st.integers(1, 12)
IMAGE = np.arange(1.0, 17.0).reshape(1, 1, 4, 4)


def fits(start, kernel, stride, dilation, end):
    """Count windows by sliding one until it falls off."""
    return len([s for s in range(start, end, stride) if s + dilation * (kernel - 1) < end])


@given(SIZES, st.integers(1, 4), st.integers(1, 4), st.integers(0, 3), st.integers(1, 3))
def test_convolution_windows_are_those_that_fit(size, kernel, stride, padding, dilation):
    count = fits(-padding, kernel, stride, dilation, size + padding)
    if count:
        assert conv_output_size(size, kernel, stride, padding, dilation) == count
    else:
        with pytest.raises(ValueError, match="larger image"):
            conv_output_size(size, kernel, stride, padding, dilation)


@given(SIZES, st.integers(1, 4), st.integers(1, 4), st.data())
def test_pooling_windows_may_hang_over_but_not_start_in_the_far_padding(size, kernel, stride, data):
    padding = data.draw(st.integers(0, kernel // 2))
    starts = range(-padding, size, stride)
    inside = [s for s in starts if s + kernel <= size + padding]
    if inside:
        assert pool_output_size(size, kernel, stride, padding, False) == len(inside)
        covered = inside[-1] + kernel >= size + padding
        more = not covered and inside[-1] + stride < size
        assert pool_output_size(size, kernel, stride, padding, True) == len(inside) + more


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: conv_output_size(5, 0, 1, 0, 1), "kernel 0.*at least 1"),
        (lambda: conv_output_size(5, 3, 0, 0, 1), "stride 0.*at least 1"),
        (lambda: conv_output_size(5, 3, 1, -1, 1), "padding -1.*at least 0"),
        (lambda: conv_output_size(5, 3, 1, 0, 0), "dilation 0.*at least 1"),
        (lambda: conv_output_size(5, 3, 1, 0, 3), r"reaches over 7 elements \(kernel 3, dilation 3\).*has 5"),
        (lambda: pool_output_size(5, 0, 1, 0, False), "kernel_size 0.*at least 1"),
        (lambda: pool_output_size(5, 2, 0, 0, False), "stride 0.*at least 1"),
        (lambda: pool_output_size(5, 3, 1, 2, False), r"padding 2 for kernel_size 3, expected 0 to 1"),
        (lambda: pool_output_size(5, 3, 1, -1, False), "padding -1"),
        (lambda: pool_output_size(2, 3, 1, 0, False), "no window of kernel_size 3 fits into size 2"),
        (lambda: pool_output_size(0, 1, 1, 0, False), "into size 0"),
    ],
)
def test_settings_out_of_range_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_pair_repeats_an_int():
    assert pair(3, "stride") == (3, 3)
    assert pair(np.int64(2), "stride") == (2, 2)
    assert pair([1, 2], "stride") == (1, 2)


@pytest.mark.parametrize("value", [1.5, "3", (1, 2, 3), (1, 2.5), None])
def test_pair_names_what_it_cannot_read(value):
    with pytest.raises(TypeError, match="conv2d: stride: got .*expected an int or a"):
        pair(value, "conv2d: stride")


def test_every_kernel_has_a_definition():
    assert set(kernels.__all__) - {"weight_layout"} == set(reference.__all__)


def test_a_convolution_by_hand():
    x, w = np.array([[[[1.0, 2], [3, 4]]]]), np.array([[[[10.0, 1]]]])
    y = reference.conv2d(x, w, np.array([100.0]), (1, 1), (0, 1), (1, 1), 1)
    assert_array_equal(y, [[[[101, 112, 120], [103, 134, 140]]]])


def test_max_pooling_by_hand():
    assert_array_equal(reference.max_pool2d(IMAGE, (2, 2), (2, 2), (0, 0), False), [[[[6, 8], [14, 16]]]])
    window = (2, 2), (1, 1), (0, 0), False
    y, winners = reference.max_pool2d_winners(IMAGE, *window)
    assert_array_equal(y[0, 0, :, 0], IMAGE[0, 0, 1:, 1])
    assert (winners == 3).all()
    dx = reference.route_winners(np.ones((1, 1, 3, 3)), winners, IMAGE.shape, *window)
    assert_array_equal(dx[0, 0, :2], [[0, 0, 0, 0], [0, 1, 1, 1]])


def test_the_first_of_equals_wins_and_the_last_nan():
    ones = np.ones((1, 1, 2, 2))
    g, window = np.full((1, 1, 1, 1), 5.0), ((2, 2), (2, 2), (0, 0), False)

    def routed():
        return reference.route_winners(g, reference.max_pool2d_winners(ones, *window)[1], ones.shape, *window)

    assert_array_equal(routed(), [[[[5, 0], [0, 0]]]])
    ones[0, 0, 0, 0] = ones[0, 0, 1, 0] = np.nan
    assert_array_equal(routed(), [[[[0, 0], [5, 0]]]])


def test_behind_a_rectifier_nobody_wins_where_nothing_is_positive():
    x, window = np.array([[[[-1.0, 0, 2, 3], [1, 3, np.nan, 4]]]]), ((1, 2), (1, 2), (0, 0), False)
    y, winners = reference.relu_max_pool2d_winners(x, *window)
    assert_array_equal(y, [[[[0, 3], [3, np.nan]]]])
    assert_array_equal(winners, [[[[255, 1], [1, 255]]]])


def test_average_divides_by_what_counts():
    ones = np.ones((1, 1, 4, 4))
    whole = reference.avg_pool2d(ones, (3, 3), (2, 2), (1, 1), True, True)
    assert_allclose(whole[0, 0], [[4 / 9, 6 / 9, 2 / 6], [6 / 9, 1, 3 / 6], [2 / 6, 3 / 6, 1 / 4]])
    assert_allclose(reference.avg_pool2d(ones, (3, 3), (2, 2), (1, 1), True, False), 1)


def test_adam_first_step_has_the_length_of_the_learning_rate():
    param, m, v = np.zeros(3), np.zeros(3), np.zeros(3)
    reference.adam_step(
        param, np.array([1e-3, -5.0, 40.0]), m, v,
        lr=0.1, beta1=0.9, beta2=0.999, eps=0.0, weight_decay=0.0, decoupled=False, step=1,
    )  # fmt: skip
    assert_allclose(param, [-0.1, 0.1, -0.1])


def test_momentum_adds_up():
    param, buf = np.zeros(1), np.full(1, np.nan)
    for first in (True, False):
        reference.sgd_step(
            param, np.ones(1), buf, lr=1.0, momentum=0.5, dampening=0.0, weight_decay=0.0, nesterov=False, first=first
        )
    assert_allclose(param, -(1 + 1.5))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_that_comes_in_goes_out(dtype):
    x = IMAGE.astype(dtype)
    window = (2, 2), (2, 2), (0, 0), False
    y, w = x[:, :, :2, :2], x[:, :, :3, :3]
    _, winners = reference.max_pool2d_winners(x, *window)
    results = [
        reference.conv2d(x, w, x[0, 0, 0, :1], (1, 1), (0, 0), (1, 1), 1),
        reference.conv2d_input_grad(y, w, x.shape, (1, 1), (0, 0), (1, 1), 1),
        reference.conv2d_weight_grad(x, y, w.shape, (1, 1), (0, 0), (1, 1), 1),
        reference.channel_sum(x),
        reference.channel_moments(x),
        reference.channel_affine(x, *3 * [x[0, :, 0, 0]]),
        reference.channel_dot(x, x, x[0, :, 0, 0]),
        reference.max_pool2d(x, *window),
        reference.route_winners(y, winners, x.shape, *window),
        reference.collect_winners(x, winners, *window),
        reference.avg_pool2d(x, *window, True),
        reference.avg_pool2d_grad(y, x.shape, *window, True),
        reference.relu(x),
        reference.relu_gate(x, x),
        reference.matmul(x[0, 0], x[0, 0]),
    ]
    assert {r.dtype for r in results} == {np.dtype(dtype)}
