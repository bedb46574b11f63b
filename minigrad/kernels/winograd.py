"""Convolution with 3 x 3 filters for fewer multiplications: Winograd's algorithm F(2 x 2, 3 x 3).

Two neighbouring outputs of a filter (g0, g1, g2) over inputs (d0, d1, d2, d3) are six products,

    y0 = d0 g0 + d1 g1 + d2 g2          y1 = d1 g0 + d2 g1 + d3 g2

but four will do:

    m1 = (d0 - d2) g0     m2 = (d1 + d2) (g0 + g1 + g2) / 2     y0 = m1 + m2 + m3
    m4 = (d1 - d3) g2     m3 = (d2 - d1) (g0 - g1 + g2) / 2     y1 = m2 - m3 - m4

In matrices, y = A^T [(G g) * (B^T d)]; and in two dimensions, along rows and then along columns, 2 x 2 outputs from
4 x 4 inputs: y = A^T [(G g G^T) * (B^T d B)] A, with 16 products in place of 36. The sums over channels are taken
between the brackets, so that the products become 16 matrix products, (tiles of the image x channels) by (channels x
filters), for the register tile (see `micro`):

    image ─ B^T d B ─> V (16, tiles, C)  ─┐
    filters ─ G g G^T ─> U (16, C, O)    ─┴─ V_k @ U_k ─> M (16, tiles, O) ─ A^T m A ─> image

V and M of one block of an image stay in a core's cache. The weight gradient is the same chain the other way round:
U's gradient is V_k^T @ (A y A^T)_k, summed over all tiles.

Rounding does not suffer: the largest error of a 32-channel layer of 14 x 14 pixels in float32 is 2.5e-7 of its largest
number, 7.5e-7 if the 288 products are added one after the other. But up to four pixels are added before they are
multiplied, so that images beyond a quarter of float32's range, 8e37, overflow; and where the direct sum is infinite
this one may be NaN (infinity minus infinity). Float64, which is for checks, keeps to `conv`. Source: A. Lavin and S.
Gray, "Fast algorithms for convolutional neural networks", CVPR 2016.
"""

from functools import lru_cache

import numba
import numpy as np

from minigrad.kernels._jit import kernel, parallel_kernel, threads
from minigrad.kernels.frame import fill_frame
from minigrad.kernels.micro import PANEL_BYTES, ROWS, tile
from minigrad.kernels.plan import in_tiles
from minigrad.kernels.queue import run_queue, take
from minigrad.kernels.stretch import shrink, stretch
from minigrad.kernels.subroutine import subroutine
from minigrad.kernels.transform import LANES, make_transform
from minigrad.kernels.weights import read_only

PLANES = 16
BLOCK_BYTES = 512 * 1024  # of V and M: they should stay in the core's own cache
LEAST = 32  # channels and filters; with fewer, the sums of a register tile are too short to be worth their beginnings
FILTER_BYTES = 4 * 1024 * 1024  # of U, which is read for every block; the direct sum reads its filters 2.2 times less

to_inputs = make_transform([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])  # B^T
to_outputs = make_transform([[1, 1, 1, 0], [0, 1, -1, -1]])  # A^T
from_outputs = make_transform([[1, 0], [1, 1], [1, -1], [0, -1]])  # A


@lru_cache(maxsize=1024)
def pays(weight_shape, dtype, stride, dilation, groups):
    """Whether a convolution is one that this file knows and speeds up.

    That is 3 x 3 filters without gaps, in float32, of whole vectors of channels and filters, neither few nor too many.
    The images are not asked: what one of them gives must not depend on how many there are. In milliseconds, for images
    of so many pixels and channels, on two cores of an AMD Zen 5:

        images, channels to filters         direct   Winograd
        64 x 14 x 14, 32 to 32                0.53       0.40
        1 x 56 x 56, 64 to 64                 0.49       0.31
        16 x 14 x 14, 128 to 128              2.03       1.23
        1 x 112 x 112, 128 to 128             7.67       4.82
        1 x 56 x 56, 256 to 256               7.90       4.75
        1 x 14 x 14, 64 to 64                0.045      0.054
    """
    out_channels, channels, *kernel_size = weight_shape
    known = kernel_size == [3, 3] and stride == dilation == (1, 1) and groups == 1 and dtype == np.float32
    whole = channels % LANES == out_channels % LANES == 0 and min(channels, out_channels) >= LEAST
    return known and whole and PLANES * channels * out_channels * 4 <= FILTER_BYTES


