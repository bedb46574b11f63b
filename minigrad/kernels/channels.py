"""What batch normalisation does with a channel's numbers: stretch and move it, and measure how two arrays agree in it.

Channels lie side by side in memory, so a vector holds some channels of a pixel, and walks from pixel to pixel with what
belongs to these channels, or with their sums, in registers. Where a pixel is shorter than a vector, a row takes its
place, and what belongs to a channel is repeated for each of the row's pixels (`columns`).
"""

import numpy as np
from numba import prange

from minigrad.kernels._jit import inlined_kernel, kernel, parallel_kernel
from minigrad.kernels.lanes import LANE_BYTES, each_vector, load, multiply_add, spread, store, widened
from minigrad.kernels.layout import as_nchw, channels_last, empty_channels_last
from minigrad.kernels.subroutine import subroutine
from minigrad.kernels.weights import read_only
from minigrad.kernels.windows import run

RUN = 16  # numbers are added in their own precision, so many at a time, and these sums in float64


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
    y, images = empty_channels_last(x.shape, x.dtype), columns(x)
    rows = images.reshape(images.shape[0] * images.shape[1], images.shape[2])
    run(affine_rows, _affine_parallel, x.size, len(rows), rows, np.stack([center, scale, shift]), y.reshape(rows.shape))
    return as_nchw(y)


def channel_dot(g, x, center):
    """Add up ``g * (x - center)`` over images and pixels, channel by channel.

    Runs of pixels are summed in the arrays' own precision, and from there on in float64; an image belongs to one
    thread, so the result is the same for any number of threads.

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
    n, c, _, _ = x.shape
    g, x = columns(g), columns(x)
    sums = np.empty((n, 2, x.shape[2]))
    run(sum_images, _sum_parallel, x.size, n, g, x, read_only(np.ascontiguousarray(center)[None]), sums)
    return sums[:, 1].reshape(-1, c).sum(0).astype(x.dtype)


def columns(x):
    """See images (N, C, H, W) as (N, places, columns): a pixel is a place, or a row if pixels are shorter than vectors.

    The columns are the channels; in a row, those of its first pixel, those of its second one, and so on.
    """
    n, c, h, w = x.shape
    wide = c * x.itemsize >= LANE_BYTES
    return channels_last(x).reshape((n, h * w, c) if wide else (n, h, w * c))


@kernel
def repeated(numbers, length):
    """The numbers of the channels (C,) again and again, up to this length."""
    row = np.empty(length, numbers.dtype)
    for start in range(0, length, numbers.size):
        row[start : start + numbers.size] = numbers
    return row


@subroutine
def affine_rows(x, channels, y, start, stop):
    """Stretch and move some places of x, all `columns`; the rows of `channels` (3, C) are center, scale and shift."""
    length = x.shape[1]
    center, scale, shift = repeated(channels[0], length), repeated(channels[1], length), repeated(channels[2], length)
    each_vector(_affine_columns, center, (x[start:stop], center, scale, shift, y[start:stop]))


@inlined_kernel
def _affine_columns(at, lanes, operands):
    x, center, scale, shift, y = operands
    middle, factor, move = load(center, at, lanes), load(scale, at, lanes), load(shift, at, lanes)
    for place in range(at, x.size, center.size):
        store(y, place, lanes, multiply_add(load(x, place, lanes) - middle, factor, move))


@parallel_kernel
def _affine_parallel(x, channels, y, tasks, parts):
    for t in prange(parts):
        affine_rows(x, channels, y, np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts)


@subroutine
def sum_images(g, x, channels, sums, start, stop):
    """Add up the `columns` of g, and of ``g * (x - center)``, of some images: (2, columns) for each.

    The center is `channels` (1, C).
    """
    center = repeated(channels[0], x.shape[2])
    for n in range(start, stop):
        each_vector(_sum_columns, center, (g[n], x[n], center, sums[n]))


@inlined_kernel
def _sum_columns(at, lanes, operands):
    g, x, center, sums = operands
    places, length = x.shape
    middle, zero = load(center, at, lanes), spread(x.dtype.type(0), lanes)
    total = projected = spread(0.0, lanes)
    for start in range(0, places, RUN):
        one = two = zero
        for place in range(start, min(start + RUN, places)):
            a = load(g, place * length + at, lanes)
            one = one + a
            two = multiply_add(a, load(x, place * length + at, lanes) - middle, two)
        total = total + widened(one)
        projected = projected + widened(two)
    store(sums[0], at, lanes, total)
    store(sums[1], at, lanes, projected)


@parallel_kernel
def _sum_parallel(g, x, channels, sums, tasks, parts):
    for t in prange(parts):
        sum_images(g, x, channels, sums, np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts)
