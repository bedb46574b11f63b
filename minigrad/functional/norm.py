"""Normalisation and dropout."""
import numpy as np

from .. import ops
from ..ops.arrange import reshape
from ..tensor import Tensor
from .arguments import floats, generator, operands


def batch_norm(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """Normalise each channel, as `torch.nn.functional.batch_norm`. Ioffe and Szegedy 2015.

    Parameters
    ----------
    x : Tensor or ndarray of shape (N, C), (N, C, L) or (N, C, H, W)
    running_mean, running_var : Tensor of shape (C,), or None to use the batch's own
        Used in evaluation; in training they move to the batch's by the part `momentum`, in place. The running variance
        is the unbiased one, the batch is divided by the biased one: PyTorch's convention.
    weight, bias : Tensor of shape (C,), optional
    training : bool
    momentum : float
        For a plain average over all batches pass 1 / the number of batches so far.
    eps : float

    Raises
    ------
    ValueError
        For shapes that do not fit, or training on one value per channel, whose variance says nothing.
    """
    x = floats("batch_norm", x)
    if not 2 <= x.ndim <= 4:
        raise ValueError(f"batch_norm: x has shape {x.shape}, expected (N, C), (N, C, L) or (N, C, H, W)")
    if not x.shape[1]:
        raise ValueError(f"batch_norm: x has shape {x.shape}, expected at least one channel")
    if (weight is None) != (bias is None):
        raise ValueError("batch_norm: give weight and bias both or neither")
    affine = operands("batch_norm", x, weight=weight, bias=bias)
    channels = x.shape[1]
    if (running_mean is None) != (running_var is None):
        raise ValueError("batch_norm: give running_mean and running_var both or neither")
    for name, t in (("running_mean", running_mean), ("running_var", running_var), ("weight", weight), ("bias", bias)):
        if t is not None and t.shape != (channels,):
            raise ValueError(f"batch_norm: {name} has shape {t.shape}, expected ({channels},) for x {x.shape}; check "
                             "num_features")
    images = reshape(x, *x.shape, *(1,) * (4 - x.ndim))
    if training or running_mean is None:
        count = x.size // channels
        if training and count < 2:
            raise ValueError(f"batch_norm: training needs more than one value per channel, x has shape {x.shape}; "
                             "use a larger batch or model.eval()")
        op = ops.BatchNormTraining(eps)
        y = op(images, *affine)
        if training and running_mean is not None:
            mean, var = op.moments(images.peek())
            _move(running_mean, mean, momentum)
            _move(running_var, var * var.dtype.type(count / (count - 1)), momentum)
    else:
        mean, var = operands("batch_norm", x, running_mean=running_mean, running_var=running_var)
        y = ops.BatchNorm(eps)(images, mean, var, *affine)
    return reshape(y, *x.shape)


def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Normalise each sample over its last axes, which have `normalized_shape`. Ba et al. 2016."""
    x = floats("layer_norm", x)
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or x.shape[-len(shape):] != shape or 0 in shape:
        raise ValueError(f"layer_norm: x has shape {x.shape}, which does not end in normalized_shape {shape}")
    if weight is not None or bias is not None:  # one of them alone: the other does nothing
        weight = Tensor(np.ones(shape, x.dtype)) if weight is None else weight
        bias = Tensor(np.zeros(shape, x.dtype)) if bias is None else bias
    affine = operands("layer_norm", x, weight=weight, bias=bias)
    for t in affine:
        if t.shape != shape:
            raise ValueError(f"layer_norm: weight or bias has shape {t.shape}, expected normalized_shape {shape}")
    return ops.LayerNorm(len(shape), eps)(x, *affine)


def dropout(x, p=0.5, training=True, *, rng=None):
    """Zero each element with probability p and divide the others by 1 - p: the mean stays. Srivastava et al. 2014.

    `rng` is a np.random.Generator (a fresh one if None); outside of training x is returned as it is.
    """
    x = floats("dropout", x)
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p is {p}, expected a probability in [0, 1]")
    if not training or p == 0:
        return x
    kept = generator("dropout", rng).random(x.shape, np.float32) >= p
    return x * Tensor(kept.astype(x.dtype) / x.dtype.type(1 - p if p < 1 else 1))


def _move(running, value, momentum):
    old = np.asarray(running)
    new = old + old.dtype.type(momentum) * (value.astype(old.dtype, copy=False) - old)
    if isinstance(running, Tensor):
        running.data = new
    else:
        running[...] = new
