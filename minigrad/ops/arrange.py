"""The methods of a Tensor that rearrange elements or convert their dtype: `x.reshape(2, 3)`, `x[0]`, `cat([x, y])`."""
from math import prod

import numpy as np

from ..tensor import Tensor
from . import elementwise as e
from .arguments import checked_dims, lengths, normal_dims, numpy_names
from .shape import Concat, GetItem, Permute, Reshape, broadcast_to


def to(x, dtype):
    """x with another dtype; the derivative comes back in x's own."""
    dtype = np.dtype(dtype)
    if dtype == x.dtype:
        return x
    return e.Cast(dtype.name)(x) if dtype.kind == x.dtype.kind == "f" else Tensor(x.data.astype(dtype))


def reshape(x, *shape):
    """x with another shape; one length may be -1."""
    shape = lengths("reshape", shape)
    rest = prod(n for n in shape if n != -1)
    if shape.count(-1) == 1 and rest and not x.size % rest:
        shape = tuple(x.size // rest if n == -1 else n for n in shape)
    if min(shape, default=0) < 0 or prod(shape) != x.size:
        raise ValueError(f"reshape: x of shape {x.shape} has {x.size} elements, which do not fill {shape}")
    return x if shape == x.shape else Reshape(shape)(x)


def flatten(x, start_dim=0, end_dim=-1):
    """The axes from start_dim to end_dim made one."""
    start, end = (checked_dims("flatten", x, [d])[0] for d in (start_dim, end_dim))
    if start > end:
        raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim} (x {x.shape})")
    shape = *x.shape[:start], prod(x.shape[start:end + 1]), *x.shape[end + 1:]
    return x if shape == x.shape else Reshape(shape)(x)


@numpy_names
def squeeze(x, dim=None):
    """Without the axes of length 1 (all of them, or those in `dim`)."""
    dims = normal_dims("squeeze", x, dim)
    return reshape(x, *(n for i, n in enumerate(x.shape) if n != 1 or i not in dims))


@numpy_names
def unsqueeze(x, dim):
    """With a new axis of length 1 at `dim`."""
    if not -x.ndim - 1 <= dim <= x.ndim:
        raise ValueError(f"unsqueeze: dim {dim} is out of range for x of shape {x.shape}, expected "
                         f"{-x.ndim - 1}..{x.ndim}")
    dim %= x.ndim + 1
    return reshape(x, *x.shape[:dim], 1, *x.shape[dim:])


def permute(x, *dims):
    """The axes in another order."""
    dims = tuple(checked_dims("permute", x, lengths("permute", dims)))
    if len(dims) != x.ndim:
        raise ValueError(f"permute: dims {dims} must name each of the {x.ndim} axes of x {x.shape} once")
    return Permute(dims)(x)


def transpose(x, dim0=None, dim1=None):
    """Two axes exchanged; without arguments, all axes in reverse order as in NumPy."""
    dims = list(range(x.ndim))
    if dim0 is None and dim1 is None:
        return Permute(tuple(dims[::-1]))(x)
    if dim0 is None or dim1 is None or hasattr(dim0, "__len__"):
        raise TypeError(f"transpose: got dim0={dim0}, dim1={dim1}, expected two axes or none; for another order use "
                        "permute")
    (dim0,), (dim1,) = (checked_dims("transpose", x, [d]) for d in (dim0, dim1))
    if x.ndim:
        dims[dim0], dims[dim1] = dims[dim1], dims[dim0]
    return Permute(tuple(dims))(x)


def expand(x, *shape):
    """x repeated to `shape` as broadcasting does; -1 keeps a length."""
    shape = lengths("expand", shape)
    new = len(shape) - x.ndim
    shape = tuple(x.shape[i - new] if n == -1 and i >= new else n for i, n in enumerate(shape))
    fits = new >= 0 and all(have in (1, want) for have, want in zip(x.shape, shape[new:], strict=True))
    if not fits or min(shape, default=0) < 0:
        raise ValueError(f"expand: x of shape {x.shape} does not broadcast to {shape}")
    return broadcast_to(x, shape)


def getitem(x, index):
    """x[index]: integers, slices, None, Ellipsis, integer and bool arrays or tensors."""
    def plain(i):  # a copy of an index array: the op keeps it, and its owner may write into it
        return np.array(i, None if np.size(i) else int) if isinstance(i, (Tensor, np.ndarray, list)) else i
    return GetItem(tuple(map(plain, index)) if isinstance(index, tuple) else plain(index))(x)


@numpy_names
def gather(x, dim, index):
    """out[i][j] = x[index[i][j]][j] for dim 0, and so on: one element of x along `dim` for each element of index."""
    index = np.array(index)
    (dim,) = checked_dims("gather", x, [dim])
    if index.dtype.kind not in "iu" or index.ndim != x.ndim:
        raise ValueError(
            f"gather: index is {index.dtype} of shape {index.shape}, expected integers with {x.ndim} "
            f"axes, as x {x.shape}"
        )
    if any(m > n for i, (m, n) in enumerate(zip(index.shape, x.shape, strict=True)) if i != dim):
        raise ValueError(f"gather: index of shape {index.shape} is longer than x {x.shape} along an axis other than "
                         f"{dim}")
    if index.size and not 0 <= index.min() <= index.max() < x.shape[dim]:
        raise ValueError(f"gather: index spans {index.min()}..{index.max()}, expected 0..{x.shape[dim] - 1} "
                         f"(axis {dim} of x {x.shape})")
    grid = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    grid[dim] = index
    return GetItem(tuple(grid))(x)


@numpy_names
def cat(tensors, dim=0):
    """The tensors one after the other along `dim`."""
    tensors = [e.as_tensor(t, what=f"cat: tensors[{i}]") for i, t in enumerate(tensors)]
    if not tensors or not all(t.ndim for t in tensors):
        raise ValueError(
            f"cat: got tensors of shapes {[t.shape for t in tensors]}, expected at least one and none of "
            "shape (); use stack for those"
        )
    (dim,) = checked_dims("cat", tensors[0], [dim])
    first = tensors[0].shape
    for t in tensors[1:]:
        if t.ndim != len(first) or any(m != n for i, (m, n) in enumerate(zip(t.shape, first, strict=True)) if i != dim):
            raise ValueError(f"cat: shapes {first} and {t.shape} differ outside of dim {dim}")
    dtype = np.result_type(*(t.dtype for t in tensors))
    return Concat(dim)(*(to(t, dtype) for t in tensors))


@numpy_names
def stack(tensors, dim=0):
    """Tensors of one shape as the slices of a new axis `dim`."""
    tensors = [e.as_tensor(t, what=f"stack: tensors[{i}]") for i, t in enumerate(tensors)]
    if len({t.shape for t in tensors}) != 1:
        raise ValueError(f"stack: expected tensors of one shape, got {[t.shape for t in tensors]}")
    return cat([unsqueeze(t, dim) for t in tensors], dim)
