"""Where a convolution reads and writes: the tables of offsets that the register tile walks (see `micro`).

Every kernel of a convolution looks at images through a *frame*: the rows of one image that it needs just now, copied
to a thread's own scratch, with zeros where the padding lies and nothing where no window looks. Inside a frame, element
(row, column, channel) lies at ``row * pitch + column * channels + channel``, so an output pixel is an offset (the
corner of its window), a tap of the filter is an offset added to it, and strides, dilations and groups are nothing but
other numbers in these two tables.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from minigrad.kernels.geometry import conv_output_size
from minigrad.kernels.micro import ROWS

FRAME_BYTES = 256 * 1024  # a thread's frame and what it is multiplied by should stay in the core's own cache


class Axis(NamedTuple):
    """One axis of a sliding window: output ``first + every * q``, of `size`, reads ``q * step + tap`` for each tap."""

    count: int
    step: int
    taps: tuple
    first: int
    every: int
    size: int

    @property
    def near(self):
        """Where the frame begins, seen from the image: negative inside the padding."""
        return min(self.taps)

    @property
    def reach(self):
        """How many elements one window spans."""
        return max(self.taps) - self.near + 1

    @property
    def span(self):
        """How many elements all windows span."""
        return (self.count - 1) * self.step + self.reach


class Plan(NamedTuple):
    """A convolution as offsets; the tables are int64, in elements."""

    edges: np.ndarray  # (3,): where a frame begins, seen from the image: row, column; and how many rows a window spans
    taps: np.ndarray  # (T,): from a window's corner to each run of `run` neighbouring elements
    run: int
    x_rows: np.ndarray  # (tiles, ROWS): window corners in the frame of a whole image
    y_rows: np.ndarray  # (tiles, ROWS): output pixels in an image of the result
    pitch: int  # elements in a row of the frame


def forward_axis(out, kernel, stride, padding, dilation):
    """Describe the windows of a convolution along one axis."""
    return Axis(out, stride, tuple(i * dilation - padding for i in range(kernel)), 0, 1, out)


@lru_cache(maxsize=1024)
def forward_axes(size, kernel_size, stride, padding, dilation):
    """Describe the windows of a convolution down and across images of this (height, width)."""
    settings = zip(size, kernel_size, stride, padding, dilation)
    return tuple(forward_axis(conv_output_size(n, *given), *given) for n, *given in settings)


def backward_axes(size, kernel, stride, padding, dilation):
    """Describe the windows of its input gradient, one set for each remainder of the input position by the stride.

    Input position ``i`` met tap ``k`` in window ``(i + padding - k * dilation) / stride``, if that is a whole number.
    All positions ``i = phase + q * stride`` met the same taps, in windows ``q + constant``: a convolution of stride 1.
    Gives pairs of an Axis and the taps' places in the filter, in the order in which the windows lie; sets that met no
    tap are left out.
    """
    for phase in range(min(stride, size)):
        met = [k for k in reversed(range(kernel)) if (phase + padding - k * dilation) % stride == 0]
        windows = tuple((phase + padding - k * dilation) // stride for k in met)
        if met:
            yield Axis(len(range(phase, size, stride)), 1, windows, phase, stride, size), met


@lru_cache(maxsize=256)
def make_plan(rows, columns, channels, group_channels, out_channels):
    """Tabulate a convolution with these two axes for frames of `channels` and results of `out_channels` channels."""
    pitch = columns.span * channels
    row_taps = np.array(rows.taps, np.int64) - rows.near
    column_taps = np.array(columns.taps, np.int64) - columns.near
    run = group_channels
    if channels == group_channels and (np.diff(column_taps) == 1).all():
        column_taps, run = column_taps[:1], run * len(column_taps)  # neighbouring taps of all channels are one run
    taps = np.add.outer(row_taps * pitch, column_taps * channels).ravel()
    down, across = np.arange(rows.count) * rows.step, np.arange(columns.count) * columns.step
    corners = np.add.outer(down * pitch, across * channels)
    row, column = (axis.first + axis.every * np.arange(axis.count) for axis in (rows, columns))
    pixels = np.add.outer(row * columns.size, column) * out_channels
    return Plan(frame_edges(rows, columns), taps, run, in_tiles(corners.ravel()), in_tiles(pixels.ravel()), pitch)


def frame_edges(rows, columns):
    """The `edges` of a Plan."""
    return np.array([rows.near, columns.near, rows.reach])


def fits_inside(rows, columns, height, width):
    """Whether no window looks beyond an image of this size, and its rows are those of a frame: it needs none then."""
    return columns.near == 0 and columns.span == width and rows.near >= 0 and rows.near + rows.span <= height


def in_tiles(offsets):
    """Cut a table of row offsets into tiles, (tiles, ROWS); the last tile repeats the last row to be full."""
    tiles = -(-len(offsets) // ROWS)
    return offsets[np.minimum(np.arange(tiles * ROWS), len(offsets) - 1)].reshape(tiles, ROWS)


def split_images(images, parts, rows, pitch_bytes, threads):
    """Count the blocks to cut an image's `parts` into: even work for all threads, and frames that fit a cache."""
    blocks = -(-rows.span * pitch_bytes // FRAME_BYTES)
    if images % threads and images < 8 * threads:
        blocks = -(-blocks // threads) * threads
    return max(1, min(blocks, parts))
