"""Matrix products, for fully connected layers and 1 x 1 convolutions."""

import numba
import numpy as np

from minigrad.kernels._jit import kernel, parallel_kernel, threads
from minigrad.kernels.micro import PANEL_BYTES, ROWS, tile
from minigrad.kernels.weights import read_only


def matmul(a, b):
    """Multiply two matrices, (M, K) and (K, N), of one float dtype, any strides: (M, N), C-contiguous.

    The twin of `reference.matmul`.
    """
    (m, k), n = a.shape, b.shape[1]
    y = np.empty((m, n), a.dtype)
    copied_straight = 0 if b.flags.c_contiguous else k * n
    copied_turned = m * n + (0 if a.flags.f_contiguous else m * k)
    if copied_straight <= copied_turned:
        product(y, a, b, np.zeros(n, a.dtype), turned=False)
    else:
        product(y, b.T, a.T, np.zeros(m, a.dtype), turned=True)
    return y


def product(y, a, b, bias, *, turned):
    """Write ``bias + a @ b`` into a C-contiguous y, or its transpose if `turned`."""
    a = a if a.flags.f_contiguous else np.ascontiguousarray(a)
    strides = tuple(stride // a.itemsize for stride in a.strides)
    flat = a.T.reshape(-1) if a.flags.f_contiguous else a.reshape(-1)
    b = np.ascontiguousarray(b)
    _multiply(y.reshape(-1), read_only(flat), *a.shape, *strides, read_only(b), read_only(bias), turned, threads())


@parallel_kernel
def _multiply(y, a, m, k, a_row, a_column, b, bias, turned, team):
    for thread in numba.prange(team):
        _multiply_share(np.int64(thread), y, a, m, k, a_row, a_column, b, bias, turned, team)


@kernel
def _multiply_share(thread, y, a, m, k, a_row, a_column, b, bias, turned, team):
    """One thread's share: a band of the longer side of the product, in panels of columns, in tiles of rows."""
    n, panel = b.shape[1], PANEL_BYTES // b.itemsize
    b_flat, row = b.reshape(-1), np.arange(ROWS)
    tiles, panels, start = -(-m // ROWS), -(-n // panel), np.zeros(ROWS, np.int64)
    first_tile, last_tile, first_panel, last_panel = 0, tiles, 0, panels
    if m >= n:
        first_tile, last_tile = thread * tiles // team, (thread + 1) * tiles // team
    else:
        first_panel, last_panel = thread * panels // team, (thread + 1) * panels // team
    out = np.empty(ROWS * panel, b.dtype)
    for p in range(first_panel, last_panel):
        column, cols = p * panel, min(panel, n - p * panel)
        for at in range(first_tile * ROWS, last_tile * ROWS, ROWS):
            rows = np.minimum(row, m - 1 - at)
            if turned:
                tile(out, 0, rows * panel, bias, column, start, a, at * a_row, rows * a_row, start[:1], k, a_column,
                     b_flat, column, n, cols)  # fmt: skip
                for j in range(cols):
                    for i in range(min(ROWS, m - at)):
                        y[(column + j) * m + at + i] = out[i * panel + j]
            else:
                tile(y, at * n + column, rows * n, bias, column, start, a, at * a_row, rows * a_row, start[:1], k, a_column,
                     b_flat, column, n, cols)  # fmt: skip
