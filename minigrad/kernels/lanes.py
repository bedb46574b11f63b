"""Vectors that a kernel names: some numbers side by side in a register, and the few operations that pools need.

A compiler turns a loop over channels into vectors on its own, but at a price per loop: it first asks whether what is
written may lie in what is read, and takes what is left over after the last full vector one by one. Where a pixel has
few channels, that is most of the work. Here a kernel says which numbers it means: ``load`` fetches them, ``store``
writes them, and the ``lanes`` that both get say how many there are: `every` one of a vector, or the `first` few.

Vectors are 32 bytes long even where registers are longer. The pixels of few channels begin anywhere, and half of all
64-byte vectors would lie across two lines of the cache: with 6 channels they take 1.4 times as long.

Where numba is switched off (NUMBA_DISABLE_JIT=1) `lanes` is their number and a vector is an array.
"""

import operator

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

from minigrad.kernels.micro import VECTOR_BYTES

LANE_BYTES = min(VECTOR_BYTES, 32)


def _every_numpy(array):
    """All lanes of a vector of the array's numbers (`lane_count`: how many these are)."""
    return LANE_BYTES // array.itemsize


def _first_numpy(array, count):
    """The first `count` of them."""
    return count


def _load_numpy(array, at, lanes):
    """The numbers from position `at` of a contiguous array."""
    return array.reshape(-1)[at : at + lanes]


def _store_numpy(array, at, lanes, vector):
    """Write a vector there."""
    array.reshape(-1)[at : at + lanes] = vector


def _spread_numpy(number, lanes):
    """The same number in every lane."""
    return np.full(lanes, number)


class Lanes(types.Type):
    """The type of a vector of `count` numbers, or of as many times yes or no."""

    def __init__(self, scalar, count):
        super().__init__(f"{count} x {scalar}")
        self.scalar, self.count, self.floating = scalar, count, scalar in types.real_domain
        self.bits = 1 if scalar == types.boolean else scalar.bitwidth
        number = {32: ir.FloatType(), 64: ir.DoubleType()}[self.bits] if self.floating else ir.IntType(self.bits)
        self.vector = ir.VectorType(number, count)


@register_model(Lanes)
class _InRegister(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, kind.vector)


def _mask(array):
    return Lanes(types.boolean, LANE_BYTES * 8 // array.dtype.bitwidth)


@intrinsic
def _every_llvm(typing, array):
    kind = _mask(array)
    return kind(array), lambda context, at, signature, arguments: ir.Constant(kind.vector, [1] * kind.count)


@intrinsic
def _lane_count_llvm(typing, array):
    count = _mask(array).count
    return types.intp(array), lambda context, at, signature, arguments: ir.Constant(ir.IntType(64), count)


@intrinsic
def _first_llvm(typing, array, count):
    kind, index = _mask(array), ir.IntType(32)

    def codegen(context, at, signature, arguments):
        numbered = ir.Constant(ir.VectorType(index, kind.count), list(range(kind.count)))
        return at.icmp_signed("<", numbered, _in_every_lane(at, at.trunc(arguments[1], index), kind.count))

    return kind(array, types.intp), codegen


@intrinsic
def _load_llvm(typing, array, position, lanes):
    kind = Lanes(array.dtype, lanes.count)

    def codegen(context, at, signature, arguments):
        place = _place(context, at, array, *arguments[:2], kind)
        return _call(at, "masked.load", kind, kind.vector, *place, arguments[2], ir.Constant(kind.vector, None))

    return kind(array, types.intp, lanes), codegen


@intrinsic
def _store_llvm(typing, array, position, lanes, vector):
    def codegen(context, at, signature, arguments):
        place = _place(context, at, array, *arguments[:2], vector)
        _call(at, "masked.store", vector, ir.VoidType(), arguments[3], *place, arguments[2])
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes, vector), codegen


@intrinsic
def _spread_llvm(typing, number, lanes):
    def codegen(context, at, signature, arguments):
        return _in_every_lane(at, arguments[0], lanes.count)

    return Lanes(number, lanes.count)(number, lanes), codegen


@intrinsic
def _choose_llvm(typing, condition, yes, no):
    return yes(condition, yes, no), lambda context, at, signature, arguments: at.select(*arguments)


def _place(context, at, kind, array, position, lanes):
    """A pointer to the vector at a position of an array, and how it is aligned."""
    numbers = context.make_array(kind)(context, at, array).data
    pointer = at.bitcast(at.gep(numbers, [position]), lanes.vector.as_pointer())
    return pointer, ir.Constant(ir.IntType(32), lanes.bits // 8)


def _call(at, name, lanes, result, *values):
    signature = ir.FunctionType(result, [value.type for value in values])
    name = f"llvm.{name}.v{lanes.count}{'f' if lanes.floating else 'i'}{lanes.bits}"
    return at.call(get_or_insert_function(at.module, signature, name), values)


def _in_every_lane(at, number, count):
    index = ir.IntType(32)
    one = at.insert_element(ir.Constant(ir.VectorType(number.type, count), ir.Undefined), number, ir.Constant(index, 0))
    return at.shuffle_vector(one, one, ir.Constant(ir.VectorType(index, count), [0] * count))


def _teach_numba(function, write):
    """Let numba write ``function(a, b)`` of two vectors, answered by yes or no, with ``write(at, a, b)``."""

    @type_callable(function)
    def typing(context):
        def result(a, b):
            if isinstance(a, Lanes) and a == b:
                return Lanes(types.boolean, a.count)

        return result

    @lower_builtin(function, Lanes, Lanes)
    def lower(context, at, signature, arguments):
        return write(at, *arguments)


_teach_numba(operator.gt, lambda at, a, b: at.fcmp_ordered(">", a, b))  # of numbers
_teach_numba(operator.ne, lambda at, a, b: at.fcmp_unordered("!=", a, b))
_teach_numba(operator.eq, lambda at, a, b: at.icmp_signed("==", a, b))  # of bytes
_teach_numba(operator.or_, lambda at, a, b: at.or_(a, b))  # of answers

_off = numba.config.DISABLE_JIT
lane_count = _every_numpy if _off else _lane_count_llvm
every = _every_numpy if _off else _every_llvm
first = _first_numpy if _off else _first_llvm
load = _load_numpy if _off else _load_llvm
store = _store_numpy if _off else _store_llvm
spread = _spread_numpy if _off else _spread_llvm
choose = np.where if _off else _choose_llvm
