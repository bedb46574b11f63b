"""Matrix products: the dense layer, the plain product, and Einstein's summation."""
from dataclasses import dataclass

import numpy as np

from .. import kernels
from ..tensor import Op
from .reduce import Sum
from .shape import Permute, Reshape, broadcast_to


class MatMul(Op):
    """a @ b for matrices, or stacks of matrices with equal leading axes."""
    memory = "new"

    def forward(self, a, b):
        if a.dtype.kind != "f":
            return np.matmul(a, b)
        if a.ndim == 2:
            return kernels.matmul(a, b)
        y = np.empty(
            (*a.shape[:-1], b.shape[-1]), a.dtype
        )  # one by one, for a stack given to BLAS would wake its threads
        for i in np.ndindex(a.shape[:-2]):
            y[i] = kernels.matmul(a[i], b[i])
        return y

    def vjp(self, g, y, a, b):
        return lambda: MatMul()(g, _transposed(b)), lambda: MatMul()(_transposed(a), g)


class Linear(Op):
    """x @ weight.T + bias: a dense layer for x of shape (N, in), weight (out, in), bias (out,) or none."""
    memory = "new"

    def forward(self, x, weight, *bias):
        return kernels.matmul(x, weight.T, *bias)

    def vjp(self, g, y, x, weight, *bias):
        return (lambda: MatMul()(g, weight), lambda: MatMul()(_transposed(g), x), *(lambda: Sum((0,))(g) for _ in bias))


@dataclass(frozen=True, eq=False)
class Einsum(Op):
    """Einstein's summation for explicit subscripts such as ``ij,jk->ik``, no letter twice in one operand.

    The derivative for one operand is again a summation: the output's term takes its place and its term the output's.
    A letter that stands in this operand only was summed away, so its derivative is the same all along that axis.
    """
    subscripts: str

    def forward(self, *xs):
        return np.asarray(np.einsum(self.subscripts, *xs, optimize=len(xs) > 2))

    def vjp(self, g, y, *xs):
        terms, output = self.subscripts.split("->")
        terms = terms.split(",")

        def pull(i):
            others = [t for j, t in enumerate(terms) if j != i]
            known = [c for c in terms[i] if c in output or any(c in t for t in others)]
            rest = [x for j, x in enumerate(xs) if j != i]
            summed = Einsum(",".join([output, *others]) + "->" + "".join(known))(g, *rest)
            shape = tuple(n if c in known else 1 for c, n in zip(terms[i], xs[i].shape, strict=True))
            return broadcast_to(Reshape(shape)(summed), xs[i].shape)

        return tuple(lambda i=i: pull(i) for i in range(len(xs)))


def _transposed(x):
    return Permute((*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))(x)
