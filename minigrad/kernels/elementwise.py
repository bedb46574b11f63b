"""The rectifier and its gate: one walk along the memory, whatever the shape.

Both are bound by memory alone, so the loops are the formula, and the one thing to get right is that the compiler can
see plain forward runs: each thread gets slices, inside which indices count from zero.
"""

import numpy as np
from numba import prange

from minigrad.kernels._jit import kernel, parallel_kernel, threads
from minigrad.kernels.layout import flat, memory_axes, unflatten

STEP = 64  # elements: a multiple of what an unrolled SIMD loop takes at once
SERIAL = 1 << 16  # elements; below, waking the other threads takes longer than the loop


def relu(x):
    """Keep what is positive, ``max(x, 0)``; a NaN stays one.

    Parameters
    ----------
    x : ndarray
        Any shape and strides.

    Returns
    -------
    ndarray
        New, of x's shape, dtype and memory order.
    """
    axes = memory_axes(x)
    line = flat(x, axes)
    y = np.empty(line.shape, line.dtype)
    if y.size < SERIAL:
        _relu(line, y)
    else:
        _relu_parallel(line, y, threads())
    return unflatten(y, x.shape, axes)


def relu_gate(g, x):
    """Let `g` through where `x` is positive, else zero: the gradient of `relu`, with relu'(0) = 0.

    Parameters
    ----------
    g, x : ndarray
        Of one shape and dtype, any strides.

    Returns
    -------
    ndarray
        New, in x's memory order.
    """
    axes = memory_axes(x)
    line = flat(x, axes)
    y = np.empty(line.shape, line.dtype)
    if y.size < SERIAL:
        _relu_gate(flat(g, axes), line, y)
    else:
        _relu_gate_parallel(flat(g, axes), line, y, threads())
    return unflatten(y, x.shape, axes)


@kernel
def share(t, parts, size):
    """The run of `size` elements that thread `t` of `parts` works on.

    Runs end where a SIMD step does: which elements are left over from those steps, and may be rounded differently in
    the last bit, does then not depend on the number of threads.
    """
    steps = -(-size // STEP)
    return slice(t * steps // parts * STEP, min((t + 1) * steps // parts * STEP, size))


@kernel
def _relu(x, y):
    zero = x.dtype.type(0)
    for i in range(x.size):
        v = x[i]
        y[i] = zero if v <= zero else v  # a NaN is not <= 0


@parallel_kernel
def _relu_parallel(x, y, parts):
    for t in prange(parts):
        part = share(np.int64(t), parts, x.size)
        _relu(x[part], y[part])


@kernel
def _relu_gate(g, x, y):
    zero = x.dtype.type(0)
    for i in range(x.size):
        u = g[i]
        y[i] = u if x[i] > zero else zero


@parallel_kernel
def _relu_gate_parallel(g, x, y, parts):
    for t in prange(parts):
        part = share(np.int64(t), parts, x.size)
        _relu_gate(g[part], x[part], y[part])
