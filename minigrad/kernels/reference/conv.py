"""Convolution and its two gradients, tap by tap (see `windows`)."""

import numpy as np

from minigrad.kernels.geometry import conv_output_size
from minigrad.kernels.reference.windows import crop, pad, tap


def split(x, groups, axis):
    """Split an axis of channels into (groups, channels per group)."""
    return x.reshape(*x.shape[:axis], groups, x.shape[axis] // groups, *x.shape[axis + 1 :])


def conv_sizes(input_shape, kernel_size, stride, padding, dilation):
    """Count the windows of a convolution: (OH, OW)."""
    size = input_shape[2:]
    return tuple(conv_output_size(size[a], kernel_size[a], stride[a], padding[a], dilation[a]) for a in (0, 1))


def conv2d(x, weight, bias, stride, padding, dilation, groups):
    """Slide filters over images: every output pixel is the dot product of a window with a filter (a cross-correlation).

    ``y[n, o, r, s] = bias[o] + sum over c, i, j of weight[o, c, i, j] * x[n, c, row, column]``, with
    ``row = r * stride + i * dilation - padding``, the column likewise, and zeros outside the image.

    Parameters
    ----------
    x : ndarray
        ``(N, C, H, W)``.
    weight : ndarray
        ``(O, C / groups, kh, kw)``.
    bias : ndarray or None
        ``(O,)``.
    stride, padding, dilation : tuple of (int, int)
        ``(height, width)``.
    groups : int
        Channels and filters are split into this many groups that do not see one another.

    Returns
    -------
    ndarray
        ``(N, O, OH, OW)``.
    """
    kernel_size = weight.shape[2:]
    out = conv_sizes(x.shape, kernel_size, stride, padding, dilation)
    padded = pad(x, kernel_size, stride, padding, dilation, out)
    w = split(weight, groups, 0)  # (G, O / G, C / G, kh, kw)
    y = np.zeros((x.shape[0], *w.shape[:2], *out), x.dtype)  # (N, G, O / G, OH, OW)
    for i, j in np.ndindex(*kernel_size):
        y += np.einsum("ngchw,goc->ngohw", split(tap(padded, i, j, stride, dilation, out), groups, 1), w[..., i, j])
    y = y.reshape(x.shape[0], weight.shape[0], *out)
    return y if bias is None else y + bias[:, None, None]


def conv2d_input_grad(g, weight, input_shape, stride, padding, dilation, groups):
    """Send an output gradient back through the filters: the transpose of `conv2d` in x.

    Parameters
    ----------
    g : ndarray
        ``(N, O, OH, OW)``.
    weight : ndarray
        ``(O, C / groups, kh, kw)``.
    input_shape : tuple of int
        ``(N, C, H, W)``; several heights share one OH when ``stride > 1``.
    stride, padding, dilation, groups
        As in `conv2d`.

    Returns
    -------
    ndarray
        ``(N, C, H, W)``.
    """
    kernel_size, out = weight.shape[2:], g.shape[2:]
    dx = pad(np.zeros(input_shape, g.dtype), kernel_size, stride, padding, dilation, out)
    g, w = split(g, groups, 1), split(weight, groups, 0)
    for i, j in np.ndindex(*kernel_size):
        share = np.einsum("ngohw,goc->ngchw", g, w[..., i, j])
        tap(dx, i, j, stride, dilation, out)[...] += share.reshape(*input_shape[:2], *out)
    return crop(dx, padding, input_shape)


def conv2d_weight_grad(x, g, weight_shape, stride, padding, dilation, groups):
    """Correlate inputs with output gradients: the transpose of `conv2d` in the weight.

    Parameters
    ----------
    x : ndarray
        ``(N, C, H, W)``.
    g : ndarray
        ``(N, O, OH, OW)``.
    weight_shape : tuple of int
        ``(O, C / groups, kh, kw)``.
    stride, padding, dilation, groups
        As in `conv2d`.

    Returns
    -------
    ndarray
        ``(O, C / groups, kh, kw)``.
    """
    kernel_size, out = weight_shape[2:], g.shape[2:]
    padded = pad(x, kernel_size, stride, padding, dilation, out)
    dw = np.zeros(weight_shape, x.dtype)
    g = split(g, groups, 1)
    for i, j in np.ndindex(*kernel_size):
        share = np.einsum("ngohw,ngchw->goc", g, split(tap(padded, i, j, stride, dilation, out), groups, 1))
        dw[:, :, i, j] = share.reshape(weight_shape[:2])
    return dw
