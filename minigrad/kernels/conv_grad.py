"""Convolution's gradients with respect to the weight and the bias: sums over all pixels of a batch."""

from functools import lru_cache
from math import prod
from typing import NamedTuple

import numba
import numpy as np

from minigrad.kernels import winograd
from minigrad.kernels._jit import parallel_kernel, threads
from minigrad.kernels.frame import fill_frame
from minigrad.kernels.layout import channels_last
from minigrad.kernels.micro import PANEL_BYTES, tile
from minigrad.kernels.plan import fits_inside, forward_axis, frame_edges, in_tiles, split_images
from minigrad.kernels.subroutine import subroutine
from minigrad.kernels.weights import filters_first
from minigrad.kernels.windows import run

CHUNK = 128  # pixels that channel_sum adds up in the array's own precision, before it goes on in float64


def conv2d_weight_grad(x, g, weight_shape, stride, padding, dilation, groups):
    """Correlate inputs with output gradients: the transpose of `conv2d` in the weight.

    The twin of `reference.conv2d_weight_grad`. The register tile holds 8 weights x 32 filters and runs over the pixels
    of one image: the same frames and offsets as `conv2d`, with what is a row and what is summed exchanged. Every thread
    adds its images to its own copy of the gradient, and the copies are added in order: the same bytes for the same
    number of threads.

    Parameters
    ----------
    x : ndarray
        ``(N, C, H, W)``, any strides.
    g : ndarray
        ``(N, O, OH, OW)``, any strides.
    weight_shape : tuple of int
        ``(O, C / groups, kh, kw)``.
    stride, padding, dilation, groups
        As in `conv2d`.

    Returns
    -------
    ndarray
        ``(O, C / groups, kh, kw)``, in the memory order of `weight_layout`.
    """
    if not x.size or not g.size:
        return filters_first(np.zeros((*weight_shape[2:], *weight_shape[1::-1]), x.dtype))
    x, g = channels_last(x), channels_last(g)
    if winograd.pays(weight_shape, x.dtype, stride, dilation, groups):
        return filters_first(winograd.weight_grad(x, g, padding))
    plan = correlation(x, g.shape, weight_shape, stride, padding, dilation, groups)
    _correlate(x, g, plan.dw, plan.frames, plan.blocks, *plan.offsets)
    return filters_first(plan.total())


class Offsets(NamedTuple):
    """A weight gradient as offsets; the tables are int64."""

    groups: int
    edges: np.ndarray  # where a frame begins, seen from the image: rows, columns; and the rows that a window spans
    steps: np.ndarray  # in the frame, from an output row to the next, in rows, and from an output pixel, in elements
    x_rows: np.ndarray  # (tiles, ROWS): where each weight looks in a window
    y_rows: np.ndarray  # (tiles, ROWS): where its sums are in dw
    pitch: int  # elements in a row of the frame


class Correlation(NamedTuple):
    """A weight gradient: the threads' memory for it, and where in memory its operands are."""

    dw: np.ndarray  # (threads, weights * filters): each thread's sums
    frames: np.ndarray  # (threads, elements): each thread's frame; without elements, images are read in place
    shape: tuple  # (kh, kw, C / groups, O)
    blocks: int  # that an image's output rows are cut into
    offsets: Offsets

    def total(self):
        """The sums of all threads, in order."""
        return self.dw.sum(0).reshape(self.shape)


def correlation(x, g_shape, weight_shape, stride, padding, dilation, groups, blocks=None):
    """Lay out the weight gradient for x (N, H, W, C) and a cotangent of `g_shape` (N, OH, OW, O)."""
    team, window = threads(), (stride, padding, dilation)
    frame_size, *rest = _divide(x.shape, g_shape[1:3], weight_shape, window, groups, blocks, x.itemsize, team)
    dw, frames = np.zeros((team, prod(weight_shape)), x.dtype), np.empty((team, frame_size), x.dtype)
    return Correlation(dw, frames, *rest)


