"""Who won a pool's windows is noted on the way forward: nobody can tell but by the time it takes."""

import copy
import gc
import pickle
from dataclasses import replace
from weakref import ref

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from minigrad import functional as F
from minigrad import grad, kernels, no_grad, replay, tensor
from minigrad.kernels import reference

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


def overwrite(x):
    x.data *= -1


@pytest.mark.parametrize("change", [overwrite, lambda x: x.data.fill(3)])
@pytest.mark.parametrize("size", [9, 40])
def test_a_tape_that_is_run_again_looks_at_what_the_array_holds_now(size, change):
    x = tensor(RNG.normal(size=(1, 3, size, size)).astype(np.float32), requires_grad=True)
    slope = grad(F.max_pool2d(x, 3, 2).sum(), x, create_graph=True)
    change(x)
    assert_array_equal(replay(slope, {x: x}).data, replay(slope, {x: x.data.copy()}).data)
    ones = np.ones((1, 3, (size - 1) // 2, (size - 1) // 2), np.float32)
    _, winners = reference.max_pool2d_winners(x.data, (3, 3), (2, 2), (0, 0), False)
    expected = reference.route_winners(ones, winners, x.shape, (3, 3), (2, 2), (0, 0), False)
    assert_array_equal(replay(slope, {x: x}).data, expected)


def test_an_op_that_runs_without_a_tape_forgets():
    x = tensor(X.copy(), requires_grad=True)
    y = F.max_pool2d(x, 2)
    overwrite(x)
    with no_grad():
        again, g = y.op(x), tensor(np.ones(y.shape, np.float32))
        (pull,) = y.op.vjp(g, again, x)
    fresh = tensor(x.data.copy(), requires_grad=True)
    assert_array_equal(pull().data, grad(F.max_pool2d(fresh, 2).sum(), fresh).data)


def test_notes_keep_no_array_alive():
    """Nor do they make cycles: without the garbage collector all is gone as soon as nobody has it."""
    gc.collect()
    gc.disable()
    try:
        h = tensor(X, requires_grad=True) * 1.0
        y = F.max_pool2d(h, 3, 2)
        route = grad((y * y).sum(), h, create_graph=True)
        other = F.relu(route)
        y.op(other)
        gone = [ref(other), ref(h), ref(route), ref(h.data)]
        del other, h, route
        assert gone[0]() is None
        del y
        assert not any(weak() is not None for weak in gone)
    finally:
        gc.enable()


def test_copies_have_no_notes():
    y = F.max_pool2d(tensor(X, requires_grad=True), 2)
    for twin in (copy.deepcopy(y), pickle.loads(pickle.dumps(y))):
        (x,) = twin.inputs
        assert twin.op.known.read(x.data) is None and y.op.known.read(y.inputs[0].data) is not None
        assert_array_equal(grad(twin.sum(), x).data, grad(y.sum(), y.inputs[0]).data)


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


def test_an_op_with_other_settings_has_a_note_of_its_own():
    x = tensor(X, requires_grad=True)
    y = F.max_pool2d(x, 3, 2, ceil_mode=True)
    expected = grad(y.sum(), x).data
    other = replace(y.op, padding=(1, 1))
    other.forward(x.data)
    assert other.known is not y.op.known and y.op.known.read(x.data) is not other.known.read(x.data)
    assert_array_equal(grad(y.sum(), x).data, expected)