def convolve(x, w, bias, padding, turned_around=False):
    """Correlate images with 3 x 3 filters.

    Parameters
    ----------
    x : ndarray
        ``(N, H, W, C)``, contiguous and read-only.
    w : ndarray
        ``(3, 3, C, O)``.
    bias : ndarray or None
        ``(O,)``.
    padding : tuple of (int, int)
    turned_around : bool
        Take the filters (3, 3, O, C) turned around instead, for the way back.

    Returns
    -------
    ndarray
        ``(N, H + 2 * padding - 2, W + 2 * padding - 2, O)``.
    """
    images, height, width, _ = x.shape
    out_channels = w.shape[2 if turned_around else 3]
    y = np.empty((images, height + 2 * padding[0] - 2, width + 2 * padding[1] - 2, out_channels), x.dtype)
    multiplications, *work = divide(y.shape, x.shape[3], threads())
    filters = transformed(w, bias, turned_around)
    run_queue(_convolve_blocks, _convolve, multiplications, y, x, *filters, *work, padding)
    return y


def transformed(w, bias, turned_around=False):
    """Filters w (3, 3, C, O) as the tile wants them, U (16 * C * O,), and what its sums start from, (16 * O,).

    Or, `turned_around`, those of the filters for the way back, which have C and O exchanged.
    """
    planes = np.zeros((PLANES, w.shape[2 if turned_around else 3]), w.dtype)
    planes[5] = 0 if bias is None else bias  # this product goes into all four outputs as it is
    return read_only(stretch(w, turned_around)), read_only(planes.reshape(-1))


def weight_grad(x, g, padding):
    """Give the gradient with respect to the filters, ``(3, 3, C, O)``, for x (N, H, W, C) and g (N, OH, OW, O)."""
    channels, filters = x.shape[3], g.shape[3]
    du = np.zeros((threads(), PLANES * channels * filters), x.dtype)
    _correlate(x, g, du, *filter_rows(channels, filters), cut(g.shape, channels, len(du)), padding)
    return shrink(du.sum(0), channels, filters)


