"""Convolution and its two gradients: three ops, closed under differentiation.

Call conv(x, w) = y. It is linear in x and linear in w, so with any cotangent g of y

    <g, conv(x, w)>  =  <input(g, w), x>  =  <weight(x, g), w>

and each of the three ops is the derivative of the other two: second and higher derivatives come for free.
"""
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod

from .. import kernels
from ..kernels.conv_pool import by_tiles, is_made_again
from ..kernels.geometry import conv_output_size
from ..tensor import Op
from .shape import Reshape, broadcast_to


@dataclass(frozen=True, eq=False)
class _Window(Op):
    """The settings of a convolution; pairs are (vertical, horizontal)."""
    memory = "new"
    stride: tuple = (1, 1)
    padding: tuple = (0, 0)
    dilation: tuple = (1, 1)
    groups: int = 1

    @cached_property
    def window(self):
        return self.stride, self.padding, self.dilation, self.groups


@dataclass(frozen=True, eq=False)
class Conv2d(_Window):
    """The cross-correlation of x (N, C, H, W) with weight (O, C/groups, kh, kw), plus bias (O,) if there is one."""

    def may_wait(self, x, weight, *bias):
        return _may_wait(x.shape, weight.shape, self.window, x.dtype, x.unseen is not None)

    def result_shape(self, x, weight, *bias):
        return _result_shape(x.shape, weight.shape, self.window)

    def forward(self, x, weight, *bias):
        return kernels.conv2d(x, weight, bias[0] if bias else None, *self.window)

    def vjp(self, g, y, x, weight, *bias):
        return (lambda: Conv2dInput(*self.window, x.shape)(g, weight),
                lambda: Conv2dWeight(*self.window, weight.shape)(x, g),
                *(lambda: ChannelSum()(g) for _ in bias))


@lru_cache(maxsize=1024)
def _may_wait(x_shape, weight_shape, window, dtype, unseen):
    shape = _result_shape(x_shape, weight_shape, window)
    if unseen and by_tiles(weight_shape, dtype, *window):  # then x need not be copied
        return prod(weight_shape) <= 2 * prod(shape)
    return is_made_again(x_shape, shape, weight_shape, dtype.itemsize)


@lru_cache(maxsize=1024)
def _result_shape(x_shape, weight_shape, window):
    *settings, _ = window
    size = (conv_output_size(x_shape[2 + a], weight_shape[2 + a], *(s[a] for s in settings)) for a in (0, 1))
    return x_shape[0], weight_shape[0], *size


@dataclass(frozen=True, eq=False)
class Conv2dInput(_Window):
    """The gradient of a convolution with respect to its input; also called transposed convolution."""
    input_shape: tuple = ()

    def forward(self, g, weight):
        return kernels.conv2d_input_grad(g, weight, self.input_shape, *self.window)

    def vjp(self, h, y, g, weight):
        return lambda: Conv2d(*self.window)(h, weight), lambda: Conv2dWeight(*self.window, weight.shape)(h, g)


@dataclass(frozen=True, eq=False)
class Conv2dWeight(_Window):
    """The gradient of a convolution with respect to its weight: the correlation of its input with the cotangent."""
    weight_shape: tuple = ()

    def forward(self, x, g):
        return kernels.conv2d_weight_grad(x, g, self.weight_shape, *self.window)

    def vjp(self, h, y, x, g):
        return lambda: Conv2dInput(*self.window, x.shape)(g, h), lambda: Conv2d(*self.window)(x, h)


class ChannelSum(Op):
    """The sum over images, rows and columns: what a bias, added everywhere in its channel, gets back."""
    memory = "new"

    def forward(self, g):
        return kernels.channel_sum(g)

    def vjp(self, h, y, g):
        return (lambda: broadcast_to(Reshape((1, -1, 1, 1))(h), g.shape),)
