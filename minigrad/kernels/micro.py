"""The register tile: the one loop that does the arithmetic of every convolution and matrix product here.

A core multiplies and adds two vectors per clock, but reads only two from its cache, so numbers must be used several
times once they are in registers. The tile keeps ROWS x 2 vectors of results there (8 x 2 x 16 = 256 numbers with
AVX-512) until they are finished:

                        w[k]     ┌───────────────┬───────────────┐   one row of weights: 2 vectors
                                 └───────────────┴───────────────┘
         x[row 0][k]  ─spread─>  ╔═══════════════╦═══════════════╗
         x[row 1][k]  ─spread─>  ╠═══════════════╬═══════════════╣   ROWS x 2 vectors of sums, in registers:
              ...                ╠═══════════════╬═══════════════╣   sum += spread * w  for every k
         x[row 7][k]  ─spread─>  ╚═══════════════╩═══════════════╝

For each k that is ROWS + 2 loads for ROWS x 2 multiply-adds, and none of the sums travels to memory. What a row is and
what k runs over is told by offsets only, so the same tile serves

* a matrix product: a row is a row of the matrix, k its columns;
* a convolution: a row is an output pixel, k the taps of its window and their channels (im2col, without the copy);
* a convolution's weight gradient: a row is one weight of the filter, k runs over the pixels of the output.

`tile_numpy` says it in NumPy, and stands in where numba is switched off (NUMBA_DISABLE_JIT=1). `tile` is the same in
LLVM instructions, because no compiler keeps a plain loop's sums in registers this way. Sources: K. Goto and R. van de
Geijn, "Anatomy of high-performance matrix multiplication", 2008; M. Dukhan, "The indirect convolution algorithm", 2019.
"""

import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic


def _machine():
    """(bytes of a vector register, rows of the tile) for the CPU that numba compiles for."""
    features = numba.config.CPU_FEATURES
    if features is None:
        features = llvm.get_host_cpu_features().flatten()
    on = set(features.split(","))
    if "+avx512f" in on:
        return 64, 8  # 32 registers: 16 sums, 2 weights, 8 spread numbers
    if "+avx" in on:
        return 32, 6  # 16 registers: 12 sums, 2 weights, 1 spread number
    return 16, 8 if "+neon" in on else 6


VECTOR_BYTES, ROWS = _machine()
PANEL_BYTES = 2 * VECTOR_BYTES  # the columns one tile can hold


def tile_numpy(y, y_at, y_rows, b, b_at, b_rows, x, x_at, x_rows, taps, run, step, w, w_at, w_row, cols):
    """Compute ROWS x cols sums of products: ``y = b + x @ w``, with every operand gathered from a flat array.

    Parameters
    ----------
    y, b, x, w : ndarray
        Flat. ``b`` holds what the sums start from: a bias, zeros, or ``y`` itself to add to it.
    y_at, b_at, x_at, w_at : int
        Where in each array to begin.
    y_rows, b_rows, x_rows : ndarray of int64
        ``(ROWS,)``: how far from there each row begins. A tile with fewer rows repeats its last one.
    taps : ndarray of int64
        How far from its row's beginning each run of x begins.
    run, step : int
        A run is ``run`` numbers of x, ``step`` apart.
    w_row : int
        Distance between the rows of w, one for each number of x.
    cols : int
        Columns of y, b and w: 1 to PANEL_BYTES // itemsize.
    """
    column = np.arange(cols)
    k = (taps[:, None] + np.arange(run) * step).ravel()  # (taps * run,)
    rows_of_x = x[x_at + x_rows[:, None] + k]  # (ROWS, taps * run)
    rows_of_w = w[w_at + np.arange(k.size)[:, None] * w_row + column]  # (taps * run, cols)
    y[y_at + y_rows[:, None] + column] = b[b_at + b_rows[:, None] + column] + rows_of_x @ rows_of_w


@intrinsic
def _tile_llvm(
    typing, y, y_at, y_rows, b, b_at, b_rows, x, x_at, x_rows, taps, run, step, w, w_at, w_row, cols
):  # what tile_numpy computes, as one call of the function that _define writes
    given = (y, y_at, y_rows, b, b_at, b_rows, x, x_at, x_rows, taps, run, step, w, w_at, w_row, cols)
    signature = types.void(*(t if isinstance(t, types.Array) else types.intp for t in given))
    names = "y y_at y_rows b b_at b_rows x x_at x_rows taps run step w w_at w_row cols".split()

    def codegen(context, at, signature, arguments):
        value = dict(zip(names, arguments))
        for name, kind in zip(names, signature.args):
            if isinstance(kind, types.Array):
                value[name] = context.make_array(kind)(context, at, value[name])
        operands = [at.gep(value[name].data, [value[f"{name}_at"]]) for name in "ybxw"]
        tables = [value[name].data for name in ("y_rows", "b_rows", "x_rows", "taps")]
        count = at.extract_value(value["taps"].shape, 0)
        settings = [value[name] for name in ("run", "step", "w_row", "cols")]
        scalar = ir.FloatType() if y.dtype == types.float32 else ir.DoubleType()
        at.call(_define(at.module, scalar), [*operands, *tables, count, *settings])
        return context.get_dummy_value()

    return signature, codegen


