"""A rectifier and a max-pool in one pass, and who won: a byte for each window, all that the way back needs.

The byte is the tap of the window, ``i * width + j``. A window with nothing positive in it, or with a NaN, has no winner
(`NOBODY`): the rectifier's gate is shut. All this is for pools whose windows lie side by side, as they mostly do: the
images stand on one another without a seam, so that a batch is one tall image and its rows can be shared out.
"""

from math import prod

import numba
import numpy as np

from minigrad.kernels._jit import kernel, parallel_kernel
from minigrad.kernels.layout import as_nchw, channels_last, empty_channels_last
from minigrad.kernels.pairs import each_window, hand_out_window, pool_window
from minigrad.kernels.subroutine import subroutine
from minigrad.kernels.windows import run

NOBODY = 255


def leaves_no_gaps(out_shape, kernel_size, stride, padding, ceil_mode):
    """Whether a pool's windows lie side by side and cover an image, and their taps can be numbered in a byte."""
    whole = out_shape[2] % kernel_size[0] == out_shape[3] % kernel_size[1] == 0
    return whole and stride == kernel_size and padding == (0, 0) and prod(kernel_size) < NOBODY


def relu_max_pool2d_winners(x, pool):
    """Rectify and pool images whose windows leave no gaps, and say who won.

    Parameters
    ----------
    x : ndarray
        ``(N, C, H, W)``, any strides.
    pool : tuple of (int, int)
        The window's height and width.

    Returns
    -------
    (ndarray, ndarray)
        As of `conv2d_relu_max_pool2d`.
    """
    images, channels, height, width = x.shape
    shape = images, channels, height // pool[0], width // pool[1]
    y, winners = empty_channels_last(shape, x.dtype), empty_channels_last(shape, np.uint8)
    run(pool_rows, _pool_parallel, x.size, images * shape[2], _tall(channels_last(x)), _tall(y), _tall(winners), pool)
    return as_nchw(y), as_nchw(winners)


def route_winners(g, winners, pool):
    """Send each cotangent to its winner: the gradient of a rectifier and a pool, ``relu_max_pool2d_route``.

    Parameters
    ----------
    g, winners : ndarray
        ``(N, C, PH, PW)``.
    pool : tuple of (int, int)
        The window's height and width.

    Returns
    -------
    ndarray
        ``(N, C, PH * height, PW * width)``, channels-last.
    """
    images, channels, height, width = g.shape
    dx = empty_channels_last((images, channels, height * pool[0], width * pool[1]), g.dtype)
    operands = _tall(dx), _tall(channels_last(g)), _tall(channels_last(winners)), pool
    run(hand_out, _hand_out_parallel, dx.size, images * height, *operands)
    return as_nchw(dx)


def _tall(images):
    """See (N, H, W, C) as one image, (N * H, W, C)."""
    n, height, width, channels = images.shape
    return images.reshape(n * height, width, channels)


@subroutine
def pool_rows(image, y, winners, pool, first, last):
    """Pool the positive numbers of an image (H, W, C) for the rows from `first` to `last` of y, and note who won."""
    if pool[0] == pool[1] == 2:
        for r in range(first, last):
            each_window(pool_window, y[r], (image[2 * r], image[2 * r + 1], y[r], winners[r], NOBODY))
        return
    columns, channels = y.shape[1:]
    winner = np.empty((columns, channels), np.int32)
    for r in range(first, last):
        out = y[r]
        for s in range(columns):
            left = s * pool[1]
            for c in range(channels):
                out[s, c], winner[s, c] = 0, NOBODY
            for i in range(pool[0]):
                line = image[r * pool[0] + i]
                for j in range(pool[1]):
                    tap = np.int32(i * pool[1] + j)
                    for c in range(channels):
                        out[s, c], winner[s, c] = _challenge(out[s, c], winner[s, c], line[left + j, c], tap)
        for s in range(columns):
            for c in range(channels):
                winners[r, s, c] = winner[s, c]


@parallel_kernel
def _pool_parallel(image, y, winners, pool, tasks, parts):
    for t in numba.prange(parts):
        pool_rows(image, y, winners, pool, np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts)


@kernel
def _challenge(best, position, value, tap):
    """The larger of two, and where it is; a NaN is the largest of all and is nowhere."""
    unknown = value != value
    position = np.int32(NOBODY) if unknown else position
    return value if (value > best) | unknown else best, tap if value > best else position


@subroutine
def hand_out(image, g, winners, pool, first, last):
    """Write rows `first` to `last` of g (PH, PW, C) where their winners are in an image, and zeros elsewhere."""
    if pool[0] == pool[1] == 2:
        for r in range(first, last):
            each_window(hand_out_window, g[r], (g[r], winners[r], image[2 * r], image[2 * r + 1]))
        return
    columns, channels = g.shape[1:]
    zero = g.dtype.type(0)
    for r in range(first, last):
        given, winner = g[r], winners[r]
        for i in range(pool[0]):
            line = image[r * pool[0] + i]
            for s in range(columns):
                for j in range(pool[1]):
                    w, tap = s * pool[1] + j, np.int32(i * pool[1] + j)
                    for c in range(channels):
                        u = given[s, c]
                        line[w, c] = u if np.int32(winner[s, c]) == tap else zero


@parallel_kernel
def _hand_out_parallel(image, g, winners, pool, tasks, parts):
    for t in numba.prange(parts):
        hand_out(image, g, winners, pool, np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts)


@subroutine
def add_up(sums, g, winners):
    """Add the cotangents that have a winner, channel by channel: a row in its own precision, rows in float64."""
    columns, channels = g.shape[1:]
    zero, total = g.dtype.type(0), np.empty(channels, g.dtype)
    for r in range(g.shape[0]):
        given, winner = g[r], winners[r]
        total[:] = 0
        for s in range(columns):
            for c in range(channels):
                u = given[s, c]
                total[c] += u if np.int32(winner[s, c]) != NOBODY else zero
        for c in range(channels):
            sums[c] += total[c]
