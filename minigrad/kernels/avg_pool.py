"""Average pooling over channels-last memory, and its transpose; threads share the work as in `pool`.

The divisor is the delicate part. A window counts its elements within the padded image, or only the inputs among them;
what a last window hangs over beyond the padding (`ceil_mode`) never counts. Both are products of a length per axis.
"""

import numpy as np
from numba import prange

from minigrad.kernels._jit import kernel, parallel_kernel
from minigrad.kernels.geometry import pool_output_shape
from minigrad.kernels.layout import as_nchw, channels_last, empty_channels_last
from minigrad.kernels.subroutine import subroutine
from minigrad.kernels.windows import first_window, image_bands, run, span, window_settings


def avg_pool2d(x, kernel_size, stride, padding, ceil_mode, count_include_pad):
    """Average each window.

    Parameters
    ----------
    x : ndarray
        ``(N, C, H, W)``, any strides.
    kernel_size, stride, padding, ceil_mode
        As in `max_pool2d`.
    count_include_pad : bool
        Divide by the size of the window within the padded image, instead of by the number of inputs in it.

    Returns
    -------
    ndarray
        ``(N, C, OH, OW)``, channels-last.
    """
    y = empty_channels_last(pool_output_shape(x.shape, kernel_size, stride, padding, ceil_mode), x.dtype)
    operands = channels_last(x), y, count_include_pad, window_settings(kernel_size, stride, padding)
    run(_avg_rows, _avg_parallel, x.size, y.shape[0] * y.shape[1], *operands)
    return as_nchw(y)


def avg_pool2d_grad(g, input_shape, kernel_size, stride, padding, ceil_mode, count_include_pad):
    """Spread each output's gradient evenly over its window: the transpose of `avg_pool2d`.

    Parameters
    ----------
    g : ndarray
        ``(N, C, OH, OW)``, any strides.
    input_shape : tuple of int
        ``(N, C, H, W)``.
    kernel_size, stride, padding, ceil_mode, count_include_pad
        As in `avg_pool2d`.

    Returns
    -------
    ndarray
        ``(N, C, H, W)``, channels-last.
    """
    dx = empty_channels_last(input_shape, g.dtype)
    bands = image_bands(input_shape)
    operands = channels_last(g), dx, bands, count_include_pad, window_settings(kernel_size, stride, padding)
    run(_spread_bands, _spread_parallel, dx.size, input_shape[0] * bands, *operands)
    return as_nchw(dx)


@kernel
def _length(position, kernel_size, stride, padding, size, count_include_pad):
    """How many elements an average counts along one axis; what hangs over the far padding never counts."""
    start = position * stride - padding
    if count_include_pad:
        return min(start + kernel_size, size + padding) - start
    return min(start + kernel_size, size) - max(start, 0)


@subroutine
def _avg_rows(x, y, count_include_pad, window, first, last):
    kh, kw, sh, sw, ph, pw = window
    height, width = x.shape[1:3]
    for row in range(first, last):
        n, r = row // y.shape[1], row % y.shape[1]
        image, out = x[n], y[n, r]
        out[:] = 0
        top, bottom = span(r, kh, sh, ph, height)
        rows = _length(r, kh, sh, ph, height, count_include_pad)
        for s in range(y.shape[2]):
            left, right = span(s, kw, sw, pw, width)
            for h in range(top, bottom):
                for w in range(left, right):
                    for c in range(x.shape[3]):
                        out[s, c] += image[h, w, c]
            area = x.dtype.type(rows * _length(s, kw, sw, pw, width, count_include_pad))
            for c in range(x.shape[3]):
                out[s, c] /= area


@parallel_kernel
def _avg_parallel(x, y, count_include_pad, window, tasks, parts):
    for t in prange(parts):
        _avg_rows(x, y, count_include_pad, window, np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts)


@subroutine
def _spread_bands(g, dx, bands, count_include_pad, window, first, last):
    kh, kw, sh, sw, ph, pw = window
    height, width = dx.shape[1:3]
    for task in range(first, last):
        n, band = task // bands, task % bands
        start, stop = band * height // bands, (band + 1) * height // bands
        out = dx[n]
        out[start:stop] = 0
        for r in range(first_window(start, kh, sh, ph), min((stop - 1 + ph) // sh + 1, g.shape[1])):
            share = g[n, r]
            top, bottom = span(r, kh, sh, ph, height)
            rows = _length(r, kh, sh, ph, height, count_include_pad)
            for h in range(max(top, start), min(bottom, stop)):
                for s in range(g.shape[2]):
                    left, right = span(s, kw, sw, pw, width)
                    area = g.dtype.type(rows * _length(s, kw, sw, pw, width, count_include_pad))
                    for w in range(left, right):
                        for c in range(dx.shape[3]):
                            out[h, w, c] += share[s, c] / area


@parallel_kernel
def _spread_parallel(g, dx, bands, count_include_pad, window, tasks, parts):
    for t in prange(parts):
        part = np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts
        _spread_bands(g, dx, bands, count_include_pad, window, part[0], part[1])
