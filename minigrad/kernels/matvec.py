"""A matrix times a vector: what one image costs in a dense layer.

The register tile would fill one lane of its vectors here, for the product has one column. So the lanes are given to the
rows: LANES x LANES numbers of the matrix are turned around in registers, and then multiplied column by column.

          k ->                                  rows ->
    row 0 [a b c d]   zip 0 with 2, 1 with 3,   [a e i m] * x[k]          sums += column * x, for every k
    row 1 [e f g h]   and the same once more    [b f j n] * x[k + 1]
    row 2 [i j k l]  ───────────────────────>   [c g k o] * x[k + 2]
    row 3 [m n o p]                             [d h l p] * x[k + 3]

Every sum takes its terms in the tile's order, so an image gets the same bits alone as among others. Measured for the
large layer of `mnist_cnn` (1568 -> 500, float32, microseconds, two cores of an AMD Zen 5):

                one thread   two threads
    this file           70            41
    the tile           150            92
"""

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic

from minigrad.kernels._jit import parallel_kernel
from minigrad.kernels.micro import VECTOR_BYTES
from minigrad.kernels.queue import run_queue, take
from minigrad.kernels.subroutine import subroutine
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
    cost = 2 * w.size  # every number comes from afar for one multiplication
    run_queue(_take_bands, _take_all_bands, cost, y, read_only(w), read_only(x), read_only(bias))
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
        _write(at, signature.args[0].dtype.bitwidth // 8, y.data, arguments[1], w.data, x.data, b.data, count, length)
        return context.get_dummy_value()

    return types.void(y, types.intp, w, x, bias), codegen


_few_rows = _few_rows_numpy if numba.config.DISABLE_JIT else _few_rows_llvm


def _write(at, size, y, row, w, x, bias, count, length):
    """Write the loop over k, a vector of it at a time, and what is left of it in the end."""
    index, lanes = ir.IntType(64), VECTOR_BYTES // size
    scalar = ir.FloatType() if size == 4 else ir.DoubleType()
    vector, zero = ir.VectorType(scalar, lanes), ir.Constant(index, 0)
    align, kind = ir.Constant(ir.IntType(32), size), f"v{lanes}f{8 * size}"

    def call(name, result, *values):
        signature = ir.FunctionType(result, [value.type for value in values])
        return at.call(get_or_insert_function(at.module, signature, f"llvm.{name}.{kind}"), values)

    def spread(value):
        one_lane = at.insert_element(ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined), value, zero)
        return at.shuffle_vector(one_lane, one_lane, ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes))

    def place(array, offset):
        return at.bitcast(at.gep(array, [offset]), vector.as_pointer())

    def lanes_below(number):
        return at.icmp_signed("<", ir.Constant(ir.VectorType(index, lanes), list(range(lanes))), spread(number))

    def load(array, offset, exists):
        if exists is None:
            return at.load(place(array, offset), align=size)
        nothing = ir.Constant(vector, [0.0] * lanes)
        return call("masked.load", vector, place(array, offset), align, exists, nothing)

    def zipped(a, b, first):
        order = [lane for i in range(first, first + lanes // 2) for lane in (i, lanes + i)]
        return at.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), lanes), order))

    def turned(block):
        for _ in range(lanes.bit_length() - 1):
            pairs = list(zip(block[: lanes // 2], block[lanes // 2 :]))
            block = [zipped(a, b, first) for a, b in pairs for first in (0, lanes // 2)]
        return block

    def add_block(sums, k, exists=None):
        columns = turned([load(w, at.add(start, k), exists) for start in starts])
        numbers = load(x, k, exists)
        for i, column in enumerate(columns):
            number = spread(at.extract_element(numbers, ir.Constant(index, i)))
            sums = call("fmuladd", vector, number, column, sums)
        return sums

    rows_left, last = at.sub(count, row), at.sub(count, ir.Constant(index, 1))
    is_row = lanes_below(rows_left)
    rows = [at.add(row, ir.Constant(index, i)) for i in range(lanes)]
    starts = [at.mul(at.select(at.icmp_signed("<", r, count), r, last), length) for r in rows]
    before, body, after = at.block, at.append_basic_block(), at.append_basic_block()
    first_sums, whole = load(bias, row, is_row), at.and_(length, ir.Constant(index, -lanes))
    at.cbranch(at.icmp_signed(">", whole, zero), body, after)
    at.position_at_end(body)
    k, sums = at.phi(index), at.phi(vector)
    new_sums, new_k = add_block(sums, k), at.add(k, ir.Constant(index, lanes))
    for phi, early, late in ((k, zero, new_k), (sums, first_sums, new_sums)):
        phi.add_incoming(early, before)
        phi.add_incoming(late, at.block)
    at.cbranch(at.icmp_signed("<", new_k, whole), body, after)
    at.position_at_end(after)
    sums = at.phi(vector)
    sums.add_incoming(first_sums, before)
    sums.add_incoming(new_sums, body)
    sums = add_block(sums, whole, lanes_below(at.sub(length, whole)))
    call("masked.store", ir.VoidType(), sums, place(y, row), align, is_row)
