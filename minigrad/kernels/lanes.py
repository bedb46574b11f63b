"""Vectors that a kernel names: some numbers side by side in a register, and the operations of pools and batch norm.

A compiler turns a loop over channels into vectors on its own, but at a price per loop: it first asks whether what is
written may lie in what is read, and takes what is left over after the last full vector one by one. Where a pixel has
few channels, that is most of the work. Here a kernel says which numbers it means: ``load`` fetches them, ``store``
writes them, and the ``lanes`` that both get say how many there are: `every` one of a vector, the `first` few of them,
or all of a register, for which a `wide` vector has numbers, or of two (`double`).

Vectors are 32 bytes long even where registers are longer. The pixels of few channels begin anywhere, and half of all
64-byte vectors would lie across two lines of the cache: with 6 channels they take 1.4 times as long. Where channels
fill registers, wide vectors take 0.6 of the time (a pool of 28 x 28 x 32 numbers in the cache).

Where numba is switched off (NUMBA_DISABLE_JIT=1) `lanes` is their number and a vector is an array.
"""

import operator

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

from minigrad.kernels._jit import inlined_kernel
from minigrad.kernels.vectors import VECTOR_BYTES, Vectors, number

LANE_BYTES = min(VECTOR_BYTES, 32)
_off = numba.config.DISABLE_JIT


def _lane_count_numpy(lanes):
    """How many numbers a vector of these lanes has room for."""
    return lanes


