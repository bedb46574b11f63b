"""Boxes cut from images: what a method needs that changes a part of an image and computes only what that part reaches.

A box has its own image and its own corner, so that any number of them is one array. Moving them is copying of rows,
which a Python loop over boxes spends more time on than on the network; and a fully connected layer that gets a box for
an image reads those columns of its weight alone that belong to it.
"""

import numba
import numpy as np

from minigrad.kernels._jit import parallel_kernel, threads
from minigrad.kernels.layout import as_nchw, channels_last, copy, empty_channels_last
from minigrad.kernels.micro import PANEL_BYTES, ROWS, tile
from minigrad.kernels.pack import pack
from minigrad.kernels.subroutine import subroutine
from minigrad.kernels.weights import read_only
from minigrad.kernels.windows import run


def cut_boxes(x, which, tops, lefts, size, fill):
    """Copy boxes out of images.

    Parameters
    ----------
    x : ndarray
        ``(N, C, H, W)``, any strides.
    which, tops, lefts : ndarray of int64
        ``(R,)``: of each box its image, and the row and column of its corner. A box may stick out of its image.
    size : (int, int)
        ``(height, width)`` of all boxes.
    fill : float
        What lies outside of images.

    Returns
    -------
    ndarray
        ``(R, C, height, width)``, channels-last.
    """
    source, y = channels_last(x), empty_channels_last((len(which), x.shape[1], *size), x.dtype)
    operands = source, which, tops, lefts, y.dtype.type(fill), y
    run(_cut, _cut_parallel, y.size, len(y), *operands)
    return as_nchw(y)


def paste_boxes(x, tops, lefts, y, y_tops, y_lefts):
    """Copy boxes over other boxes, where both cover the same pixels of their image.

    Parameters
    ----------
    x : ndarray
        ``(R, C, h, w)``, any strides: what is copied.
    tops, lefts : ndarray of int64
        ``(R,)``: the corners of x's boxes.
    y : ndarray
        ``(R, C, H, W)``, channels-last: what is written to.
    y_tops, y_lefts : ndarray of int64
        ``(R,)``: the corners of y's boxes.
    """
    source, target = channels_last(x), y.transpose(0, 2, 3, 1)
    run(_paste, _paste_parallel, x.size, len(target), source, tops - y_tops, lefts - y_lefts, target)


def changed_boxes(x, y, marks, tops, lefts):
    """Find where two arrays of images differ, inside of boxes of which a part is marked.

    Parameters
    ----------
    x, y : ndarray
        ``(N, C, H, W)``, any strides.
    marks : ndarray of bool
        ``(W, C, h, w)``: what counts in each of the boxes.
    tops, lefts : ndarray of int64
        ``(W,)``: the corners of the boxes, which lie within the images.

    Returns
    -------
    ndarray of int64
        ``(4, W, N)``, for each box and image the rows and columns that hold all differences: the first row, the row
        after the last, the first column and the one after the last; 0 where nothing differs.
    """
    differ, found = np.ascontiguousarray(x != y), np.zeros((4, len(marks), len(x)), np.int64)
    operands = differ, np.ascontiguousarray(marks), tops, lefts, found
    run(_enclose, _enclose_parallel, marks.size * len(x), len(marks), *operands)
    return found


