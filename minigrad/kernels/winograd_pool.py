"""Winograd's convolution, a rectifier and a 2 x 2 pool in one pass: each tile of the one is a window of the other.

A block of rows of the convolution is pooled as soon as it is there, and kept only as the pooled numbers and their
winners, a byte each (see `conv_pool`). On the way back the block's cotangents are handed out to the winners where the
transform reads them, so that the images between convolution and pool are never in memory in either direction.
"""

import numba
import numpy as np

from minigrad.kernels import winograd
from minigrad.kernels._jit import kernel, parallel_kernel, threads
from minigrad.kernels.frame import fill_frame
from minigrad.kernels.queue import new_queue, take
from minigrad.kernels.winners import add_up, hand_out, pool_rows
from minigrad.kernels.winograd import PLANES, convolve_block, correlate_block, memory, place, share, take_inputs

POOL = 2, 2


def convolve(x, w, bias, padding):
    """Convolve, rectify and pool; the arguments are those of `winograd.convolve`, for a result with even sides.

    Returns
    -------
    (ndarray, ndarray)
        What was pooled, ``(N, PH, PW, O)``, and the winners, uint8.
    """
    images, height, width, _ = x.shape
    out = images, height + 2 * padding[0] - 2, width + 2 * padding[1] - 2, w.shape[3]
    shape = images, out[1] // 2, out[2] // 2, out[3]
    y, winners = np.empty(shape, x.dtype), np.empty(shape, np.uint8)
    blocks = winograd.cut(out, x.shape[3])
    _convolve(new_queue(), y, winners, x, *winograd.transformed(w, bias), blocks, padding, threads())
    return y, winners


def input_grad(g, winners, w, padding):
    """Give the gradient with respect to x, for cotangents g of what was pooled and their winners (N, PH, PW, O)."""
    images, height, width, filters = g.shape
    dx = np.empty((images, 2 * height + 2 - 2 * padding[0], 2 * width + 2 - 2 * padding[1], w.shape[2]), g.dtype)
    blocks, turned = winograd.cut(dx.shape, filters), w[::-1, ::-1].swapaxes(2, 3)
    padding = 2 - padding[0], 2 - padding[1]
    _convolve_routed(new_queue(), dx, g, winners, *winograd.transformed(turned, None), blocks, padding, threads())
    return dx


def weight_grad(x, g, winners, padding):
    """Give the gradients with respect to the filters, ``(3, 3, C, O)``, and the bias, ``(O,)``."""
    images, height, width, filters = g.shape
    channels, team = x.shape[3], threads()
    blocks = winograd.cut((images, 2 * height, 2 * width, filters), channels)
    du, sums = np.zeros((team, PLANES * channels * filters), x.dtype), np.zeros((team, filters))
    _correlate_routed(x, g, winners, du, sums, blocks, padding)
    return winograd.transformed_back(du, channels, filters), sums.sum(0).astype(g.dtype)


@parallel_kernel
def _convolve(queue, y, winners, x, u, bias, blocks, padding, team):
    for _ in numba.prange(team):
        _convolve_blocks(queue, y, winners, x, u, bias, blocks, padding)


@kernel
def _convolve_blocks(queue, y, winners, x, u, bias, blocks, padding):
    """One thread's work: blocks of rows of the convolution, pooled, as long as there are any."""
    images, height, width, filters = y.shape
    frame, v, m = memory((images, 2 * height, 2 * width, filters), x.shape[3], blocks, x.dtype)
    rows, item = np.empty((2 * (-(-height // blocks)), 2 * width, filters), x.dtype), take(queue)
    while item < images * blocks:
        image, first, last = place(item, blocks, 2 * height)
        block = rows[: 2 * (last - first)]
        fill_frame(frame, x, image, 2 * first - padding[0], -padding[1], len(block) + 2, 2 * width + 2)
        convolve_block(block, frame, x.shape[3], u, bias, v, m)
        pool_rows(block, y[image, first:last], winners[image, first:last], POOL, 0, last - first)
        item = take(queue)


@parallel_kernel
def _convolve_routed(queue, dx, g, winners, u, bias, blocks, padding, team):
    for _ in numba.prange(team):
        _convolve_routed_blocks(queue, dx, g, winners, u, bias, blocks, padding)


@kernel
def _convolve_routed_blocks(queue, dx, g, winners, u, bias, blocks, padding):
    """One thread's work: blocks of rows of dx, as long as there are any."""
    _, height, width, filters = g.shape
    frame, v, m = memory(dx.shape, filters, blocks, g.dtype)
    rows = np.empty((2 * (-(-(height + 1) // blocks)) + 4, 2 * width, filters), g.dtype)
    columns, item = -(-dx.shape[2] // 2) * 2 + 2, take(queue)
    while item < len(dx) * blocks:
        image, first, last = place(item, blocks, dx.shape[1])
        top, down = 2 * first - padding[0], last - first
        above, below = max(top, 0) // 2, min(top + 2 * down + 3, 2 * height) // 2  # the windows in the frame
        routed = rows[: 2 * (below - above)]
        hand_out(routed, g[image, above:below], winners[image, above:below], POOL, 0, below - above)
        images = routed.reshape(1, len(routed), 2 * width, filters)
        fill_frame(frame, images, 0, top - 2 * above, -padding[1], 2 * down + 2, columns)
        convolve_block(dx[image, 2 * first : 2 * last], frame, filters, u, bias, v, m)
        item = take(queue)


@parallel_kernel
def _correlate_routed(x, g, winners, du, sums, blocks, padding):
    for t in numba.prange(len(du)):
        _correlate_routed_blocks(np.int64(t), x, g, winners, du, sums, blocks, padding)


@kernel
def _correlate_routed_blocks(thread, x, g, winners, du, sums, blocks, padding):
    """One thread's share of the blocks."""
    (images, height, across, filters), channels = g.shape, x.shape[3]
    frame, v, h = memory((images, 2 * height, 2 * across, filters), channels, blocks, x.dtype)
    for item in range(*share(thread, len(du), images * blocks)):
        image, first, last = place(item, blocks, 2 * height)
        down, given, won = last - first, g[image, first:last], winners[image, first:last]
        fill_frame(frame, x, image, 2 * first - padding[0], -padding[1], 2 * down + 2, 2 * across + 2)
        take_inputs(v, v.size // channels // PLANES, frame, channels, down, across)
        routed = frame[: 4 * down * across * filters].reshape(2 * down, 2 * across, filters)
        hand_out(routed, given, won, POOL, 0, down)
        correlate_block(du[thread], frame, down, across, v, h, channels, filters)
        add_up(sums[thread], given, won)
