"""What a kernel cannot do without: floating-point operations, by a formula, and bytes of memory traffic.

The traffic is compulsory: every array that a kernel is given is read once, every one that it makes written once,
whatever it reads again or keeps aside. To have another kernel counted, give it a line in `COSTS`: a function of its
result and its arguments. A multiplication and an addition are two operations; a comparison, a square root and a
division are one each. Taps of a convolution that lie on the padding count, and so do the multiplications that
Winograd's algorithm saves: it may be faster than its operations.
"""
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """Operations, ``flops(result, *arguments)``, and how many of the first arguments are written as well as read."""

    flops: Callable
    overwritten: int = 0


def _window(size):
    return size[0] * size[1]


COSTS = {
    "conv2d": Cost(lambda y, x, w, *_: 2 * y.size * w[0].size),
    "conv2d_input_grad": Cost(lambda dx, g, w, *_: 2 * g.size * w[0].size),
    "conv2d_weight_grad": Cost(lambda dw, x, g, *_: 2 * g.size * dw[0].size),
    "matmul": Cost(lambda y, a, b, *_: 2 * y.size * len(b)),
    "relu": Cost(lambda y, x: y.size),
    "relu_gate": Cost(lambda dx, g, x: dx.size),
    "conv2d_relu_max_pool2d": Cost(lambda made, x, w, *_: 4 * made[0].size * (2 * w[0].size + 1)),
    "conv2d_relu_max_pool2d_grads": Cost(lambda grads, x, winners, g, *_: 4 * g.size * (2 * grads[0][0].size + 1)),
    "conv2d_relu_max_pool2d_input_grad": Cost(lambda dx, g, winners, w, *_: 4 * g.size * (2 * w[0].size + 1)),
    "concat_channels": Cost(lambda y, *_: y.size),
    "cross_entropy": Cost(lambda losses, x, q: 6 * x.size),
    "cross_entropy_grad": Cost(lambda dx, g, x, q: 6 * x.size),
    "max_pool2d": Cost(lambda y, x, size, *_: y.size * (_window(size) - 1)),
    "max_pool2d_winners": Cost(lambda made, x, size, *_: made[0].size * (_window(size) - 1)),
    "relu_max_pool2d": Cost(lambda y, x, size, *_: y.size * _window(size)),
    "relu_max_pool2d_winners": Cost(lambda made, x, size, *_: made[0].size * _window(size)),
    "route_winners": Cost(lambda dx, g, winners, shape, size, *_: g.size * _window(size)),
    "avg_pool2d": Cost(lambda y, x, size, *_: y.size * _window(size)),
    "channel_sum": Cost(lambda s, g: g.size),
    "channel_affine": Cost(lambda y, x, *_: 3 * x.size),
    "channel_dot": Cost(lambda s, g, x, *_: 3 * x.size),
    "channel_moments": Cost(lambda m, x: 4 * x.size),
    "batch_norm_grads": Cost(lambda grads, g, x, *_: 9 * x.size),
    "adam_step": Cost(lambda _, p, *__: 14 * p.size, overwritten=3),
}


def flops(name, result, given):
    """The operations of one call."""
    return COSTS[name].flops(result, *given)


def traffic(name, result, given):
    """The bytes that one call has to move."""
    arrays = [a for a in given if hasattr(a, "nbytes")]
    made = result if isinstance(result, tuple) else (result,)
    return sum(a.nbytes for a in (*arrays, *arrays[:COSTS[name].overwritten], *made) if a is not None)
