"""Ops that shrink axes: sums and extremes. Means and variances are compositions (see `functional`)."""
from dataclasses import dataclass

import numpy as np

from ..tensor import Op, Tensor
from .shape import Reshape, broadcast_to


def kept(shape, dims):
    """`shape` with length 1 at the reduced axes, as keepdim=True leaves it."""
    return tuple(1 if i in dims else n for i, n in enumerate(shape))


@dataclass(frozen=True, eq=False)
class Sum(Op):
    """The sum over the axes `dims` (a sorted tuple of non-negative axes)."""
    memory = "new"
    dims: tuple
    keepdim: bool = False

    def forward(self, x):
        return np.asarray(x.sum(axis=self.dims, keepdims=self.keepdim, dtype=x.dtype if x.dtype.kind == "f" else None))

    def vjp(self, g, y, x):
        return (lambda: broadcast_to(Reshape(kept(x.shape, self.dims))(g) if g.ndim else g, x.shape),)


class _Extreme(Op):
    """A maximum or minimum over axes; elements that tie share the gradient evenly, as PyTorch's amax and amin do."""

    def vjp(self, g, y, x):
        def pull():
            shape = kept(x.shape, self.dims)
            winners = x.data == y.data.reshape(shape)
            weight = winners / winners.sum(axis=self.dims, keepdims=True, dtype=x.dtype)
            return broadcast_to(Reshape(shape)(g), x.shape) * Tensor(weight.astype(x.dtype, copy=False))

        return (pull,)


@dataclass(frozen=True, eq=False)
class Max(_Extreme):
    """The largest element over the axes `dims`."""
    dims: tuple
    keepdim: bool = False

    def forward(self, x):
        return np.asarray(x.max(axis=self.dims, keepdims=self.keepdim))


@dataclass(frozen=True, eq=False)
class Min(_Extreme):
    """The smallest element over the axes `dims`."""
    dims: tuple
    keepdim: bool = False

    def forward(self, x):
        return np.asarray(x.min(axis=self.dims, keepdims=self.keepdim))
