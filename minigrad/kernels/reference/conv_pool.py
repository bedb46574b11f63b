"""A convolution, a rectifier and a max-pool, one after the other, and who won."""

from minigrad.kernels.reference.conv import conv2d, conv2d_input_grad, conv2d_weight_grad
from minigrad.kernels.reference.pool import relu_max_pool2d_winners, route_winners
from minigrad.kernels.reference.simple import channel_sum


def conv2d_relu_max_pool2d(x, weight, bias, window, pool):
    """Convolve, rectify and pool.

    Parameters
    ----------
    x, weight, bias : ndarray
        ``(N, C, H, W)``, ``(O, C / groups, kh, kw)``, ``(O,)`` or None.
    window : tuple
        stride, padding, dilation and groups of the convolution.
    pool : tuple of (int, int)
        The pool's height and width.

    Returns
    -------
    (ndarray, ndarray)
        What was pooled, ``(N, O, PH, PW)``, and the winners, uint8 (`relu_max_pool2d_winners`).
    """
    return relu_max_pool2d_winners(conv2d(x, weight, bias, *window), pool, pool, (0, 0), False)


def conv2d_relu_max_pool2d_grads(x, winners, g, pool, weight_shape, stride, padding, dilation, groups):
    """Give the gradients with respect to weight, ``(O, C / groups, kh, kw)``, and bias, ``(O,)``.

    Parameters
    ----------
    x, winners, g : ndarray
        What was convolved, ``(N, C, H, W)``; who won, and the cotangent of what was pooled, ``(N, O, PH, PW)``.
    pool : tuple of (int, int)
        The window's height and width.
    weight_shape, stride, padding, dilation, groups
        Of the convolution.
    """
    routed = _routed(g, winners, pool)
    return conv2d_weight_grad(x, routed, weight_shape, stride, padding, dilation, groups), channel_sum(routed)


def conv2d_relu_max_pool2d_input_grad(g, winners, pool, weight, input_shape, stride, padding, dilation, groups):
    """Give the gradient with respect to what was convolved, of `input_shape` (N, C, H, W); the rest as above."""
    return conv2d_input_grad(_routed(g, winners, pool), weight, input_shape, stride, padding, dilation, groups)


def _routed(g, winners, pool):
    shape = *g.shape[:2], g.shape[2] * pool[0], g.shape[3] * pool[1]
    return route_winners(g, winners, shape, pool, pool, (0, 0), False)
