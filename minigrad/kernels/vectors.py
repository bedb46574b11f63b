"""Instructions on vector registers, for kernels that are written in LLVM's language instead of Python.

No compiler keeps the sums of a plain loop in registers the way these kernels need it, so they say which number is in
which register. LLVM turns vectors of any length into what the machine has.
"""

import llvmlite.binding as llvm
import numba
from llvmlite import ir
from numba.core.cgutils import get_or_insert_function

INDEX, LANE = ir.IntType(64), ir.IntType(32)


def machine():
    """(bytes of a vector register, rows of the register tile) for the CPU that numba compiles for."""
    features = numba.config.CPU_FEATURES
    if features is None:
        features = llvm.get_host_cpu_features().flatten()
    on = set(features.split(","))
    if "+avx512f" in on:
        return 64, 8  # 32 registers: 16 sums, 2 weights, 8 spread numbers
    if "+avx" in on:
        return 32, 6  # 16 registers: 12 sums, 2 weights, 1 spread number
    return 16, 8 if "+neon" in on else 6


VECTOR_BYTES, ROWS = machine()


def number(value):
    """A whole number as a constant."""
    return ir.Constant(INDEX, value)


def loop(at, count, state):
    """Open a loop over range(count), whose body changes the values `state`.

    Returns
    -------
    (value, list of value, function)
        The counter, and the state, inside of the loop; and a function that takes the changed state, closes the loop and
        returns the state after it.
    """
    before, body, after = at.block, at.append_basic_block(), at.append_basic_block()
    at.cbranch(at.icmp_signed("<", number(0), count), body, after)
    at.position_at_end(body)
    start = [number(0), *state]
    inside = [at.phi(value.type) for value in start]

    def close(new_state):
        last, following = at.block, [at.add(inside[0], number(1)), *new_state]
        for phi, early, late in zip(inside, start, following):
            phi.add_incoming(early, before)
            phi.add_incoming(late, last)
        again = at.cbranch(at.icmp_signed("<", following[0], count), body, after)
        again.set_metadata("llvm.loop", _as_written(at.module))
        at.position_at_end(after)
        result = [at.phi(value.type) for value in state]
        for phi, early, late in zip(result, state, new_state):
            phi.add_incoming(early, before)
            phi.add_incoming(late, last)
        return result

    return inside[0], inside[1:], close


def _as_written(module):
    """The mark of a loop that LLVM is not to unroll.

    The register tile takes all registers already: a second round in one would want more pointers than there are, and
    seconds to compile.
    """
    wish = module.add_metadata(["llvm.loop.unroll.disable"])
    mark = module.add_metadata([wish])
    mark.operands = mark, wish  # LLVM asks that a loop's mark names itself first
    return mark


class Vectors:
    """Appends instructions on vectors of one LLVM type, at the place of an IRBuilder.

    They have `lanes` numbers, or as many as a register holds.
    Where numbers are loaded or stored, `exists` may say for which lanes memory is there.
    """

    def __init__(self, at, scalar, lanes=None):
        self.kind = {ir.FloatType(): "f32", ir.DoubleType(): "f64"}.get(scalar) or f"i{scalar.width}"
        self.size = int(self.kind[1:]) // 8
        self.at, self.lanes = at, lanes or VECTOR_BYTES // self.size
        self.type, self.align = ir.VectorType(scalar, self.lanes), ir.Constant(LANE, self.size)

    def load(self, pointer, exists=None, missing=None):
        """The numbers from here on; `missing` stands where there are none, zero if nothing else is said."""
        if exists is None:
            return self.at.load(self._seen(pointer), align=self.size)
        nothing = ir.Constant(self.type, None if missing is None else [missing] * self.lanes)
        return self._call("masked.load", self.type, self._seen(pointer), self.align, exists, nothing)

    def store(self, value, pointer, exists=None):
        """Write a vector from here on."""
        if exists is None:
            self.at.store(value, self._seen(pointer), align=self.size)
        else:
            self._call("masked.store", ir.VoidType(), value, self._seen(pointer), self.align, exists)

    def multiply_add(self, a, b, total):
        """a * b + total, rounded once where the machine can."""
        return self._call("fmuladd", self.type, a, b, total)

    def spread(self, value):
        """The same number in every lane."""
        nothing = ir.Constant(ir.VectorType(value.type, self.lanes), ir.Undefined)
        lane = self.at.insert_element(nothing, value, number(0))
        return self._choose(lane, lane, [0] * self.lanes)

    def turned(self, square):
        """The columns of a square, whose rows are as many vectors as they have lanes.

        Instructions move numbers inside of every sixteen bytes, or sixteen bytes as a whole; those that do both are
        slow. So the small squares that are sixteen bytes wide are turned first (``'``), and then they change places::

            A B   turn each   A' B'   change places   A' C'
            C D  ──────────>  C' D'  ──────────────>  B' D'
        """
        width = 16 // self.size
        bands = [square[i : i + width] for i in range(0, self.lanes, width)]
        for _ in range(width.bit_length() - 1):
            halves = [zip(band[: width // 2], band[width // 2 :]) for band in bands]
            bands = [[half for a, b in pairs for half in self._zip(a, b, width)] for pairs in halves]
        columns = list(zip(*bands))  # of the small squares: the first one of each, the second one of each, ...
        for _ in range(len(bands).bit_length() - 1):
            pairs = [[self._unzip(a, b, width) for a, b in zip(column[::2], column[1::2])] for column in columns]
            columns = [[half for side in zip(*halves) for half in side] for halves in pairs]
        return [column for rows in zip(*columns) for column in rows]

    def _zip(self, a, b, width):
        """Of every `width` lanes the first half, a number of a and a number of b in turn; and so the second half."""
        starts = range(0, self.lanes, width)
        return [self._choose(a, b, [start + half + i + other for start in starts for i in range(width // 2)
                                    for other in (0, self.lanes)]) for half in (0, width // 2)]  # fmt: skip

    def _unzip(self, a, b, width):
        """Of a, and then of b, every other `width` lanes from the first on; and so the ones between them."""
        starts = range(0, 2 * self.lanes, 2 * width)
        return [self._choose(a, b, [start + i for start in starts for i in range(first, first + width)])
                for first in (0, width)]  # fmt: skip

    def _choose(self, a, b, lanes):
        return self.at.shuffle_vector(a, b, self._order(lanes))

    def lanes_below(self, count):
        """Which lanes there are when only `count` numbers are left."""
        return self.at.icmp_signed("<", self._order(range(self.lanes)), self.spread(self.at.trunc(count, LANE)))

    def _order(self, lanes):
        return ir.Constant(ir.VectorType(LANE, self.lanes), list(lanes))

    def _seen(self, pointer):
        return self.at.bitcast(pointer, self.type.as_pointer())

    def _call(self, name, result, *values):
        signature = ir.FunctionType(result, [value.type for value in values])
        name = f"llvm.{name}.v{self.lanes}{self.kind}"
        return self.at.call(get_or_insert_function(self.at.module, signature, name), values)
