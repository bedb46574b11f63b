"""Who won a pool's windows is noted on the way forward: nobody can tell but by the time it takes."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from minigrad import functional as F
from minigrad import grad, kernels, no_grad, ops, tensor

WINDOWS = [(2, None, 0), (3, 2, 0), (3, 2, 1), (2, 1, 0), ((1, 3), 1, (0, 1))]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 5, 9, 9)).astype(np.float32)


def fail(*given):
    raise AssertionError("the winners are known")


def gradient(x, rectified, window):
    """x as a tensor, a pool of it or of what a rectifier leaves of it, and what gives a gradient."""
    x = tensor(x, requires_grad=True)
    y = F.max_pool2d(F.relu(x + 0) if rectified else x + 0, *window)
    return x, y, lambda: grad((y * y).sum(), x).data


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("window", WINDOWS)
def test_the_gradient_does_not_look_for_the_winners_again(monkeypatch, window, rectified):
    expected = gradient(X, rectified, window)[2]()
    _, _, pull = gradient(X, rectified, window)
    for name in ("max_pool2d", "max_pool2d_winners", "relu_max_pool2d", "relu_max_pool2d_winners"):
        monkeypatch.setattr(kernels, name, fail)
    assert_array_equal(pull(), expected)


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("window", WINDOWS)
def test_without_a_tape_nothing_is_noted(monkeypatch, window, rectified):
    expected = gradient(X, rectified, window)[1].data
    for name in ("max_pool2d_winners", "relu_max_pool2d_winners"):
        monkeypatch.setattr(kernels, name, fail)
    with no_grad():
        assert_array_equal(gradient(X, rectified, window)[1].data, expected)


@pytest.mark.parametrize("rectified", [False, True])
def test_an_op_that_was_applied_to_others_since_finds_the_winners_again(rectified):
    _, y, pull = gradient(X, rectified, (3, 2))
    expected = gradient(X, rectified, (3, 2))[2]()
    y.op(tensor(X[::-1].copy(), requires_grad=True))
    assert_array_equal(pull(), expected)


def test_an_op_with_other_settings_does_not_take_the_winners_of_these():
    x = tensor(X, requires_grad=True)
    y = F.max_pool2d(x, 2)
    route = ops.MaxPoolRoute((3, 3), (2, 2), (0, 0), False, y.op.known)
    g = np.ones((2, 5, 4, 4), np.float32)
    expected = ops.MaxPoolRoute((3, 3), (2, 2)).forward(g, X)
    assert_array_equal(route.forward(g, X), expected)
    assert_array_equal(route(tensor(g), x).data, expected)


def test_second_derivatives_read_where_the_first_ones_went(monkeypatch):
    x, y, _ = gradient(X, False, (3, 2))
    once = grad(y.sum(), x).data
    monkeypatch.setattr(kernels, "max_pool2d_winners", fail)
    v = RNG.normal(size=X.shape).astype(np.float32)
    total = y.sum()
    first = grad(total * total, x, create_graph=True)
    assert_array_equal(first.data, 2 * total.data * once)
    second = grad((first * v).sum(), x).data
    np.testing.assert_allclose(second, 2 * (once * v).sum() * once, rtol=1e-4)
