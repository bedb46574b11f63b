"""Max-pooling over channels-last memory, where the channels of a pixel lie side by side: a vector of them at a time.

Here are the pools that nobody asks for a gradient of. Who will be asked notes the winners (`winners`). The usual
windows, two by two and side by side, have a way of their own (`pairs`), all others another (`overlap`).
"""

import numpy as np
from numba import prange

from minigrad.kernels._jit import parallel_kernel
from minigrad.kernels.geometry import pool_output_shape
from minigrad.kernels.lanes import each_vector
from minigrad.kernels.layout import as_nchw, channels_last, empty_channels_last
from minigrad.kernels.overlap import largest
from minigrad.kernels.pairs import each_window, in_pairs, largest_of_four
from minigrad.kernels.subroutine import subroutine
from minigrad.kernels.windows import run, span, window_settings


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


def _largest(x, floor, kernel_size, stride, padding, ceil_mode):
    """The largest value of each window, or `floor` where there is none above it."""
    y = empty_channels_last(pool_output_shape(x.shape, kernel_size, stride, padding, ceil_mode), x.dtype)
    operands = channels_last(x), y, x.dtype.type(floor), window_settings(kernel_size, stride, padding)
    run(_max_rows, _max_parallel, x.size, y.shape[0] * y.shape[1], *operands)
    return as_nchw(y)


@subroutine
def _max_rows(x, y, floor, window, first, last):
    kh, kw, sh, sw, ph, pw = window
    for row in range(first, last):
        n, r = row // y.shape[1], row % y.shape[1]
        top, bottom = span(r, kh, sh, ph, x.shape[1])
        if in_pairs(window, y[n], x[n]) and bottom - top == 2:
            each_window(largest_of_four, y[n, r], (x[n, top], x[n, top + 1], y[n, r], floor))
            continue
        for s in range(y.shape[2]):
            left, right = span(s, kw, sw, pw, x.shape[2])
            each_vector(largest, x[n, 0, 0], (x[n], y[n, r], s * x.shape[3], floor, (top, bottom, left, right)))


@parallel_kernel
def _max_parallel(x, y, floor, window, tasks, parts):
    for t in prange(parts):
        _max_rows(x, y, floor, window, np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts)
