"""Which ops meet in one kernel: a convolution, a rectifier and a pool or what joins channels, forward and back.

A cheap convolution waits for what comes after it, a rectifier always does. If that is a pool, its kernel begins where
the waiting begins. On the way back the cotangent of the pool waits, and so does what the rectifier's gate leaves of it,
until a convolution asks for a gradient.
"""
import numpy as np

from .. import kernels
from ..deferred import fusion, read, waiting
from ..kernels.conv_pool import by_tiles, is_cheap
from ..kernels.layout import as_nchw, channels_last
from ..kernels.pairs import are_pairs
from ..tensor import recording
from .activation import Gate, ReLU
from .conv import ChannelSum, Conv2d, Conv2dInput, Conv2dWeight
from .pool import MaxPool2d, MaxPoolRoute
from .shape import Concat


@fusion(MaxPool2d)
def rectify_and_pool(pool, y):
    """max_pool2d(relu(x)), or max_pool2d(relu(conv2d(...)))"""
    rectified = waiting(y, ReLU)
    if rectified is None:
        return None
    (z,) = rectified
    convolved = waiting(z, Conv2d) if are_pairs(y.shape, *pool.window) else None
    if convolved and _joins(z, z.op, convolved[1].shape):
        x, weight, *bias = map(read, convolved)
        pooled, winners = kernels.conv2d_relu_max_pool2d(x, weight, *(bias or [None]), z.op.window)
    elif recording.get():
        pooled, winners = kernels.relu_max_pool2d_winners(read(z), *pool.window)
    else:
        return kernels.relu_max_pool2d(read(z), *pool.window)
    pool.known.write(y, winners)
    return pooled


@fusion(Concat)
def rectify_and_concatenate(concat, *xs):
    """concatenate, along the channels of images, with relu(z) for some of them"""
    if concat.dim != 1 or not all(x.ndim == 4 and x.dtype in (np.float32, np.float64) for x in xs):
        return None
    rectified = [waiting(x, ReLU) for x in xs]
    operands = [read(z[0] if z else x) for x, z in zip(xs, rectified)]
    return kernels.concat_channels(operands, [z is not None for z in rectified])


@fusion(Gate)
def route_and_gate(gate, g, x):
    """gate(route(h, relu(x)), x), where a route sends a pool's cotangent to the winners"""
    h, winners = _routed(g, x)
    if h is None:
        return None
    if winners is None:
        _, winners = kernels.relu_max_pool2d_winners(read(x), *g.op.window)
    return kernels.route_winners(h, winners, x.shape, *g.op.window)


@fusion(Conv2dInput)
def route_gate_and_convolve(transposed, g, weight):
    """conv2d_input_grad(gate(route(h, relu(y)), y), weight)"""
    h, winners, _ = _gated(g)
    if winners is None or not by_tiles(weight.shape, g.dtype, *transposed.window):
        return None
    return kernels.conv2d_relu_max_pool2d_input_grad(
        h, winners, read(weight), transposed.input_shape, *transposed.window)


@fusion(Conv2dWeight)
def route_gate_and_correlate(correlate, x, g):
    """conv2d_weight_grad(x, gate(route(h, relu(y)), y)); the gradient of the bias comes for free."""
    h, winners, z = _gated(g)
    if winners is None or not _joins(z, correlate, correlate.weight_shape):
        return None
    dw, g.channel_sum = kernels.conv2d_relu_max_pool2d_grads(
        read(x), winners, h, correlate.weight_shape, *correlate.window)
    return dw


@fusion(ChannelSum)
def sum_of_what_was_correlated(total, g):
    """channel_sum of the same g, if the weight's gradient was asked for before"""
    return None if g.channel_sum is None else g.channel_sum.copy()


def _joins(z, conv, weight_shape):
    """Whether a kernel goes from a convolution to its pool in one pass, and z was not computed for other reasons."""
    cheap = is_cheap(weight_shape) and waiting(z, Conv2d) is not None
    return cheap or by_tiles(weight_shape, z.dtype, *conv.window)


def _gated(g):
    """(h, winners, z) of g = gate(route(h, relu(z)), z), if that is what g waits to be, the windows are pairs, and who
    won is known; else Nones."""
    routed, z = waiting(g, Gate) or (None, None)
    h, winners = _routed(routed, z)
    return (None,) * 3 if winners is None or not are_pairs(z.shape, *routed.op.window) else (h, winners, z)


def _routed(g, x):
    """(h, the noted winners or None) of g = route(h, relu(x)), if that is what g waits to be; else Nones."""
    operands = waiting(g, MaxPoolRoute)
    rectified = operands and waiting(operands[1], ReLU)
    if not rectified or rectified[0] is not x:
        return None, None
    h = as_nchw(channels_last(read(operands[0])))
    g.operands = h, operands[1]  # once, for those who come next
    return h, g.op.given.read(operands[1])
