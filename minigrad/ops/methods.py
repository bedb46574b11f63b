"""The operators and methods of a Tensor: what is written `x + y` or `x.mean(1)`, in terms of ops.

Named as in PyTorch, argument for argument; where NumPy has another name for a setting (`axis` for `dim`, `keepdims` for
`keepdim`), that is understood too. Numbers take the tensor's dtype: 0.5 * x is float32 for a float32 x.
"""
from functools import wraps

import numpy as np

from ..tensor import Tensor
from . import elementwise as e
from .linear import MatMul
from .reduce import Max, Min, Sum
from .shape import Concat, GetItem, Permute, Reshape, broadcast_to

_NUMPY_NAMES = {"axis": "dim", "keepdims": "keepdim"}


def numpy_names(function):
    """Let `function` understand NumPy's `axis` and `keepdims` for PyTorch's `dim` and `keepdim`."""
    @wraps(function)
    def named(*args, **settings):
        return function(*args, **{_NUMPY_NAMES.get(k, k): v for k, v in settings.items()})
    return named


def normal_dims(name, x, dim):
    """`dim` (None, an integer or several) as a sorted tuple of non-negative axes of x."""
    if dim is None:
        return tuple(range(x.ndim))
    dims, axes = [dim] if isinstance(dim, (int, np.integer)) else list(dim), x.ndim or 1
    for d in dims:
        if not -axes <= d < axes:
            raise ValueError(f"{name}: dim {d} is out of range for a tensor of shape {x.shape}, which has {x.ndim} axes")
    dims = [int(d) % axes for d in dims]
    if len(set(dims)) < len(dims):
        raise ValueError(f"{name}: an axis occurs twice in dim {dim} (shape {x.shape})")
    return tuple(sorted(dims))


def needs_float(name, x):
    """Raise unless x is a float tensor."""
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: x has dtype {x.dtype}, expected a float; convert it with x.to(np.float32)")


def binary(op, name):
    """The function of two operands (tensors, arrays, numbers) for an op that takes two of one shape and dtype."""
    def apply(a, b):
        try:
            return op(*e.match(a, b))
        except (ValueError, TypeError) as error:
            raise type(error)(f"{name}: {error}") from None
    apply.__name__, apply.__doc__ = name, op.__doc__
    return apply


add, sub, mul = binary(e.Add(), "add"), binary(e.Sub(), "sub"), binary(e.Mul(), "mul")
maximum, minimum = binary(e.Maximum(), "maximum"), binary(e.Minimum(), "minimum")
_div, _pow = binary(e.Div(), "div"), binary(e.Pow(), "pow")


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
    a, b = e.as_tensor(a), e.as_tensor(b)
    if not (a.ndim and b.ndim) or a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise ValueError(f"matmul: a of shape {a.shape} and b of shape {b.shape} do not fit: the last axis of a "
                         "must be as long as the last but one of b")
    left = reshape(a, 1, -1) if a.ndim == 1 else a
    right = reshape(b, -1, 1) if b.ndim == 1 else b
    if left.ndim > 2 or right.ndim > 2:
        lead = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
        left, right = (broadcast_to(t, lead + t.shape[-2:]) for t in (left, right))
    y = MatMul()(*e.match(left, right) if left.dtype != right.dtype else (left, right))
    return reshape(y, *y.shape[:-2], *([y.shape[-2]] if a.ndim > 1 else []), *([y.shape[-1]] if b.ndim > 1 else []))


def compare(function):
    """A comparison: a bool tensor, of which nothing has a derivative."""
    return lambda a, b: Tensor(np.asarray(function(a.data, b.data if isinstance(b, Tensor) else b)))


def unary(op, name):
    """The method of one float operand for an op."""
    def apply(x):
        needs_float(name, x)
        return op(x)
    apply.__name__, apply.__doc__ = name, op.__doc__
    return apply


def clip(x, min=None, max=None):
    """x limited to [min, max]; either may be None."""
    return e.Clip(min, max)(x)


def to(x, dtype):
    """x with another dtype; the derivative comes back in x's own."""
    dtype = np.dtype(dtype)
    if dtype == x.dtype:
        return x
    return e.Cast(dtype.name)(x) if dtype.kind == x.dtype.kind == "f" else Tensor(x.data.astype(dtype))


@numpy_names
def sum(x, dim=None, keepdim=False):
    """The sum over `dim` (all axes if None)."""
    return Sum(normal_dims("sum", x, dim), keepdim)(x)


@numpy_names
def mean(x, dim=None, keepdim=False):
    """The mean over `dim` (all axes if None)."""
    needs_float("mean", x)
    dims = normal_dims("mean", x, dim)
    return Sum(dims, keepdim)(x) / int(np.prod([x.shape[d] for d in dims]))


@numpy_names
def var(x, dim=None, correction=1, keepdim=False):
    """The variance over `dim`, divided by the count less `correction` (1, as in PyTorch; NumPy's default is 0)."""
    dims = normal_dims("var", x, dim)
    centred = x - mean(x, dims, True)
    count = int(np.prod([x.shape[d] for d in dims])) - correction
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
    return Tensor(np.asarray(np.argmax(x.data, axis=dim, keepdims=keepdim)))


@numpy_names
def logsumexp(x, dim, keepdim=False):
    """log(sum(exp(x))) over `dim`, stable for large x."""
    dims = normal_dims("logsumexp", x, dim)
    top = x.data.max(axis=dims, keepdims=True)
    top = Tensor(np.where(np.isfinite(top), top, 0))
    return (x - top).exp().sum(dims, keepdim).log() + (top if keepdim else Tensor(top.data.squeeze(dims)))


