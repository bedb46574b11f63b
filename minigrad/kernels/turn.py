"""A matrix turned around, y[j, i] = x[i, j], a square of it at a time in registers.

A loop reads along rows or writes along them, never both, and so moves number by number. But as many vectors as a vector
has lanes are a square, which is turned by interleaving them (`Vectors.turned`): whole vectors are read, and written.
Measured in microseconds, with one thread: 15 for 64 matrices of 49 x 32 numbers, and 19 by a loop; 290 for 8 of 3025 x
96, and 1300.
"""

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

from minigrad.kernels._jit import kernel
from minigrad.kernels.vectors import VECTOR_BYTES, Vectors, number


@kernel
def turn(y, y_at, y_row, x, x_at, x_row, rows, columns):
    """Turn the rows x columns numbers of flat x that begin at `x_at` around, into flat y from `y_at` on.

    `x_row` and `y_row` are the distances in memory from a row to the next; inside a row numbers lie side by side. The
    last squares begin early enough to be full, if there are as many rows and columns: some numbers are turned twice.
    """
    lanes = VECTOR_BYTES // x.itemsize
    height, width = min(lanes, rows), min(lanes, columns)
    for down in range(0, rows, lanes):
        i = min(down, rows - height)
        for across in range(0, columns, lanes):
            j = min(across, columns - width)
            _square(y, y_at + j * y_row + i, y_row, x, x_at + i * x_row + j, x_row, height, width)


def _square_numpy(y, y_at, y_row, x, x_at, x_row, height, width):
    """Turn no more rows and columns than a vector has lanes."""
    i, j = np.arange(height)[:, None], np.arange(width)
    y[y_at + j * y_row + i] = x[x_at + i * x_row + j]


@intrinsic
def _square_llvm(typing, y, y_at, y_row, x, x_at, x_row, height, width):
    signature = types.void(y, types.intp, types.intp, x, *[types.intp] * 4)

    def codegen(context, at, signature, arguments):
        target, source = (context.make_array(signature.args[i])(context, at, arguments[i]).data for i in (0, 3))
        registers = Vectors(at, context.get_value_type(y.dtype))
        y_at, y_row, _, x_at, x_row, height, width = arguments[1:]
        full = at.icmp_signed("==", at.add(height, width), number(2 * registers.lanes))
        with at.if_else(full) as (whole, cut):
            with whole:
                _write(registers, at.gep(target, [y_at]), y_row, at.gep(source, [x_at]), x_row)
            with cut:
                _write(registers, at.gep(target, [y_at]), y_row, at.gep(source, [x_at]), x_row, height, width)
        return context.get_dummy_value()

    return signature, codegen


_square = _square_numpy if numba.config.DISABLE_JIT else _square_llvm


def _write(registers, y, y_row, x, x_row, height=None, width=None):
    """Write the turn of a full square, or of `height` rows and `width` columns."""
    at, nothing = registers.at, number(0)

    def lanes_of(line, lines, lanes):
        if lines is None:
            return None
        return registers.lanes_below(at.select(at.icmp_signed("<", number(line), lines), lanes, nothing))

    def place(start, row, line):
        return at.gep(start, [at.mul(row, number(line))])

    square = range(registers.lanes)
    rows = [registers.load(place(x, x_row, i), lanes_of(i, height, width)) for i in square]
    for j, column in enumerate(registers.turned(rows)):
        registers.store(column, place(y, y_row, j), lanes_of(j, width, height))