def linear_boxes(x, tops, lefts, clean, clean_y, which, weight):
    """Multiply images that are changed inside boxes by the weight of a fully connected layer.

    The layer is linear: its result is the clean one plus what the changes add, which meet only the columns of the
    weight that belong to the box, and only to the part of it that holds changes. Parts with the same corner and about
    the same size share a register tile.

    Parameters
    ----------
    x : ndarray
        ``(R, C, h, w)``, any strides: what the images hold inside of the boxes.
    tops, lefts : ndarray of int64
        ``(R,)``: the corners of the boxes, which lie within the images.
    clean, clean_y : ndarray
        ``(N, C, H, W)``, any strides: the images without the changes; and ``(N, O)``, what the layer makes of them.
    which : ndarray of int64
        ``(R,)``: the image of each box.
    weight : ndarray
        ``(O, C * H * W)``.

    Returns
    -------
    ndarray
        ``(R, O)``.
    """
    (_, channels, height, width), (_, _, *size), out = clean.shape, x.shape, len(weight)
    x, clean, y = channels_last(x), channels_last(clean), np.empty((len(x), out), x.dtype)
    pixels = np.arange(height * width)
    panels = pack(np.ascontiguousarray(weight), pixels, channels, len(pixels), weight[0].size, 0, 1, out)
    change, ends = np.empty((len(x), size[0], size[1] * channels), x.dtype), np.empty((4, len(x)), np.int64)
    run(_subtract, _subtract_parallel, x.size, len(x), x, tops, lefts, clean, which, change, ends)
    top, bottom, left, right = ends
    corners = np.ravel_multi_index([tops, lefts, top, left], [height, width, *size])
    rows, extents = _same_corner(corners, np.stack([bottom - top, (right - left) * channels]))
    starts = (np.arange(len(x)) * size[0] + top) * change.shape[2] + left * channels
    columns = ((tops + top) * width + lefts + left)[rows[:, 0]] * channels
    _multiply(y.reshape(-1), change, starts, width * channels, rows, columns, extents, read_only(clean_y).reshape(-1),
              which, panels.memory, panels.panel, panels.row, out, threads())  # fmt: skip
    return y


