"""What the operators and methods check, and how they read their settings."""
from functools import wraps
from operator import index

import numpy as np

from . import elementwise as e

KERNEL_DTYPES = np.dtype(np.float32), np.dtype(np.float64)  # of the images that kernels take
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
    dims = checked_dims(name, x, [dim] if not hasattr(dim, "__len__") else dim)
    return tuple(sorted(dims)) if x.ndim else ()


def checked_dims(name, x, dims):
    """The axes `dims` of x made non-negative, in their order; a tensor of shape () has an axis 0 for the asking."""
    axes = x.ndim or 1
    try:
        dims = [index(d) for d in dims]
    except TypeError:
        raise TypeError(f"{name}: dim is {dims}, expected integers") from None
    for d in dims:
        if not -axes <= d < axes:
            raise ValueError(f"{name}: dim {d} is out of range for x of shape {x.shape}, which has {x.ndim} axes")
    dims = [d % axes for d in dims]
    if len(set(dims)) < len(dims):
        raise ValueError(f"{name}: an axis occurs twice in dim {dims} (x {x.shape})")
    return dims


def lengths(name, given):
    """The integers that a method was given, one by one or as one sequence."""
    given = given[0] if len(given) == 1 and hasattr(given[0], "__len__") else given
    try:
        return tuple(index(n) for n in given)
    except TypeError:
        raise TypeError(f"{name}: got {tuple(given)}, expected integers") from None


def needs_float(name, x):
    """Raise unless x is a float tensor."""
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: x has dtype {x.dtype}, expected a float; convert it with x.to(np.float32)")


def matched(name, a, b):
    """`elementwise.match`, whose errors then begin with the name of the function that was called."""
    try:
        return e.match(a, b)
    except (ValueError, TypeError, OverflowError) as error:
        raise type(error)(f"{name}: {error}") from None


def of_unseen_images(op, *xs):
    """Whether tensors are images (N, C, H, W) that kernels take and only ops have read: what is made may wait."""
    for x in xs:
        if x.unseen is None:
            return False
    return xs[-1].ndim == 4 and xs[-1].dtype in KERNEL_DTYPES
