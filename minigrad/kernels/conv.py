"""Convolution and its gradient with respect to the input: the register tile walking over images."""

from itertools import product

import numba
import numpy as np

from minigrad.kernels._jit import kernel, parallel_kernel, threads
from minigrad.kernels.geometry import conv_output_size
from minigrad.kernels.layout import channels_last
from minigrad.kernels.micro import PANEL_BYTES, tile
from minigrad.kernels.plan import backward_axes, forward_axis, make_plan, split_images
from minigrad.kernels.weights import filters_last, read_only


def conv2d(x, weight, bias, stride, padding, dilation, groups):
    """Slide filters over images: every output pixel is the dot product of a window with a filter.

    The twin of `reference.conv2d`. Fast because the window of an output pixel is never copied out (no im2col): a register
    tile of 8 pixels x 32 channels reads the windows in place, in one parallel region over images.

    Parameters
    ----------
    x : ndarray
        ``(N, C, H, W)``, float32 or float64, any strides.
    weight : ndarray
        ``(O, C / groups, kh, kw)``; as `weight_layout` gives it, it is read in place.
    bias : ndarray or None
        ``(O,)``.
    stride, padding, dilation : tuple of (int, int)
        ``(height, width)``.
    groups : int
        Channels and filters are split into this many groups that do not see one another.

    Returns
    -------
    ndarray
        ``(N, O, OH, OW)``, channels-last in memory.
    """
    out_channels, kernel_size = weight.shape[0], weight.shape[2:]
    out = [conv_output_size(x.shape[2 + a], kernel_size[a], stride[a], padding[a], dilation[a]) for a in (0, 1)]
    rows, columns = (forward_axis(out[a], kernel_size[a], stride[a], padding[a], dilation[a]) for a in (0, 1))
    y = np.empty((x.shape[0], *out, out_channels), x.dtype)
    if bias is None:
        bias = np.zeros(out_channels, x.dtype)
    _run(y, channels_last(x), filters_last(weight), np.ascontiguousarray(bias), rows, columns, groups)
    return y.transpose(0, 3, 1, 2)


def conv2d_input_grad(g, weight, input_shape, stride, padding, dilation, groups):
    """Send an output gradient back through the filters: the transpose of `conv2d` in x.

    The twin of `reference.conv2d_input_grad`. It is itself a convolution, of g with the filters turned around and their two
    channel axes exchanged, so it runs through the same loop. With a stride s, input positions fall into s x s interleaved
    sets that each met their own taps: s x s small convolutions of stride 1, none of which multiplies by a zero.

    Parameters
    ----------
    g : ndarray
        ``(N, O, OH, OW)``, any strides.
    weight : ndarray
        ``(O, C / groups, kh, kw)``.
    input_shape : tuple of int
        ``(N, C, H, W)``.
    stride, padding, dilation, groups
        As in `conv2d`.

    Returns
    -------
    ndarray
        ``(N, C, H, W)``, channels-last in memory.
    """
    images, channels, *size = input_shape
    g, weight, nothing = channels_last(g), filters_last(weight), np.zeros(channels, g.dtype)
    kh, kw, group_channels, out_channels = weight.shape
    weight = weight.reshape(kh, kw, group_channels, groups, out_channels // groups)
    weight = weight.transpose(0, 1, 4, 3, 2)  # (kh, kw, O / groups, groups, C / groups)
    by_row, by_column = (backward_axes(size[a], weight.shape[a], stride[a], padding[a], dilation[a]) for a in (0, 1))
    sets = list(product(by_row, by_column))
    complete = sum(rows.count * columns.count for (rows, _), (columns, _) in sets) == size[0] * size[1]
    dx = (np.empty if complete else np.zeros)((images, *size, channels), g.dtype)  # where no window looked, zeros stay
    for (rows, met_rows), (columns, met_columns) in sets:
        met = weight[np.ix_(met_rows, met_columns)]
        _run(dx, g, met, nothing, rows, columns, groups)
    return dx.transpose(0, 3, 1, 2)


def _run(y, x, w, bias, rows, columns, groups):
    """Convolve x (N, H, W, C) with w (kh, kw, C / groups, O) into the positions of y (N, OH, OW, O) that the axes name."""
    images, _, _, channels = x.shape
    plan = make_plan(rows, columns, channels, channels // groups, y.shape[3])
    team = threads()
    tiles = len(plan.x_rows)
    blocks = split_images(images, tiles, rows, plan.pitch * x.itemsize, team)
    spanned = min(rows.span, -(-tiles // blocks) * plan.x_rows.shape[1] // columns.count * rows.step + rows.step + rows.reach)
    frames = np.empty((team, spanned * plan.pitch), x.dtype)
    _convolve(
        y.reshape(-1), x, read_only(w.reshape(-1)), read_only(bias), frames, blocks, groups, y.shape[3],
        rows.near, columns.near, rows.reach, *plan,
    )  # fmt: skip


@parallel_kernel
def _convolve(y, x, w, bias, frames, blocks, groups, out_channels, top, left, reach, taps, run, x_rows, y_rows, pitch):
    for thread in numba.prange(len(frames)):
        _convolve_share(
            np.int64(thread), y, x, w, bias, frames, blocks, groups, out_channels, top, left, reach, taps, run, x_rows, y_rows, pitch
        )


@kernel
def _convolve_share(
    thread, y, x, w, bias, frames, blocks, groups, out_channels, top, left, reach, taps, run, x_rows, y_rows, pitch
):
    """One thread's share of the blocks of tiles: copy the frame of each, and run the tile over it."""
    frame = frames[thread]
    images, tiles, image_size = len(x), len(x_rows), len(y) // max(1, len(x))
    group_in, group_out, panel = x.shape[3] // groups, out_channels // groups, PANEL_BYTES // x.itemsize
    bias_rows = np.zeros(x_rows.shape[1], np.int64)
    for item in range(thread * images * blocks // len(frames), (thread + 1) * images * blocks // len(frames)):
        image, block = item // blocks, item % blocks
        first, last = block * tiles // blocks, (block + 1) * tiles // blocks
        above = x_rows[first, 0] // pitch
        rows = x_rows[last - 1, -1] // pitch + reach - above
        fill_frame(frame, x, image, top + above, left, rows, pitch // x.shape[3])
        for group in range(groups):
            for column in range(0, group_out, panel):
                at = group * group_out + column
                for k in range(first, last):
                    tile(
                        y, image * image_size + at, y_rows[k], bias, at, bias_rows,
                        frame, group * group_in - above * pitch, x_rows[k], taps, run, 1,
                        w, at, out_channels, min(panel, group_out - column),
                    )  # fmt: skip


@kernel
def fill_frame(frame, x, image, top, left, rows, columns):
    """Copy rows x columns pixels of an image, from (top, left) on, into the flat `frame`; zeros outside the image."""
    height, width, channels = x.shape[1:]
    pitch = columns * channels
    begin = max(0, min(columns, -left))  # columns before the image
    end = max(begin, min(columns, width - left))  # and before its end
    for row in range(rows):
        line = frame[row * pitch : (row + 1) * pitch]
        if 0 <= top + row < height and begin < end:
            line[: begin * channels] = 0
            source = x[image, top + row, left + begin : left + end].reshape(-1)
            inside = line[begin * channels : end * channels]
            for k in range(len(source)):
                inside[k] = source[k]
            line[end * channels :] = 0
        else:
            line[:] = 0
