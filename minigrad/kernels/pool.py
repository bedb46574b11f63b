"""Max-pooling over channels-last memory, where the channels of a pixel lie side by side: a vector of them at a time.

The gradient needs to know *which* tap of a window won: the tournament is played again (cheaper than writing the winners
down in the forward pass and reading them back, and the op stays free of saved arrays). `route` then sends the gradient
there, `collect` reads from there (`overlap`). The usual windows, two by two and side by side, have ways of their own
(`pairs`).

Networks mostly pool what a rectifier gives, and the largest rectified number is the largest number, rectified. So the
two kernels named `relu_max_pool2d` read the numbers *before* the rectifier: what it would write, and what its gate
would, is never in memory. A window with nothing positive in it yields zero and has no winner.
"""

import numpy as np
from numba import prange

from minigrad.kernels._jit import kernel, parallel_kernel
from minigrad.kernels.geometry import pool_output_shape
from minigrad.kernels.lanes import each_vector
from minigrad.kernels.layout import as_nchw, channels_last, empty_channels_last
from minigrad.kernels.overlap import collect, largest, route
from minigrad.kernels.pairs import each_window, largest_window, route_window
from minigrad.kernels.subroutine import subroutine
from minigrad.kernels.windows import first_window, image_bands, run, span, window_settings


def max_pool2d(x, kernel_size, stride, padding, ceil_mode):
    """Take the largest value of each window.

    Parameters
    ----------
    x : ndarray
        ``(N, C, H, W)``, any strides.
    kernel_size, stride, padding : tuple of (int, int)
        ``(height, width)``; padding is at most half of kernel_size and never wins.
    ceil_mode : bool
        Whether a last window may hang over the far edge (`minigrad.kernels.geometry.pool_output_size`).

    Returns
    -------
    ndarray
        ``(N, C, OH, OW)``, channels-last; NaN where a window holds one.
    """
    return _largest(x, -np.inf, kernel_size, stride, padding, ceil_mode)


def relu_max_pool2d(x, kernel_size, stride, padding, ceil_mode):
    """Rectify, then pool: ``max_pool2d(relu(x), ...)`` in one pass over x; arguments and result as in `max_pool2d`."""
    return _largest(x, 0, kernel_size, stride, padding, ceil_mode)


def max_pool2d_route(g, x, kernel_size, stride, padding, ceil_mode):
    """Send each output's gradient to the input that won its window: the gradient of `max_pool2d`.

    Parameters
    ----------
    g : ndarray
        ``(N, C, OH, OW)``, any strides.
    x : ndarray
        ``(N, C, H, W)``, what was pooled.
    kernel_size, stride, padding, ceil_mode
        As in `max_pool2d`. The first of equals wins, in row-major order; of several NaNs the last, as in PyTorch.

    Returns
    -------
    ndarray
        ``(N, C, H, W)``, channels-last: the sum over the windows an input won.
    """
    return _routed(g, x, False, kernel_size, stride, padding)


def relu_max_pool2d_route(g, x, kernel_size, stride, padding, ceil_mode):
    """The gradient of `relu_max_pool2d`: ``relu_gate(max_pool2d_route(g, relu(x), ...), x)`` in one pass over x.

    Parameters
    ----------
    g : ndarray
        ``(N, C, OH, OW)``, any strides.
    x : ndarray
        ``(N, C, H, W)``, what was rectified and pooled.
    kernel_size, stride, padding, ceil_mode
        As in `max_pool2d`.

    Returns
    -------
    ndarray
        ``(N, C, H, W)``, channels-last: zero wherever x is not positive.
    """
    return _routed(g, x, True, kernel_size, stride, padding)


def max_pool2d_collect(v, x, kernel_size, stride, padding, ceil_mode):
    """Read another array at the inputs that won: the transpose of `max_pool2d_route`, and its gradient.

    Parameters
    ----------
    v, x : ndarray
        ``(N, C, H, W)``: what to read, and what was pooled.
    kernel_size, stride, padding, ceil_mode
        As in `max_pool2d`.

    Returns
    -------
    ndarray
        ``(N, C, OH, OW)``, channels-last.
    """
    y = empty_channels_last(pool_output_shape(x.shape, kernel_size, stride, padding, ceil_mode), v.dtype)
    operands = channels_last(v), channels_last(x), y, window_settings(kernel_size, stride, padding)
    run(_collect_rows, _collect_parallel, x.size, y.shape[0] * y.shape[1], *operands)
    return as_nchw(y)


