"""minigrad: backpropagation and convolutional networks from scratch, in NumPy and numba.

    import minigrad
    x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    y = (x ** 2).sum()
    minigrad.grad(y, x)         # tensor([2., 4.])

Read the source in this order: `tensor`, `autodiff`, `ops`, `functional`, `nn`, `optim`, `train`, and `kernels` for the
loops.
"""
from . import data, functional, io, models, nn, ops, optim, train
from .autodiff import backward, grad, replay, tape
from .check import check_grads
from .derivatives import hessian, hvp, jacobian, jvp, vjp
from .draw import draw
from .functional import cat, einsum, gather, logsumexp, maximum, minimum, stack, where
from .io import load, load_state, save
from .tensor import Op, Tensor, no_grad, tensor

__version__ = "0.1.0"
__all__ = [
    "Op", "Tensor", "backward", "cat", "check_grads", "data", "draw", "einsum", "functional", "gather", "grad",
    "hessian", "hvp", "io", "jacobian", "jvp", "load", "load_state", "logsumexp", "maximum", "minimum", "models", "nn",
    "no_grad", "ops", "optim", "replay", "save", "stack", "tape", "tensor", "train", "vjp", "where",
]
Tensor.backward = backward
