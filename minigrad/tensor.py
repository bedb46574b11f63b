"""The two ideas the whole library rests on: a Tensor that remembers, and an Op that can be asked again.

A forward pass leaves a *tape*: every Tensor knows the Op that made it and the Tensors it was made from. The tape is
plain data (no closures, no reference cycles), so anybody may walk it: `autodiff.grad` walks it backwards with each
op's derivative, an attribution method walks the same tape with other rules, `draw` turns it into a picture.

    x ──┐
        Mul ── y          y.op == Mul(), y.inputs == (x, w), y.serial > x.serial
    w ──┘

Two facts make the engine short. `serial` counts creations, so sorting by it *is* a topological order: no recursion and
no limit on depth. And an Op holds settings only, never operands, so it can be applied again to other operands: a rule
such as LRP-gamma is the same convolution with other weights.
"""
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import count

import numpy as np

from .deferred import Deferred, Unseen, compute, fingerprint, read

recording = ContextVar("recording", default=True)  # context variables: threads do not see each other's settings
scope = ContextVar("scope", default="")            # path of the module that is running
_serials = count()


class setting:
    """Give a context variable another value for the length of a `with` block."""

    __slots__ = ("token", "value", "variable")

    def __init__(self, variable, value):
        self.variable, self.value = variable, value

    def __enter__(self):
        self.token = self.variable.set(self.value)

    def __exit__(self, *error):
        self.variable.reset(self.token)


@contextmanager
def no_grad():
    """Run a block (or, as a decorator, a function) without recording a tape."""
    with setting(recording, False):
        yield


@contextmanager
def enable_grad():
    """Run a block or a function with recording, also inside of `no_grad`."""
    with setting(recording, True):
        yield


class Tensor:
    """An array that remembers which op made it, from what, and inside which module.

    Parameters
    ----------
    data : array_like of bool, integer or float
        Kept without a copy where it is an ndarray already; Python floats become float32, as in PyTorch.
    requires_grad : bool
        Whether derivatives with respect to it may be asked for; floats only.

    Attributes
    ----------
    op, inputs : Op or None, tuple of Tensor
        What made it, from what; None and () for a leaf or where nothing was recorded.
    scope : str
        Path of the module it was made in, such as ``features.3``; '' outside of any, and where nothing was recorded.
    serial : int
        Creation counter: a tensor's inputs always have smaller ones.
    grad : Tensor or None
        Filled by `backward`, added to by the next one.
    unseen, shown
        Who waits for the array while only ops have read it, and its fingerprint when it was first seen; see `deferred`.
    """

    __slots__ = ("_data", "requires_grad", "op", "inputs", "stamps", "scope", "serial", "version", "grad", "unseen",
                 "shown", "__weakref__")
    __array_ufunc__ = None  # `ndarray * Tensor` must reach Tensor.__rmul__ instead of making an array of objects

    def __init__(self, data, requires_grad=False, *, op=None, inputs=(), unseen=None):
        if type(data) is not np.ndarray and type(data) is not Deferred:
            data = as_array(data)
        if data.dtype.kind not in "fiub":
            raise TypeError(f"Tensor: data has dtype {data.dtype}; expected bool, integer or float: convert it first")
        if requires_grad and data.dtype.kind != "f":
            raise TypeError(f"Tensor: requires_grad needs a float dtype, data has {data.dtype}; use tensor(data, "
                            "dtype=np.float32)")
        self._data, self.requires_grad, self.op, self.inputs = data, requires_grad, op, inputs
        self.scope, self.serial, self.version, self.grad = scope.get(), next(_serials), 0, None
        self.unseen, self.shown = unseen, None
        if unseen is not None:
            unseen.add_tensor(self)
        self.stamps = [stamp(t) for t in (*inputs, self)] if inputs else ()

    @property
    def data(self):
        """The ndarray. Assigning to it (also ``t.data -= step``) marks every tape that used the old values as stale."""
        unseen = self.unseen  # once: another thread may show the array now
        if unseen is not None:
            unseen.show()
        return self._data

    @data.setter
    def data(self, value):
        self._data, self.unseen = as_array(value), None
        self.bump()

    def bump(self):
        """Say that `data` was overwritten in place: a tape that used the old values then raises instead of lying."""
        self.version += 1

    def peek(self):
        """The ndarray, to be read at once and not kept: it may be one that nobody has seen, and stays so."""
        return read(self._data)

    shape = property(lambda self: self._data.shape, doc="Lengths of the axes, a tuple.")
    ndim = property(lambda self: self._data.ndim, doc="Number of axes.")
    dtype = property(lambda self: self._data.dtype, doc="NumPy dtype of the elements.")
    size = property(lambda self: self._data.size, doc="Number of elements.")

    def numpy(self):
        """The ndarray itself (no copy)."""
        return self.data

    def item(self):
        """The only element as a Python number."""
        if self.size != 1:
            raise ValueError(
                f"item: the tensor has {self.size} elements (shape {self.shape}), expected 1; reduce it "
                "or index it first"
            )
        return self.data.item()

    def detach(self):
        """A new leaf with the same array and no past."""
        return Tensor(self.data)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.data, dtype=dtype, copy=copy)

    def __reduce_ex__(self, protocol):
        self.numpy()  # computed, for copies and pickles hold arrays
        return super().__reduce_ex__(protocol)

    def __repr__(self):
        made = f", op={self.op}" if self.op else ", requires_grad=True" if self.requires_grad else ""
        return f"tensor({np.array2string(self.data, separator=', ', prefix='tensor(')}, dtype={self.dtype}{made})"

    def __eq__(self, other):  # identity, for tensors are keys; an array beside one was meant to be compared by value
        if isinstance(other, (np.ndarray, np.generic, int, float)):
            raise TypeError(f"==: compares a Tensor with {type(other).__name__}, but == of tensors means being the "
                            "same one; write x.eq(y) to compare elements, or compare x.data")
        return self is other

    __hash__ = object.__hash__

    def __contains__(self, value):
        return bool((self.data == np.asarray(value)).any())

    def __len__(self):
        if not self.shape:
            raise TypeError("len: a tensor of shape () has no length")
        return self.shape[0]

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __bool__(self):
        if self.size != 1:
            raise ValueError(
                f"bool: the truth of {self.size} elements is ambiguous (shape {self.shape}); use (t.data "
                "> 0).any() or .all()"
            )
        return bool(self.data)

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())


