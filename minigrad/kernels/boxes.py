"""Boxes cut from images: what a method needs that changes a part of an image and computes only what that part reaches.

A box has its own image and its own corner, so that any number of them is one array. Moving them is copying of rows,
which a Python loop over boxes spends more time on than on the network; and a fully connected layer that gets a box for
an image reads those columns of its weight alone that belong to it.
"""

import numba
import numpy as np

from minigrad.kernels._jit import kernel, parallel_kernel, threads
from minigrad.kernels.layout import as_nchw, channels_last, copy, empty_channels_last
from minigrad.kernels.micro import PANEL_BYTES, ROWS, tile
from minigrad.kernels.pack import pack
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


def linear_boxes(x, tops, lefts, clean, clean_y, which, weight):
    """Multiply images that are changed inside boxes by the weight of a fully connected layer.

    The layer is linear: its result is the clean one plus what the changes add, which meet only the columns of the
    weight that belong to the box. Boxes with the same corner are sorted, so that they share a register tile.

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
    corners, rows = _same_corner(tops * width + lefts)
    change = np.empty((len(x), size[0], size[1] * channels), x.dtype)
    run(_subtract, _subtract_parallel, x.size, len(x), x, tops, lefts, clean, which, change)
    _multiply(y.reshape(-1), change, width * channels, rows, corners * channels, read_only(clean_y).reshape(-1), which,
              panels.memory, panels.panel, out, threads())  # fmt: skip
    return y


def _same_corner(corner):
    """Tiles of rows that have the same corner: the corners (T,), and the rows (T, ROWS), the last ones repeated."""
    order = np.argsort(corner, kind="stable")
    places, first, count = np.unique(corner[order], return_index=True, return_counts=True)
    tiles = -(-count // ROWS)
    of = np.repeat(np.arange(len(places)), tiles)
    start = (np.arange(len(of)) - (np.cumsum(tiles) - tiles)[of]) * ROWS
    rows = np.minimum(start[:, None] + np.arange(ROWS), count[of][:, None] - 1)
    return places[of], order[first[of][:, None] + rows]


@kernel
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


@kernel
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


@kernel
def _subtract(x, tops, lefts, clean, which, change, first, last):
    (_, rows, columns, channels), (_, height, width, _) = x.shape, clean.shape
    new, old, target, run = x.reshape(-1), clean.reshape(-1), change.reshape(-1), columns * channels
    for r in range(first, last):
        for i in range(rows):
            at, start = (r * rows + i) * run, ((which[r] * height + tops[r] + i) * width + lefts[r]) * channels
            line, after, before = target[at : at + run], new[at : at + run], old[start : start + run]
            for k in range(run):
                line[k] = after[k] - before[k]


@parallel_kernel
def _subtract_parallel(x, tops, lefts, clean, which, change, tasks, parts):
    for t in numba.prange(parts):
        first, last = np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts
        _subtract(x, tops, lefts, clean, which, change, first, last)


@parallel_kernel
def _multiply(y, x, pitch, rows, corners, start, which, w, w_panel, n, team):
    for thread in numba.prange(team):
        _multiply_share(np.int64(thread), y, x, pitch, rows, corners, start, which, w, w_panel, n, team)


@kernel
def _multiply_share(thread, y, x, pitch, rows, corners, start, which, w, w_panel, n, team):
    """One thread's share of the tiles, for every panel of columns, row of the box by row."""
    _, height, run = x.shape
    panel_columns, no_tap, flat = PANEL_BYTES // w.itemsize, np.zeros(1, np.int64), x.reshape(-1)
    first, last = thread * len(rows) // team, (thread + 1) * len(rows) // team
    for panel in range(-(-n // panel_columns)):
        column = panel * panel_columns
        cols = min(panel_columns, n - column)
        for t in range(first, last):
            y_rows, x_rows, w_at = rows[t] * n, rows[t] * height * run, panel * w_panel + corners[t] * panel_columns
            tile(y, column, y_rows, start, column, which[rows[t]] * n, flat, 0, x_rows, no_tap, run, 1, w, w_at,
                 panel_columns, cols)  # fmt: skip
            for i in range(1, height):
                tile(y, column, y_rows, y, column, y_rows, flat, i * run, x_rows, no_tap, run, 1, w,
                     w_at + i * pitch * panel_columns, panel_columns, cols)  # fmt: skip
