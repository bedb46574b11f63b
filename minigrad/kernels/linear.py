"""Matrix products, for fully connected layers: who owns the threads is decided here.

NumPy's product runs on BLAS's own pool of threads, and both that pool and numba's wait for more work by spinning. A
training step goes to and fro between convolutions and products, so the two pools would take the cores from each other.
Products therefore run on the same register tile, in the same threads, as everything else. In milliseconds, for the
large layer of `mnist_cnn` (batch 64, 1568 -> 500, float32, two cores of an AMD Zen 5):

                              forward   input gradient   weight gradient
    this file                    0.28             0.23              0.31
    np.matmul, two threads       0.46             0.44              0.43    on its own
    np.matmul, two threads       0.61             3.96              0.48    right after a convolution
    np.matmul, one thread        0.88             0.87              0.82

The weight stays (out, in)-contiguous, as it is saved. Kept the other way round, the forward product is faster by what
the input gradient loses (0.22, 0.28, 0.32).
"""

import numba
import numpy as np

from minigrad.kernels._jit import parallel_kernel, threads
from minigrad.kernels.matvec import matvec
from minigrad.kernels.micro import PANEL_BYTES, ROWS, tile
from minigrad.kernels.pack import in_place, pack
from minigrad.kernels.prefetch import prefetch_rows
from minigrad.kernels.queue import SERIAL, run_queue, take
from minigrad.kernels.subroutine import subroutine
from minigrad.kernels.weights import read_only

BANDS = 8  # for each thread to take, one by one
BAND_COST = 1 << 18  # multiplications that are worth a band of their own


def matmul(a, b, bias=None):
    """Multiply two matrices, of one float dtype, and add a row to each row of the product.

    The twin of `reference.matmul`. The tile wants the rows of the second matrix contiguous. Where they are not, either
    that matrix is copied, or the transposed product is computed, ``b.T @ a.T``, and turned around tile by tile:
    whatever moves fewer numbers. A single row by the rows of a weight has a kernel of its own (`matvec`).

    Parameters
    ----------
    a, b : ndarray
        ``(M, K)`` and ``(K, N)``, any strides.
    bias : ndarray or None
        ``(N,)``.

    Returns
    -------
    ndarray
        ``(M, N)``, C-contiguous.
    """
    (m, k), n = a.shape, b.shape[1]
    bias = np.zeros(n, a.dtype) if bias is None else np.ascontiguousarray(bias)
    if m == 1 and b.T.flags.c_contiguous:
        return matvec(b.T, np.ascontiguousarray(a[0]), bias)[None]
    y = np.empty((m, n), a.dtype)
    moved_straight = 0 if b.flags.c_contiguous else k * n
    moved_turned = m * n + (0 if a.flags.f_contiguous else m * k)
    if moved_straight <= moved_turned:
        _product(y, a, b, bias, turned=False)
    else:
        _product(y, b.T, a.T, bias, turned=True)
    return y


def _product(y, a, b, bias, *, turned):
    """Write ``a @ b``, or its transpose if `turned`, plus the bias into a C-contiguous y."""
    if not a.flags.f_contiguous:
        a = np.ascontiguousarray(a)
    flat = a.T.reshape(-1) if a.flags.f_contiguous else a.reshape(-1)
    a_row, a_column = a.strides
    (m, k), n = a.shape, b.shape[1]
    if b.flags.f_contiguous and not b.flags.c_contiguous:
        panels = pack(b.T, np.zeros(1, np.int64), k, 1, k, 0, 1, n)
    else:
        panels = in_place(np.ascontiguousarray(b), n, 0)
    operands = (
        y.reshape(-1), read_only(flat), m, k, n, a_row // a.itemsize, a_column // a.itemsize, *panels, read_only(bias),
        turned,
    )  # fmt: skip
    cost = m * k * n + m * k + k * n + m * n  # a number that comes from afar costs as much as a multiplication
    bands = 1 if cost < SERIAL else min(BANDS * threads(), 1 + cost // BAND_COST)
    run_queue(_multiply_bands, _multiply, cost, *operands, bands)


@parallel_kernel
def _multiply(queue, y, a, m, k, n, a_row, a_column, b, b_group, b_panel, b_row, bias, turned, bands, team):
    for _ in numba.prange(team):
        _multiply_bands(queue, y, a, m, k, n, a_row, a_column, b, b_group, b_panel, b_row, bias, turned, bands)


@subroutine
def _multiply_bands(queue, y, a, m, k, n, a_row, a_column, b, b_group, b_panel, b_row, bias, turned, bands):
    """One thread's work: bands of the longer side of the product, as long as there are any."""
    tiles, panels, item = -(-m // ROWS), -(-n // (PANEL_BYTES // b.itemsize)), take(queue)
    count = tiles if m >= n else panels
    band = max(1, count // bands)
    while item * band < count:
        first, last = item * band, min(count, (item + 1) * band)
        rows, columns = ((first, last), (0, panels)) if m >= n else ((0, tiles), (first, last))
        _multiply_band(y, a, m, k, n, a_row, a_column, b, b_panel, b_row, bias, turned, *rows, *columns)
        item = take(queue)


@subroutine
def _multiply_band(
    y, a, m, k, n, a_row, a_column, b, b_panel, b_row, bias, turned, first_tile, last_tile, first_panel, last_panel
):
    """The product for some tiles of rows and panels of columns."""
    width = PANEL_BYTES // b.itemsize
    row, nothing = np.arange(ROWS), np.zeros(ROWS, np.int64)
    all_y_rows, all_a_rows = row * (width if turned else n), row * a_row
    out, taps = np.empty(ROWS * width, b.dtype), np.zeros(1, np.int64)
    for panel in range(first_panel, last_panel):
        column, cols = panel * width, min(width, n - panel * width)
        for at in range(first_tile * ROWS, last_tile * ROWS, ROWS):
            y_rows, a_rows = all_y_rows, all_a_rows
            if at + ROWS > m:  # a tile with fewer rows repeats its last one
                fewer = np.minimum(row, m - 1 - at)
                y_rows, a_rows = fewer * (width if turned else n), fewer * a_row
            if turned:
                for i in range(ROWS):
                    out[i * width : (i + 1) * width] = bias[min(at + i, m - 1)]
                tile(
                    out, 0, y_rows, out, 0, y_rows, a, at * a_row, a_rows, taps, k, a_column,
                    b, panel * b_panel, b_row, cols,
                )  # fmt: skip
                for j in range(cols):
                    for i in range(min(ROWS, m - at)):
                        y[(column + j) * m + at + i] = out[i * width + j]
            else:
                prefetch_rows(y, at * n + column, y_rows, cols, k)
                tile(
                    y, at * n + column, y_rows, bias, column, nothing, a, at * a_row, a_rows, taps, k,
                    a_column, b, panel * b_panel, b_row, cols,
                )  # fmt: skip
