"""What batch normalisation does with a channel's numbers: stretch and move it, and measure how two arrays agree in it.

An image is seen as rows of W * C numbers side by side, and what belongs to a channel is repeated W times into a row of
the same length, so that the inner loops are long, plain and vectorised even when there are few channels.
"""

import numpy as np
from numba import prange

from minigrad.kernels._jit import kernel, parallel_kernel
from minigrad.kernels.layout import as_nchw, channels_last, empty_channels_last
from minigrad.kernels.subroutine import subroutine
from minigrad.kernels.weights import read_only
from minigrad.kernels.windows import run


def channel_affine(x, center, scale, shift):
    """Stretch each channel around a center and move it: ``(x - center) * scale + shift``.

    Parameters
    ----------
    x : ndarray
        ``(N, C, H, W)``, any strides.
    center, scale, shift : ndarray
        ``(C,)``, of x's dtype. The center is taken away first, so that a large mean does not eat the digits of what
        is left.

    Returns
    -------
    ndarray
        ``(N, C, H, W)``, channels-last.
    """
    n, c, h, w = x.shape
    y = empty_channels_last(x.shape, x.dtype)
    channels = np.stack([center, scale, shift])
    rows = channels_last(x).reshape(n * h, w * c), channels, y.reshape(n * h, w * c)
    run(affine_rows, _affine_parallel, x.size, n * h, *rows)
    return as_nchw(y)


def channel_dot(g, x, center):
    """Add up ``g * (x - center)`` over images and pixels, channel by channel.

    Each image is summed in the arrays' own precision along its columns, and from there on in float64; an image belongs
    to one thread, so the result is the same for any number of threads.

    Parameters
    ----------
    g, x : ndarray
        ``(N, C, H, W)``, any strides.
    center : ndarray
        ``(C,)``. Taken away before multiplying: a large mean would otherwise eat the digits of the sum.

    Returns
    -------
    ndarray
        ``(C,)``
    """
    n, c, h, w = x.shape
    sums = np.empty((n, 2, c))
    run(sum_images, _sum_parallel, x.size, n, *(channels_last(a).reshape(n, h, w * c) for a in (g, x)),
        read_only(np.ascontiguousarray(center)[None]), sums)
    return sums.sum(0)[1].astype(x.dtype)


@kernel
def repeat(numbers, row):
    """Fill a row (W * C,) with the numbers of the channels (C,), W times."""
    for start in range(0, row.size, numbers.size):
        row[start : start + numbers.size] = numbers


@kernel
def repeated(numbers, length):
    """A new row of `length` with the numbers of the channels (C,)."""
    row = np.empty(length, numbers.dtype)
    repeat(numbers, row)
    return row


@kernel
def fold(row, total):
    """Add up the columns of a row (W * C,) channel by channel, in float64."""
    total[:] = 0
    for start in range(0, row.size, total.size):
        pixel = row[start : start + total.size]
        for c in range(total.size):
            total[c] += pixel[c]


@subroutine
def affine_rows(x, channels, y, first, last):
    """Some of the rows of `channel_affine`, whose numbers for each channel are the rows of `channels`."""
    length = x.shape[1]
    center, scale, shift = repeated(channels[0], length), repeated(channels[1], length), repeated(channels[2], length)
    for r in range(first, last):
        source, target = x[r], y[r]
        for i in range(source.size):
            target[i] = (source[i] - center[i]) * scale[i] + shift[i]


@parallel_kernel
def _affine_parallel(x, channels, y, tasks, parts):
    for t in prange(parts):
        affine_rows(x, channels, y, np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts)


@subroutine
def sum_images(g, x, channels, sums, first, last):
    """Add up g, and ``g * (x - center)``, of some images, each into its own (2, C); `channels` (1, C) is the center."""
    center, one, two = np.empty(x.shape[2], x.dtype), np.empty(x.shape[2], x.dtype), np.empty(x.shape[2], x.dtype)
    repeat(channels[0], center)
    for n in range(first, last):
        one[:] = 0
        two[:] = 0
        for h in range(x.shape[1]):
            a, b = g[n, h], x[n, h]
            for i in range(center.size):
                one[i] += a[i]
                two[i] += a[i] * (b[i] - center[i])
        fold(one, sums[n, 0])
        fold(two, sums[n, 1])


@parallel_kernel
def _sum_parallel(g, x, channels, sums, tasks, parts):
    for t in prange(parts):
        sum_images(g, x, channels, sums, np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts)
