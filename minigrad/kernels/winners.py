"""Who wins the windows of a max-pool: mostly a byte for each window, all that the way back needs.

The byte is the tap of the window, ``i * kernel_width + j``. Of equal numbers the first wins, in row-major order, of
several NaNs the last, as in PyTorch. Windows of more taps than a byte can number have four bytes, or eight.

Networks mostly pool what a rectifier gives, and the largest rectified number is the largest number, rectified. So
`relu_max_pool2d_winners` reads the numbers *before* the rectifier: what that would write, and what its gate would, is
never in memory. There a window with nothing positive in it, or with a NaN, has no winner: the gate is shut. The largest
number of the winners' type, 255 for a byte, says so.

The usual windows, two by two and side by side, have a way of their own (`pairs`), all others another (`overlap`).
"""

from math import prod

import numpy as np
from numba import prange

from minigrad.kernels._jit import parallel_kernel
from minigrad.kernels.geometry import pool_output_shape
from minigrad.kernels.lanes import each_vector
from minigrad.kernels.layout import as_nchw, channels_last, empty_channels_last
from minigrad.kernels.overlap import collect, largest_and_winner, send
from minigrad.kernels.pairs import hand_out_pairs, in_pairs, pool_pairs
from minigrad.kernels.subroutine import subroutine
from minigrad.kernels.windows import first_window, run, span, window_settings


def max_pool2d_winners(x, kernel_size, stride, padding, ceil_mode):
    """Take the largest value of each window, and say who won.

    Parameters
    ----------
    x : ndarray
        ``(N, C, H, W)``, any strides.
    kernel_size, stride, padding, ceil_mode
        As in `max_pool2d`.

    Returns
    -------
    (ndarray, ndarray)
        `max_pool2d`, and the winners, uint8 (uint32 or uint64 if it has no room for them) of the same shape: ``i *
        kernel_width + j`` for tap (i, j) of the window. Both channels-last.
    """
    return _pooled(x, False, kernel_size, stride, padding, ceil_mode)


def relu_max_pool2d_winners(x, kernel_size, stride, padding, ceil_mode):
    """Rectify, then pool, and say who won; arguments and results as in `max_pool2d_winners`.

    Where no number of a window is positive, or one is NaN, nobody wins: the largest number of the winners' type.
    """
    return _pooled(x, True, kernel_size, stride, padding, ceil_mode)


def route_winners(g, winners, input_shape, kernel_size, stride, padding, ceil_mode):
    """Send each output's gradient to the input that won its window: the gradient of a max-pool.

    Parameters
    ----------
    g, winners : ndarray
        ``(N, C, OH, OW)``, any strides.
    input_shape : tuple of int
        ``(N, C, H, W)`` of what was pooled.
    kernel_size, stride, padding, ceil_mode
        As in `max_pool2d`.

    Returns
    -------
    ndarray
        ``(N, C, H, W)``, channels-last: the sum over the windows an input won.
    """
    dx = empty_channels_last(input_shape, g.dtype)
    operands = channels_last(g), channels_last(winners), window_settings(kernel_size, stride, padding)
    run(_hand_out_rows, _hand_out_parallel, dx.size, g.shape[0] * g.shape[2], dx, *operands)
    return as_nchw(dx)


def collect_winners(v, winners, kernel_size, stride, padding, ceil_mode):
    """Read another array at the inputs that won: the transpose of `route_winners`, and its gradient.

    Parameters
    ----------
    v, winners : ndarray
        ``(N, C, H, W)`` and ``(N, C, OH, OW)``, any strides.
    kernel_size, stride, padding, ceil_mode
        As in `max_pool2d`.

    Returns
    -------
    ndarray
        ``(N, C, OH, OW)``, channels-last; zero where nobody won.
    """
    y = empty_channels_last(winners.shape, v.dtype)
    operands = channels_last(v), channels_last(winners), window_settings(kernel_size, stride, padding)
    run(_collect_rows, _collect_parallel, v.size, y.shape[0] * y.shape[1], y, *operands)
    return as_nchw(y)


def _kind(kernel_size):
    """The type of the winners of such windows: it has a number for each tap, and one for nobody."""
    return next(kind for kind in (np.uint8, np.uint32, np.uint64) if prod(kernel_size) <= np.iinfo(kind).max)


