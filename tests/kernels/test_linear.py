"""Matrix products: compiled against NumPy's, in any memory order, and on whose threads they run."""

import ast
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import minigrad
from minigrad import kernels
from minigrad.kernels import linear, matvec, queue, reference

from .layouts import draw_values

ORDERS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "every other column": lambda a: np.repeat(a, 2, 1)[:, ::2],
    "every other row": lambda a: np.repeat(a, 2, 0)[::2],
    "backwards": lambda a: a[:, ::-1].copy()[:, ::-1],
    "repeated row": lambda a: np.broadcast_to(a[:1], a.shape),
}
orders = st.sampled_from(sorted(ORDERS))


@given(st.data(), st.tuples(*[st.integers(0, 70)] * 3), orders, orders, st.sampled_from([np.float32, np.float64]))
def test_product_is_its_definition(data, sizes, a_order, b_order, dtype):
    m, k, n = sizes
    a = ORDERS[a_order](draw_values(data.draw, (m, k), dtype))
    b = ORDERS[b_order](draw_values(data.draw, (k, n), dtype))
    bias = data.draw(st.sampled_from([None, np.arange(n, dtype=dtype), np.arange(2 * n, dtype=dtype)[::2]]))
    y = kernels.matmul(a, b, bias)
    assert_array_equal(y, reference.matmul(a, b, bias))  # small integers add up exactly
    assert y.dtype == dtype and y.flags.c_contiguous


@pytest.mark.parametrize("images", [1, 64, 100])
def test_a_fully_connected_layer_and_its_gradients(images):
    rng = np.random.default_rng(0)
    x, w, g = (rng.normal(size=s).astype(np.float32) for s in ((images, 1568), (500, 1568), (images, 500)))
    w = kernels.weight_layout(w)
    assert_allclose(kernels.matmul(x, w.T), x @ w.T, rtol=1e-4, atol=1e-3)
    assert_allclose(kernels.matmul(g, w), g @ w, rtol=1e-4, atol=1e-3)
    dw = kernels.matmul(g.T, x)
    assert_allclose(dw, g.T @ x, rtol=1e-4, atol=1e-3)
    assert dw.strides == w.strides


def test_nan_and_infinity_stay_in_their_row():
    a = np.zeros((9, 5), np.float32)
    a[3, 2], a[4, 2] = np.nan, np.inf
    y = kernels.matmul(a, np.ones((5, 40), np.float32))
    assert np.isnan(y[3]).all() and (y[4] == np.inf).all()
    assert_array_equal(np.delete(y, (3, 4), 0), 0)


@pytest.mark.parametrize("images", [2, 63, 64, 1000])
@pytest.mark.compiled  # NumPy leaves the order of a sum to BLAS
def test_a_row_does_not_depend_on_the_others(images):
    rng = np.random.default_rng(0)
    x, w, bias = (rng.normal(size=s).astype(np.float32) for s in ((images, 100), (50, 100), 50))
    alone = kernels.matmul(x[:1], w.T, bias)
    assert_array_equal(kernels.matmul(x, w.T, bias)[:1], alone)


@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([np.float32, np.float64]), st.booleans())
@pytest.mark.compiled
def test_a_single_row_is_summed_in_the_same_order(k, n, dtype, biased):
    """It has a kernel of its own."""
    rng = np.random.default_rng(k * 100 + n)
    x, w, bias = (rng.normal(size=s).astype(dtype) for s in ((9, k), (n, k), n))
    bias = bias if biased else None
    assert kernels.matmul(x[4:5], w.T, bias).tobytes() == kernels.matmul(x, w.T, bias)[4:5].tobytes()
    assert np.signbit(kernels.matmul(-x[4:5] ** 2, 0 * w.T ** 2, np.full(n, -0.0, dtype))).all()


def test_the_same_bytes_every_time():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(70, 300)), rng.normal(size=(300, 90))
    assert len({kernels.matmul(a, b).tobytes() for _ in range(5)}) == 1


@pytest.mark.parametrize("shape", [(3,), (4, 3), (4, 3, 2, 5)])
def test_weight_layout_keeps_values_and_owns_its_memory(shape):
    w = np.random.default_rng(0).normal(size=shape)
    copy = kernels.weight_layout(w)
    assert_array_equal(copy, w)
    assert copy.flags.writeable and not np.shares_memory(copy, w)
    assert (copy.transpose(2, 3, 1, 0) if w.ndim == 4 else copy).flags.c_contiguous


@pytest.mark.compiled
def test_one_compilation_per_dtype():
    for order in ORDERS.values():
        for dtype in (np.float32, np.float64):
            a, b = np.ones((40, 30), dtype), np.ones((30, 50), dtype)
            b.flags.writeable = False
            kernels.matmul(order(a), order(b))
    assert len(linear._multiply.compiled.signatures) <= 2


@pytest.mark.compiled
def test_products_run_on_the_kernels_own_threads(monkeypatch):
    """Never on BLAS's: two pools of threads that both wait by spinning slow each other down by a factor of 2 to 10."""
    calls = []

    def counted(*arguments):
        calls.append(1)
        queue.run_queue(*arguments)

    for module in (linear, matvec):
        monkeypatch.setattr(module, "run_queue", counted)
    for m, k, n in ((64, 1568, 500), (64, 500, 1568), (500, 64, 1568), (64, 500, 10), (1, 1, 1)):
        kernels.matmul(np.ones((m, k), np.float32), np.ones((k, n), np.float32))
    assert len(calls) == 5


def test_no_op_wakes_the_threads_of_blas():
    """They would go on spinning, and take the cores from the kernels that follow: SqueezeNet took twice as long."""
    products = {"dot", "inner", "matmul", "outer", "tensordot", "vdot"}
    found = set()
    for path in (Path(minigrad.__file__).parent / "ops").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = isinstance(node, ast.Attribute) and node.attr in products and getattr(node.value, "id", "") == "np"
            if named or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult)):
                found.add((path.name, ast.unparse(node)))
    assert found == {("linear.py", "np.matmul")}  # of integers, for which there is no BLAS
