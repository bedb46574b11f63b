"""The rectifier and its gate: one walk along the memory, whatever the shape.

Both are bound by memory alone, so the loops are the formula, and the one thing to get right is that the compiler can
see plain forward runs: each thread gets slices, inside which indices count from zero.
"""

import numpy as np
from numba import prange

from minigrad.kernels._jit import kernel, parallel_kernel, threads
from minigrad.kernels.layout import as_nchw, channels_last, flat, memory_axes, pixel_rows, unflatten
from minigrad.kernels.subroutine import subroutine
from minigrad.kernels.windows import run

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
        relu_line(line, y)
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
        New, in x's memory order, or channels-last where g is a part of channels-last images.
    """
    if g.ndim == 4 and g.strides != x.strides and x.size:
        line, pitch = pixel_rows(g) or (None, 0)
        if pitch > x.shape[1]:
            return _gate_pixels(line, pitch, x)
    axes = memory_axes(x)
    line = flat(x, axes)
    y = np.empty(line.shape, line.dtype)
    if y.size < SERIAL:
        _relu_gate(flat(g, axes), line, y)
    else:
        _relu_gate_parallel(flat(g, axes), line, y, threads())
    return unflatten(y, x.shape, axes)


def _gate_pixels(g, pitch, x):
    """`relu_gate` where g is a run of the channels of larger images, whose pixels lie `pitch` numbers apart."""
    x = channels_last(x)
    y = np.empty(x.shape, x.dtype)
    pixels, channels = x.size // x.shape[3], x.shape[3]
    operands = g, pitch, x.reshape(pixels, channels), y.reshape(pixels, channels)
    run(_gate_rows, _gate_rows_parallel, x.size, pixels, *operands)
    return as_nchw(y)


@kernel
def share(t, parts, size):
    """The run of `size` elements that thread `t` of `parts` works on.

    Runs end where a SIMD step does: which elements are left over from those steps, and may be rounded differently in
    the last bit, does then not depend on the number of threads.
    """
    steps = -(-size // STEP)
    return slice(t * steps // parts * STEP, min((t + 1) * steps // parts * STEP, size))


@kernel
def relu_line(x, y):
    """Write max(x, 0) to y, two lines of one length."""
    zero = x.dtype.type(0)
    for i in range(x.size):
        v = x[i]
        y[i] = zero if v <= zero else v  # a NaN is not <= 0


@parallel_kernel
def _relu_parallel(x, y, parts):
    for t in prange(parts):
        part = share(np.int64(t), parts, x.size)
        relu_line(x[part], y[part])


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


@subroutine
def _gate_rows(g, pitch, x, y, first, last):
    for p in range(first, last):
        _relu_gate(g[p * pitch : p * pitch + x.shape[1]], x[p], y[p])


@parallel_kernel
def _gate_rows_parallel(g, pitch, x, y, tasks, parts):
    for t in prange(parts):
        _gate_rows(g, pitch, x, y, np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts)
