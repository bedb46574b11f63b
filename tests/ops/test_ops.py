"""Every op is held to the same promises, whatever it computes; what it computes is in its row of the table."""

import numpy as np
import pytest

import minigrad
from minigrad import Op, Tensor, check_grads, grad, no_grad, ops, replay, tensor
from minigrad.check import KinkError

from . import windows  # noqa: F401  the second half of the table
from .table import ROWS


def descendants(kind):
    return {kind}.union(*(descendants(k) for k in kind.__subclasses__()))


def cases():
    for kind, generate in ROWS.items():
        for k, (op, oracle, *operands) in enumerate(generate(np.random.default_rng(0))):
            yield pytest.param(op, oracle, operands, id=f"{kind.__name__}-{k}")


every_case = pytest.mark.parametrize("op, oracle, operands", list(cases()))


def tensors(operands, dtype=np.float64, requires_grad=True):
    """Read-only tensors, so that an op which writes into its inputs fails."""
    made = []
    for x in operands:
        x = np.array(x, dtype if x.dtype.kind == "f" else x.dtype)
        x.flags.writeable = False
        made.append(Tensor(x, requires_grad and x.dtype.kind == "f"))
    return made


def pulls(op, g, y, xs):
    """(input, thunk) of every input that has a derivative."""
    return [(x, pull) for x, pull in zip(xs, op.vjp(g, y, *xs), strict=True) if pull is not None]


def test_every_op_has_a_row():
    """An op is abstract if its name begins with an underscore; tests may define ops of their own."""
    concrete = {
        k for k in descendants(Op) - {Op} if not k.__name__.startswith("_") and k.__module__.startswith("minigrad.")
    }
    assert not (missing := {k.__name__ for k in concrete - set(ROWS)}), f"add a row to tests/ops for {missing}"
    assert concrete == set(ROWS)
    assert {k.__name__ for k in concrete} == set(minigrad.ops.__all__)


@every_case
def test_forward_is_what_numpy_says(op, oracle, operands):
    expected = np.asarray(oracle(*operands))
    for dtype, rtol in (np.float64, 1e-12), (np.float32, 2e-5):
        y = np.asarray(op.forward(*(t.data for t in tensors(operands, dtype))))
        assert y.shape == expected.shape
        np.testing.assert_allclose(y, expected, rtol=rtol, atol=rtol)


@every_case
def test_derivatives_of_first_and_second_order(op, oracle, operands):
    floats = [x for x in operands if x.dtype.kind == "f"]
    rest = [Tensor(x) for x in operands if x.dtype.kind != "f"]  # an op takes its conditions first
    for attempt in range(5):
        noise = 1 + 1e-2 * attempt
        try:
            return check_grads(lambda *ts: op(*rest, *ts), *(x * noise for x in floats))
        except KinkError:
            continue
    pytest.fail("every draw came near a kink: choose other operands")


@every_case
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_and_shape_survive_two_derivatives(op, oracle, operands, dtype):
    if isinstance(op, minigrad.ops.Cast):
        pytest.skip("changing the dtype is what it is for")
    xs = tensors(operands, dtype)
    y = op(*xs)
    assert y.dtype == dtype
    g = Tensor(np.ones_like(y.data), requires_grad=True)
    for x, pull in pulls(op, g, y, xs):
        first = pull()
        assert (first.dtype, first.shape) == (x.dtype, x.shape)
        if first.requires_grad:  # not if the derivative is zero everywhere
            found = grad(first, [g, *(x for x in xs if x.requires_grad)], create_graph=True, allow_unused=True)
            assert {t.dtype for t in found if t is not None} <= {np.dtype(dtype)}


@every_case
def test_nothing_is_overwritten(op, oracle, operands):
    xs = tensors(operands)
    before = [x.data.copy() for x in xs]
    y = op(*xs)
    cotangent = np.random.default_rng(1).standard_normal(y.shape)
    g = Tensor(cotangent.copy())
    g.data.flags.writeable = False
    out = y.data.copy()
    for _, pull in pulls(op, g, y, xs):
        once, twice = pull(), pull()
        np.testing.assert_array_equal(once.data, twice.data)
    for x, old in zip((*xs, y, g), (*before, out, cotangent), strict=True):
        np.testing.assert_array_equal(x.data, old)


@every_case
def test_memory_order_does_not_matter(op, oracle, operands):
    expected = op.forward(*operands)
    for arrange in (
        np.asfortranarray,
        lambda x: np.repeat(x, 2, -1)[..., ::2] if x.ndim else x,
        lambda x: x[::-1].copy()[::-1] if x.ndim else x,
    ):
        got = op.forward(*(arrange(x) if x.ndim else x for x in operands))
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-13)


@every_case
def test_a_tape_is_recorded_for_each_input_and_not_under_no_grad(op, oracle, operands):
    plain = tensors(operands, requires_grad=False)
    assert not op(*plain).requires_grad and op(*plain).inputs == ()
    for i, x in enumerate(operands):
        if x.dtype.kind == "f":
            xs = [*plain[:i], Tensor(x, requires_grad=True), *plain[i + 1 :]]
            y = op(*xs)
            assert y.requires_grad and y.op is op and all(a is b for a, b in zip(y.inputs, xs, strict=True))
            with no_grad():
                assert not op(*xs).requires_grad


@every_case
def test_replay_gives_the_same_and_follows_a_change(op, oracle, operands):
    xs = tensors(operands)
    y = op(*xs)
    old = next(x for x in xs if x.requires_grad)
    np.testing.assert_array_equal(replay(y, {old: old.data}).data, y.data)
    assert replay(y, {}) is y
    moved = old.data * 0.5
    expected = op(*(Tensor(moved) if x is old else x for x in xs))
    np.testing.assert_array_equal(replay(y, {old: moved}).data, expected.data)


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("op", [ops.Exp(), ops.Sigmoid(), ops.ReLU(), ops.Add(), ops.Div(), ops.GetItem(0)], ids=repr)
def test_arrays_are_not_tensors(op, recorded):
    array, t = np.ones((2, 2), np.float32), tensor(np.ones((2, 2), np.float32), requires_grad=recorded)
    xs = (t, array) if isinstance(op, (ops.Add, ops.Div)) else (array,)
    with pytest.raises(TypeError, match=f"{type(op).__name__}: got .*ndarray, expected Tensors; wrap arrays in"):
        op(*xs)
