"""A convolution, a rectifier and a pool in one pass: the three in turn, to the bit."""

import numba
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minigrad import kernels
from minigrad.kernels import reference
from minigrad.kernels.conv_pool import is_made_again
from minigrad.kernels.pairs import PAIRS, are_pairs

from .layouts import draw_values
from .test_conv import convolutions


@st.composite
def cases(draw):
    """(x, weight, bias, settings) of convolutions that a 2 x 2 pool may follow; small integers."""
    x, weight, bias, g, window = draw(convolutions(even=True))
    assume(g.size and x.size)
    if x.dtype == np.float32 and draw(st.booleans()):
        x = np.where(draw_values(draw, x.shape, x.dtype) == 3, np.nan, x)
    return x, weight, bias, window


@given(cases(), st.data())
def test_one_pass_is_three(case, data):
    x, weight, bias, window = case
    y, winners = kernels.conv2d_relu_max_pool2d(x, weight, bias, window)
    expected, theirs = reference.conv2d_relu_max_pool2d(x, weight, bias, window)
    assert_array_equal(y, expected)
    assert_array_equal(winners, theirs)
    assert y.dtype == x.dtype and winners.dtype == np.uint8
    g = data.draw(st.just(None)) or draw_values(data.draw, y.shape, x.dtype)
    convolved = reference.conv2d(x, weight, bias, *window)
    dx = kernels.route_winners(g, winners, convolved.shape, *PAIRS)
    assert_array_equal(dx, reference.route_winners(g, winners, convolved.shape, *PAIRS))
    for ours, other in zip(kernels.relu_max_pool2d_winners(convolved, *PAIRS), (y, winners), strict=True):
        assert_array_equal(ours, other)
    rectified = reference.relu(convolved)
    routed = reference.route_winners(g, reference.max_pool2d_winners(rectified, *PAIRS)[1], dx.shape, *PAIRS)
    assert_array_equal(dx, reference.relu_gate(routed, convolved))
    x = np.nan_to_num(x)
    grads = kernels.conv2d_relu_max_pool2d_grads(x, winners, g, weight.shape, *window)
    theirs = reference.conv2d_relu_max_pool2d_grads(x, winners, g, weight.shape, *window)
    for ours, other in zip(grads, theirs, strict=True):
        assert_array_equal(ours, other)
        assert ours.dtype == x.dtype
    assert grads[0].strides == kernels.weight_layout(weight).strides
    back = kernels.conv2d_relu_max_pool2d_input_grad(g, winners, weight, x.shape, *window)
    theirs = reference.conv2d_relu_max_pool2d_input_grad(g, winners, weight, x.shape, *window)
    assert_array_equal(back, theirs)


@pytest.mark.parametrize(
    "shape, kernel_size, stride, padding, answer",
    [
        ((1, 2, 8, 6), (2, 2), (2, 2), (0, 0), True),
        ((1, 2, 8, 6), (4, 3), (4, 3), (0, 0), False),
        ((1, 2, 8, 7), (2, 2), (2, 2), (0, 0), False),
        ((1, 2, 8, 6), (2, 2), (1, 2), (0, 0), False),
        ((1, 2, 8, 6), (2, 2), (2, 2), (1, 0), False),
        ((1, 2, 32, 32), (16, 16), (16, 16), (0, 0), False),
    ],
)
def test_pairs_cover_an_image(shape, kernel_size, stride, padding, answer):
    assert are_pairs(shape, kernel_size, stride, padding, False) is answer


def test_only_a_cheap_convolution_of_small_images_is_made_again():
    assert is_made_again((64, 1, 28, 28), (64, 32, 28, 28), (32, 1, 3, 3), 4)
    assert not is_made_again((64, 32, 28, 28), (64, 32, 28, 28), (32, 32, 3, 3), 4)
    assert not is_made_again((1, 3, 224, 224), (1, 64, 112, 112), (64, 3, 3, 3), 4)
    assert not is_made_again((1, 3, 8, 8), (1, 4, 8, 8), (4, 3, 3, 3), 4)


def test_an_image_alone_gives_what_it_gives_in_a_batch():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(7, 1, 12, 10)).astype(np.float32), rng.normal(size=(20, 1, 3, 3)).astype(np.float32)
    window = (1, 1), (1, 1), (1, 1), 1
    y, winners = kernels.conv2d_relu_max_pool2d(x, w, None, window)
    for n in range(len(x)):
        alone = kernels.conv2d_relu_max_pool2d(x[n : n + 1], w, None, window)
        assert_array_equal(alone[0][0], y[n])
        assert_array_equal(alone[1][0], winners[n])


@pytest.mark.compiled
@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="needs two threads")
def test_results_agree_for_any_number_of_threads():
    rng, ours = np.random.default_rng(0), numba.get_num_threads()
    x, w = rng.normal(size=(5, 1, 28, 28)).astype(np.float32), rng.normal(size=(32, 1, 3, 3)).astype(np.float32)
    window = (1, 1), (1, 1), (1, 1), 1

    def everything():
        y, winners = kernels.conv2d_relu_max_pool2d(x, w, None, window)
        grads = kernels.conv2d_relu_max_pool2d_grads(x, winners, y, w.shape, *window)
        dx = kernels.route_winners(y, winners, (5, 32, 28, 28), *PAIRS)
        return y, winners, dx, *grads

    both = everything()
    try:
        numba.set_num_threads(1)
        *same, dw, db = everything()
    finally:
        numba.set_num_threads(ours)
    for one, two in zip(same, both[:3], strict=True):
        assert_array_equal(one, two)
    assert_allclose(dw, both[3], rtol=1e-4, atol=1e-3)
    assert_allclose(db, both[4], rtol=1e-6)