@lru_cache(maxsize=256)
def divide(out_shape, channels, team):
    """How many multiplications it takes, but for the transforms; where the rows of V and of M lie for the largest block
    of an image, in register tiles; and how many blocks there are."""
    images, height, width, filters = out_shape
    across, blocks = -(-width // 2), cut(out_shape, channels, team)
    tiles = largest_block(height, blocks) * across
    multiplications = images * -(-height // 2) * across * PLANES * channels * filters
    return multiplications, _rows(tiles, channels), _rows(tiles, filters), blocks


def cut(out_shape, channels, team):
    """Into how many blocks of rows of tiles to cut an image of the result."""
    images, height, width, filters = out_shape
    down, across = -(-height // 2), -(-width // 2)
    blocks = -(-down * across * (channels + filters) * PLANES * 4 // BLOCK_BYTES)
    if images % team and images < 8 * team:
        blocks = -(-blocks // team) * team
    return min(blocks, down)


def filter_rows(channels, filters):
    """Where the rows of V^T and of U's gradient lie, in register tiles."""
    return _rows(channels, 1), _rows(channels, filters)


@lru_cache(maxsize=256)
def _rows(count, distance):
    return in_tiles(np.arange(count) * distance)


@parallel_kernel
def _convolve(queue, y, x, u, bias, v_rows, m_rows, blocks, padding, team):
    for _ in numba.prange(team):
        _convolve_blocks(queue, y, x, u, bias, v_rows, m_rows, blocks, padding)


@subroutine
def _convolve_blocks(queue, y, x, u, bias, v_rows, m_rows, blocks, padding):
    """One thread's work: blocks of rows of tiles, as long as there are any."""
    frame, v, m = memory(y.shape, x.shape[3], blocks, x.dtype)
    across, item = -(-y.shape[2] // 2), take(queue)
    while item < len(y) * blocks:
        image, first, last = place(item, blocks, y.shape[1])
        top, left = 2 * first - padding[0], -padding[1]
        fill_frame(frame, x, image, top, left, 2 * (last - first) + 2, 2 * across + 2)
        convolve_block(y[image, 2 * first : 2 * last], frame, x.shape[3], u, bias, v, m, v_rows, m_rows)
        item = take(queue)


@kernel
def largest_block(height, blocks):
    """The most rows of tiles that a block has."""
    down = -(-height // 2)
    return -(-down // blocks)


@kernel
def memory(out_shape, channels, blocks, dtype):
    """A thread's frame, V and M, for the largest block of images of the result (N, OH, OW, O)."""
    _, height, width, filters = out_shape
    down, across = largest_block(height, blocks), -(-width // 2)
    tiles, pixels = down * across, (2 * down + 2) * (2 * across + 2)
    return (
        np.empty(pixels * max(channels, filters), dtype), np.empty(PLANES * tiles * channels, dtype),
        np.empty((PLANES * tiles + 4) * filters, dtype),
    )  # fmt: skip


@kernel
def share(thread, team, items):
    """The run of items that is a thread's."""
    return thread * items // team, (thread + 1) * items // team


@kernel
def place(item, blocks, height):
    """The image that a block belongs to, and its rows of tiles, of two pixels each: (image, first, last)."""
    down, image, block = -(-height // 2), item // blocks, item % blocks
    return image, block * down // blocks, (block + 1) * down // blocks


@subroutine
def convolve_block(y, frame, channels, u, bias, v, m, v_rows, m_rows):
    """Write a few rows y (rows, OW, O), whose tiles look at a frame of two more rows and columns than they have."""
    height, width, filters = y.shape
    down, across, panel = -(-height // 2), -(-width // 2), PANEL_BYTES // 4
    y_flat, no_rows, no_taps = y.reshape(-1), np.zeros(ROWS, np.int64), np.zeros(1, np.int64)
    corner = len(m) - 4 * filters
    plane = corner // filters // PLANES
    take_inputs(v, plane, frame, channels, down, across)
    for k in range(PLANES):
        for column in range(0, filters, panel):
            for t in range(-(-down * across // ROWS)):
                tile(
                    m, k * plane * filters + column, m_rows[t], bias, k * filters + column, no_rows,
                    v, k * plane * channels, v_rows[t], no_taps, channels, 1,
                    u, k * channels * filters + column, filters, min(panel, filters - column),
                )  # fmt: skip
    for row in range(down):
        for column in range(across):
            at, step = (2 * row * width + 2 * column) * filters, plane * filters
            source = (row * across + column) * filters
            if 2 * row + 2 <= height and 2 * column + 2 <= width:
                to_outputs(y_flat, at, width * filters, filters, m, source, 4 * step, step, filters)
            else:  # the tile hangs over the edge
                to_outputs(m, corner, 2 * filters, filters, m, source, 4 * step, step, filters)
                for i in range(min(2, height - 2 * row)):
                    for j in range(min(2, width - 2 * column)):
                        for c in range(filters):
                            y_flat[at + (i * width + j) * filters + c] = m[corner + (2 * i + j) * filters + c]


@kernel
def take_inputs(v, plane, frame, channels, down, across):
    """Write V of down x across tiles: B^T d B for each 4 x 4 pixels d of a frame, which overlap by two."""
    columns = 2 * across + 2
    for row in range(down):
        for column in range(across):
            to_inputs(
                v, (row * across + column) * channels, 4 * plane * channels, plane * channels,
                frame, (2 * row * columns + 2 * column) * channels, columns * channels, channels, channels,
            )  # fmt: skip


@parallel_kernel
def _correlate(x, g, du, v_rows, u_rows, blocks, padding):
    for t in numba.prange(len(du)):
        _correlate_blocks(np.int64(t), x, g, du, v_rows, u_rows, blocks, padding)


@subroutine
def _correlate_blocks(thread, x, g, du, v_rows, u_rows, blocks, padding):
    """One thread's share of the blocks."""
    frame, v, h = memory(g.shape, x.shape[3], blocks, x.dtype)
    across = -(-g.shape[2] // 2)
    for item in range(*share(thread, len(du), len(g) * blocks)):
        image, first, last = place(item, blocks, g.shape[1])
        top, down = 2 * first, last - first
        fill_frame(frame, x, image, top - padding[0], -padding[1], 2 * down + 2, 2 * across + 2)
        take_inputs(v, v.size // x.shape[3] // PLANES, frame, x.shape[3], down, across)
        fill_frame(frame, g, image, top, 0, 2 * down, 2 * across)
        correlate_block(du[thread], frame, down, across, v, h, x.shape[3], g.shape[3], v_rows, u_rows)


@subroutine
def correlate_block(du, frame, down, across, v, h, channels, filters, v_rows, u_rows):
    """Add V^T (A g A^T) for down x across tiles to U's gradient; `frame` holds g (2 * down, 2 * across, O)."""
    plane, no_taps, panel = v.size // channels // PLANES, np.zeros(1, np.int64), PANEL_BYTES // 4
    for row in range(down):
        for column in range(across):
            from_outputs(
                h, (row * across + column) * filters, 4 * plane * filters, plane * filters,
                frame, (4 * row * across + 2 * column) * filters, 2 * across * filters, filters, filters,
            )  # fmt: skip
    for k in range(PLANES):
        for column in range(0, filters, panel):
            at = k * channels * filters + column
            for t in range(len(v_rows)):
                tile(
                    du, at, u_rows[t], du, at, u_rows[t], v, k * plane * channels, v_rows[t], no_taps, down * across,
                    channels, h, k * plane * filters + column, filters, min(panel, filters - column),
                )  # fmt: skip
