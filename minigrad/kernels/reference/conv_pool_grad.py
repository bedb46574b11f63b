"""The gradients of a convolution whose images are rectified and pooled, one step after the other."""

from minigrad.kernels.reference.conv import conv2d_weight_grad
from minigrad.kernels.reference.pool import relu_max_pool2d_route
from minigrad.kernels.reference.simple import channel_sum


def conv2d_relu_max_pool2d_grads(x, y, g, pooling, weight_shape, stride, padding, dilation, groups):
    """Give the gradients of ``relu_max_pool2d(conv2d(x, weight, bias, ...), ...)`` with respect to weight and bias.

    Parameters
    ----------
    x, y, g : ndarray
        What was convolved, ``(N, C, H, W)``; what that gave, ``(N, O, OH, OW)``; the cotangent of what was pooled.
    pooling : tuple
        kernel_size, stride, padding and ceil_mode of the pool.
    weight_shape : tuple of int
        ``(O, C / groups, kh, kw)``.
    stride, padding, dilation, groups
        Of the convolution.

    Returns
    -------
    (ndarray, ndarray)
        ``(O, C / groups, kh, kw)`` and ``(O,)``.
    """
    routed = relu_max_pool2d_route(g, y, *pooling)
    return conv2d_weight_grad(x, routed, weight_shape, stride, padding, dilation, groups), channel_sum(routed)
