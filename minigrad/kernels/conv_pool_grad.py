"""The weight gradient of a convolution whose images are rectified and pooled at once: no full-size cotangent in memory.

The pool's cotangent has a quarter of the images' pixels, or less. Routed to its winners and gated it would be as large
as the images, and mostly zeros: written once, read once for the weights and once for the bias. Here a thread makes the
rows of a few windows in its own cache, where the products and sums are taken from them, and makes the next.
"""

import numba
import numpy as np

from minigrad.kernels._jit import kernel, parallel_kernel
from minigrad.kernels.conv_grad import add_products, correlation, sum_pixels
from minigrad.kernels.layout import channels_last
from minigrad.kernels.micro import ROWS
from minigrad.kernels.pool import route_rows, scratch
from minigrad.kernels.weights import filters_first
from minigrad.kernels.windows import window_settings


def conv2d_relu_max_pool2d_grads(x, y, g, pooling, weight_shape, stride, padding, dilation, groups):
    """Give the gradients of ``relu_max_pool2d(conv2d(x, weight, bias, ...), ...)`` with respect to weight and bias.

    Parameters
    ----------
    x : ndarray
        ``(N, C, H, W)``, any strides: what was convolved.
    y : ndarray
        ``(N, O, OH, OW)``: what that gave, before the rectifier.
    g : ndarray
        The cotangent of what was pooled from it.
    pooling : tuple
        kernel_size, stride, padding and ceil_mode of the pool.
    weight_shape : tuple of int
        ``(O, C / groups, kh, kw)``.
    stride, padding, dilation, groups
        Of the convolution.

    Returns
    -------
    (ndarray, ndarray)
        ``(O, C / groups, kh, kw)``, in the memory order of `weight_layout`, and ``(O,)``.
    """
    x, y, g = (channels_last(a) for a in (x, y, g))
    plan = correlation(x, y.shape, weight_shape, stride, padding, dilation, groups)
    rows = -(-y.shape[1] // plan.blocks)
    routed = np.empty((len(plan.frames), rows, *y.shape[2:]), y.dtype)
    sums = np.zeros((len(plan.frames), y.shape[3]))
    if x.size and g.size:
        _correlate_routed(x, y, g, routed, sums, window_settings(*pooling[:3]), *plan)
    return filters_first(plan.total()), sums.sum(0).astype(y.dtype)


@parallel_kernel
def _correlate_routed(
    x, y, g, routed, sums, window, dw, frames, blocks, groups, edges, steps, x_rows, y_rows, pitch, shape
):  # fmt: skip
    for thread in numba.prange(len(frames)):
        _correlate_routed_share(
            np.int64(thread), x, y, g, routed[thread], sums[thread], window, dw, frames, blocks, groups, edges, steps,
            x_rows, y_rows, pitch,
        )  # fmt: skip


@kernel
def _correlate_routed_share(
    thread, x, y, g, routed, sums, window, dw, frames, blocks, groups, edges, steps, x_rows, y_rows, pitch
):
    """One thread's share of the blocks of rows of y."""
    (images, out_rows, _, channels), team = y.shape, len(frames)
    winner, best = scratch(g, y)
    total, zeros = np.empty(channels, y.dtype), np.zeros(channels, y.dtype)
    one, no_rows = np.ones(1, y.dtype), np.zeros(ROWS, np.int64)
    for item in range(thread * images * blocks // team, (thread + 1) * images * blocks // team):
        image, block = item // blocks, item % blocks
        first, last = block * out_rows // blocks, (block + 1) * out_rows // blocks
        here = routed[: last - first]
        route_rows(g[image], y[image], here, first, last, True, window, winner, best)
        add_products(
            dw[thread], x, image, first, here, frames[thread], groups, edges, steps, x_rows, y_rows, pitch
        )
        for row in range(last - first):
            sum_pixels(total, here[row].reshape(-1), one, zeros, no_rows)
            for c in range(channels):
                sums[c] += total[c]