@lru_cache(maxsize=256)
def _divide(x_shape, out, weight_shape, window, groups, blocks, itemsize, team):
    """How many elements a frame has; and the shape, blocks and offsets of a Correlation."""
    (images, height, width, channels), (out_channels, group_channels, *kernel_size) = x_shape, weight_shape
    rows, columns = (forward_axis(out[a], kernel_size[a], *(setting[a] for setting in window)) for a in (0, 1))
    pitch = columns.span * channels
    blocks = blocks or split_images(images, rows.count, rows, pitch * itemsize, team)
    starts = -(-rows.count // blocks)  # rows of windows in a block, at the most
    down, across = np.array(rows.taps) - rows.near, np.array(columns.taps) - columns.near
    corners = np.add.outer(down * pitch, across * channels)
    weights = np.add.outer(corners, np.arange(group_channels)).ravel()
    steps = np.array([rows.step, columns.step * channels])
    tables = frame_edges(rows, columns), steps, in_tiles(weights), in_tiles(np.arange(len(weights)) * out_channels)
    frame_size, shape = ((starts - 1) * rows.step + rows.reach) * pitch, (*kernel_size, group_channels, out_channels)
    if fits_inside(rows, columns, height, width):
        frame_size = 0
    return frame_size, shape, blocks, Offsets(groups, *tables, pitch)


def channel_sum(g):
    """Add up each channel of (N, C, H, W) over images and pixels: (C,), the gradient of a bias.

    The twin of `reference.channel_sum`. Runs of 128 pixels are added in the array's own precision, the runs in float64.
    """
    g = channels_last(g)
    channels = g.shape[3]
    if not g.size:
        return np.zeros(channels, g.dtype)
    pixels = g.size // channels
    sums = np.empty((-(-pixels // CHUNK), channels), g.dtype)
    run(_sum_runs, _sum_parallel, g.size, len(sums), g.reshape(pixels, channels), sums)
    return sums.sum(0, dtype=np.float64).astype(g.dtype)


@parallel_kernel
def _correlate(x, g, dw, frames, blocks, groups, edges, steps, x_rows, y_rows, pitch):
    for thread in numba.prange(len(frames)):
        _correlate_share(np.int64(thread), x, g, dw, frames, blocks, groups, edges, steps, x_rows, y_rows, pitch)


@subroutine
def _correlate_share(thread, x, g, dw, frames, blocks, groups, edges, steps, x_rows, y_rows, pitch):
    """One thread's share of the blocks of output rows."""
    images, out_rows, team = g.shape[0], g.shape[1], len(frames)
    for item in range(thread * images * blocks // team, (thread + 1) * images * blocks // team):
        image, block = item // blocks, item % blocks
        first, last = block * out_rows // blocks, (block + 1) * out_rows // blocks
        add_products(
            dw[thread], x, image, first, g[image, first:last], frames[thread], groups, edges, steps, x_rows, y_rows,
            pitch,
        )  # fmt: skip


@subroutine
def add_products(dw, x, image, first, g, frame, groups, edges, steps, x_rows, y_rows, pitch):
    """Add what the output rows from `first` on give, whose cotangent is g (rows, OW, O)."""
    rows, channels, row_step = len(g), x.shape[3], steps[0]
    top, left, reach = edges[0] + first * row_step, edges[1], edges[2]
    taps = np.arange(rows) * row_step * pitch
    if len(frame) == 0:
        begin = (image * x.shape[1] + top) * pitch
        _run_tiles(dw, x.reshape(-1), begin, channels, g, groups, taps, steps[1], x_rows, y_rows)
        return
    fill_frame(frame, x, image, top, left, (rows - 1) * row_step + reach, pitch // channels)
    _run_tiles(dw, frame, 0, channels, g, groups, taps, steps[1], x_rows, y_rows)


@subroutine
def _run_tiles(dw, frame, begin, channels, g, groups, taps, step, x_rows, y_rows):
    """All groups and panels of filters, for windows that count from `begin` in a frame of so many channels."""
    _, out_columns, out_channels = g.shape
    group_in, group_out, width = channels // groups, out_channels // groups, PANEL_BYTES // dw.itemsize
    g_flat = g.reshape(-1)
    for group in range(groups):
        for column in range(0, group_out, width):
            at = group * group_out + column
            for k in range(len(x_rows)):
                tile(
                    dw, at, y_rows[k], dw, at, y_rows[k], frame, begin + group * group_in, x_rows[k], taps, out_columns,
                    step, g_flat, at, out_channels, min(width, group_out - column),
                )  # fmt: skip


@subroutine
def _sum_runs(g, sums, first, last):
    """Add up the runs of pixels from `first` to `last`, each into its row of sums."""
    for row in range(first, last):
        total, start = sums[row], row * CHUNK
        total[:] = 0
        for pixel in range(start, min(start + CHUNK, len(g))):
            for c in range(len(total)):
                total[c] += g[pixel, c]


@parallel_kernel
def _sum_parallel(g, sums, tasks, parts):
    for t in numba.prange(parts):
        _sum_runs(g, sums, np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts)