def _pooled(x, rectified, kernel_size, stride, padding, ceil_mode):
    shape = pool_output_shape(x.shape, kernel_size, stride, padding, ceil_mode)
    kind = _kind(kernel_size)
    y, winners, nobody = empty_channels_last(shape, x.dtype), empty_channels_last(shape, kind), kind(np.iinfo(kind).max)
    operands = channels_last(x), y, winners, rectified, nobody, window_settings(kernel_size, stride, padding)
    run(_pool_rows, _pool_parallel, x.size, y.shape[0] * y.shape[1], *operands)
    return as_nchw(y), as_nchw(winners)


@subroutine
def _pool_rows(x, y, winners, rectified, nobody, window, first, last):
    kh, kw, sh, sw, ph, pw = window
    height, width, channels = x.shape[1:]
    for row in range(first, last):
        n, r = row // y.shape[1], row % y.shape[1]
        top, bottom = span(r, kh, sh, ph, height)
        if in_pairs(window, y[n], x[n]) and bottom - top == 2:
            pool_pairs(x[n], y[n], winners[n], rectified, r, r + 1)
            continue
        for s in range(y.shape[2]):
            left, right = span(s, kw, sw, pw, width)
            taps = (top, bottom, left, right), kw, (r * sh - ph) * kw + s * sw - pw
            operands = x[n], y[n, r], winners[n, r], s * channels, rectified, nobody, taps
            each_vector(largest_and_winner, x[n, 0, 0], operands)


@parallel_kernel
def _pool_parallel(x, y, winners, rectified, nobody, window, tasks, parts):
    for t in prange(parts):
        part = np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts
        _pool_rows(x, y, winners, rectified, nobody, window, part[0], part[1])


@subroutine
def _hand_out_rows(dx, g, winners, window, first, last):
    """Write what some rows of g send to the rows of images that are theirs.

    To a row of g belong the rows from where its windows begin to where the next one's do, so that threads share them
    out; windows of other rows of g reach them, too. `left` and `right` are the windows that reach a pixel.
    """
    kh, kw, sh, sw, ph, pw = window
    (height, width, channels), (rows, columns) = dx.shape[1:], g.shape[1:3]
    for row in range(first, last):
        n, own = row // rows, row % rows
        image, given, winner = dx[n], g[n], winners[n]
        if in_pairs(window, given, image) and 2 * rows == height and 2 * columns == width:
            hand_out_pairs(image, given, winner, own, own + 1)
            continue
        begin, end = max(own * sh - ph, 0) if own else 0, (own + 1) * sh - ph if own + 1 < rows else height
        for h in range(begin, end):
            top, bottom = first_window(h, kh, sh, ph), min((h + ph) // sh + 1, rows)
            left = right = 0
            image[h] = 0
            for w in range(width):
                while right < columns and right * sw - pw <= w:
                    right += 1
                while left < right and left * sw - pw + kw <= w:
                    left += 1
                for r in range(top, bottom):
                    for s in range(left, right):
                        tap = (h + ph - r * sh) * kw + w + pw - s * sw
                        target, source = (h * width + w) * channels, (r * columns + s) * channels
                        each_vector(send, image[0, 0], (image, target, given, winner, source, tap))


@parallel_kernel
def _hand_out_parallel(dx, g, winners, window, tasks, parts):
    for t in prange(parts):
        part = np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts
        _hand_out_rows(dx, g, winners, window, part[0], part[1])


@subroutine
def _collect_rows(y, v, winners, window, first, last):
    kh, kw, sh, sw, ph, pw = window
    height, width, channels = v.shape[1:]
    for row in range(first, last):
        n, r = row // y.shape[1], row % y.shape[1]
        top, bottom = span(r, kh, sh, ph, height)
        for s in range(y.shape[2]):
            left, right = span(s, kw, sw, pw, width)
            taps = (top, bottom, left, right), kw, (r * sh - ph) * kw + s * sw - pw
            each_vector(collect, v[n, 0, 0], (v[n], y[n, r], winners[n, r], s * channels, taps))


@parallel_kernel
def _collect_parallel(y, v, winners, window, tasks, parts):
    for t in prange(parts):
        part = np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts
        _collect_rows(y, v, winners, window, part[0], part[1])

