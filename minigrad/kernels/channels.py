"""What batch normalisation does with a channel's numbers: stretch and move it, and measure how two arrays agree in it.

An image is seen as rows of W * C numbers side by side, and what belongs to a channel is repeated W times into a row of
the same length, so that the inner loops are long, plain and vectorised even when there are few channels.
"""

import numpy as np
from numba import prange

from minigrad.kernels._jit import kernel, parallel_kernel
from minigrad.kernels.layout import as_nchw, channels_last, empty_channels_last
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
    row = [np.tile(a, w) for a in (center, scale, shift)]
    run(_affine_rows, _affine_parallel, x.size, n * h, channels_last(x).reshape(n * h, w * c), *row,
        y.reshape(n * h, w * c))
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
    sums = np.empty((n, c))
    images = (channels_last(a).reshape(n, h, w * c) for a in (g, x))
    run(_dot_images, _dot_parallel, x.size, n, *images, np.tile(center, w), sums)
    return sums.sum(0).astype(x.dtype)


@kernel
def fold(row, total):
    """Add up the columns of a row (W * C,) channel by channel, in float64."""
    total[:] = 0
    for start in range(0, row.size, total.size):
        pixel = row[start : start + total.size]
        for c in range(total.size):
            total[c] += pixel[c]


@kernel
def _affine_rows(x, center, scale, shift, y, first, last):
    for r in range(first, last):
        source, target = x[r], y[r]
        for i in range(source.size):
            target[i] = (source[i] - center[i]) * scale[i] + shift[i]


@parallel_kernel
def _affine_parallel(x, center, scale, shift, y, tasks, parts):
    for t in prange(parts):
        _affine_rows(x, center, scale, shift, y, np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts)


@kernel
def _dot_images(g, x, center, sums, first, last):
    columns = np.empty(center.size, x.dtype)
    for n in range(first, last):
        columns[:] = 0
        for h in range(x.shape[1]):
            a, b = g[n, h], x[n, h]
            for i in range(columns.size):
                columns[i] += a[i] * (b[i] - center[i])
        fold(columns, sums[n])


@parallel_kernel
def _dot_parallel(g, x, center, sums, tasks, parts):
    for t in prange(parts):
        _dot_images(g, x, center, sums, np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts)
