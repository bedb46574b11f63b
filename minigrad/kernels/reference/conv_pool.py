"""A convolution, a rectifier and a max-pool, one after the other, and who won."""

import numpy as np

from minigrad.kernels.reference.conv import conv2d, conv2d_input_grad, conv2d_weight_grad
from minigrad.kernels.reference.pool import max_pool2d, winners
from minigrad.kernels.reference.simple import channel_sum, relu

NOBODY = 255


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
        What was pooled, ``(N, O, PH, PW)``, and the tap that won each window, uint8, `NOBODY` where none is positive.
    """
    return relu_max_pool2d_winners(conv2d(x, weight, bias, *window), pool)


def relu_max_pool2d_winners(x, pool):
    """Rectify and pool x (N, C, H, W) with windows of `pool` (height, width) side by side; results as above."""
    rectified, pooling = relu(x), (pool, pool, (0, 0), False)
    y = max_pool2d(rectified, *pooling)
    return y, np.where(y > 0, winners(rectified, *pooling), NOBODY).astype(np.uint8)


def route_winners(g, winners, pool):
    """Write g (N, C, PH, PW) where its winners are: (N, C, PH * height, PW * width), zeros elsewhere."""
    images, channels, height, width = g.shape
    dx = np.zeros((images, channels, height * pool[0], width * pool[1]), g.dtype)
    for i, j in np.ndindex(*pool):
        dx[:, :, i :: pool[0], j :: pool[1]] = np.where(winners == i * pool[1] + j, g, 0)
    return dx


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
    routed = route_winners(g, winners, pool)
    return conv2d_weight_grad(x, routed, weight_shape, stride, padding, dilation, groups), channel_sum(routed)


def conv2d_relu_max_pool2d_input_grad(g, winners, pool, weight, input_shape, stride, padding, dilation, groups):
    """Give the gradient with respect to what was convolved, of `input_shape` (N, C, H, W); the rest as above."""
    return conv2d_input_grad(route_winners(g, winners, pool), weight, input_shape, stride, padding, dilation, groups)
