"""The operators and methods of a Tensor: what is written `x + y` or `x.mean(1)`, in terms of ops.

Named as in PyTorch, argument for argument; where NumPy has another name for a setting (`axis` for `dim`, `keepdims` for
`keepdim`), that is understood too. Numbers take the tensor's dtype: 0.5 * x is float32 for a float32 x.
"""
from math import prod

import numpy as np

from ..tensor import Tensor
from . import elementwise as e
from .arguments import matched, needs_float, normal_dims, numpy_names
from .arrange import reshape
from .linear import MatMul
from .reduce import Max, Min, Sum
from .shape import broadcast_to


def binary(op, name):
    """The function of two operands (tensors, arrays, numbers) for an op that takes two of one shape and dtype."""
    def apply(a, b):
        return op(*matched(name, a, b))
    apply.__name__, apply.__doc__ = name, op.__doc__
    return apply


add, sub, mul = binary(e.Add(), "add"), binary(e.Sub(), "sub"), binary(e.Mul(), "mul")
maximum, minimum = binary(e.Maximum(), "maximum"), binary(e.Minimum(), "minimum")
_div, _pow = binary(e.Div(), "div"), binary(e.Pow(), "pow")


def in_place(name):
    """``x += y`` and its kin: a new tensor under the old name, which for a leaf that is to be learned is a mistake."""
    def apply(x, other):
        if x.requires_grad and x.op is None:
            raise TypeError(f"{name}: would give the name to a new tensor and leave the one that requires a gradient "
                            f"as it is; write x.data {name} ... to change it")
        return NotImplemented
    return apply


def div(a, b):
    """a / b; integers are divided as float32, as in PyTorch."""
    a, b = (x.to(np.float32) if isinstance(x, Tensor) and x.dtype.kind != "f" else x for x in (a, b))
    return _div(a, b)


def pow(a, b):
    """a ** b for numbers and tensors alike."""
    if isinstance(b, (int, float, np.number)) and isinstance(a, Tensor) and a.dtype.kind == "f":
        return a if b == 1 else e.Power(float(b))(a)
    return _pow(a, b)


def matmul(a, b):
    """a @ b as NumPy does it: vectors, matrices, and stacks of matrices whose leading axes broadcast."""
    a, b = e.as_tensor(a, what="matmul: a"), e.as_tensor(b, what="matmul: b")
    if not (a.ndim and b.ndim) or a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise ValueError(f"matmul: a of shape {a.shape} and b of shape {b.shape} do not fit: the last axis of a "
                         "must be as long as the last but one of b (the only one, if b is a vector)")
    left = reshape(a, 1, -1) if a.ndim == 1 else a
    right = reshape(b, -1, 1) if b.ndim == 1 else b
    if left.ndim > 2 or right.ndim > 2:
        try:
            lead = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
        except ValueError:
            raise ValueError(f"matmul: the leading axes of a {a.shape} and b {b.shape} do not broadcast") from None
        left, right = (broadcast_to(t, lead + t.shape[-2:]) for t in (left, right))
    y = MatMul()(*e.match(left, right) if left.dtype != right.dtype else (left, right))
    return reshape(y, *y.shape[:-2], *([y.shape[-2]] if a.ndim > 1 else []), *([y.shape[-1]] if b.ndim > 1 else []))


def compare(function, name):
    """A comparison: a bool tensor, of which nothing has a derivative."""
    def apply(a, b):
        a, b = matched(name, a, b)
        return Tensor(np.asarray(function(a.data, b.data)))
    apply.__name__, apply.__doc__ = name, f"Where a {name} b: a bool tensor without derivative."
    return apply


def unary(op, name):
    """The method of one float operand for an op."""
    def apply(x):
        needs_float(name, x)
        return op(x)
    apply.__name__, apply.__doc__ = name, op.__doc__
    return apply


