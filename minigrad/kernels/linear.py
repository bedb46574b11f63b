"""Matrix products, for fully connected layers."""

import numba
import numpy as np

from minigrad.kernels._jit import kernel, parallel_kernel, threads
from minigrad.kernels.micro import PANEL_BYTES, ROWS, tile
from minigrad.kernels.pack import in_place, pack
from minigrad.kernels.weights import read_only


def matmul(a, b):
    """Multiply two matrices, (M, K) and (K, N), of one float dtype, any strides: (M, N), C-contiguous.

    The twin of `reference.matmul`.
    """
    (m, k), n = a.shape, b.shape[1]
    y = np.empty((m, n), a.dtype)
    straight = 0 if b.flags.c_contiguous else k * n
    turned = m * n + (0 if a.flags.f_contiguous else m * k)
    if straight <= turned:
        _product(y, a, b, turned=False)
    else:
        _product(y, b.T, a.T, turned=True)
    return y


def _product(y, a, b, *, turned):
    """Write ``a @ b``, or its transpose if `turned`, into a C-contiguous y."""
    if not a.flags.f_contiguous:
        a = np.ascontiguousarray(a)
    flat = a.T.reshape(-1) if a.flags.f_contiguous else a.reshape(-1)
    strides = [stride // a.itemsize for stride in a.strides]
    if b.flags.c_contiguous:
        panels = in_place(b, b.shape[1], 0)
    else:
        b = b if b.flags.f_contiguous else np.asfortranarray(b)
        panels = pack(b.T, np.zeros(1, np.int64), b.shape[0], 1, b.shape[0], 0, 1, b.shape[1])
    zeros = np.zeros(b.shape[1], b.dtype)
    _multiply(y.reshape(-1), read_only(flat), *a.shape, *strides, *panels, read_only(zeros), turned, threads())


@parallel_kernel
def _multiply(y, a, m, k, a_row, a_column, b, b_group, b_panel, b_row, zeros, turned, team):
    for thread in numba.prange(team):
        _multiply_share(np.int64(thread), y, a, m, k, a_row, a_column, b, b_panel, b_row, zeros, turned, team)


@kernel
def _multiply_share(thread, y, a, m, k, a_row, a_column, b, b_panel, b_row, zeros, turned, team):
    """One thread's share: a band of the longer side of the product, in panels of columns, in tiles of rows."""
    n, width = len(zeros), PANEL_BYTES // b.itemsize
    row, nothing = np.arange(ROWS), np.zeros(ROWS, np.int64)
    tiles, panels = -(-m // ROWS), -(-n // width)
    first_tile, last_tile, first_panel, last_panel = 0, tiles, 0, panels
    if m >= n:
        first_tile, last_tile = thread * tiles // team, (thread + 1) * tiles // team
    else:
        first_panel, last_panel = thread * panels // team, (thread + 1) * panels // team
    out = np.empty(ROWS * width, b.dtype)
    for panel in range(first_panel, last_panel):
        column, cols = panel * width, min(width, n - panel * width)
        for at in range(first_tile * ROWS, last_tile * ROWS, ROWS):
            rows = np.minimum(row, m - 1 - at)
            if turned:
                tile(
                    out, 0, rows * width, zeros, column, nothing, a, at * a_row, rows * a_row, nothing[:1], k, a_column,
                    b, panel * b_panel, b_row, cols,
                )  # fmt: skip
                for j in range(cols):
                    for i in range(min(ROWS, m - at)):
                        y[(column + j) * m + at + i] = out[i * width + j]
            else:
                tile(
                    y, at * n + column, rows * n, zeros, column, nothing, a, at * a_row, rows * a_row, nothing[:1], k,
                    a_column, b, panel * b_panel, b_row, cols,
                )  # fmt: skip
