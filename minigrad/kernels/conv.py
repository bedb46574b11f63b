"""Convolution and its gradient with respect to the input: the register tile walking over images."""

from functools import lru_cache
from itertools import product

import numba
import numpy as np

from minigrad.kernels import winograd
from minigrad.kernels._jit import parallel_kernel, threads
from minigrad.kernels.frame import fill_frame
from minigrad.kernels.layout import channels_last
from minigrad.kernels.micro import PANEL_BYTES, tile
from minigrad.kernels.pack import in_place, pack
from minigrad.kernels.plan import backward_axes, fits_inside, forward_axes, make_plan, split_images
from minigrad.kernels.prefetch import prefetch_rows
from minigrad.kernels.queue import run_queue, take
from minigrad.kernels.scatter import scatter, scattering_pays
from minigrad.kernels.subroutine import subroutine
from minigrad.kernels.weights import filters_last, read_only

PACK_BYTES = 512 * 1024  # filters larger than this do not stay in a core's cache next to the images, unless in panels


def conv2d(x, weight, bias, stride, padding, dilation, groups):
    """Slide filters over images: every output pixel is the dot product of a window with a filter.

    The twin of `reference.conv2d`. Fast because a window is never copied out (no im2col): a register tile of
    8 pixels x 32 filters reads the windows in place, in one parallel region over images. 3 x 3 filters of many channels
    go to `winograd`, which multiplies less.

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
    rows, columns = forward_axes(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    out_channels, w = len(weight), filters_last(weight)
    y, each = np.empty((len(x), rows.count, columns.count, out_channels), x.dtype), out_channels // groups
    if not x.size or not w.size:
        y[...] = 0 if bias is None else bias
        return y.transpose(0, 3, 1, 2)
    if winograd.pays(weight.shape, x.dtype, stride, dilation, groups):
        return winograd.convolve(channels_last(x), w, bias, padding).transpose(0, 3, 1, 2)
    if w.nbytes > PACK_BYTES:
        w = pack(w, np.zeros(1, np.int64), w.size // out_channels, out_channels, 1, each, groups, each)
    else:
        w = in_place(w, out_channels, each)
    _run(y, channels_last(x), w, bias, rows, columns, groups)
    return y.transpose(0, 3, 1, 2)


def conv2d_input_grad(g, weight, input_shape, stride, padding, dilation, groups):
    """Send an output gradient back through the filters: the transpose of `conv2d` in x.

    The twin of `reference.conv2d_input_grad`. It is itself a convolution, of g with the filters turned around and their
    two channel axes exchanged, so it runs through the same loop. With a stride s, input positions fall into s x s
    interleaved sets that each met their own taps: s x s small convolutions of stride 1, none of which multiplies by a
    zero.

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
    g, w = channels_last(g), filters_last(weight)  # (N, OH, OW, O), (kh, kw, C / groups, O)
    out_channels = len(weight)
    if not g.size or not w.size or 0 in input_shape:
        return np.zeros((images, *size, channels), g.dtype).transpose(0, 3, 1, 2)
    if winograd.pays(weight.shape, g.dtype, stride, dilation, groups) and max(padding) <= 2:
        around = 2 - padding[0], 2 - padding[1]
        return winograd.convolve(g, w, None, around, turned_around=True).transpose(0, 3, 1, 2)
    sets, met, complete = _backward_sets(input_shape[2:], weight.shape, stride, padding, dilation)
    sizes = g.shape[1] * g.shape[2], weight.shape[2:], channels, out_channels, g.itemsize
    if groups == 1 and scattering_pays(met, *sizes, side_by_side=dilation[1] == 1):
        return scatter(g, w, size, stride, padding, dilation).transpose(0, 3, 1, 2)
    dx = (np.empty if complete else np.zeros)((images, *size, channels), g.dtype)  # where no window looked, zeros stay
    each = out_channels // groups
    for rows, columns, taps in sets:
        turned = pack(w, taps, each, 1, out_channels, each, groups, weight.shape[1])
        _run(dx, g, turned, None, rows, columns, groups)
    return dx.transpose(0, 3, 1, 2)


@lru_cache(maxsize=256)
def _backward_sets(size, weight_shape, stride, padding, dilation):
    """The small convolutions that an input gradient is: rows, columns, and where the filters' taps lie in memory; how
    often a pixel met a tap; and whether every pixel belongs to one of them."""
    (out_channels, group_channels, *kernel_size), each = weight_shape, []
    by_axis = (backward_axes(size[a], kernel_size[a], stride[a], padding[a], dilation[a]) for a in (0, 1))
    for (rows, met_rows), (columns, met_columns) in product(*by_axis):
        taps = np.add.outer(np.array(met_rows) * kernel_size[1], met_columns).ravel()
        each.append((rows, columns, taps * (group_channels * out_channels)))
    pixels = [rows.count * columns.count for rows, columns, _ in each]
    return each, sum(n * len(taps) for n, (_, _, taps) in zip(pixels, each)), sum(pixels) == size[0] * size[1]


