"""Which ops meet in one kernel: a rectifier and the pool behind it, on the way forward and on the way back."""
from .. import kernels
from ..deferred import fusion, waiting
from .activation import Gate, ReLU
from .conv import ChannelSum, Conv2dWeight
from .pool import MaxPool2d, MaxPoolRoute


@fusion(MaxPool2d)
def rectify_and_pool(pool, y):
    """max_pool2d(relu(x))"""
    rectified = waiting(y, ReLU)
    return kernels.relu_max_pool2d(*rectified, *pool.window) if rectified else None


@fusion(Gate)
def route_and_gate(gate, g, x):
    """relu_gate(max_pool2d_route(g, relu(x)), x)"""
    routed = _routed(g, x)
    return kernels.relu_max_pool2d_route(routed, x, *g.op.window) if routed is not None else None


@fusion(Conv2dWeight)
def route_gate_and_correlate(correlate, x, g):
    """conv2d_weight_grad(x, relu_gate(max_pool2d_route(h, relu(y)), y)); the gradient of the bias comes for free."""
    gated = waiting(g, Gate)
    routed = _routed(*gated) if gated else None
    if routed is None:
        return None
    dw, g.channel_sum = kernels.conv2d_relu_max_pool2d_grads(
        x, gated[1], routed, gated[0].op.window, correlate.weight_shape, *correlate.window)
    return dw


@fusion(ChannelSum)
def sum_of_what_was_correlated(total, g):
    """channel_sum of the same g, if the weight's gradient was asked for before"""
    return g.channel_sum


def _routed(g, x):
    """The h of g = max_pool2d_route(h, relu(x)), if that is what g waits to be; otherwise None."""
    operands = waiting(g, MaxPoolRoute)
    rectified = operands and waiting(operands[1], ReLU)
    return operands[0] if rectified and rectified[0] is x else None