def stamp(t):
    """What tells that `t` was overwritten: its version, its shape, and a fingerprint of its array.

    The version catches `t.data = …`, `t.data -= …` and every optimizer. Writing through the array itself (`t.data[...]
    = 0`) escapes any counter; the fingerprint catches that for arrays up to `SAMPLE` elements always, and for larger
    ones when one of the sampled elements changed. An array that nobody has seen yet needs none.
    """
    return t.version, t._data.shape, fingerprint(t._data) if t.unseen is None else None


def overwritten(t, then):
    """Whether `t` was overwritten since it had the stamp `then`."""
    version, shape, print_then = then
    if t.version != version:
        return True
    if t.unseen is not None:
        return False
    return t._data.shape != shape or fingerprint(t._data) != (t.shown if print_then is None else print_then)


def tensor(data, dtype=None, requires_grad=False):
    """Copy `data` into a new leaf Tensor.

    Parameters
    ----------
    data : array_like
        Float arrays keep their dtype; Python floats become float32, as in PyTorch, and Python integers int64.
    dtype : numpy dtype, optional
    requires_grad : bool, default False

    Raises
    ------
    TypeError
        If the dtype is not bool, integer or float, or `requires_grad` is asked of integers.
    """
    return Tensor(np.array(as_array(data) if dtype is None else data, dtype), requires_grad)


def as_array(data):
    """`data` as an ndarray: what has a dtype keeps it, Python floats (also in lists) become float32."""
    array = np.asarray(data)
    return array.astype(np.float32) if array.dtype == np.float64 and not hasattr(data, "dtype") else array


@dataclass(frozen=True, eq=False)
class Op:
    """A primitive and its settings, never its operands.

    A subclass is a frozen dataclass with two methods. `forward(*arrays) -> array` computes, on ndarrays. `vjp(g, y,
    *xs)` returns one thunk (or None, for an input that has no derivative) per input; a thunk takes nothing and gives
    the derivative of sum(g * y) with respect to that input. It is written in Tensors and ops, so derivatives of
    derivatives come for free, and only the thunks somebody asks for are ever run. A vjp may use the settings, `y` and
    the inputs; nothing else is saved, but for a note (`ops.note`) of what would have to be found in them again.

    Attributes
    ----------
    memory : 'new', 'shared' or None
        Whether `forward` returns memory that nobody else has, or shares that of its only operand; None if unknown.
    """

    memory = None

    def may_wait(self, *xs):
        """Whether the result for these Tensors may wait until it is read (see `deferred`)."""
        return False

    def result_shape(self, *arrays):
        """The shape of a result that waits: that of the last operand."""
        return arrays[-1].shape

    def forward(self, *xs):
        """Arrays in, array out."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def vjp(self, g, y, *xs):
        """Tensors in; one thunk or None per input out."""
        raise NotImplementedError(f"{type(self).__name__} has no vjp: it cannot be differentiated")

    def __call__(self, *xs):
        try:
            if self.may_wait(*xs):
                data = self._wait(xs)
            else:
                data = compute(self, [x._data if self.memory or x.unseen is None else x.data for x in xs])
        except AttributeError:
            if all(isinstance(x, Tensor) for x in xs):
                raise
            came = ", ".join(type(x).__name__ for x in xs)
            raise TypeError(f"{type(self).__name__}: got {came}, expected Tensors; wrap arrays in "
                            "minigrad.tensor(...)") from None
        unseen = Unseen() if self.memory == "new" else xs[0].unseen if self.memory == "shared" else None
        if recording.get():
            for x in xs:
                if x.requires_grad:
                    return Tensor(data, True, op=self, inputs=xs, unseen=unseen)
        return Tensor(data, unseen=unseen)

    def _wait(self, xs):
        """A result that waits for memory that only ops have read, and for copies of what others may write to."""
        arrays, memories = [], []
        for x in xs:
            unseen = x.unseen  # before the array, which another thread may show meanwhile
            if unseen is None:
                arrays.append(x.data.copy(order="K"))
            else:
                arrays.append(x._data)
                memories.append((x, unseen))
        waiting = Deferred(self, tuple(arrays), self.result_shape(*arrays))
        for x, unseen in memories:
            unseen.add_reader(waiting)
            if x.unseen is not unseen:
                waiting.read()
        return waiting
