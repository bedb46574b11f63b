"""A convolution, a rectifier and a 2 x 2 max-pool, one after the other, and who won."""

from minigrad.kernels.reference.conv import conv2d, conv2d_input_grad, conv2d_weight_grad
from minigrad.kernels.reference.pool import relu_max_pool2d_winners, route_winners
from minigrad.kernels.reference.simple import channel_sum

PAIRS = (2, 2), (2, 2), (0, 0), False


def conv2d_relu_max_pool2d(x, weight, bias, window):
    """Convolve, rectify and pool.

    Parameters
    ----------
    x, weight, bias : ndarray
        ``(N, C, H, W)``, ``(O, C / groups, kh, kw)``, ``(O,)`` or None.
    window : tuple
        stride, padding, dilation and groups of the convolution.

    Returns
    -------
    (ndarray, ndarray)
        What was pooled, ``(N, O, PH, PW)``, and the winners, uint8 (`relu_max_pool2d_winners`).
    """
    return relu_max_pool2d_winners(conv2d(x, weight, bias, *window), *PAIRS)


def conv2d_relu_max_pool2d_grads(x, winners, g, weight_shape, stride, padding, dilation, groups):
    """Give the gradients with respect to weight, ``(O, C / groups, kh, kw)``, and bias, ``(O,)``.

    Parameters
    ----------
    x, winners, g : ndarray
        What was convolved, ``(N, C, H, W)``; who won, and the cotangent of what was pooled, ``(N, O, PH, PW)``.
    weight_shape, stride, padding, dilation, groups
        Of the convolution.
    """
    routed = _routed(g, winners)
    return conv2d_weight_grad(x, routed, weight_shape, stride, padding, dilation, groups), channel_sum(routed)


def conv2d_relu_max_pool2d_input_grad(g, winners, weight, input_shape, stride, padding, dilation, groups):
    """Give the gradient with respect to what was convolved, of `input_shape` (N, C, H, W); the rest as above."""
    return conv2d_input_grad(_routed(g, winners), weight, input_shape, stride, padding, dilation, groups)


def _routed(g, winners):
    images, filters, height, width = g.shape
    return route_winners(g, winners, (images, filters, 2 * height, 2 * width), *PAIRS)
