"""Results that wait: an array that nobody reads need not be made.

The tape has an op for every step that a paper has a rule for: a convolution, a ReLU, a max-pool. But to write a
rectified batch to memory only for the pool to read it back costs more than both computations. So the result of an op
that may wait is a `Deferred`: the op and its operands. Whoever reads the tensor's data gets the array, computed then;
but an op that is applied to a Deferred may first look into `fusions` for a kernel that does several steps in one pass,
and then the array in between is never made.

    x ── ReLU ── y ── MaxPool2d ── z          z.data == kernels.relu_max_pool2d(x.data), y.data computed when asked for

That is all below the tape: tensors, ops, rules and results are the same. An array that others wait for must not be
overwritten before they are computed. So whatever somebody outside may write to is copied (the images and the weights of
a first convolution are small, beside what it makes of them), and who first asks to see an array that only ops have read
(`Unseen`) lets those that wait for it be computed first.
"""
from math import prod
from weakref import ref

DEPTH = 4  # results that wait for one another; no kernel does more at once, and reading them is recursive
SAMPLE = 16  # elements in the fingerprint that tells an overwritten array; of fewer than twice as many all are taken


class Deferred:
    """An array that is computed when it is read: of an op and arrays, some of which may wait themselves.

    Parameters
    ----------
    op : Op
    operands : tuple of ndarray or Deferred
        Which nobody writes to.
    shape : tuple of int

    Attributes
    ----------
    channel_sum : ndarray or None
        The sum of each channel, where a kernel that needed it on its way has left it.
    """

    __slots__ = ("array", "channel_sum", "depth", "dtype", "op", "operands", "shape", "__weakref__")

    def __init__(self, op, operands, shape):
        self.op, self.operands, self.shape, self.dtype = op, operands, shape, operands[0].dtype
        self.array = self.channel_sum = None
        self.depth = 1
        for operand in operands:
            if type(operand) is Deferred and operand.operands is not None:
                if operand.depth == DEPTH:
                    operand.read()
                else:
                    self.depth = max(self.depth, operand.depth + 1)

    ndim = property(lambda self: len(self.shape))
    size = property(lambda self: prod(self.shape))

    def read(self):
        """The array."""
        op, operands = self.op, self.operands
        if operands is not None:  # None once it is computed; another thread may be at it too, and gets the same bits
            self.array = compute(op, operands)
            self.operands = None
        return self.array


def fingerprint(array):
    """The bytes of a few elements spread over an array."""
    size = array.size
    return array.tobytes() if size < 2 * SAMPLE else array.flat[::size // SAMPLE].tobytes()


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


def read(operand):
    """The array that an operand is, or waits to be."""
    return operand.read() if type(operand) is Deferred else operand


def compute(op, operands):
    """Apply an op to arrays, in one pass with what they wait for where there is a kernel for it."""
    for operand in operands:
        if type(operand) is Deferred:
            fused = fusions.get(type(op))
            result = fused and fused(op, *operands)
            return op.forward(*map(read, operands)) if result is None else result
    return op.forward(*operands)


class Unseen:
    """Memory that only ops have read so far: the tensors that live in it, and the results that wait for it."""

    __slots__ = ("readers", "tensors")

    def __init__(self):
        self.readers, self.tensors = [], []  # weak references, which leave when what they lead to is gone

    def add_reader(self, waiting):
        """Note a Deferred that will read this memory."""
        self.readers.append(ref(waiting, self.readers.remove))

    def add_tensor(self, t):
        """Note a Tensor that lives here."""
        self.tensors.append(ref(t, self.tensors.remove))

    def show(self):
        """Compute what waits: from now on the memory may be written to."""
        for reader in alive(self.readers):
            reader.read()
        for t in alive(self.tensors):
            t._data = read(t._data)
            t.shown = fingerprint(t._data)
            t.unseen = None


def alive(references):
    """What weak references still lead to."""
    return [found for found in [weak() for weak in list(references)] if found is not None]