def clip(x, min=None, max=None):
    """x limited to [min, max], two numbers; one of them may be None."""
    limits = [limit for limit in (min, max) if limit is not None]
    kinds = [type(limit).__name__ for limit in limits if not isinstance(limit, (int, float, np.number))]
    if kinds or not limits:
        raise TypeError(
            f"clip: min and max are {' and '.join(kinds) or 'both None'}, expected numbers, at most one "
            "of them None; for limits that are tensors use maximum and minimum"
        )
    if x.dtype.kind != "f":
        if not all(isinstance(limit, (int, np.integer)) for limit in limits):
            needs_float("clip", x)
        return Tensor(np.clip(x.data, min, max))
    return e.Clip(min, max)(x)


@numpy_names
def sum(x, dim=None, keepdim=False):
    """The sum over `dim` (all axes if None)."""
    return Sum(normal_dims("sum", x, dim), keepdim)(x)


@numpy_names
def mean(x, dim=None, keepdim=False):
    """The mean over `dim` (all axes if None)."""
    needs_float("mean", x)
    dims = normal_dims("mean", x, dim)
    return Sum(dims, keepdim)(x) / prod(x.shape[d] for d in dims)


@numpy_names
def var(x, dim=None, correction=1, keepdim=False):
    """The variance over `dim`, divided by the count less `correction` (1, as in PyTorch; NumPy's default is 0)."""
    needs_float("var", x)
    dims = normal_dims("var", x, dim)
    centred = x - mean(x, dims, True)
    count = prod(x.shape[d] for d in dims) - correction
    return Sum(dims, keepdim)(centred * centred) / (count if count > 0 else np.nan)


@numpy_names
def std(x, dim=None, correction=1, keepdim=False):
    """The square root of `var`."""
    return var(x, dim, correction, keepdim).sqrt()


@numpy_names
def max(x, dim=None, keepdim=False):
    """The largest element over `dim` (all axes if None); elements that tie share the gradient evenly."""
    return Max(_some("max", x, dim), keepdim)(x)


@numpy_names
def min(x, dim=None, keepdim=False):
    """The smallest element over `dim` (all axes if None); elements that tie share the gradient evenly."""
    return Min(_some("min", x, dim), keepdim)(x)


def _some(name, x, dim):
    dims = normal_dims(name, x, dim)
    if 0 in [x.shape[d] for d in dims]:
        raise ValueError(f"{name}: x of shape {x.shape} has no element to choose from along {dims}")
    return dims


@numpy_names
def argmax(x, dim=None, keepdim=False):
    """Where the largest element is (the first, if several are), an integer tensor without derivative."""
    dims = _some("argmax", x, dim)
    if dim is None or not x.ndim:
        return Tensor(np.asarray(np.argmax(x.data)).reshape((1,) * x.ndim if keepdim else ()))
    if len(dims) > 1:
        raise ValueError(f"argmax: dim is {dim}, expected one axis or None for all (x {x.shape})")
    return Tensor(np.asarray(np.argmax(x.data, axis=dims[0], keepdims=keepdim)))


@numpy_names
def logsumexp(x, dim, keepdim=False):
    """log(sum(exp(x))) over `dim`, stable for large x."""
    needs_float("logsumexp", x)
    dims = _some("logsumexp", x, dim)
    top = x.data.max(axis=dims, keepdims=True)
    top = Tensor(np.where(np.isfinite(top), top, 0))
    return (x - top).exp().sum(dims, keepdim).log() + (top if keepdim else Tensor(top.data.squeeze(dims)))


def where(condition, a, b):
    """a where the condition holds, else b; the side not taken gets no gradient, not even NaN."""
    condition = np.asarray(condition.data if isinstance(condition, Tensor) else condition)
    if condition.dtype != bool:
        raise TypeError(f"where: condition has dtype {condition.dtype}, expected bool; write (x > 0), say")
    a, b = matched("where", a, b)
    try:
        shape = np.broadcast_shapes(condition.shape, a.shape)
    except ValueError:
        raise ValueError(f"where: condition {condition.shape} does not broadcast with a and b, of shape "
                         f"{a.shape}") from None
    return e.Where()(Tensor(np.broadcast_to(condition, shape)), broadcast_to(a, shape), broadcast_to(b, shape))
