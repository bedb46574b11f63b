"""Softmax, its logarithm and the loss made of it, stable for logits of any size: the largest is subtracted first."""
from dataclasses import dataclass

import numpy as np

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


class CrossEntropy(Op):
    """-sum(q * log(softmax(x))) over axis 1, for scores x and odds q of one shape (N, C, ...): (N, ...)."""
    memory = "new"

    def forward(self, x, q):
        log_p = LogSoftmax(1).forward(x)
        return -np.where(q, q * log_p, 0).sum(axis=1)  # what has no odds adds nothing, even to a log of zero

    def vjp(self, g, y, x, q):
        def spread():
            return broadcast_to(Reshape(kept(x.shape, (1,)))(g), x.shape)

        return (lambda: spread() * (Softmax(1)(x) * broadcast_to(Sum((1,), True)(q), x.shape) - q),
                lambda: -spread() * LogSoftmax(1)(x))
