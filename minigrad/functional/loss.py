"""Losses. `reduction` is 'mean', 'sum' or 'none' for all of them."""
from numbers import Real

import numpy as np

from .. import ops
from ..ops.elementwise import as_tensor
from ..ops.methods import where
from ..tensor import Tensor
from .activation import softplus
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
    log_p = _scores("nll_loss", log_probabilities, "log_probabilities")
    odds, total = _odds("nll_loss", target, log_p, weight, ignore_index)

    def losses(q, summed=False):
        return -(where(q != 0, log_p, 0.0) * q).sum(None if summed else 1)

    return _weighted("nll_loss", losses, odds, total, reduction)


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
    logits = _scores("cross_entropy", logits, "logits")
    if not isinstance(label_smoothing, Real) or not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing is {label_smoothing!r}, expected a number in [0, 1]")
    if np.asarray(target).dtype.kind == "f":
        odds, total = _soft_odds(as_tensor(target, what="cross_entropy: target"), logits, weight, label_smoothing)
    else:
        odds, total = _odds("cross_entropy", target, logits, weight, ignore_index, label_smoothing)
        if weight is not None or total * logits.shape[1] < logits.size:  # a row that does not count may even hold NaN
            logits = where(odds.any(1, keepdims=True), logits, 0.0)

    def losses(q, summed=False):
        return ops.CrossEntropy(summed)(logits, as_tensor(q))

    return _weighted("cross_entropy", losses, odds, total, reduction)


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


def _scores(function, x, name):
    x = floats(function, x, name)
    if x.ndim < 2:
        raise ValueError(f"{function}: {name} have shape {x.shape}, expected (N, C) or (N, C, ...)")
    return x


def _odds(function, target, scores, weight, ignore_index, smoothing=0.0):
    """What each class's log-probability is multiplied by, an array of the scores' shape, and what the mean divides by.

    That is the class's weight in the target's column and zeros elsewhere; in a row that is ignored, zeros alone.
    """
    chosen, counted = labels(function, target, scores, ignore_index)
    classes, rows = scores.shape[1], counted.ravel().nonzero()[0]
    class_weight = _class_weight(function, weight, scores)
    odds = np.zeros((counted.size, classes), scores.dtype)
    odds[rows, chosen] = class_weight[chosen]
    total = float(odds.sum(dtype=np.float64))
    if smoothing:
        odds *= 1 - smoothing
        odds[rows] += smoothing / classes * class_weight
    return (odds if counted.ndim == 1 else np.moveaxis(odds.reshape(*counted.shape, classes), -1, 1)), total


def _soft_odds(target, logits, weight, smoothing):
    """The same for a Tensor of probabilities; the mean is over samples, not over classes."""
    if target.shape != logits.shape:
        raise ValueError(f"cross_entropy: target probabilities have shape {target.shape}, expected that of the logits, "
                         f"{logits.shape}; class indices must be integers")
    (target,) = operands("cross_entropy", logits, "logits", target=target)
    classes = logits.shape[1]
    class_weight = _class_weight("cross_entropy", weight, logits).reshape((1, classes) + (1,) * (logits.ndim - 2))
    return (target * (1 - smoothing) + smoothing / classes) * class_weight, target.size / classes


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


def _weighted(function, losses, odds, total, reduction):
    """The `losses` (N, ...) for the odds, or their sum, reduced; a mean divides by `total`, done to the odds, once."""
    if reduction != "mean" or not odds.size:
        return _reduced(function, losses(odds), reduction)
    if not total:
        return losses(odds * 0, summed=True) + np.nan  # nothing counts: NaN, as in PyTorch, but a gradient of 0
    return losses(odds * (1 / total), summed=True)


def _reduced(function, loss, reduction):
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{function}: reduction is {reduction!r}, expected 'mean', 'sum' or 'none'")
    if reduction == "mean" and not loss.size:
        raise ValueError(f"{function}: the batch is empty; its mean is undefined")
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()