def _run(y, x, w, bias, rows, columns, groups):
    """Convolve x (N, H, W, C) with the Panels w, into the positions of y (N, OH, OW, O) that the two axes name."""
    multiplications, work = _divide(rows, columns, x.shape, groups, y.shape[3], x.itemsize, threads())
    bias = np.zeros(y.shape[3], x.dtype) if bias is None else np.ascontiguousarray(bias)
    run_queue(_convolve_blocks, _convolve, multiplications, y.reshape(-1), x, *w, read_only(bias), *work)


@lru_cache(maxsize=256)
def _divide(rows, columns, x_shape, groups, filters, itemsize, team):
    """How many multiplications there are, and how they are divided among threads: what a kernel asks for besides
    arrays."""
    images, height, width, channels = x_shape
    plan = make_plan(rows, columns, channels, channels // groups, filters)
    tiles = len(plan.x_rows)
    blocks = split_images(images, tiles, rows, plan.pitch * itemsize, team)
    starts = -(-tiles // blocks) * plan.x_rows.shape[1] // columns.count + 2  # rows of windows in a block, at the most
    frame_size = min(rows.span, starts * rows.step + rows.reach) * plan.pitch
    if fits_inside(rows, columns, height, width):
        frame_size = 0
    multiplications = images * rows.count * columns.count * len(plan.taps) * plan.run * filters
    return multiplications, (frame_size, blocks, groups, *plan)


@parallel_kernel
def _convolve(
    queue, y, x, w, w_group, w_panel, w_row, bias, frame_size, blocks, groups, edges, taps, run, x_rows, y_rows, pitch,
    team,
):  # fmt: skip
    for _ in numba.prange(team):
        _convolve_blocks(
            queue, y, x, w, w_group, w_panel, w_row, bias, frame_size, blocks, groups, edges, taps, run, x_rows, y_rows,
            pitch,
        )  # fmt: skip


@subroutine
def _convolve_blocks(
    queue, y, x, w, w_group, w_panel, w_row, bias, frame_size, blocks, groups, edges, taps, run, x_rows, y_rows, pitch
):  # fmt: skip
    """One thread's work: blocks of tiles, as long as there are any."""
    frame, tiles, size, item = np.empty(frame_size, x.dtype), len(x_rows), len(y) // len(x), take(queue)
    while item < len(x) * blocks:
        image, block = item // blocks, item % blocks
        convolve_block(
            y[image * size : (image + 1) * size], x, image, block * tiles // blocks, (block + 1) * tiles // blocks,
            w, w_group, w_panel, w_row, bias, frame, groups, edges, taps, run, x_rows, y_rows, pitch,
        )  # fmt: skip
        item = take(queue)


@subroutine
def convolve_block(
    y, x, image, first, last, w, w_group, w_panel, w_row, bias, frame, groups, edges, taps, run, x_rows, y_rows, pitch
):  # fmt: skip
    """Run the tile over the rows `first` to `last` of the tables, of one image; y is flat.

    Where the frame has no size the image is read in place.
    """
    top, left, reach = edges[0], edges[1], edges[2]
    tables = w, w_group, w_panel, w_row, bias, groups, taps, run, x_rows, y_rows
    if len(frame) == 0:
        _run_tiles(y, x.reshape(-1), (image * x.shape[1] + top) * pitch, x.shape[3], first, last, *tables)
        return
    above = x_rows[first, 0] // pitch
    rows = x_rows[last - 1, -1] // pitch + reach - above
    fill_frame(frame, x, image, top + above, left, rows, pitch // x.shape[3])
    _run_tiles(y, frame, -above * pitch, x.shape[3], first, last, *tables)


@subroutine
def _run_tiles(
    y, frame, begin, channels, first, last, w, w_group, w_panel, w_row, bias, groups, taps, run, x_rows, y_rows
):  # fmt: skip
    """All groups and panels of filters, for windows that count from `begin` in a frame of so many channels."""
    group_in, group_out, width = channels // groups, len(bias) // groups, PANEL_BYTES // y.itemsize
    bias_rows = np.zeros(x_rows.shape[1], np.int64)
    for group in range(groups):
        for panel in range(-(-group_out // width)):
            at, cols = group * group_out + panel * width, min(width, group_out - panel * width)
            for k in range(first, last):
                prefetch_rows(y, at, y_rows[k], cols, len(taps) * run)
                tile(
                    y, at, y_rows[k], bias, at, bias_rows, frame, begin + group * group_in, x_rows[k], taps, run, 1,
                    w, group * w_group + panel * w_panel, w_row, cols,
                )  # fmt: skip
