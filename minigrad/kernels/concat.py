"""Images side by side in their channels, rectified on the way: one pass where there would be two.

In channels-last memory a pixel of the result is a run of each operand's channels after the other.
"""

import numpy as np
from numba import prange

from minigrad.kernels._jit import parallel_kernel
from minigrad.kernels.elementwise import relu_line
from minigrad.kernels.layout import as_nchw, channels_last, copy, empty_channels_last
from minigrad.kernels.subroutine import subroutine
from minigrad.kernels.windows import run


def concat_channels(xs, rectified):
    """Put the channels of images one after the other.

    Parameters
    ----------
    xs : sequence of ndarray
        ``(N, C_i, H, W)``, of one float dtype, any strides.
    rectified : sequence of bool
        For which of them it is ``max(x, 0)`` that goes into the result.

    Returns
    -------
    ndarray
        ``(N, sum of C_i, H, W)``, channels-last.
    """
    n, _, h, w = xs[0].shape
    y, at = empty_channels_last((n, sum(x.shape[1] for x in xs), h, w), xs[0].dtype), 0
    pixels = y.reshape(n * h * w, y.shape[3])
    for x, rectify in zip(xs, rectified):
        c = x.shape[1]
        run(_write, _write_parallel, x.size, len(pixels), pixels, channels_last(x).reshape(len(pixels), c), at, rectify)
        at += c
    return as_nchw(y)


@subroutine
def _write(y, x, at, rectify, first, last):
    for p in range(first, last):
        pixel = y[p, at : at + x.shape[1]]
        if rectify:
            relu_line(x[p], pixel)
        else:
            copy(pixel, x[p])


@parallel_kernel
def _write_parallel(y, x, at, rectify, tasks, parts):
    for t in prange(parts):
        _write(y, x, at, rectify, np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts)
