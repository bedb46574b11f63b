"""Normalisation. Batch norm in evaluation is an affine map, given a mean and a variance; in training they are x's own.

What the chain rule through mean and variance adds makes the textbook's training gradient, which one kernel computes;
`BatchNormGrad` also says it in small ops, which can be differentiated again.
"""
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from .. import kernels
from ..tensor import Op, Tensor
from .composed import by_formula
from .conv import ChannelSum
from .note import Note
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


@dataclass(frozen=True, eq=False)
class BatchNormTraining(Op):
    """`BatchNorm` by the mean and variance of x (N, C, H, W) itself."""
    memory = "new"
    eps: float = 1e-5
    known: Note = field(default_factory=Note, init=False, repr=False)  # the moments of what it was applied to last

    def forward(self, x, *affine):
        y, moments = kernels.batch_norm(x, *(affine or (None, None)), self.eps)
        self.known.write(x, moments)
        return y

    def moments(self, x):
        """Mean and variance, (2, C), of an array that nobody has written to since it was applied to it."""
        moments = self.known.read(x)
        return kernels.channel_moments(x) if moments is None else moments

    def vjp(self, g, y, x, *affine):
        @cache
        def together():
            array = x.peek()
            weight = affine[0].peek() if affine else None
            return kernels.batch_norm_grads(g.peek(), array, self.moments(array), weight, self.eps)

        return tuple(lambda i=i: BatchNormGrad(self.eps, i, [together()[i]])(g, x, *affine[:1])
                     for i in range(1 + len(affine)))


@dataclass(frozen=True, eq=False)
class BatchNormGrad(Op):
    """One of the gradients of `BatchNormTraining`, with respect to input `which`, for cotangents g of its result."""
    memory = "new"
    eps: float
    which: int
    ready: list = field(default_factory=list, repr=False)  # what it gives the first time, made together with the others

    def forward(self, g, x, *weight):
        if self.ready:
            return self.ready.pop()
        weight = weight[0] if weight else None
        return kernels.batch_norm_grads(g, x, kernels.channel_moments(x), weight, self.eps)[self.which]

    def vjp(self, h, y, g, x, *weight):
        return by_formula(self._formula, h, g, x, *weight)

    def _formula(self, g, x, *weight):
        moments, count = Moments()(x), x.size // x.shape[1]
        mean, inverse = moments[0], (moments[1] + self.eps) ** -0.5
        total, projected = ChannelSum()(g), ChannelDot()(g, x, mean) * inverse
        if self.which:
            return projected if self.which == 1 else total
        scale = inverse * weight[0] if weight else inverse
        along = ChannelAffine()(x, mean, scale * inverse * projected / count, zeros(scale))
        return ChannelAffine()(g, total / count, scale, zeros(scale)) - along


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

