"""Convolution's gradients with respect to the weight and the bias: sums over all pixels of a batch."""

import numba
import numpy as np

from minigrad.kernels._jit import kernel, parallel_kernel, threads
from minigrad.kernels.conv import fill_frame
from minigrad.kernels.layout import channels_last
from minigrad.kernels.micro import PANEL_BYTES, ROWS, tile
from minigrad.kernels.plan import forward_axis, in_tiles, split_images

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
    out_channels, group_channels, *kernel_size = weight_shape
    if not x.size or not g.size:
        return np.zeros((*kernel_size, group_channels, out_channels), x.dtype).transpose(3, 2, 0, 1)
    rows, columns = (forward_axis(g.shape[2 + a], kernel_size[a], stride[a], padding[a], dilation[a]) for a in (0, 1))
    x, g, team = channels_last(x), channels_last(g), threads()
    images, _, _, channels = x.shape
    pitch = columns.span * channels
    down, across = (np.arange(kernel_size[a]) * dilation[a] for a in (0, 1))
    corners = np.add.outer(down * pitch, across * channels)
    weights = np.add.outer(corners, np.arange(group_channels)).ravel()  # where each row of dw looks in a window
    blocks = split_images(images, rows.count, rows, pitch * x.itemsize, team)
    starts = -(-rows.count // blocks)  # rows of windows in a block, at the most
    frames = np.empty((team, ((starts - 1) * rows.step + rows.reach) * pitch), x.dtype)
    dw = np.zeros((team, len(weights) * out_channels), x.dtype)
    edges = np.array([rows.near, columns.near, rows.reach])
    steps = np.array([rows.step, columns.step * channels])
    places = in_tiles(np.arange(len(weights)) * out_channels)
    _correlate(dw, x, g, frames, blocks, groups, edges, steps, in_tiles(weights), places, pitch)
    return dw.sum(0).reshape(*kernel_size, group_channels, out_channels).transpose(3, 2, 0, 1)


def channel_sum(g):
    """Add up each channel of (N, C, H, W) over images and pixels: (C,), the gradient of a bias.

    The twin of `reference.channel_sum`. A sum over rows is a product with a row of ones, so the register tile takes 128
    pixels at a time; those sums are added in float64.
    """
    g = channels_last(g)
    channels = g.shape[3]
    if not g.size:
        return np.zeros(channels, g.dtype)
    pixels = g.size // channels
    sums = np.empty((-(-pixels // CHUNK), channels), g.dtype)
    one, zeros, no_rows = np.ones(1, g.dtype), np.zeros(channels, g.dtype), np.zeros(ROWS, np.int64)
    _sum_chunks(sums, g.reshape(-1), one, zeros, no_rows, pixels, threads())
    return sums.sum(0, dtype=np.float64).astype(g.dtype)


@parallel_kernel
def _correlate(dw, x, g, frames, blocks, groups, edges, steps, x_rows, y_rows, pitch):
    for thread in numba.prange(len(frames)):
        _correlate_share(np.int64(thread), dw, x, g, frames, blocks, groups, edges, steps, x_rows, y_rows, pitch)


@kernel
def _correlate_share(thread, dw, x, g, frames, blocks, groups, edges, steps, x_rows, y_rows, pitch):
    """One thread's share of the blocks of output rows: copy the frame of each, add its products to the thread's dw."""
    frame, own, g_flat, team = frames[thread], dw[thread], g.reshape(-1), len(frames)
    images, out_rows, out_columns, out_channels = g.shape
    group_in, group_out, width = x.shape[3] // groups, out_channels // groups, PANEL_BYTES // x.itemsize
    top, left, reach, row_step, pixel_step = edges[0], edges[1], edges[2], steps[0], steps[1]
    taps = np.arange(out_rows) * row_step * pitch
    for item in range(thread * images * blocks // team, (thread + 1) * images * blocks // team):
        image, block = item // blocks, item % blocks
        first, last = block * out_rows // blocks, (block + 1) * out_rows // blocks
        rows = (last - first - 1) * row_step + reach
        fill_frame(frame, x, image, top + first * row_step, left, rows, pitch // x.shape[3])
        g_at = (image * out_rows + first) * out_columns * out_channels
        for group in range(groups):
            for column in range(0, group_out, width):
                at = group * group_out + column
                for k in range(len(x_rows)):
                    tile(
                        own, at, y_rows[k], own, at, y_rows[k],
                        frame, group * group_in, x_rows[k], taps[: last - first], out_columns, pixel_step,
                        g_flat, g_at + at, out_channels, min(width, group_out - column),
                    )  # fmt: skip


@parallel_kernel
def _sum_chunks(sums, g, one, zeros, no_rows, pixels, team):
    for thread in numba.prange(team):
        _sum_share(np.int64(thread), sums, g, one, zeros, no_rows, pixels, team)


@kernel
def _sum_share(thread, sums, g, one, zeros, no_rows, pixels, team):
    """One thread's share of the chunks of pixels."""
    chunks, channels = sums.shape
    flat, width = sums.reshape(-1), PANEL_BYTES // g.itemsize
    for chunk in range(thread * chunks // team, (thread + 1) * chunks // team):
        run = min(CHUNK, pixels - chunk * CHUNK)
        for column in range(0, channels, width):
            tile(
                flat, chunk * channels + column, no_rows, zeros, column, no_rows,
                one, 0, no_rows, no_rows[:1], run, 0,
                g, chunk * CHUNK * channels + column, channels, min(width, channels - column),
            )  # fmt: skip