def _same_corner(corners, extents):
    """Tiles of boxes (R,) that have the same corner, and about the same extents (2, R).

    Returns their members (T, ROWS), the last ones repeated, and the extents (2, T) that hold those of all members.
    """
    rows, columns = extents
    order = np.argsort((corners * (rows.max(initial=0) + 1) + rows) * (columns.max(initial=0) + 1) + columns)
    _, first, count = np.unique(corners[order], return_index=True, return_counts=True)
    tiles = -(-count // ROWS)
    of = np.repeat(np.arange(len(count)), tiles)
    start = (np.arange(len(of)) - (np.cumsum(tiles) - tiles)[of]) * ROWS
    members = order[first[of][:, None] + np.minimum(start[:, None] + np.arange(ROWS), count[of][:, None] - 1)]
    return members, extents[:, members].max(2)


@subroutine
def _cut(x, which, tops, lefts, fill, y, first, last):
    (_, height, width, channels), (_, rows, columns, _), source, target = x.shape, y.shape, x.reshape(-1), y.reshape(-1)
    for r in range(first, last):
        begin = min(max(0, -lefts[r]), columns)
        end = max(begin, min(columns, width - lefts[r]))
        for i in range(rows):
            at, row = (r * rows + i) * columns * channels, tops[r] + i
            if begin == end or row < 0 or row >= height:
                target[at : at + columns * channels] = fill
                continue
            target[at : at + begin * channels] = fill
            target[at + end * channels : at + columns * channels] = fill
            start = ((which[r] * height + row) * width + lefts[r]) * channels
            copy(target[at + begin * channels : at + end * channels],
                 source[start + begin * channels : start + end * channels])  # fmt: skip


@parallel_kernel
def _cut_parallel(x, which, tops, lefts, fill, y, tasks, parts):
    for t in numba.prange(parts):
        first, last = np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts
        _cut(x, which, tops, lefts, fill, y, first, last)


@subroutine
def _paste(x, down, right, y, first, last):
    (_, rows, columns, channels), (_, height, width, _), source, target = x.shape, y.shape, x.reshape(-1), y.reshape(-1)
    for r in range(first, last):
        begin = max(0, -right[r])
        end = max(begin, min(columns, width - right[r]))
        for i in range(max(0, -down[r]), min(rows, height - down[r])):
            start = (r * rows + i) * columns * channels
            at = ((r * height + i + down[r]) * width + right[r]) * channels
            copy(target[at + begin * channels : at + end * channels],
                 source[start + begin * channels : start + end * channels])  # fmt: skip


@parallel_kernel
def _paste_parallel(x, down, right, y, tasks, parts):
    for t in numba.prange(parts):
        _paste(x, down, right, y, np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts)


@subroutine
def _enclose(differ, marks, tops, lefts, found, first, last):
    _, channels, height, width = marks.shape
    for box in range(first, last):
        for image in range(len(differ)):
            top, bottom, left, right = height, 0, width, 0
            for c in range(channels):
                for i in range(height):
                    line = differ[image, c, tops[box] + i, lefts[box] : lefts[box] + width]
                    for j in range(width):
                        if line[j] and marks[box, c, i, j]:
                            top, bottom = min(top, i), max(bottom, i + 1)
                            left, right = min(left, j), max(right, j + 1)
            if bottom > 0:
                found[0, box, image], found[1, box, image] = tops[box] + top, tops[box] + bottom
                found[2, box, image], found[3, box, image] = lefts[box] + left, lefts[box] + right


@parallel_kernel
def _enclose_parallel(differ, marks, tops, lefts, found, tasks, parts):
    for t in numba.prange(parts):
        first, last = np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts
        _enclose(differ, marks, tops, lefts, found, first, last)


@subroutine
def _subtract(x, tops, lefts, clean, which, change, ends, first, last):
    """The changes of some boxes, and the rows and columns (4, R) that hold those that are not zero, at least one."""
    (_, rows, columns, channels), (_, height, width, _) = x.shape, clean.shape
    new, old, target = x.reshape(-1), clean.reshape(-1), change.reshape(-1)
    for r in range(first, last):
        top, bottom, left, right = rows - 1, 1, columns - 1, 1
        for i in range(rows):
            for j in range(columns):
                at = ((r * rows + i) * columns + j) * channels
                start = ((which[r] * height + tops[r] + i) * width + lefts[r] + j) * channels
                pixel, after = target[at : at + channels], new[at : at + channels]
                before = old[start : start + channels]
                moved = x.dtype.type(0)
                for c in range(channels):
                    pixel[c] = after[c] - before[c]
                    moved += abs(pixel[c])
                if moved != 0:
                    top, bottom, left, right = min(top, i), max(bottom, i + 1), min(left, j), max(right, j + 1)
        ends[0, r], ends[1, r], ends[2, r], ends[3, r] = top, max(bottom, top + 1), left, max(right, left + 1)


@parallel_kernel
def _subtract_parallel(x, tops, lefts, clean, which, change, ends, tasks, parts):
    for t in numba.prange(parts):
        first, last = np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts
        _subtract(x, tops, lefts, clean, which, change, ends, first, last)


@parallel_kernel
def _multiply(y, x, starts, pitch, rows, corners, extents, clean_y, which, w, w_panel, w_row, n, team):
    for thread in numba.prange(team):
        _multiply_share(
            np.int64(thread), y, x, starts, pitch, rows, corners, extents, clean_y, which, w, w_panel, w_row, n, team
        )


@subroutine
def _multiply_share(thread, y, x, starts, pitch, rows, corners, extents, clean_y, which, w, w_panel, w_row, n, team):
    """One thread's share of the tiles, for every panel of columns, row of the box by row."""
    panel_columns, no_tap, flat = PANEL_BYTES // w.itemsize, np.zeros(1, np.int64), x.reshape(-1)
    first, last = thread * len(rows) // team, (thread + 1) * len(rows) // team
    for panel in range(-(-n // panel_columns)):
        column = panel * panel_columns
        cols = min(panel_columns, n - column)
        for t in range(first, last):
            height, run = extents[:, t]
            y_rows, x_rows, w_at = rows[t] * n, starts[rows[t]], panel * w_panel + corners[t] * w_row
            tile(y, column, y_rows, clean_y, column, which[rows[t]] * n, flat, 0, x_rows, no_tap, run, 1, w, w_at,
                 w_row, cols)  # fmt: skip
            for i in range(1, height):
                tile(y, column, y_rows, y, column, y_rows, flat, i * x.shape[2], x_rows, no_tap, run, 1, w,
                     w_at + i * pitch * w_row, w_row, cols)  # fmt: skip
