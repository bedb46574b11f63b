"""Softmax and its logarithm, stable for logits of any size: the largest is subtracted first."""
from dataclasses import dataclass

import numpy as np

from ..tensor import Op
from .reduce import Sum


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
