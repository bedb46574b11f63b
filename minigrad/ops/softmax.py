"""Softmax, its logarithm and the loss made of it, stable for logits of any size: the largest is subtracted first."""
from dataclasses import dataclass

import numpy as np

from .. import kernels
from ..tensor import Op
from .reduce import Sum, kept
from .shape import Reshape, broadcast_to


@dataclass(frozen=True, eq=False)
class Softmax(Op):
    """exp(x) / sum(exp(x)) along an axis."""
    dim: int

    def forward(self, x):
        e = np.exp(x - x.max(axis=self.dim, keepdims=True))
        return e / e.sum(axis=self.dim, keepdims=True)

    def vjp(self, g, y, x):
        return (lambda: y * (g - Sum((self.dim,), True)(g * y)),)


@dataclass(frozen=True, eq=False)
class LogSoftmax(Op):
    """x - log(sum(exp(x))) along an axis."""
    dim: int

    def forward(self, x):
        shifted = x - x.max(axis=self.dim, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=self.dim, keepdims=True))

    def vjp(self, g, y, x):
        return (lambda: g - y.exp() * Sum((self.dim,), True)(g),)


@dataclass(frozen=True, eq=False)
class CrossEntropy(Op):
    """-sum(q * log(softmax(x))) over axis 1, for scores x and odds q of one shape (N, C, ...): (N, ...), or the sum."""
    memory = "new"
    total: bool = False

    def forward(self, x, q):
        losses = kernels.cross_entropy(_rows(x), _rows(q))
        return np.asarray(losses.sum()) if self.total else losses.reshape(x.shape[0], *x.shape[2:])

    def vjp(self, g, y, x, q):
        return lambda: CrossEntropyInput()(g, x, q), lambda: -_spread(g, x) * LogSoftmax(1)(x)


class CrossEntropyInput(Op):
    """g * (sum(q) * softmax(x) - q), the gradient of the cross-entropy with respect to the scores: (N, C, ...).

    g has a number for each sample, or is one for all.
    """
    memory = "new"

    def forward(self, g, x, q):
        g = g.reshape(-1) if g.ndim else np.full(x.size // x.shape[1], g)
        y = kernels.cross_entropy_grad(g, _rows(x), _rows(q))
        return y if x.ndim == 2 else np.moveaxis(y.reshape(x.shape[0], *x.shape[2:], x.shape[1]), -1, 1)

    def vjp(self, h, y, g, x, q):
        def total(t):
            return _spread(Sum((1,))(t), x)

        p, scale = Softmax(1)(x), _spread(g, x)
        summed = Sum((1,) if g.ndim else tuple(range(x.ndim)))
        return (lambda: summed(h * (total(q) * p - q)), lambda: scale * total(q) * p * (h - total(h * p)),
                lambda: scale * (total(h * p) - h))


def _rows(x):
    """Scores (N, C, ...) as a matrix with a row for each sample."""
    return x if x.ndim == 2 else np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])


def _spread(t, x):
    """One number a sample, (N, ...), or one for all, for each of the scores, (N, C, ...)."""
    return broadcast_to(Reshape(kept(x.shape, (1,)))(t) if t.ndim else t, x.shape)
