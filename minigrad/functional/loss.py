"""Losses. `reduction` is 'mean', 'sum' or 'none' for all of them."""
import numpy as np

from ..ops.elementwise import as_tensor
from ..ops.methods import where
from ..tensor import Tensor
from .activation import log_softmax, softplus
from .arguments import floats, labels, operands


def nll_loss(log_probabilities, target, weight=None, ignore_index=-100, reduction="mean"):
    """Minus the log-probability of each sample's class.

    Parameters
    ----------
    log_probabilities : Tensor of shape (N, C) or (N, C, ...)
    target : integer array of shape (N,) or (N, ...)
        Class indices 0..C-1; rows that hold `ignore_index` count neither in the sum nor in the mean.
    weight : array of shape (C,), optional
        One weight a class; the mean divides by the sum of the weights used, as in PyTorch.

    Raises
    ------
    ValueError
        For labels out of range, shapes that do not fit, or an empty batch with reduction 'mean'.
    """
    return _nll("nll_loss", log_probabilities, target, weight, ignore_index, reduction, 0.0)


def cross_entropy(logits, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """The loss of classification: minus the log of the softmax at the true class; arguments as in `nll_loss`.

    Parameters
    ----------
    logits : Tensor of shape (N, C) or (N, C, ...)
        Scores before any softmax.
    target : integer array of shape (N,), or float array of logits' shape
        Class indices, or for each sample a probability per class.
    label_smoothing : float in [0, 1]
        The part of each target that is spread evenly over the classes. Szegedy et al. 2016.
    """
    logits = floats("cross_entropy", logits, "logits")
    if logits.ndim < 2:
        raise ValueError(f"cross_entropy: logits have shape {logits.shape}, expected (N, C) or (N, C, ...)")
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing is {label_smoothing}, expected a number in [0, 1]")
    if np.asarray(target).dtype.kind == "f":
        target = as_tensor(target, what="cross_entropy: target")
        return _soft_cross_entropy(logits, target, weight, reduction, label_smoothing)
    return _nll("cross_entropy", log_softmax(logits, 1), target, weight, ignore_index, reduction, label_smoothing)


def mse_loss(x, target, reduction="mean"):
    """(x - target) ** 2; the shapes must agree, for broadcasting here is nearly always a mistake."""
    x, target = _alike("mse_loss", x, target)
    return _reduced("mse_loss", (x - target) ** 2, reduction)


def l1_loss(x, target, reduction="mean"):
    """|x - target|."""
    x, target = _alike("l1_loss", x, target)
    return _reduced("l1_loss", (x - target).abs(), reduction)


def binary_cross_entropy_with_logits(x, target, reduction="mean"):
    """Minus the log-likelihood of labels in [0, 1] under sigmoid(x), without the sigmoid's loss of precision."""
    x, target = _alike("binary_cross_entropy_with_logits", x, target)
    return _reduced("binary_cross_entropy_with_logits", (1 - target) * x + softplus(-x, threshold=np.inf), reduction)


def _nll(function, log_p, target, weight, ignore_index, reduction, smoothing):
    log_p = floats(function, log_p, "log_probabilities")
    if log_p.ndim < 2:
        raise ValueError(f"{function}: log_probabilities have shape {log_p.shape}, expected (N, C) or (N, C, ...)")
    target = labels(function, target, log_p, ignore_index)
    classes = log_p.shape[1]
    counted = target != ignore_index
    safe = np.where(counted, target, 0)
    class_weight = _class_weight(function, weight, log_p)
    sample_weight = (class_weight[safe] * counted).astype(log_p.dtype, copy=False)
    picked = log_p.gather(1, np.expand_dims(safe, 1)).squeeze(1)
    loss = -where(counted, picked, 0.0) * sample_weight  # an ignored row may even hold NaN
    if smoothing:
        shape = (1, classes) + (1,) * (log_p.ndim - 2)
        spread = -(where(np.expand_dims(counted, 1), log_p, 0.0) * class_weight.reshape(shape)).sum(1)
        loss = (1 - smoothing) * loss + smoothing / classes * spread
    if reduction == "mean":
        if not target.size:
            raise ValueError(f"{function}: the batch is empty (target of shape {target.shape}); its mean is undefined")
        if not sample_weight.any():
            return loss.sum() + np.nan  # NaN, as in PyTorch; its gradient is 0
        return loss.sum() / float(sample_weight.sum())
    return _reduced(function, loss, reduction)


def _soft_cross_entropy(logits, target, weight, reduction, smoothing):
    if target.shape != logits.shape:
        raise ValueError(f"cross_entropy: target probabilities have shape {target.shape}, expected that of the logits, "
                         f"{logits.shape}; class indices must be integers")
    (target,) = operands("cross_entropy", logits, target=target)
    classes = logits.shape[1]
    shape = (1, classes) + (1,) * (logits.ndim - 2)
    soft = target * (1 - smoothing) + smoothing / classes
    loss = -(log_softmax(logits, 1) * soft * _class_weight("cross_entropy", weight, logits).reshape(shape)).sum(1)
    if reduction == "mean" and loss.size:  # over samples, not over classes
        return loss.sum() / loss.size
    return _reduced("cross_entropy", loss, reduction)


def _class_weight(function, weight, logits):
    weight = np.ones(logits.shape[1], logits.dtype) if weight is None else np.asarray(weight, logits.dtype)
    if weight.shape != (logits.shape[1],):
        raise ValueError(
            f"{function}: weight has shape {weight.shape}, expected ({logits.shape[1]},), one number a "
            f"class (scores {logits.shape})"
        )
    return weight


def _alike(function, x, target):
    x = floats(function, x)
    target = as_tensor(target, x, what=f"{function}: target")
    if x.shape != target.shape:
        raise ValueError(f"{function}: x has shape {x.shape}, target {target.shape}; expected equal shapes")
    return x, (target if target.dtype == x.dtype else Tensor(target.data.astype(x.dtype)))


def _reduced(function, loss, reduction):
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{function}: reduction is {reduction!r}, expected 'mean', 'sum' or 'none'")
    if reduction == "mean" and not loss.size:
        raise ValueError(f"{function}: the batch is empty; its mean is undefined")
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()
