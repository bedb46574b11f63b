"""Weights in panels: the columns that one register tile holds, side by side in memory (see `micro`).

The tile reads a few vectors of each row of a weight matrix. Where the rows are long, or the matrix lies the other way
round, that is a jump of many cache lines for every step; copied once into panels, the same numbers are one stream:

    (K, columns)  ->  (groups, panels, K, PANEL_BYTES / itemsize)

The tile is two vectors wide. Where one is enough for all columns panels are as narrow.
"""

from typing import NamedTuple

import numba
import numpy as np

from minigrad.kernels._jit import parallel_kernel, threads
from minigrad.kernels.layout import copy
from minigrad.kernels.micro import PANEL_BYTES
from minigrad.kernels.subroutine import subroutine
from minigrad.kernels.turn import turn
from minigrad.kernels.weights import read_only

SERIAL = 1 << 14  # numbers; fewer are copied before the other threads have woken up
STRETCH = 32  # rows that are turned at a time: they and their panel fit into the first-level cache


class Panels(NamedTuple):
    """A weight matrix as the tile reads it; strides are in elements."""

    memory: np.ndarray
    group: int  # from a group's first panel to the next group's
    panel: int  # from a panel to the next
    row: int  # from a row to the next


def in_place(memory, columns, group_columns):
    """Read a (K, columns) matrix where it is: a panel is just the next few columns."""
    width = PANEL_BYTES // memory.itemsize
    return Panels(read_only(memory.reshape(-1)), group_columns, width, columns)


def pack(memory, taps, run, row, column, group, groups, columns):
    """Copy a matrix into panels.

    Parameters
    ----------
    memory : ndarray
        Contiguous.
    taps, run : ndarray of int64, int
        Row ``t * run + r`` of the matrix begins at ``taps[t] + r * row``.
    row, column, group : int
        Distance in memory from row to row, from column to column, and from a group's matrix to the next.
    groups, columns : int
        How many matrices, and how many columns each has.

    Returns
    -------
    Panels
        Of the copy.
    """
    width = PANEL_BYTES // memory.itemsize
    width = width // 2 if columns <= width // 2 else width
    panels, rows = -(-columns // width), len(taps) * run
    packed = np.empty((groups * panels, rows, width), memory.dtype)
    operands = packed, read_only(memory.reshape(-1)), taps, run, row, column, group, panels, columns
    if packed.size < SERIAL:
        _pack_share(0, *operands, 1)
    else:
        _pack(*operands, threads())
    return Panels(read_only(packed.reshape(-1)), panels * rows * width, rows * width, width)


@parallel_kernel
def _pack(packed, memory, taps, run, row, column, group, panels, columns, team):
    for thread in numba.prange(team):
        _pack_share(np.int64(thread), packed, memory, taps, run, row, column, group, panels, columns, team)


@subroutine
def _pack_share(thread, packed, memory, taps, run, row, column, group, panels, columns, team):
    """One thread's share of the stretches of rows of all panels."""
    width, stretches = packed.shape[2], -(-run // STRETCH)
    items = len(packed) * len(taps) * stretches
    for item in range(thread * items // team, (thread + 1) * items // team):
        panel, tap, first = item // (len(taps) * stretches), item // stretches % len(taps), item % stretches * STRETCH
        first_column = panel % panels * width
        begin = panel // panels * group + taps[tap] + first * row + first_column * column
        rows, cols = min(STRETCH, run - first), min(width, columns - first_column)
        if row == 1:
            at = (panel * len(taps) * run + tap * run + first) * width
            turn(packed.reshape(-1), at, width, memory, begin, column, cols, rows)
        else:
            for r in range(rows):
                line, at = packed[panel, tap * run + first + r], begin + r * row
                if column == 1:
                    copy(line[:cols], memory[at : at + cols])
                else:
                    for c in range(cols):
                        line[c] = memory[at + c * column]
