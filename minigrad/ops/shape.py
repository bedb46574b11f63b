"""Ops that move elements without changing them, in pairs: each is the other's derivative.

    BroadcastTo  <->  SumTo          repeat a value      <->  add up the copies
    GetItem      <->  PutItem        read at an index    <->  add into zeros at that index
    Pad          <->  GetItem        Reshape, Permute and Concat undo themselves
"""
from dataclasses import dataclass

import numpy as np

from ..kernels.layout import channels_first
from ..tensor import Op


@dataclass(frozen=True, eq=False)
class BroadcastTo(Op):
    """Repeat along new axes and axes of length 1; a view, no copy."""
    memory = "shared"
    shape: tuple

    def forward(self, x):
        return np.broadcast_to(x, self.shape)

    def vjp(self, g, y, x):
        return (lambda: SumTo(x.shape)(g),)


@dataclass(frozen=True, eq=False)
class SumTo(Op):
    """Add up what broadcasting from `shape` had repeated."""
    shape: tuple

    def forward(self, x):
        new = x.ndim - len(self.shape)
        repeated = tuple(i + new for i, n in enumerate(self.shape) if n == 1 and x.shape[i + new] != 1)
        return x.sum(axis=(*range(new), *repeated), keepdims=True, dtype=x.dtype).reshape(self.shape)

    def vjp(self, g, y, x):
        return (lambda: BroadcastTo(x.shape)(g),)


@dataclass(frozen=True, eq=False)
class Reshape(Op):
    """The same elements in the same (row-major) order under another shape."""
    memory = "shared"
    shape: tuple

    def forward(self, x):
        if x.ndim == 4 and x.shape[:2] != self.shape[:2]:
            x = channels_first(x)  # what NumPy would do, slowly, for images that lie in memory channels last
        return x.reshape(self.shape)

    def vjp(self, g, y, x):
        return (lambda: Reshape(x.shape)(g),)


@dataclass(frozen=True, eq=False)
class Permute(Op):
    """Axes in another order: axis i of the result is axis dims[i] of x."""
    memory = "shared"
    dims: tuple

    def forward(self, x):
        return x.transpose(self.dims)

    def vjp(self, g, y, x):
        return (lambda: Permute(tuple(np.argsort(self.dims).tolist()))(g),)


@dataclass(frozen=True, eq=False)
class GetItem(Op):
    """x[index], for every index NumPy knows."""
    index: object

    def forward(self, x):
        return np.asarray(x[self.index])

    def vjp(self, g, y, x):
        return (lambda: PutItem(self.index, x.shape)(g),)


@dataclass(frozen=True, eq=False)
class PutItem(Op):
    """Zeros of `shape` with x added at index; an element indexed twice gets both."""
    index: object
    shape: tuple

    def forward(self, x):
        out = np.zeros(self.shape, x.dtype)
        if all(i is None or i is Ellipsis or isinstance(i, (int, np.integer, slice)) for i in _as_tuple(self.index)):
            out[self.index] = x
        else:
            np.add.at(out, self.index, x)
        return out

    def vjp(self, g, y, x):
        return (lambda: GetItem(self.index)(g),)


@dataclass(frozen=True, eq=False)
class Concat(Op):
    """Tensors one after the other along an axis."""
    memory = "new"
    dim: int

    def forward(self, *xs):
        return np.concatenate(xs, self.dim)

    def vjp(self, g, y, *xs):
        ends = np.cumsum([x.shape[self.dim] for x in xs]).tolist()
        return tuple(lambda part=slice(end - x.shape[self.dim], end): GetItem((slice(None),) * self.dim + (part,))(g)
                     for x, end in zip(xs, ends, strict=True))


@dataclass(frozen=True, eq=False)
class Pad(Op):
    """A constant around x: `widths` holds (before, after) for each axis."""
    widths: tuple
    value: float = 0.0

    def forward(self, x):
        return np.pad(x, self.widths, constant_values=x.dtype.type(self.value))

    def vjp(self, g, y, x):
        inside = tuple(slice(before, before + n) for (before, _), n in zip(self.widths, x.shape, strict=True))
        return (lambda: GetItem(inside)(g),)


def broadcast_to(x, shape):
    """`x` repeated to `shape`; `x` itself where it has that shape already."""
    return x if x.shape == tuple(shape) else BroadcastTo(tuple(shape))(x)


def _as_tuple(index):
    return index if isinstance(index, tuple) else (index,)
