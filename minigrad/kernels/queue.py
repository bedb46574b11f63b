"""Who works on what: a queue of items, from which every thread takes the next one when it is done with the last.

With fixed shares a parallel loop is done when its slowest thread is: one that woke up late, or whose core had other
work. Here it makes up for that by taking less. Measured for the second convolution of `mnist_cnn` with its pool, 64
images on two cores with other machines beside: 0.51 ms, 0.56 with fixed shares.

What an item gives must not depend on who computes it. Sums over items, as of a weight's gradient, are therefore still
shared out beforehand: which numbers are added first should be the same every time.
"""

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from minigrad.kernels._jit import threads

SERIAL = 1 << 20  # multiplications; fewer are done before the other threads have woken up


def run_queue(one_thread, every_thread, multiplications, *operands):
    """Let one thread take all items, or every thread take what it can; both get a new queue and the operands."""
    queue = np.zeros(1, np.int64)
    if multiplications < SERIAL:
        one_thread(queue, *operands)
    else:
        every_thread(queue, *operands, threads())


def _take_numpy(queue):
    """The number of the next item, from 0 on; whether there is such an item is for the caller to know."""
    item = queue[0]
    queue[0] += 1
    return item


@intrinsic
def _take_llvm(typing, queue):  # the same as one instruction, which no other thread can come between
    def codegen(context, at, signature, arguments):
        number = context.make_array(signature.args[0])(context, at, arguments[0]).data
        return at.atomic_rmw("add", number, ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(queue), codegen


take = _take_numpy if numba.config.DISABLE_JIT else _take_llvm
