"""Max-pooling over channels-last memory: the innermost loop runs over the channels of one tap, which lie side by side.

The largest of each window needs no more than that. Its gradient needs to know *which* tap won: `_find_winners` plays
every tournament of one output row again (cheaper than writing the winners down in the forward pass and reading them
back, and the op stays free of saved arrays) and leaves each winner's position h * W + w in a small scratch row. `route`
then sends the gradient there, `collect` reads from there.
"""

import numpy as np
from numba import prange

from minigrad.kernels._jit import kernel, parallel_kernel
from minigrad.kernels.geometry import pool_output_shape
from minigrad.kernels.layout import as_nchw, channels_last, empty_channels_last
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
    y = empty_channels_last(pool_output_shape(x.shape, kernel_size, stride, padding, ceil_mode), x.dtype)
    operands = channels_last(x), y, window_settings(kernel_size, stride, padding)
    run(_max_rows, _max_parallel, x.size, y.shape[0] * y.shape[1], *operands)
    return as_nchw(y)


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
    dx = empty_channels_last(x.shape, g.dtype)
    bands = image_bands(x.shape)
    operands = channels_last(g), channels_last(x), dx, bands, window_settings(kernel_size, stride, padding)
    run(_route_bands, _route_parallel, x.size, x.shape[0] * bands, *operands)
    return as_nchw(dx)


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


@kernel
def _max_rows(x, y, window, first, last):
    kh, kw, sh, sw, ph, pw = window
    for row in range(first, last):
        n, r = row // y.shape[1], row % y.shape[1]
        image, out = x[n], y[n, r]
        out[:] = -np.inf
        top, bottom = span(r, kh, sh, ph, x.shape[1])
        for h in range(top, bottom):
            for s in range(y.shape[2]):
                left, right = span(s, kw, sw, pw, x.shape[2])
                for w in range(left, right):
                    for c in range(x.shape[3]):
                        value, best = image[h, w, c], out[s, c]
                        out[s, c] = value if (value > best) | (value != value) else best


@parallel_kernel
def _max_parallel(x, y, window, tasks, parts):
    for t in prange(parts):
        _max_rows(x, y, window, np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts)


@kernel
def _find_winners(image, r, window, winner, best):
    kh, kw, sh, sw, ph, pw = window
    height, width, channels = image.shape
    top, bottom = span(r, kh, sh, ph, height)
    for s in range(winner.shape[0]):
        left, right = span(s, kw, sw, pw, width)
        here = np.int32(top * width + left)
        if bottom - top == 2 and right - left == 2:  # the usual window, in registers: twice as fast
            up, low = image[top], image[top + 1]
            two, three, four = np.int32(here + 1), np.int32(here + width), np.int32(here + width + 1)
            for c in range(channels):
                a, b, d, e = up[left, c], up[left + 1, c], low[left, c], low[left + 1, c]
                beats = (b > a) | (b != b)
                a, position = b if beats else a, two if beats else here
                beats = (d > a) | (d != d)
                a, position = d if beats else a, three if beats else position
                winner[s, c] = four if (e > a) | (e != e) else position
            continue
        for c in range(channels):
            best[s, c], winner[s, c] = image[top, left, c], here
        for h in range(top, bottom):
            for w in range(left, right):
                here = np.int32(h * width + w)
                for c in range(channels):
                    value, a, position = image[h, w, c], best[s, c], winner[s, c]
                    beats = (value > a) | (value != value)
                    best[s, c], winner[s, c] = value if beats else a, here if beats else position


@kernel
def _route_bands(g, x, dx, bands, window, first, last):
    kh, kw, sh, sw, ph, pw = window
    height, width, channels = x.shape[1:]
    winner, best = np.empty((g.shape[2], channels), np.int32), np.empty((g.shape[2], channels), x.dtype)
    zero = g.dtype.type(0)
    for task in range(first, last):
        n, band = task // bands, task % bands
        start, stop = band * height // bands, (band + 1) * height // bands
        image, out = x[n], dx[n]
        out[start:stop] = zero
        for r in range(first_window(start, kh, sh, ph), min((stop - 1 + ph) // sh + 1, g.shape[1])):
            _find_winners(image, r, window, winner, best)
            share = g[n, r]
            top, bottom = span(r, kh, sh, ph, height)
            for h in range(max(top, start), min(bottom, stop)):
                for s in range(g.shape[2]):
                    left, right = span(s, kw, sw, pw, width)
                    for w in range(left, right):
                        here = np.int32(h * width + w)
                        for c in range(channels):
                            u = share[s, c]
                            out[h, w, c] += u if winner[s, c] == here else zero


@parallel_kernel
def _route_parallel(g, x, dx, bands, window, tasks, parts):
    for t in prange(parts):
        _route_bands(g, x, dx, bands, window, np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts)


@kernel
def _collect_rows(v, x, y, window, first, last):
    kh, kw, sh, sw, ph, pw = window
    height, width, channels = x.shape[1:]
    winner, best = np.empty((y.shape[2], channels), np.int32), np.empty((y.shape[2], channels), x.dtype)
    for row in range(first, last):
        n, r = row // y.shape[1], row % y.shape[1]
        _find_winners(x[n], r, window, winner, best)
        image, out = v[n], y[n, r]
        top, bottom = span(r, kh, sh, ph, height)
        for h in range(top, bottom):
            for s in range(y.shape[2]):
                left, right = span(s, kw, sw, pw, width)
                for w in range(left, right):
                    here = np.int32(h * width + w)
                    for c in range(channels):
                        value, old = image[h, w, c], out[s, c]
                        out[s, c] = value if winner[s, c] == here else old


@parallel_kernel
def _collect_parallel(v, x, y, window, tasks, parts):
    for t in prange(parts):
        _collect_rows(v, x, y, window, np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts)
