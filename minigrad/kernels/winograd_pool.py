"""Winograd's convolution, a rectifier and a 2 x 2 pool in one pass: each tile of the one is a window of the other.

A block of rows of the convolution is pooled as soon as it is there, and kept only as the pooled numbers and their
winners, a byte each (see `conv_pool`). On the way back the block's cotangents are handed out to the winners where the
transform reads them, so that the images between convolution and pool are never in memory in either direction.
"""

import numba
import numpy as np

from minigrad.kernels import winograd
from minigrad.kernels._jit import parallel_kernel, threads
from minigrad.kernels.frame import fill_frame
from minigrad.kernels.pairs import add_up_pairs, hand_out_pairs, pool_pairs
from minigrad.kernels.queue import run_queue, take
from minigrad.kernels.stretch import shrink
from minigrad.kernels.subroutine import subroutine
from minigrad.kernels.winograd import (
    PLANES,
    convolve_block,
    correlate_block,
    largest_block,
    memory,
    place,
    share,
    take_inputs,
)


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
    multiplications, *work = winograd.divide(out, x.shape[3], threads())
    filters = winograd.transformed(w, bias)
    run_queue(_convolve_blocks, _convolve, multiplications, y, x, winners, True, *filters, *work, padding)
    return y, winners


def input_grad(g, winners, w, padding):
    """Give the gradient with respect to x, for cotangents g of what was pooled and their winners (N, PH, PW, O)."""
    images, height, width, filters = g.shape
    dx = np.empty((images, 2 * height + 2 - 2 * padding[0], 2 * width + 2 - 2 * padding[1], w.shape[2]), g.dtype)
    multiplications, *work = winograd.divide(dx.shape, filters, threads())
    turned, padding = winograd.transformed(w, None, turned_around=True), (2 - padding[0], 2 - padding[1])
    run_queue(_convolve_blocks, _convolve, multiplications, dx, g, winners, False, *turned, *work, padding)
    return dx


def weight_grad(x, g, winners, padding):
    """Give the gradients with respect to the filters, ``(3, 3, C, O)``, and the bias, ``(O,)``."""
    images, height, width, filters = g.shape
    channels, team = x.shape[3], threads()
    blocks = winograd.cut((images, 2 * height, 2 * width, filters), channels, team)
    du, sums = np.zeros((team, PLANES * channels * filters), x.dtype), np.zeros((team, filters))
    rows = winograd.filter_rows(channels, filters)
    _correlate_routed(x, g, winners, du, sums, *rows, blocks, padding)
    return shrink(du.sum(0), channels, filters), sums.sum(0).astype(g.dtype)


@parallel_kernel
def _convolve(queue, y, x, winners, pooled, u, bias, v_rows, m_rows, blocks, padding, team):
    for _ in numba.prange(team):
        _convolve_blocks(queue, y, x, winners, pooled, u, bias, v_rows, m_rows, blocks, padding)


@subroutine
def _convolve_blocks(queue, y, x, winners, pooled, u, bias, v_rows, m_rows, blocks, padding):
    """One thread's work: blocks of rows of a convolution, as long as there are any.

    Either y is what was `pooled` of the convolution of x, and `winners` are written, or y is the convolution of what
    is made of x by handing its numbers out to the `winners`. Both are one function, for it takes seconds to compile.
    """
    height, width = (2 * y.shape[1], 2 * y.shape[2]) if pooled else (y.shape[1], y.shape[2])
    channels, filters, columns = x.shape[3], y.shape[3], -(-width // 2) * 2 + 2
    frame, v, m = memory((len(y), height, width, filters), channels, blocks, x.dtype)
    most = largest_block(height, blocks)
    if pooled:
        rows = np.empty((2 * most, width, filters), x.dtype)
    else:
        rows = np.empty((2 * most + 4, 2 * x.shape[2], channels), x.dtype)
    item = take(queue)
    while item < len(y) * blocks:
        image, first, last = place(item, blocks, height)
        top, down = 2 * first - padding[0], last - first
        if pooled:
            fill_frame(frame, x, image, top, -padding[1], 2 * down + 2, columns)
            block = rows[: 2 * down]
        else:
            above, below = max(top, 0) // 2, min(top + 2 * down + 3, 2 * x.shape[1]) // 2  # the windows in the frame
            source = rows[: 2 * (below - above)]
            hand_out_pairs(source, x[image, above:below], winners[image, above:below], 0, below - above)
            images = source.reshape(1, len(source), rows.shape[1], channels)
            fill_frame(frame, images, 0, top - 2 * above, -padding[1], 2 * down + 2, columns)
            block = y[image, 2 * first : 2 * last]
        convolve_block(block, frame, channels, u, bias, v, m, v_rows, m_rows)
        if pooled:
            pool_pairs(block, y[image, first:last], winners[image, first:last], True, 0, down)
        item = take(queue)


@parallel_kernel
def _correlate_routed(x, g, winners, du, sums, v_rows, u_rows, blocks, padding):
    for t in numba.prange(len(du)):
        _correlate_routed_blocks(np.int64(t), x, g, winners, du, sums, v_rows, u_rows, blocks, padding)


@subroutine
def _correlate_routed_blocks(thread, x, g, winners, du, sums, v_rows, u_rows, blocks, padding):
    """One thread's share of the blocks."""
    (images, height, across, filters), channels = g.shape, x.shape[3]
    frame, v, h = memory((images, 2 * height, 2 * across, filters), channels, blocks, x.dtype)
    for item in range(*share(thread, len(du), images * blocks)):
        image, first, last = place(item, blocks, 2 * height)
        down, given, won = last - first, g[image, first:last], winners[image, first:last]
        fill_frame(frame, x, image, 2 * first - padding[0], -padding[1], 2 * down + 2, 2 * across + 2)
        take_inputs(v, v.size // channels // PLANES, frame, channels, down, across)
        routed = frame[: 4 * down * across * filters].reshape(2 * down, 2 * across, filters)
        hand_out_pairs(routed, given, won, 0, down)
        correlate_block(du[thread], frame, down, across, v, h, channels, filters, v_rows, u_rows)
        add_up_pairs(sums[thread], given, won)
