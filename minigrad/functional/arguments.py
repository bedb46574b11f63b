"""What the functions of this package check before they compute."""
import numpy as np

from ..ops.arguments import KERNEL_DTYPES
from ..ops.elementwise import as_tensor
from ..tensor import Tensor


def floats(function, x, name="x"):
    """`x` as a float Tensor."""
    x = x if isinstance(x, Tensor) else as_tensor(x, what=f"{function}: {name}")
    if x.dtype.kind != "f":
        raise TypeError(f"{function}: {name} has dtype {x.dtype}, expected a float; convert it with "
                        f"{name}.astype(np.float32)")
    return x


def images(function, x):
    """`x` as a Tensor of shape (N, C, H, W), float32 or float64: what the kernels take."""
    x = floats(function, x)
    if x.dtype not in KERNEL_DTYPES:
        raise TypeError(f"{function}: x has dtype {x.dtype}, expected float32 or float64; convert it with "
                        "x.astype(np.float32)")
    if x.ndim != 4:
        hint = "; for one image pass x[None]" if x.ndim == 3 else ""
        raise ValueError(f"{function}: x has shape {x.shape}, expected (N, C, H, W){hint}")
    return x


def operands(function, x, first="x", **others):
    """The tensors among `others` (None stays out), each of the dtype of x, which messages call `first`."""
    tensors = []
    for name, t in others.items():
        if t is None:
            continue
        t = t if isinstance(t, Tensor) else as_tensor(t, what=f"{function}: {name}")
        if t.dtype != x.dtype:
            raise TypeError(
                f"{function}: {first} is {x.dtype} but {name} is {t.dtype}, expected one dtype; convert one of "
                f"them, e.g. {first}.astype(np.{t.dtype})"
            )
        tensors.append(t)
    return tensors


def generator(function, rng):
    """`rng`, or a fresh generator for None."""
    if rng is None:
        return np.random.default_rng()
    if not isinstance(rng, np.random.Generator):
        fix = f"np.random.default_rng({rng})" if isinstance(rng, (int, np.integer)) else "np.random.default_rng(seed)"
        raise TypeError(f"{function}: rng is {type(rng).__name__}, expected a np.random.Generator; use {fix}")
    return rng


def labels(function, target, logits, ignore_index):
    """The class indices in `target` that count, one by one, for logits (N, C) or (N, C, ...), and where they are.

    That is a bool array of target's shape: False for `ignore_index`.
    """
    target = np.asarray(target)
    if target.dtype.kind not in "iu":
        raise TypeError(f"{function}: target has dtype {target.dtype}, expected integer class indices; "
                        "convert it with target.astype(np.int64)")
    expected = (logits.shape[0], *logits.shape[2:])
    if target.shape != expected:
        raise ValueError(
            f"{function}: target has shape {target.shape}, expected {expected} for scores of shape "
            f"{logits.shape}; give one class index per sample, not a one-hot vector"
        )
    classes, counted = logits.shape[1], target != ignore_index
    chosen = target[counted]
    if chosen.size and not 0 <= chosen.min() <= chosen.max() < classes:
        wrong = chosen[(chosen < 0) | (chosen >= classes)][0]
        raise ValueError(f"{function}: target holds label {wrong}, expected 0..{classes - 1} "
                         f"(or ignore_index {ignore_index}) for scores of shape {logits.shape}; classes count from 0")
    return chosen, counted