tile = tile_numpy if numba.config.DISABLE_JIT else _tile_llvm


def _define(module, scalar):
    """The tile as an LLVM function of this module: four bodies, for one or two vectors, the last one full or not."""
    name, index = f"register_tile_{scalar}", ir.IntType(64)
    if name in module.globals:
        return module.globals[name]
    numbers, offsets = scalar.as_pointer(), index.as_pointer()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [numbers] * 4 + [offsets] * 4 + [index] * 5), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    lanes = VECTOR_BYTES // (4 if scalar == ir.FloatType() else 8)
    at = ir.IRBuilder(function.append_basic_block())
    cols = function.args[-1]
    for vectors in (2, 1):
        for masked in (False, True):
            fits = at.icmp_signed(">" if masked else "==", cols, ir.Constant(index, (vectors - masked) * lanes))
            with at.if_then(fits):
                _body(at, function, scalar, lanes, vectors, masked)
                at.ret_void()
    at.ret_void()
    return function


def _body(at, function, scalar, lanes, vectors, masked):
    """Write the loops of one tile of `vectors` vectors a row; `masked`: the last of them is cut off at `cols`."""
    y, b, x, w, y_rows, b_rows, x_rows, taps, count, run, step, w_row, cols = function.args
    index, vector = ir.IntType(64), ir.VectorType(scalar, lanes)
    zero, one, size = ir.Constant(index, 0), ir.Constant(index, 1), VECTOR_BYTES // lanes
    align, kind = ir.Constant(ir.IntType(32), size), f"v{lanes}f{8 * size}"
    spots = [(m, v) for m in range(ROWS) for v in range(vectors)]

    def call(name, result, *values):
        signature = ir.FunctionType(result, [value.type for value in values])
        return at.call(get_or_insert_function(at.module, signature, f"llvm.{name}.{kind}"), values)

    def spread(value):
        one_lane = at.insert_element(ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined), value, zero)
        return at.shuffle_vector(one_lane, one_lane, ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes))

    if masked:
        left = at.sub(cols, ir.Constant(index, (vectors - 1) * lanes))
        exists = at.icmp_signed("<", ir.Constant(ir.VectorType(index, lanes), list(range(lanes))), spread(left))

    def vector_at(pointer, v):
        return at.bitcast(at.gep(pointer, [ir.Constant(index, v * lanes)]), vector.as_pointer())

    def load(pointer, v):
        if masked and v == vectors - 1:
            nothing = ir.Constant(vector, [0.0] * lanes)
            return call("masked.load", vector, vector_at(pointer, v), align, exists, nothing)
        return at.load(vector_at(pointer, v), align=size)

    def store(value, pointer, v):
        if masked and v == vectors - 1:
            call("masked.store", ir.VoidType(), value, vector_at(pointer, v), align, exists)
        else:
            at.store(value, vector_at(pointer, v), align=size)

    def row(pointer, rows, m):
        return at.gep(pointer, [at.load(at.gep(rows, [ir.Constant(index, m)]))])

    def loop(start, end, state):
        """Open a counted loop; returns its counter, its copies of `state`, and a function that closes it."""
        before = at.block
        body, after = (at.append_basic_block() for _ in range(2))
        at.cbranch(at.icmp_signed("<", start, end), body, after)
        at.position_at_end(body)
        inside = [at.phi(value.type) for value in [start, *state]]
        for phi, value in zip(inside, [start, *state]):
            phi.add_incoming(value, before)

        def close(new_state):
            following = [at.add(inside[0], one), *new_state]
            for phi, value in zip(inside, following):
                phi.add_incoming(value, at.block)
            last = at.block
            at.cbranch(at.icmp_signed("<", following[0], end), body, after)
            at.position_at_end(after)
            result = [at.phi(value.type) for value in state]
            for phi, early, late in zip(result, state, new_state):
                phi.add_incoming(early, before)
                phi.add_incoming(late, last)
            return result

        return inside[0], inside[1:], close

    b_starts = [row(b, b_rows, m) for m in range(ROWS)]
    sums = [load(b_starts[m], v) for m, v in spots]
    x_starts = [row(x, x_rows, m) for m in range(ROWS)]
    t, (w_now, *sums), end_taps = loop(zero, count, [w, *sums])  # for t in range(len(taps))
    tap = at.load(at.gep(taps, [t]))
    x_runs = [at.gep(start, [tap]) for start in x_starts]
    _, (w_now, along, *sums), end_run = loop(zero, run, [w_now, zero, *sums])  # for r in range(run), along = r * step
    weights = [load(w_now, v) for v in range(vectors)]
    numbers = [spread(at.load(at.gep(x_runs[m], [along]))) for m in range(ROWS)]
    sums = [call("fmuladd", vector, numbers[m], weights[v], total) for (m, v), total in zip(spots, sums)]
    w_now, _, *sums = end_run([at.gep(w_now, [w_row]), at.add(along, step), *sums])
    _, *sums = end_taps([w_now, *sums])
    y_starts = [row(y, y_rows, m) for m in range(ROWS)]
    for (m, v), total in zip(spots, sums):
        store(total, y_starts[m], v)