def reshape(x, *shape):
    """x with another shape; one length may be -1."""
    shape = shape[0] if len(shape) == 1 and not isinstance(shape[0], (int, np.integer)) else shape
    try:
        shape = np.empty(x.shape, bool).reshape(shape).shape if -1 in shape else tuple(int(n) for n in shape)
        if np.prod(shape, dtype=int) != x.size:
            raise ValueError
    except ValueError:
        raise ValueError(f"reshape: x of shape {x.shape} has {x.size} elements, which do not fill {tuple(shape)}") from None
    return x if shape == x.shape else Reshape(shape)(x)


def flatten(x, start_dim=0, end_dim=-1):
    """The axes from start_dim to end_dim made one."""
    start, end = (normal_dims("flatten", x, d)[0] for d in (start_dim, end_dim)) if x.ndim else (0, 0)
    return reshape(x, *x.shape[:start], int(np.prod(x.shape[start:end + 1])), *x.shape[end + 1:])


@numpy_names
def squeeze(x, dim=None):
    """Without the axes of length 1 (all of them, or those in `dim`)."""
    dims = normal_dims("squeeze", x, dim)
    return reshape(x, *(n for i, n in enumerate(x.shape) if n != 1 or i not in dims))


@numpy_names
def unsqueeze(x, dim):
    """With a new axis of length 1 at `dim`."""
    if not -x.ndim - 1 <= dim <= x.ndim:
        raise ValueError(f"unsqueeze: dim {dim} is out of range for a tensor of shape {x.shape}")
    dim %= x.ndim + 1
    return reshape(x, *x.shape[:dim], 1, *x.shape[dim:])


def permute(x, *dims):
    """The axes in another order."""
    dims = tuple(dims[0] if len(dims) == 1 and not isinstance(dims[0], int) else dims)
    if sorted(d % x.ndim for d in dims) != list(range(x.ndim)):
        raise ValueError(f"permute: dims {dims} must name each of the {x.ndim} axes of shape {x.shape} once")
    return Permute(tuple(d % x.ndim for d in dims))(x)


def transpose(x, dim0=None, dim1=None):
    """Two axes exchanged; without arguments, all axes in reverse order as in NumPy."""
    dims = list(range(x.ndim))
    if dim0 is None:
        return permute(x, *dims[::-1])
    dims[dim0], dims[dim1] = dims[dim1], dims[dim0]
    return permute(x, *dims)


def expand(x, *shape):
    """x repeated to `shape` as broadcasting does; -1 keeps a length."""
    shape = tuple(shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape)
    new = len(shape) - x.ndim
    shape = tuple(x.shape[i - new] if n == -1 else n for i, n in enumerate(shape))
    if new < 0 or any(have not in (1, want) for have, want in zip(x.shape, shape[new:], strict=True)):
        raise ValueError(f"expand: x of shape {x.shape} does not broadcast to {shape}")
    return broadcast_to(x, shape)


def getitem(x, index):
    """x[index]: integers, slices, None, Ellipsis, integer and bool arrays or tensors."""
    def plain(i):
        return i.data if isinstance(i, Tensor) else np.asarray(i) if isinstance(i, list) else i
    return GetItem(tuple(map(plain, index)) if isinstance(index, tuple) else plain(index))(x)


@numpy_names
def gather(x, dim, index):
    """out[i][j] = x[index[i][j]][j] for dim 0, and so on: one element of x along `dim` for each element of index."""
    index = np.asarray(index.data if isinstance(index, Tensor) else index)
    (dim,) = normal_dims("gather", x, dim)
    if index.dtype.kind not in "iu" or index.ndim != x.ndim:
        raise ValueError(f"gather: index is {index.dtype} of shape {index.shape}; expected integers with {x.ndim} axes, as x {x.shape}")
    if index.size and not 0 <= index.min() <= index.max() < x.shape[dim]:
        raise ValueError(f"gather: index spans {index.min()}..{index.max()}, expected 0..{x.shape[dim] - 1} (axis {dim} of x {x.shape})")
    grid = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    grid[dim] = index
    return GetItem(tuple(grid))(x)


@numpy_names
def cat(tensors, dim=0):
    """The tensors one after the other along `dim`."""
    tensors = [e.as_tensor(t) for t in tensors]
    if not tensors:
        raise ValueError("cat: expected at least one tensor, got none")
    (dim,) = normal_dims("cat", tensors[0], dim)
    first = tensors[0].shape
    for t in tensors[1:]:
        if t.ndim != len(first) or any(m != n for i, (m, n) in enumerate(zip(t.shape, first, strict=True)) if i != dim):
            raise ValueError(f"cat: shapes {first} and {t.shape} differ outside of dim {dim}")
    dtype = np.result_type(*(t.dtype for t in tensors))
    return Concat(dim)(*(to(t, dtype) for t in tensors))


@numpy_names
def stack(tensors, dim=0):
    """Tensors of one shape as the slices of a new axis `dim`."""
    tensors = [e.as_tensor(t) for t in tensors]
    if len({t.shape for t in tensors}) != 1:
        raise ValueError(f"stack: expected tensors of one shape, got {[t.shape for t in tensors]}")
    return cat([unsqueeze(t, dim) for t in tensors], dim)


def where(condition, a, b):
    """a where the condition holds, else b; the side not taken gets no gradient, not even NaN."""
    condition = np.asarray(condition.data if isinstance(condition, Tensor) else condition)
    if condition.dtype != bool:
        raise TypeError(f"where: condition has dtype {condition.dtype}, expected bool; write (x > 0), say")
    a, b = e.match(a, b)
    shape = np.broadcast_shapes(condition.shape, a.shape)
    return e.Where()(Tensor(np.broadcast_to(condition, shape)), broadcast_to(a, shape), broadcast_to(b, shape))