def _first_numpy(array, count):
    """The first `count` of them, or all."""
    return min(count, LANE_BYTES // array.itemsize)


def _load_numpy(array, at, lanes):
    """The numbers from position `at` of a contiguous array."""
    return array.reshape(-1)[at : at + lanes]


def _store_numpy(array, at, lanes, vector):
    """Write a vector there."""
    array.reshape(-1)[at : at + lanes] = vector


def _spread_numpy(number, lanes):
    """The same number in every lane."""
    return np.full(lanes, number)


def _multiply_add_numpy(a, b, total):
    """a * b + total, rounded once where the machine can."""
    return a * b + total


def _tainted_numpy(total, value):
    """A vector that is NaN where `total` or `value` is, and maybe where both are infinite: their sum."""
    return np.where(value != value, value, total)


def _anywhere_numpy(answers):
    """Whether one of them is yes."""
    return answers.any()


def _widened_numpy(vector):
    """The same numbers in float64."""
    return vector.astype(np.float64)


class Lanes(types.Type):
    """The type of a vector of `count` numbers, or of as many times yes or no."""

    def __init__(self, scalar, count):
        super().__init__(f"{count} x {scalar}")
        self.scalar, self.count = scalar, count

    def instructions(self, context, at):
        """How to write what is done with such vectors."""
        return Vectors(at, context.get_value_type(self.scalar), self.count)


@register_model(Lanes)
class _InRegister(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, ir.VectorType(manager.lookup(kind.scalar).get_value_type(), kind.count))


def _answers(array, size):
    """The type of a yes or no for each of the array's numbers that a vector of so many bytes has room for."""
    return Lanes(types.boolean, size * 8 // array.dtype.bitwidth)


def _lanes_of(size):
    """A function of an array that gives all lanes of a vector of so many bytes."""
    if _off:
        return lambda array: size // array.itemsize

    @intrinsic
    def all_lanes(typing, array):
        kind = _answers(array, size)

        def codegen(context, at, signature, arguments):
            return kind.instructions(context, at).lanes_below(number(kind.count))

        return kind(array), codegen

    return all_lanes


@intrinsic
def _lane_count_llvm(typing, lanes):
    return types.intp(lanes), lambda context, at, signature, arguments: number(lanes.count)


@intrinsic
def _first_llvm(typing, array, count):
    kind = _answers(array, LANE_BYTES)

    def codegen(context, at, signature, arguments):
        return kind.instructions(context, at).lanes_below(arguments[1])

    return kind(array, types.intp), codegen


@intrinsic
def _load_llvm(typing, array, position, lanes):
    kind = Lanes(array.dtype, lanes.count)

    def codegen(context, at, signature, arguments):
        return kind.instructions(context, at).load(_place(context, at, array, *arguments[:2]), arguments[2])

    return kind(array, types.intp, lanes), codegen


@intrinsic
def _store_llvm(typing, array, position, lanes, vector):
    def codegen(context, at, signature, arguments):
        vector.instructions(context, at).store(arguments[3], _place(context, at, array, *arguments[:2]), arguments[2])
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes, vector), codegen


@intrinsic
def _spread_llvm(typing, value, lanes):
    kind = Lanes(value, lanes.count)

    def codegen(context, at, signature, arguments):
        return kind.instructions(context, at).spread(arguments[0])

    return kind(value, lanes), codegen


@intrinsic
def _multiply_add_llvm(typing, a, b, total):
    def codegen(context, at, signature, arguments):
        return a.instructions(context, at).multiply_add(*arguments)

    return a(a, a, a), codegen


@intrinsic
def _tainted_llvm(typing, total, value):
    return total(total, value), lambda context, at, signature, arguments: at.fadd(*arguments)


@intrinsic
def _anywhere_llvm(typing, answers):
    def codegen(context, at, signature, arguments):
        bits = ir.IntType(answers.count)
        return at.icmp_unsigned("!=", at.bitcast(arguments[0], bits), bits(0))

    return types.boolean(answers), codegen


@intrinsic
def _widened_llvm(typing, vector):
    kind = Lanes(types.float64, vector.count)

    def codegen(context, at, signature, arguments):
        return at.fpext(arguments[0], context.get_value_type(kind))

    return kind(vector), codegen


@intrinsic
def _choose_llvm(typing, condition, yes, no):
    return yes(condition, yes, no), lambda context, at, signature, arguments: at.select(*arguments)


def _place(context, at, kind, array, position):
    """A pointer to a position of an array."""
    return at.gep(context.make_array(kind)(context, at, array).data, [position])


def _teach_numba(function, write, asks=True):
    """Let numba write ``function(a, b)`` of two vectors with ``write(at, a, b)``: answers by yes or no, or numbers."""

    @type_callable(function)
    def typing(context):
        def result(a, b):
            if isinstance(a, Lanes) and a == b:
                return Lanes(types.boolean, a.count) if asks else a

        return result

    @lower_builtin(function, Lanes, Lanes)
    def lower(context, at, signature, arguments):
        return write(at, *arguments)


_teach_numba(operator.gt, lambda at, a, b: at.fcmp_ordered(">", a, b))  # of numbers
_teach_numba(operator.ne, lambda at, a, b: at.fcmp_unordered("!=", a, b))
_teach_numba(operator.add, lambda at, a, b: at.fadd(a, b), asks=False)
_teach_numba(operator.sub, lambda at, a, b: at.fsub(a, b), asks=False)
_teach_numba(operator.mul, lambda at, a, b: at.fmul(a, b), asks=False)
_teach_numba(operator.eq, lambda at, a, b: at.icmp_signed("==", a, b))  # of bytes
_teach_numba(operator.or_, lambda at, a, b: at.or_(a, b))  # of answers

every = _lanes_of(LANE_BYTES)
wide = _lanes_of(VECTOR_BYTES)
double = _lanes_of(2 * VECTOR_BYTES)
lane_count = _lane_count_numpy if _off else _lane_count_llvm
first = _first_numpy if _off else _first_llvm
load = _load_numpy if _off else _load_llvm
store = _store_numpy if _off else _store_llvm
spread = _spread_numpy if _off else _spread_llvm
multiply_add = _multiply_add_numpy if _off else _multiply_add_llvm
tainted = _tainted_numpy if _off else _tainted_llvm
anywhere = _anywhere_numpy if _off else _anywhere_llvm
widened = _widened_numpy if _off else _widened_llvm
choose = np.where if _off else _choose_llvm


@inlined_kernel
def each_vector(act, row, operands):
    """Call ``act(at, lanes, operands)`` for all vectors of a row: of two registers as far as they go, then shorter."""
    full, size = lane_count(double(row)), lane_count(every(row))
    rest = row.size - row.size % full
    for at in range(0, rest, full):
        act(at, double(row), operands)
    for at in range(rest, row.size, size):
        act(at, first(row, row.size - at), operands)
