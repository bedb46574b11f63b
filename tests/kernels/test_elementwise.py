"""The rectifier: compiled against its definition in any shape and memory order."""

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes
from numpy.testing import assert_array_equal

from minigrad import kernels
from minigrad.kernels import elementwise, optim, reference

from .layouts import draw_values

SPECIAL = [np.nan, np.inf, -np.inf, -0.0]


@st.composite
def arrays(draw, shape):
    """An array of that shape whose memory may be permuted, reversed or strided."""
    axes = draw(st.permutations(range(len(shape))))
    spread = [n * draw(st.sampled_from([1, 1, 2])) for n in (shape[a] for a in axes)]
    x = draw_values(draw, spread, draw(st.shared(st.sampled_from([np.float32, np.float64]), key="dtype")), SPECIAL)
    x = x[tuple(slice(None, None, big // n if n else 1) for big, n in zip(spread, (shape[a] for a in axes)))]
    return (x[::-1] if shape and draw(st.booleans()) else x).transpose(np.argsort(axes))


@given(st.data(), array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
def test_relu_and_its_gate_are_their_definitions_to_the_bit(data, shape):
    x, g = data.draw(arrays(shape)), data.draw(arrays(shape))
    for result, expected in (
        (kernels.relu(x), reference.relu(x)),
        (kernels.relu_gate(g, x), reference.relu_gate(g, x)),
    ):
        assert_array_equal(result, expected)
        assert result.dtype == x.dtype and result.shape == shape


@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 2, 3, 1), (3, 1, 0, 2)])
def test_memory_order_is_kept(axes):
    x = np.ones((2, 3, 4, 5)).transpose(axes)
    g = np.ascontiguousarray(x)
    assert kernels.relu(x).strides == x.strides
    assert kernels.relu_gate(g, x).strides == x.strides


def test_zero_is_closed_and_nan_is_seen():
    x = np.array([-1, -0.0, 0, 1, np.nan], np.float32)
    assert_array_equal(kernels.relu(x), np.array([0, 0, 0, 1, np.nan], np.float32))
    assert_array_equal(kernels.relu_gate(np.full(5, 7, np.float32), x), np.array([0, 0, 0, 7, 0], np.float32))


@pytest.mark.compiled
@pytest.mark.parametrize("size", [elementwise.SERIAL - 1, elementwise.SERIAL, 3 * elementwise.SERIAL + 17])
def test_large_arrays_take_the_parallel_loop(size):
    x, g = np.random.default_rng(0).normal(size=(2, size)).astype(np.float32)
    assert_array_equal(kernels.relu(x), reference.relu(x))
    assert_array_equal(kernels.relu_gate(g, x), reference.relu_gate(g, x))


@pytest.mark.compiled
def test_one_compilation_serves_every_memory_layout():
    x = np.ones((4, 6, 8, 10), np.float32)
    frozen = x.copy()
    frozen.flags.writeable = False
    for part in (x, x.T, x[::2], x[..., 0], frozen):
        kernels.relu_gate(part, kernels.relu(part))
    for dispatcher in (elementwise.relu_line, elementwise._relu_gate):
        assert sum(signature[0].dtype == numba.float32 for signature in dispatcher.signatures) == 1


@pytest.mark.compiled
@pytest.mark.parametrize(
    "loop, arrays, numbers",
    [
        (elementwise.relu_line, 2, 0),
        (elementwise._relu_gate, 3, 0),
        (optim._adam, 4, 7),
        (optim._descend, 2, 2),
        (optim._roll, 3, 5),
    ],
)
def test_float32_loops_never_touch_float64(loop, arrays, numbers):
    python = getattr(loop, "compiled", loop).py_func
    fresh = numba.njit(error_model="numpy", fastmath={"reassoc", "contract", "nsz"})(python)
    fresh.compile((numba.float32[::1],) * arrays + (numba.float32,) * numbers)
    (code,) = fresh.inspect_llvm().values()
    assert "fpext" not in code and "x double>" not in code
    assert "x float>" in code  # and they are SIMD loops
