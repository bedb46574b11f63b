"""Random first weights. Each function overwrites a Parameter in place, drawing from `rng` (a np.random.Generator).

The idea of all of them: a layer adds up `fan_in` products, so weights of variance 1 / fan_in keep the size of what
passes through, forward, and 1 / fan_out backward. Xavier takes the mean of both (Glorot and Bengio 2010); Kaiming
doubles the variance because a ReLU throws half of it away (He et al. 2015).
"""
import numpy as np

from ..kernels.layout import memory_axes


def fans(shape):
    """(fan_in, fan_out) of a weight (out, in, *window)."""
    window = int(np.prod(shape[2:]))
    return shape[1] * window, shape[0] * window


def uniform(parameter, low, high, rng):
    """Evenly between low and high."""
    _draw(parameter, rng.random, low, high - low)


def normal(parameter, mean, std, rng):
    """Normal."""
    _draw(parameter, rng.standard_normal, mean, std)


def constant(parameter, value):
    """The same value everywhere."""
    parameter.data[...] = value
    parameter.bump()


def kaiming_uniform(parameter, rng, *, a=0.0):
    """U(-b, b) with b = sqrt(6 / ((1 + a^2) fan_in)), for a leaky ReLU of slope `a` (0: ReLU)."""
    bound = (6 / ((1 + a**2) * fans(parameter.shape)[0])) ** 0.5
    uniform(parameter, -bound, bound, rng)


def kaiming_normal(parameter, rng, *, a=0.0):
    """N(0, 2 / ((1 + a^2) fan_in))."""
    normal(parameter, 0, (2 / ((1 + a**2) * fans(parameter.shape)[0])) ** 0.5, rng)


def xavier_uniform(parameter, rng, *, gain=1.0):
    """U(-b, b) with b = gain sqrt(6 / (fan_in + fan_out))."""
    bound = gain * (6 / sum(fans(parameter.shape))) ** 0.5
    uniform(parameter, -bound, bound, rng)


def xavier_normal(parameter, rng, *, gain=1.0):
    """N(0, 2 gain^2 / (fan_in + fan_out))."""
    normal(parameter, 0, gain * (2 / sum(fans(parameter.shape))) ** 0.5, rng)


def torch_default(weight, bias, rng):
    """What PyTorch gives dense and convolutional layers: U(-1/sqrt(fan_in), 1/sqrt(fan_in)), the bias too."""
    bound = fans(weight.shape)[0] ** -0.5
    uniform(weight, -bound, bound, rng)
    if bias is not None:
        uniform(bias, -bound, bound, rng)


def _draw(parameter, generate, shift, scale):
    """shift + scale * numbers, written where the parameter lies: a layer may be too large for a second copy of it."""
    memory = parameter.data.transpose(memory_axes(parameter.data) or range(parameter.ndim))
    numbers = memory if memory.flags.c_contiguous else np.empty(memory.shape, memory.dtype)
    generate(out=numbers, dtype=numbers.dtype)
    numbers *= numbers.dtype.type(scale)
    numbers += numbers.dtype.type(shift)
    if numbers is not memory:
        memory[...] = numbers
    parameter.bump()
