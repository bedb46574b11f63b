"""Winograd's convolution, a rectifier and a 2 x 2 pool in one pass: each tile of the one is a window of the other.

A block of rows of the convolution is pooled as soon as it is there, and kept only as the pooled numbers and their
winners, a byte each (see `conv_pool`). On the way back the block's cotangents are handed out to the winners where the
transform reads them, so that the images between convolution and pool are never in memory in either direction.
"""

import numba
import numpy as np

from minigrad.kernels import winograd
from minigrad.kernels._jit import kernel, parallel_kernel
from minigrad.kernels.frame import fill_frame
from minigrad.kernels.queue import new_queue, take
from minigrad.kernels.winners import add_up, hand_out, pool_rows
from minigrad.kernels.winograd import PLANES, convolve_block, correlate_block, place, share, take_inputs

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
    work = winograd.convolution(out, w, bias, padding)
    _convolve(new_queue(), y, winners, x, _rows(work, out), *work)
    return y, winners


def input_grad(g, winners, w, padding):
    """Give the gradient with respect to x, for cotangents g of what was pooled and their winners (N, PH, PW, O)."""
    images, height, width, filters = g.shape
    dx = np.empty((images, 2 * height + 2 - 2 * padding[0], 2 * width + 2 - 2 * padding[1], w.shape[2]), g.dtype)
    work = winograd.convolution(dx.shape, w[::-1, ::-1].swapaxes(2, 3), None, (2 - padding[0], 2 - padding[1]))
    rows = _rows(work, (images, 2 * height, 2 * width, filters), halo=4)
    _convolve_routed(new_queue(), dx, g, winners, rows, *work)
    return dx


def weight_grad(x, g, winners, padding):
    """Give the gradients with respect to the filters, ``(3, 3, C, O)``, and the bias, ``(O,)``."""
    images, height, width, filters = g.shape
    work = winograd.correlation(x, (images, 2 * height, 2 * width, filters), padding)
    sums = np.zeros((len(work.du), filters))
    _correlate_routed(x, g, winners, sums, *work)
    return work.total(x.shape[3], filters), sums.sum(0).astype(g.dtype)


def _rows(work, shape, halo=0):
    """Each thread's memory for the rows of a block between convolution and pool, and as many more."""
    _, height, width, filters = shape
    return np.empty((len(work.v), -(-height // work.blocks) + 2 + halo, width, filters), work.v.dtype)


@parallel_kernel
def _convolve(queue, y, winners, x, rows, u, bias, frames, v, m, blocks, padding, v_rows, m_rows):
    for t in numba.prange(len(frames)):
        _convolve_blocks(
            queue, y, winners, x, rows[t], u, bias, frames[t], v[t], m[t], blocks, padding, v_rows, m_rows
        )


@kernel
def _convolve_blocks(queue, y, winners, x, rows, u, bias, frame, v, m, blocks, padding, v_rows, m_rows):
    """One thread's work: blocks of rows of the convolution, pooled, as long as there are any."""
    columns, item = 2 * y.shape[2] + 2, take(queue)
    while item < len(y) * blocks:
        image, first, last = place(item, blocks, 2 * y.shape[1])
        block = rows[: 2 * (last - first)]
        fill_frame(frame, x, image, 2 * first - padding[0], -padding[1], len(block) + 2, columns)
        convolve_block(block, frame, x.shape[3], u, bias, v, m, v_rows, m_rows)
        pool_rows(block, y[image, first:last], winners[image, first:last], POOL, 0, last - first)
        item = take(queue)


@parallel_kernel
def _convolve_routed(queue, dx, g, winners, rows, u, bias, frames, v, m, blocks, padding, v_rows, m_rows):
    for t in numba.prange(len(frames)):
        _convolve_routed_blocks(
            queue, dx, g, winners, rows[t], u, bias, frames[t], v[t], m[t], blocks, padding, v_rows, m_rows
        )


@kernel
def _convolve_routed_blocks(queue, dx, g, winners, rows, u, bias, frame, v, m, blocks, padding, v_rows, m_rows):
    """One thread's work: blocks of rows of dx, as long as there are any."""
    columns, item = -(-dx.shape[2] // 2) * 2 + 2, take(queue)
    while item < len(dx) * blocks:
        image, first, last = place(item, blocks, dx.shape[1])
        top, down = 2 * first - padding[0], last - first
        above, below = max(top, 0) // 2, min(top + 2 * down + 3, 2 * g.shape[1]) // 2  # the windows in the frame
        routed = rows[: 2 * (below - above)]
        hand_out(routed, g[image, above:below], winners[image, above:below], POOL, 0, below - above)
        images = routed.reshape(1, len(routed), routed.shape[1], routed.shape[2])
        fill_frame(frame, images, 0, top - 2 * above, -padding[1], 2 * down + 2, columns)
        convolve_block(dx[image, 2 * first : 2 * last], frame, g.shape[3], u, bias, v, m, v_rows, m_rows)
        item = take(queue)


@parallel_kernel
def _correlate_routed(x, g, winners, sums, du, frames, v, h, blocks, padding, v_rows, u_rows):
    for thread in numba.prange(len(frames)):
        frame, plane = frames[thread], v.shape[1] // x.shape[3] // PLANES
        across, filters = g.shape[2:]
        for item in range(*share(np.int64(thread), len(frames), len(g) * blocks)):
            image, first, last = place(item, blocks, 2 * g.shape[1])
            down, given, won = last - first, g[image, first:last], winners[image, first:last]
            fill_frame(frame, x, image, 2 * first - padding[0], -padding[1], 2 * down + 2, 2 * across + 2)
            take_inputs(v[thread], plane, frame, x.shape[3], down, across)
            routed = frame[: 4 * down * across * filters].reshape(2 * down, 2 * across, filters)
            hand_out(routed, given, won, POOL, 0, down)
            correlate_block(du[thread], frame, down, across, v[thread], h[thread], x.shape[3], v_rows, u_rows)
            add_up(sums[thread], given, won)
