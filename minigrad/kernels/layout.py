"""The boundary: whatever strides an array comes with, a kernel sees contiguous memory and one numba type per dtype.

A pooling wants the channels of a pixel side by side (`channels_last`); an elementwise loop does not care what the axes
mean and walks the memory from one end to the other (`memory_axes`, `flat`). Neither copies where the memory is in order
already. Inputs are handed over read-only, because numba compiles a read-only and a writeable array separately.
"""

from functools import lru_cache

import numpy as np
from numba import prange

from minigrad.kernels._jit import kernel, parallel_kernel, threads
from minigrad.kernels.subroutine import subroutine
from minigrad.kernels.turn import turn
from minigrad.kernels.weights import read_only

SERIAL = 1 << 16  # numbers; fewer are turned before the other threads have woken up
NARROW = 4  # rows or columns that a loop turns faster than squares do, of which most would be empty


def channels_last(x):
    """See images as contiguous (N, H, W, C) memory, copied only if it is in another order.

    Parameters
    ----------
    x : ndarray
        ``(N, C, H, W)``, any strides.

    Returns
    -------
    ndarray
        ``(N, H, W, C)``, C-contiguous and read-only.
    """
    n, c, h, w = x.shape
    if x.flags.c_contiguous and min(c, h * w) > 1:
        x = turned(x.reshape(n, c, h * w)).reshape(n, h, w, c)
    else:
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    x.flags.writeable = False
    return x


def channels_first(x):
    """Lay images (N, C, H, W) that are channels-last in memory out in that order; others stay as they are."""
    n, c, h, w = x.shape
    pixels = x.transpose(0, 2, 3, 1)
    if pixels.flags.c_contiguous and min(c, h * w) > 1:
        return turned(pixels.reshape(n, h * w, c)).reshape(x.shape)
    return x


def pixel_rows(x):
    """See images, whose channels may be some of the channels of larger ones in channels-last memory, as one line.

    Returns
    -------
    (ndarray, int) or None
        The memory from the first number to the last, read-only, and how far apart pixels are in it; None for images in
        another order.
    """
    n, c, h, w = x.shape
    image, channel, row, pixel = x.strides
    size = x.itemsize
    if channel != size or pixel % size or pixel < c * size or row != w * pixel or image != h * row:
        return None
    numbers = (n * h * w - 1) * (pixel // size) + c
    return np.lib.stride_tricks.as_strided(x, (numbers,), (size,), writeable=False), pixel // size


def turned(x):
    """Copy contiguous matrices (N, A, B) to contiguous (N, B, A)."""
    n, a, b = x.shape
    y = np.empty((n, b, a), x.dtype)
    if x.dtype not in (np.float32, np.float64):
        y[...] = x.swapaxes(1, 2)
    elif x.size < SERIAL:
        _turn_matrices(read_only(x), y, 0, n)
    else:
        _turn(read_only(x), y, threads())
    return y


def empty_channels_last(shape, dtype):
    """Make room for a result of `shape` (N, C, H, W): a new C-contiguous array (N, H, W, C)."""
    n, c, h, w = shape
    return np.empty((n, h, w, c), dtype)


def as_nchw(y):
    """See (N, H, W, C) memory as images (N, C, H, W), without a copy."""
    return y.transpose(0, 3, 1, 2)


def memory_axes(x):
    """The axes of an array from the outermost in memory to the innermost; None if that is the order they have."""
    return None if x.flags.c_contiguous else _outermost_first(x.strides)


@lru_cache(maxsize=1024)
def _outermost_first(strides):
    return tuple(sorted(range(len(strides)), key=lambda axis: -abs(strides[axis])))


def flat(x, axes, *, writeable=False):
    """Lay an array out in one dimension; a view where its memory is in the order `axes` already, else a copy.

    Parameters
    ----------
    x : ndarray
        Any shape, any strides.
    axes : sequence of int or None
        A permutation of x's axes, from `memory_axes`.
    writeable : bool, default False
        Whether the caller writes to it; what it writes reaches `x` only if the result is a view.

    Returns
    -------
    ndarray
        ``(x.size,)``, contiguous.
    """
    line = np.ascontiguousarray((x if axes is None else x.transpose(axes)).reshape(-1))
    if line.flags.writeable is not writeable:
        line.flags.writeable = writeable
    return line


def unflatten(line, shape, axes):
    """Undo `flat`: see a line as an array of `shape` whose axes lie in memory in the order `axes`."""
    if axes is None:
        return line.reshape(shape)
    return line.reshape([shape[axis] for axis in axes]).transpose(_inverse(axes))


@lru_cache(maxsize=256)
def _inverse(axes):
    return tuple(np.argsort(axes).tolist())


@kernel
def copy(target, source):
    """Copy one line to another of the same length: for kernels, where an assignment of slices is slower."""
    for k in range(len(target)):
        target[k] = source[k]


@parallel_kernel
def _turn(x, y, parts):
    for t in prange(parts):
        _turn_matrices(x, y, np.int64(t) * len(x) // parts, (np.int64(t) + 1) * len(x) // parts)


@subroutine
def _turn_matrices(x, y, first, last):
    _, rows, columns = x.shape
    for n in range(first, last):
        if min(rows, columns) > NARROW:
            turn(y.reshape(-1), n * rows * columns, rows, x.reshape(-1), n * rows * columns, columns, rows, columns)
            continue
        matrix, result = x[n], y[n]
        for j in range(columns):
            row = result[j]
            for i in range(rows):
                row[i] = matrix[i, j]
