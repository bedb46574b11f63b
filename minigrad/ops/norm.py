"""Normalisation. Batch norm is one op for both of its modes: an affine map, given a mean and a variance.

In evaluation the mean and variance are constants. In training they come from `Moments` of the same x, and the chain
rule through that op adds the terms that make the textbook's training gradient.
"""
from dataclasses import dataclass
from functools import cache

import numpy as np

from .. import kernels
from ..tensor import Op, Tensor
from .conv import ChannelSum
from .reduce import Sum
from .shape import SumTo


class ChannelAffine(Op):
    """(x - center) * scale + shift, channel by channel: x (N, C, H, W), the others (C,)."""
    memory = "new"

    def forward(self, x, center, scale, shift):
        return kernels.channel_affine(x, center, scale, shift)

    def vjp(self, g, y, x, center, scale, shift):
        return (lambda: channel_scale(g, scale), lambda: -scale * ChannelSum()(g), lambda: ChannelDot()(g, x, center),
                lambda: ChannelSum()(g))


class ChannelDot(Op):
    """The sum of a * (b - center) over the images and pixels of each channel: what a scale gets back. (C,)"""
    memory = "new"

    def forward(self, a, b, center):
        return kernels.channel_dot(a, b, center)

    def vjp(self, h, y, a, b, center):
        return (lambda: ChannelAffine()(b, center, h, zeros(h)), lambda: channel_scale(a, h),
                lambda: -h * ChannelSum()(a))


class Moments(Op):
    """Mean and biased variance of each channel of x (N, C, H, W), as rows of an array (2, C)."""
    memory = "new"

    def forward(self, x):
        return kernels.channel_moments(x)

    def vjp(self, g, y, x):
        def pull():
            n = x.size // x.shape[1]
            return ChannelAffine()(x, y[0], 2 / n * g[1], g[0] / n)

        return (pull,)


@dataclass(frozen=True, eq=False)
class BatchNorm(Op):
    """(x - mean) / sqrt(var + eps) * weight + bias, per channel of x (N, C, H, W); weight and bias may be left out."""
    memory = "new"
    eps: float = 1e-5

    def forward(self, x, mean, var, *affine):
        scale = 1 / np.sqrt(var + x.dtype.type(self.eps))
        weight, bias = affine or (np.ones_like(mean), np.zeros_like(mean))
        return kernels.channel_affine(x, mean, scale * weight, bias)

    def vjp(self, g, y, x, mean, var, *affine):
        def inverse():
            return (var + self.eps) ** -0.5

        def scale():
            return inverse() * affine[0] if affine else inverse()

        @cache
        def total():
            return ChannelSum()(g)

        @cache
        def projected():  # what the scale of each channel gets back, up to a factor
            return ChannelDot()(g, x, mean)

        def variance():
            return -0.5 * projected() * scale() / (var + self.eps)

        return (lambda: channel_scale(g, scale()), lambda: -total() * scale(), variance,
                *((lambda: projected() * inverse(), total) if affine else ()))


def channel_scale(x, scale):
    """x (N, C, H, W) times scale (C,)."""
    return ChannelAffine()(x, zeros(scale), scale, zeros(scale))


def zeros(t):
    """As many zeros of the same dtype, which nothing flows to."""
    return Tensor(np.zeros(t.shape, t.dtype))


@dataclass(frozen=True, eq=False)
class LayerNorm(Op):
    """Each sample normalised over its last `ndim` axes, then weight and bias of those axes' shape if they are given."""
    ndim: int
    eps: float = 1e-5

    def _axes(self, x):
        return tuple(range(x.ndim - self.ndim, x.ndim))

    def forward(self, x, *affine):
        centred = x - x.mean(axis=self._axes(x), keepdims=True)
        y = centred / np.sqrt((centred**2).mean(axis=self._axes(x), keepdims=True) + x.dtype.type(self.eps))
        return y * affine[0] + affine[1] if affine else y

    def vjp(self, g, y, x, *affine):
        axes = self._axes(x)
        count = int(np.prod([x.shape[i] for i in axes]))

        def mean(t):
            return Sum(axes, True)(t) / count

        def normalised():
            centred = x - mean(x)
            inverse = (mean(centred * centred) + self.eps) ** -0.5
            return centred * inverse, inverse

        def pull():
            z, inverse = normalised()
            h = g * affine[0] if affine else g
            return (h - mean(h) - z * mean(h * z)) * inverse

        if not affine:
            return (pull,)
        return pull, lambda: SumTo(affine[0].shape)(g * normalised()[0]), lambda: SumTo(affine[1].shape)(g)

