"""Boxes cut from images: what a method needs that changes a part of an image and computes only what that part reaches.

A box has its own image and its own corner, so that any number of them is one array. Moving them is copying of rows,
which a Python loop over boxes spends more time on than on the network; and a fully connected layer that gets a box for
an image reads those columns of its weight alone that belong to it.
"""

import numba
import numpy as np

from minigrad.kernels._jit import kernel, parallel_kernel, threads
from minigrad.kernels.layout import as_nchw, channels_last, empty_channels_last
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


def linear_boxes(x, tops, lefts, weight):
    """Multiply images that are zero outside of a box by the weight of a fully connected layer.

    Images with the same corner meet the same rows of the weight: they are sorted, so that they share a register tile.

    Parameters
    ----------
    x : ndarray
        ``(R, C, h, w)``, any strides: what is inside the boxes.
    tops, lefts : ndarray of int64
        ``(R,)``: their corners; the boxes lie within the images.
    weight : ndarray
        ``(O, C, H, W)``, the layer's weight (O, C * H * W) by image axes.

    Returns
    -------
    ndarray
        ``(R, O)``.
    """
    out, channels, height, width = weight.shape
    x, pixels = channels_last(x), np.arange(height * width)
    panels = pack(np.ascontiguousarray(weight), pixels, channels, height * width, weight[0].size, 0, 1, out)
    corners, rows = _same_corner(tops * width + lefts)
    y, zeros = np.empty((len(x), out), x.dtype), np.zeros(out, x.dtype)
    _multiply(y.reshape(-1), x.reshape(-1), x.shape[1], x.shape[2] * channels, width * channels, rows, corners * channels,
              read_only(panels.memory), panels.panel, read_only(zeros), threads())  # fmt: skip
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
    height, width, channels = x.shape[1:]
    for r in range(first, last):
        image, box, top, left = x[which[r]], y[r], tops[r], lefts[r]
        begin = min(max(0, -left), box.shape[1]) * channels
        end = max(begin, min(box.shape[1], width - left) * channels)
        for i in range(len(box)):
            line, inside = box[i].reshape(-1), 0 <= top + i < height
            start, stop = (begin, end) if inside else (len(line), len(line))
            line[:start] = fill
            line[stop:] = fill
            if start < stop:
                source = image[top + i].reshape(-1)
                for k in range(start, stop):
                    line[k] = source[k + left * channels]


@parallel_kernel
def _cut_parallel(x, which, tops, lefts, fill, y, tasks, parts):
    for t in numba.prange(parts):
        first, last = np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts
        _cut(x, which, tops, lefts, fill, y, first, last)


@kernel
def _paste(x, down, right, y, first, last):
    channels = x.shape[3]
    for r in range(first, last):
        begin, end = max(0, -right[r]), min(x.shape[2], y.shape[2] - right[r])
        for i in range(max(0, -down[r]), min(x.shape[1], y.shape[1] - down[r])):
            source, target, shift = x[r, i].reshape(-1), y[r, i + down[r]].reshape(-1), right[r] * channels
            for k in range(begin * channels, end * channels):
                target[k + shift] = source[k]


@parallel_kernel
def _paste_parallel(x, down, right, y, tasks, parts):
    for t in numba.prange(parts):
        _paste(x, down, right, y, np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts)


@parallel_kernel
def _multiply(y, x, height, run, pitch, rows, corners, w, w_panel, zeros, team):
    for thread in numba.prange(team):
        _multiply_share(np.int64(thread), y, x, height, run, pitch, rows, corners, w, w_panel, zeros, team)


@kernel
def _multiply_share(thread, y, x, height, run, pitch, rows, corners, w, w_panel, zeros, team):
    """One thread's share of the tiles, for every panel of columns, row of the box by row."""
    n, panel_columns, nothing = len(zeros), PANEL_BYTES // w.itemsize, np.zeros(ROWS, np.int64)
    first, last = thread * len(rows) // team, (thread + 1) * len(rows) // team
    for panel in range(-(-n // panel_columns)):
        column = panel * panel_columns
        cols = min(panel_columns, n - column)
        for t in range(first, last):
            y_rows, x_rows, w_at = rows[t] * n, rows[t] * height * run, panel * w_panel + corners[t] * panel_columns
            tile(y, column, y_rows, zeros, column, nothing, x, 0, x_rows, nothing[:1], run, 1, w, w_at,
                 panel_columns, cols)  # fmt: skip
            for i in range(1, height):
                tile(y, column, y_rows, y, column, y_rows, x, i * run, x_rows, nothing[:1], run, 1, w,
                     w_at + i * pitch * panel_columns, panel_columns, cols)  # fmt: skip
