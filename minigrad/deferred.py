"""Results that wait: an array that nobody reads need not be made.

The tape has an op for every step that a paper has a rule for, a ReLU and a max-pool, say. But to write a rectified
batch to memory only for the pool to read it back costs more than both computations. So the result of an op that says
``waits = True`` is a `Deferred`: the op and its operands. Whoever reads the tensor's data gets the array, computed
then; but an op that is applied to a Deferred may first look into `fusions` for a kernel that does both steps in one
pass over memory, and then the array in between is never made.

    x ── ReLU ── y ── MaxPool2d ── z          z.data == kernels.relu_max_pool2d(x.data), y.data computed when asked for

That is all below the tape: tensors, ops, rules and numbers are the same, to the bit. An array that waits for others
must not see them overwritten in the meantime; `Tensor.data` sees to that.
"""
from math import prod


class Deferred:
    """An array that is computed when it is read: of an op and arrays, some of which may wait themselves.

    Its shape and dtype are those of the last operand, which holds for all ops that wait. `channel_sum` is the sum of
    each channel, where a kernel that needed it on its way has left it.
    """

    __slots__ = ("array", "channel_sum", "dtype", "op", "operands", "shape", "__weakref__")

    def __init__(self, op, operands):
        self.op, self.operands, self.array, self.channel_sum = op, operands, None, None
        self.shape, self.dtype = operands[-1].shape, operands[-1].dtype

    ndim = property(lambda self: len(self.shape))
    size = property(lambda self: prod(self.shape))

    def read(self):
        """The array."""
        op, operands = self.op, self.operands
        if operands is not None:  # None once it is computed; another thread may be at it too, and gets the same bits
            self.array = compute(op, operands)
            self.operands = None
        return self.array


fusions = {}


def fusion(op_type):
    """Register a function of ``(op, *operands)`` as the way to apply an op to operands that wait.

    It returns an array, or None where it knows no kernel for these operands.
    """
    def register(function):
        fusions[op_type] = function
        return function

    return register


def waiting(operand, op_type):
    """What an op of this type waits to be applied to, if that is what `operand` is; otherwise None."""
    return operand.operands if type(operand) is Deferred and type(operand.op) is op_type else None


def compute(op, operands):
    """Apply an op to arrays, in one pass with what they wait for where there is a kernel for it."""
    if any(type(operand) is Deferred for operand in operands):
        fused = fusions.get(type(op))
        result = fused and fused(op, *operands)
        if result is not None:
            return result
        operands = [operand.read() if type(operand) is Deferred else operand for operand in operands]
    return op.forward(*operands)
