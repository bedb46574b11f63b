"""A convolution of images that are changed inside boxes, and perhaps the pooling after it, one box at a time.

Done with the kernels for whole images this is four passes over memory: cut a frame around each box from its image,
paste the changed values, convolve, pool. Here a thread does all of it for one box in its own cache, and writes down no
more than the largest of each window. There are two ways:

* *gather*: make the frame and run the register tile over it, as `minigrad.kernels.conv` does for an image;
* *scatter*: a convolution is linear, so its result is the clean one plus what the changes add. Every pixel that has
  changed is multiplied by all weights and added where they belong. A box of 7x7 pixels reaches 9x9 of the result, so
  this is half the work, and less where pixels inside the box are as they were.
"""

import numba
import numpy as np

from minigrad.kernels._jit import kernel, parallel_kernel, threads
from minigrad.kernels.frame import fill_frame
from minigrad.kernels.layout import as_nchw, channels_last, copy, empty_channels_last
from minigrad.kernels.micro import PANEL_BYTES, ROWS, tile
from minigrad.kernels.pack import in_place
from minigrad.kernels.plan import forward_axis, make_plan
from minigrad.kernels.subroutine import subroutine
from minigrad.kernels.weights import filters_last, read_only


def conv2d_boxes(
    x, tops, lefts, clean, clean_y, which, weight, bias, y_tops, y_lefts, size, stride, padding, dilation, groups, relu,
    pool,
):  # fmt: skip
    """Convolve boxes of images, and take the largest of each window of the result.

    Parameters
    ----------
    x : ndarray
        ``(R, C, h, w)``, any strides: what the images hold inside of the boxes.
    tops, lefts : ndarray of int64
        ``(R,)``: the corners of x's boxes.
    clean, clean_y : ndarray
        ``(N, C, H, W)``, any strides: what the images hold elsewhere; and ``(N, O, OH, OW)``, their convolution.
    which : ndarray of int64
        ``(R,)``: the image of each box.
    weight, bias, stride, padding, dilation, groups
        As in `conv2d`.
    y_tops, y_lefts : ndarray of int64
        ``(R,)``: the corners of the boxes of the convolution, inside of clean_y.
    size : (int, int)
        Their rows and columns.
    relu : bool
        Whether what is negative becomes zero.
    pool : ((int, int), (int, int))
        Size and stride of the windows whose largest is kept; ``((1, 1), (1, 1))`` keeps all.

    Returns
    -------
    ndarray
        ``(R, O, rows, columns)``, channels-last.
    """
    (out_channels, group_channels, *taps), (_, channels, height, width) = weight.shape, x.shape
    out = [(n - k) // s + 1 for n, k, s in zip(size, *pool)]
    y = empty_channels_last((len(x), out_channels, *out), x.dtype)
    x, clean, w = channels_last(x), channels_last(clean), filters_last(weight)
    begin = [first * s - p for first, s, p in zip((y_tops, y_lefts), stride, padding)]
    corners = np.stack([tops, lefts, which, y_tops, y_lefts, *begin], 1)
    windows = np.array([*pool[0], *pool[1], relu])
    w = in_place(w, out_channels, out_channels // groups)
    if tuple(stride) == (1, 1) and groups == 1 and height * width * (channels + 4) < size[0] * size[1] * channels:
        window = np.array([*taps, *dilation])
        _scatter(y, x, clean, channels_last(clean_y), corners, w.memory, windows, window, *size, threads())
        return as_nchw(y)
    rows, columns = (forward_axis(size[a], taps[a], stride[a], 0, dilation[a]) for a in (0, 1))
    plan = make_plan(rows, columns, channels, group_channels, out_channels)
    bias = np.zeros(out_channels, y.dtype) if bias is None else np.ascontiguousarray(bias)
    frames = np.empty((threads(), rows.span * plan.pitch), y.dtype)
    results = np.empty((threads(), *size, out_channels), y.dtype)
    tables = plan.taps, plan.run, plan.x_rows, plan.y_rows, plan.pitch
    _gather(y, x, clean, corners, *w, read_only(bias), frames, results, windows, groups, *tables)
    return as_nchw(y)


@parallel_kernel
def _gather(
    y, x, clean, corners, w, w_group, w_panel, w_row, bias, frames, results, windows, groups, taps, run, x_rows, y_rows,
    pitch,
):  # fmt: skip
    for thread in numba.prange(len(frames)):
        _gather_share(
            np.int64(thread), y, x, clean, corners, w, w_group, w_panel, w_row, bias, frames, results, windows, groups,
            taps, run, x_rows, y_rows, pitch,
        )  # fmt: skip


@subroutine
def _gather_share(
    thread, y, x, clean, corners, w, w_group, w_panel, w_row, bias, frames, results, windows, groups, taps, run, x_rows,
    y_rows, pitch,
):  # fmt: skip
    """One thread's share of the boxes."""
    frame, result = frames[thread], results[thread]
    group_in, group_out, width = x.shape[3] // groups, len(bias) // groups, PANEL_BYTES // x.itemsize
    bias_rows, columns, flat = np.zeros(x_rows.shape[1], np.int64), pitch // x.shape[3], result.reshape(-1)
    for r in range(thread * len(x) // len(frames), (thread + 1) * len(x) // len(frames)):
        top, left, image, _, _, begin, side = corners[r]
        fill_frame(frame, clean, image, begin, side, len(frame) // pitch, columns)
        _lay_over(frame, x, r, top - begin, left - side, columns)
        for group in range(groups):
            for panel in range(-(-group_out // width)):
                at = group * group_out + panel * width
                for k in range(len(x_rows)):
                    tile(
                        flat, at, y_rows[k], bias, at, bias_rows, frame, group * group_in, x_rows[k], taps, run, 1,
                        w, group * w_group + panel * w_panel, w_row, min(width, group_out - panel * width),
                    )  # fmt: skip
        _keep_largest(y, r, flat, result.shape[1], 0, 0, windows)


@kernel
def _lay_over(frame, x, r, down, right, columns):
    """Copy box r of x (R, h, w, C) into a flat frame of so many columns, where it meets it."""
    _, height, width, channels = x.shape
    begin, source = max(0, -right), x.reshape(-1)
    for i in range(max(0, -down), min(height, len(frame) // (columns * channels) - down)):
        start, at = ((r * height + i) * width + begin) * channels, ((i + down) * columns + right + begin) * channels
        length = max(0, min(width, columns - right) - begin) * channels
        copy(frame[at : at + length], source[start : start + length])


@parallel_kernel
def _scatter(y, x, clean, clean_y, corners, w, windows, window, rows, columns, team):
    for thread in numba.prange(team):
        _scatter_share(np.int64(thread), y, x, clean, clean_y, corners, w, windows, window, rows, columns, team)


@subroutine
def _scatter_share(thread, y, x, clean, clean_y, corners, w, windows, window, rows, columns, team):
    """One thread's share of the boxes; around a result lies a margin for what changes add beyond it."""
    kh, kw, row_dilation, column_dilation = window
    above, beside = (kh - 1) * row_dilation, (kw - 1) * column_dilation
    _, height, width, channels = x.shape
    (_, tall, wide, out), source, panel = clean_y.shape, clean_y.reshape(-1), PANEL_BYTES // x.itemsize
    result = np.empty((rows + 2 * above, columns + 2 * beside, out), y.dtype)
    flat, pitch = result.reshape(-1), (columns + 2 * beside) * out
    most = -(-height * width // ROWS) * ROWS
    changes, spots = np.empty((most, channels), x.dtype), np.empty(most, np.int64)
    numbers, places, no_tap = changes.reshape(-1), np.arange(ROWS) * channels, np.zeros(1, np.int64)
    for r in range(thread * len(x) // team, (thread + 1) * len(x) // team):
        top, left, image, y_top, y_left, begin, side = corners[r]
        for i in range(rows):
            at, start = (above + i) * pitch + beside * out, ((image * tall + y_top + i) * wide + y_left) * out
            copy(flat[at : at + columns * out], source[start : start + columns * out])
        count = _changed(numbers, spots, x, r, clean, image, top, left, begin, side, rows + above, columns + beside)
        for k in range(count):
            i, j = spots[k] // width, spots[k] % width
            spots[k] = (top + i - begin + above) * pitch + (left + j - side + beside) * out
        for k in range(count, -(-count // ROWS) * ROWS):
            changes[k], spots[k] = changes[count - 1], spots[count - 1]  # a tile with fewer rows repeats its last one
        for column in range(0, out, panel):
            for tap in range(kh * kw):
                at = column - tap // kw * row_dilation * pitch - tap % kw * column_dilation * out
                for k in range(0, count, ROWS):
                    here = spots[k : k + ROWS]
                    tile(
                        flat, at, here, flat, at, here, numbers, k * channels, places, no_tap, channels, 1,
                        w, tap * channels * out + column, out, min(panel, out - column),
                    )  # fmt: skip
        _keep_largest(y, r, flat, result.shape[1], above, beside, windows)


@kernel
def _changed(changes, spots, x, r, clean, image, top, left, begin, side, rows, columns):
    """Write down the pixels of box r that differ from the clean image and that the result sees: how many."""
    (_, height, width, channels), new, old, count = x.shape, x.reshape(-1), clean.reshape(-1), 0
    for i in range(max(0, begin - top), min(height, begin - top + rows)):
        for j in range(max(0, side - left), min(width, side - left + columns)):
            at, moved = count * channels, x.dtype.type(0)
            in_box = ((r * height + i) * width + j) * channels
            in_image = ((image * clean.shape[1] + top + i) * clean.shape[2] + left + j) * channels
            change, after = changes[at : at + channels], new[in_box : in_box + channels]
            before = old[in_image : in_image + channels]
            for c in range(channels):
                change[c] = after[c] - before[c]
                moved += abs(change[c])
            if moved != 0:
                spots[count] = i * width + j
                count += 1
    return count


@kernel
def _keep_largest(y, r, result, columns, top, left, windows):
    """The largest of each window of a flat result (H, W, O), from a corner on, to y[r]; NaN where one holds a NaN."""
    (_, height, width, channels), (kh, kw, row_step, column_step, relu) = y.shape, windows
    out, least = y.reshape(-1), y.dtype.type(0 if relu else -np.inf)
    for h in range(height):
        for w in range(width):
            to = ((r * height + h) * width + w) * channels
            largest = out[to : to + channels]
            largest[:] = least
            for i in range(top + h * row_step, top + h * row_step + kh):
                for j in range(left + w * column_step, left + w * column_step + kw):
                    at = (i * columns + j) * channels
                    line = result[at : at + channels]
                    for c in range(channels):
                        value, best = line[c], largest[c]
                        largest[c] = value if (value > best) | (value != value) else best
