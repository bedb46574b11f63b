"""What the functions of this package check before they compute."""
import numpy as np

from ..ops.elementwise import as_tensor


def floats(function, x):
    """`x` as a float Tensor."""
    x = as_tensor(x)
    if x.dtype.kind != "f":
        raise TypeError(f"{function}: x has dtype {x.dtype}, expected a float; convert it with x.astype(np.float32)")
    return x


def images(function, x):
    """`x` as a float Tensor of shape (N, C, H, W)."""
    x = floats(function, x)
    if x.ndim != 4:
        hint = "; for one image pass x[None]" if x.ndim == 3 else ""
        raise ValueError(f"{function}: x has shape {x.shape}, expected (N, C, H, W){hint}")
    return x


def operands(function, x, **others):
    """The tensors among `others` (None stays out), each of x's dtype."""
    tensors = {name: as_tensor(t) for name, t in others.items() if t is not None}
    for name, t in tensors.items():
        if t.dtype != x.dtype:
            raise TypeError(f"{function}: x is {x.dtype} but {name} is {t.dtype}; convert one of them, e.g. x.astype(np.{t.dtype})")
    return list(tensors.values())


def labels(function, target, logits, ignore_index):
    """`target` as an integer array of class indices for logits of shape (N, C) or (N, C, ...)."""
    target = np.asarray(target)
    if target.dtype.kind not in "iu":
        raise TypeError(f"{function}: target has dtype {target.dtype}, expected integer class indices")
    expected = (logits.shape[0], *logits.shape[2:])
    if target.shape != expected:
        raise ValueError(f"{function}: target has shape {target.shape}, expected {expected} for logits of shape {logits.shape}")
    classes = logits.shape[1]
    wrong = (target != ignore_index) & ((target < 0) | (target >= classes))
    if wrong.any():
        raise ValueError(f"{function}: target holds label {target[wrong][0]}, expected 0..{classes - 1} "
                         f"(or ignore_index {ignore_index}) for logits of shape {logits.shape}")
    return target.astype(np.int64, copy=False)
