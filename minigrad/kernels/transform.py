"""Small patterns of sums and differences, for whole vectors of channels: the transforms of Winograd's algorithm.

A transform L takes a x a neighbouring pixels d to m x m results, for every channel on its own:

    L d L^T,  for instance  [[1, 1, 1, 0],       of 4 x 4 numbers, which gives 2 x 2
                             [0, 1, -1, -1]]

All entries are 0, 1 or -1, so that this is additions and subtractions only. `make_transform` writes them out for one L
as LLVM instructions, vector by vector of channels, since a compiled loop cannot know that the m x m places it writes to
and the a x a that it reads from are different ones, and would take the channels one by one.
"""

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from minigrad.kernels.vectors import VECTOR_BYTES, Vectors, loop, number

LANES = VECTOR_BYTES // 4  # channels come in multiples of it


def make_transform(signs):
    """The kernel for one L, a sequence of rows.

    Returns
    -------
    function
        Of ``(y, y_at, y_row, y_column, x, x_at, x_row, x_column, channels)``: flat float32 arrays, where the first
        number of the grid lies in each, how far it is to the next row and column of the grid, and how many channels
        lie side by side, a multiple of `LANES`.
    """
    signs = np.array(signs)

    def transform_numpy(y, y_at, y_row, y_column, x, x_at, x_row, x_column, channels):
        def places(size, at, row, column):
            grid = np.add.outer(np.arange(size) * row, np.arange(size) * column)
            return at + np.add.outer(grid, np.arange(channels))

        def combine(lines):  # a NaN times zero would be a NaN: what has no part in a sum is left out of it
            return np.stack([sum(sign * line for sign, line in zip(row, lines) if sign) for row in signs])

        given = x[places(signs.shape[1], x_at, x_row, x_column)]
        result = combine(combine(given).swapaxes(0, 1)).swapaxes(0, 1)
        y[places(signs.shape[0], y_at, y_row, y_column)] = result

    @intrinsic
    def transform_llvm(typing, y, y_at, y_row, y_column, x, x_at, x_row, x_column, channels):
        signature = types.void(y, *[types.intp] * 3, x, *[types.intp] * 4)

        def codegen(context, at, signature, arguments):
            y, x = (context.make_array(signature.args[i])(context, at, arguments[i]).data for i in (0, 4))
            _write(at, signs.tolist(), y, arguments[1:4], x, arguments[5:8], arguments[8])
            return context.get_dummy_value()

        return signature, codegen

    return transform_numpy if numba.config.DISABLE_JIT else transform_llvm


def _write(at, signs, y, y_place, x, x_place, channels):
    """Write the loop over the channels: load the grid, combine its rows, then its columns, store the results."""
    registers = Vectors(at, ir.FloatType(), LANES)
    step, _, end = loop(at, at.sdiv(channels, number(LANES)), [])
    channel = at.mul(step, number(LANES))

    def vector_at(array, place, i, j):
        start, row, column = place
        offset = at.add(at.mul(row, number(i)), at.mul(column, number(j)))
        return at.gep(array, [at.add(at.add(start, channel), offset)])

    def combine(row, values):
        total = None
        for sign, value in zip(row, values):
            if sign and total is None:
                total = value if sign > 0 else at.fneg(value)
            elif sign:
                total = (at.fadd if sign > 0 else at.fsub)(total, value)
        return total

    size = range(len(signs[0]))
    grid = [[registers.load(vector_at(x, x_place, a, b)) for b in size] for a in size]
    halfway = [[combine(row, [grid[a][b] for a in size]) for b in size] for row in signs]
    for i, line in enumerate(halfway):
        for j, row in enumerate(signs):
            registers.store(combine(row, line), vector_at(y, y_place, i, j))
    end([])
