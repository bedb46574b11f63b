"""A matrix times a vector: what one image costs in a dense layer.

The register tile would fill one lane of its vectors here, for the product has one column. So the lanes are given to the
rows: LANES x LANES numbers of the matrix are turned around in registers, and then multiplied column by column.

          k ->                                  rows ->
    row 0 [a b c d]   zip 0 with 2, 1 with 3,   [a e i m] * x[k]          sums += column * x, for every k
    row 1 [e f g h]   and the same once more    [b f j n] * x[k + 1]
    row 2 [i j k l]  ───────────────────────>   [c g k o] * x[k + 2]
    row 3 [m n o p]                             [d h l p] * x[k + 3]

Every sum takes its terms in the tile's order, so an image gets the same bits alone as among others. Measured for the
large layer of `mnist_cnn` (1568 -> 500, float32, microseconds, two processors of a busy AMD Zen 4):

                one thread   two threads
    this file           88            44
    the tile           236           131
"""

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

from minigrad.kernels._jit import parallel_kernel
from minigrad.kernels.queue import run_queue, take
from minigrad.kernels.subroutine import subroutine
from minigrad.kernels.vectors import VECTOR_BYTES, Vectors, loop, number
from minigrad.kernels.weights import read_only

BAND = 4  # vectors of rows for a thread to take at once


def matvec(w, x, bias):
    """Multiply a matrix by a vector and add another.

    Parameters
    ----------
    w : ndarray
        ``(M, K)``, C-contiguous.
    x, bias : ndarray
        ``(K,)`` and ``(M,)``, contiguous, of the dtype of w.

    Returns
    -------
    ndarray
        ``(M,)``.
    """
    y = np.empty(len(w), w.dtype)
    run_queue(_take_bands, _take_all_bands, 2 * w.size, y, read_only(w), read_only(x), read_only(bias))
    return y


@parallel_kernel
def _take_all_bands(queue, y, w, x, bias, team):
    for _ in numba.prange(team):
        _take_bands(queue, y, w, x, bias)


@subroutine
def _take_bands(queue, y, w, x, bias):
    """One thread's work: bands of rows, as long as there are any."""
    lanes, first = VECTOR_BYTES // w.itemsize, take(queue) * BAND
    while first * lanes < len(w):
        for row in range(first * lanes, min(len(w), (first + BAND) * lanes), lanes):
            _few_rows(y, row, w, x, bias)
        first = take(queue) * BAND


def _few_rows_numpy(y, row, w, x, bias):
    """Write the next numbers of the product, as many as a vector has lanes."""
    rows = slice(row, row + VECTOR_BYTES // w.itemsize)
    y[rows] = bias[rows] + w[rows] @ x


@intrinsic
def _few_rows_llvm(typing, y, row, w, x, bias):
    def codegen(context, at, signature, arguments):
        kinds = dict(zip("yrwxb", zip(signature.args, arguments)))
        y, w, x, b = (context.make_array(kinds[name][0])(context, at, kinds[name][1]) for name in "ywxb")
        count, length = (at.extract_value(w.shape, axis) for axis in (0, 1))
        registers = Vectors(at, context.get_value_type(signature.args[0].dtype))
        _write(at, registers, y.data, arguments[1], w.data, x.data, b.data, count, length)
        return context.get_dummy_value()

    return types.void(y, types.intp, w, x, bias), codegen


_few_rows = _few_rows_numpy if numba.config.DISABLE_JIT else _few_rows_llvm


def _write(at, registers, y, row, w, x, bias, count, length):
    """Write the loop over k, a vector of it at a time, and what is left of it in the end."""
    def add_block(sums, k, exists=None):
        numbers = registers.load(at.gep(x, [k]), exists, missing=-0.0)  # -0 * 0 changes no sum, not even one of -0
        block = [registers.load(at.gep(start, [k]), exists) for start in starts]
        for i, column in enumerate(registers.turned(block)):
            sums = registers.multiply_add(registers.spread(at.extract_element(numbers, number(i))), column, sums)
        return sums

    is_row, last = registers.lanes_below(at.sub(count, row)), at.sub(count, number(1))
    lanes = registers.lanes
    rows = [at.add(row, number(i)) for i in range(lanes)]
    starts = [at.gep(w, [at.mul(at.select(at.icmp_signed("<", r, count), r, last), length)]) for r in rows]
    blocks = at.sdiv(length, number(lanes))
    block, (sums,), end = loop(at, blocks, [registers.load(at.gep(bias, [row]), is_row)])
    (sums,) = end([add_block(sums, at.mul(block, number(lanes)))])
    whole = at.mul(blocks, number(lanes))
    sums = add_block(sums, whole, registers.lanes_below(at.sub(length, whole)))
    registers.store(sums, at.gep(y, [row]), is_row)