def _largest(x, floor, kernel_size, stride, padding, ceil_mode):
    """The largest value of each window, or `floor` where there is none above it."""
    y = empty_channels_last(pool_output_shape(x.shape, kernel_size, stride, padding, ceil_mode), x.dtype)
    operands = channels_last(x), y, x.dtype.type(floor), window_settings(kernel_size, stride, padding)
    run(_max_rows, _max_parallel, x.size, y.shape[0] * y.shape[1], *operands)
    return as_nchw(y)


def _routed(g, x, gated, kernel_size, stride, padding):
    """Each output's gradient at its window's winner; with `gated`, only where the winner is positive."""
    dx = empty_channels_last(x.shape, g.dtype)
    bands = image_bands(x.shape)
    operands = channels_last(g), channels_last(x), dx, gated, bands, window_settings(kernel_size, stride, padding)
    run(_route_bands, _route_parallel, x.size, x.shape[0] * bands, *operands)
    return as_nchw(dx)


@subroutine
def _max_rows(x, y, floor, window, first, last):
    kh, kw, sh, sw, ph, pw = window
    in_pairs = kh == kw == sh == sw == 2 and ph == pw == 0 and 2 * y.shape[2] <= x.shape[2]
    for row in range(first, last):
        n, r = row // y.shape[1], row % y.shape[1]
        top, bottom = span(r, kh, sh, ph, x.shape[1])
        if in_pairs and bottom - top == 2:
            each_window(largest_window, y[n, r], (x[n, top], x[n, top + 1], y[n, r], floor))
            continue
        for s in range(y.shape[2]):
            left, right = span(s, kw, sw, pw, x.shape[2])
            each_vector(largest, x[n, 0, 0], (x[n], y[n, r], s * x.shape[3], floor, (top, bottom, left, right)))


@parallel_kernel
def _max_parallel(x, y, floor, window, tasks, parts):
    for t in prange(parts):
        _max_rows(x, y, floor, window, np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts)


@subroutine
def _route_bands(g, x, dx, gated, bands, window, first, last):
    kh, kw, sh, sw, ph, pw = window
    height, width = x.shape[1:3]
    tiled = kh == sh and kw == sw and ph == pw == 0 and g.shape[1] * kh == height and g.shape[2] * kw == width
    uncut = kh if tiled else 1  # rows between which no band ends
    for task in range(first, last):
        n, band = task // bands, task % bands
        start, stop = band * (height // uncut) // bands * uncut, (band + 1) * (height // uncut) // bands * uncut
        if tiled and kh == kw == 2:
            for r in range(start // 2, stop // 2):
                up, low = 2 * r, 2 * r + 1
                each_window(route_window, g[n, r], (g[n, r], x[n, up], x[n, low], dx[n, up], dx[n, low], gated))
        else:
            _route_rows(g[n], x[n], dx[n, start:stop], start, stop, gated, window)


@kernel
def _route_rows(g, image, out, start, stop, gated, window):
    """Route one image's g (OH, OW, C) to the rows from `start` to `stop` of the image (H, W, C): these are `out`."""
    kh, kw, sh, sw, ph, pw = window
    height, width, channels = image.shape
    cleared = start  # rows before this one hold zeros, if nothing else
    for r in range(first_window(start, kh, sh, ph), min((stop - 1 + ph) // sh + 1, g.shape[0])):
        top, bottom = span(r, kh, sh, ph, height)
        _clear(out, cleared - start, min(bottom, stop) - start)
        cleared = max(cleared, bottom)
        for s in range(g.shape[1]):
            left, right = span(s, kw, sw, pw, width)
            place = top, bottom, left, right
            each_vector(route, image[0, 0], (image, g[r], s * channels, out, start, stop, gated, place))
    _clear(out, cleared - start, stop - start)


@kernel
def _clear(rows, first, last):
    """Write zeros to some of the rows of an image, while they come into a cache for what follows."""
    for h in range(first, last):
        line = rows[h].reshape(-1)
        for i in range(line.size):
            line[i] = 0


@parallel_kernel
def _route_parallel(g, x, dx, gated, bands, window, tasks, parts):
    for t in prange(parts):
        _route_bands(g, x, dx, gated, bands, window, np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts)


@subroutine
def _collect_rows(v, x, y, window, first, last):
    kh, kw, sh, sw, ph, pw = window
    height, width, channels = x.shape[1:]
    for row in range(first, last):
        n, r = row // y.shape[1], row % y.shape[1]
        top, bottom = span(r, kh, sh, ph, height)
        for s in range(y.shape[2]):
            left, right = span(s, kw, sw, pw, width)
            each_vector(collect, x[n, 0, 0], (x[n], v[n], y[n, r], s * channels, (top, bottom, left, right)))


@parallel_kernel
def _collect_parallel(v, x, y, window, tasks, parts):
    for t in prange(parts):
        _collect_rows(v, x, y, window, np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts)
