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

What is left over after the last full tile is one row, often: of the 9 weights of a filter, of the 49 tiles of an image
in Winograd's algorithm. It costs a quarter of a full tile (`FEW`); in parts of the time without that, 0.8 for the first
weight gradient of `mnist_cnn`, 0.9 for its second convolution and its input gradient (AMD Zen 4).

`tile_numpy` says it in NumPy, and stands in where numba is switched off (NUMBA_DISABLE_JIT=1). `tile` is the same in
LLVM instructions (`vectors.py`). Sources: K. Goto and R. van de Geijn, "Anatomy of high-performance matrix
multiplication", 2008; M. Dukhan, "The indirect convolution algorithm", 2019.
"""

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from minigrad.kernels.vectors import INDEX, ROWS, VECTOR_BYTES, Vectors, loop, number

PANEL_BYTES = 2 * VECTOR_BYTES  # the columns one tile can hold
FEW = 2  # rows: a multiply-add takes as long as to begin four, so that one row would take no less time than two


def tile_numpy(y, y_at, y_rows, b, b_at, b_rows, x, x_at, x_rows, taps, run, step, w, w_at, w_row, cols):
    """Compute ROWS x cols sums of products: ``y = b + x @ w``, with every operand gathered from a flat array.

    Parameters
    ----------
    y, b, x, w : ndarray
        Flat. ``b`` holds what the sums start from: a bias, zeros, or ``y`` itself to add to it.
    y_at, b_at, x_at, w_at : int
        Where in each array to begin.
    y_rows, b_rows, x_rows : ndarray of int64
        ``(ROWS,)``: how far from there each row begins. A tile with fewer rows repeats its last one; if there are no
        more than `FEW`, it takes less time.
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
        at.call(_define(at.module, context.get_value_type(y.dtype)), [*operands, *tables, count, *settings])
        return context.get_dummy_value()

    return signature, codegen


tile = tile_numpy if numba.config.DISABLE_JIT else _tile_llvm


def _define(module, scalar):
    """The tile as an LLVM function of this module: bodies for few rows and all, for one or two vectors, the last
    one full or not."""
    name = f"register_tile_{scalar}"
    if name in module.globals:
        return module.globals[name]
    numbers, offsets = scalar.as_pointer(), INDEX.as_pointer()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [numbers] * 4 + [offsets] * 4 + [INDEX] * 5), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    at = ir.IRBuilder(function.append_basic_block())
    registers = Vectors(at, scalar)
    y_rows = function.args[4]
    last, next_one = (at.load(at.gep(y_rows, [number(row)])) for row in (FEW - 1, FEW))
    with at.if_else(at.icmp_signed("==", last, next_one)) as (few, more):
        with few:
            _bodies(at, function, registers, FEW)
        with more:
            _bodies(at, function, registers, ROWS)
    at.ret_void()
    return function


def _bodies(at, function, registers, rows):
    """Write the tiles of so many rows, of which the number of columns decides."""
    for vectors in (2, 1):
        for masked in (False, True):
            columns = number((vectors - masked) * registers.lanes)
            with at.if_then(at.icmp_signed(">" if masked else "==", function.args[-1], columns)):
                _body(at, function, registers, rows, vectors, masked)
                at.ret_void()


def _body(at, function, registers, rows, vectors, masked):
    """Write the loops of one tile of `vectors` vectors a row; `masked`: the last of them is cut off at `cols`."""
    y, b, x, w, y_rows, b_rows, x_rows, taps, count, run, step, w_row, cols = function.args
    lanes, spots = registers.lanes, [(m, v) for m in range(rows) for v in range(vectors)]
    exists = [None] * vectors
    if masked:
        exists[-1] = registers.lanes_below(at.sub(cols, number((vectors - 1) * lanes)))

    def load(pointer, v):
        return registers.load(at.gep(pointer, [number(v * lanes)]), exists[v])

    def row(pointer, offsets, m):
        return at.gep(pointer, [at.load(at.gep(offsets, [number(m)]))])

    b_starts = [row(b, b_rows, m) for m in range(rows)]
    sums = [load(b_starts[m], v) for m, v in spots]
    x_starts = [row(x, x_rows, m) for m in range(rows)]
    t, (w_now, *sums), end_taps = loop(at, count, [w, *sums])  # for t in range(len(taps))
    tap = at.load(at.gep(taps, [t]))
    x_runs = [at.gep(start, [tap]) for start in x_starts]
    _, (w_now, along, *sums), end_run = loop(at, run, [w_now, number(0), *sums])  # for r in range(run)
    weights = [load(w_now, v) for v in range(vectors)]
    numbers = [registers.spread(at.load(at.gep(x_runs[m], [along]))) for m in range(rows)]
    sums = [registers.multiply_add(numbers[m], weights[v], total) for (m, v), total in zip(spots, sums)]
    w_now, _, *sums = end_run([at.gep(w_now, [w_row]), at.add(along, step), *sums])
    _, *sums = end_taps([w_now, *sums])
    y_starts = [row(y, y_rows, m) for m in range(rows)]
    for (m, v), total in zip(spots, sums):
        registers.store(total, at.gep(y_starts[m], [number(v * lanes)]), exists[v])
