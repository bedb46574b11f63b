"""The kernels that NumPy says in a line: rectifier, matrix product, sums and moments over channels.

Sums over many float32 numbers are taken in float64 and rounded once: a channel of an image batch has 10^4 to 10^6
elements, and a float32 running sum of so many loses half its digits.
"""

import numpy as np


def relu(x):
    """Keep what is positive, ``max(x, 0)``; a NaN stays one. Any shape, any memory order, which the result keeps."""
    return np.maximum(x, 0)


def relu_gate(g, x):
    """Let `g` through where `x` is positive: the gradient of `relu`, with relu'(0) = 0. Keeps `x`'s memory order."""
    y = np.zeros_like(x)
    np.copyto(y, g, where=x > 0)
    return y


def concat_channels(xs, rectified):
    """Put the channels of images (N, C_i, H, W) one after the other, those of the `rectified` ones as max(x, 0)."""
    return np.concatenate([relu(x) if rectify else x for x, rectify in zip(xs, rectified, strict=True)], 1)


def matmul(a, b, bias=None):
    """Multiply two matrices, (M, K) and (K, N), of one float dtype, and add a bias (N,) if there is one: (M, N)."""
    return a @ b if bias is None else a @ b + bias


def cross_entropy(x, q):
    """Give ``-sum(q * log(softmax(x)))`` for each row of scores x and odds q (N, C): (N,). Odds of 0 add nothing."""
    shifted = x - x.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return -np.where(q, q * log_p, 0).sum(1)


def cross_entropy_grad(g, x, q):
    """Send cotangents g (N,) of the losses back to the scores x (N, C): ``g * (sum(q) * softmax(x) - q)``."""
    p = np.exp(x - x.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return g[:, None] * (q.sum(1, keepdims=True) * p - q)


def channel_sum(g):
    """Add up each channel of (N, C, H, W) over images and pixels: (C,), the gradient of a bias."""
    return g.sum((0, 2, 3), dtype=np.float64).astype(g.dtype)


def channel_moments(x):
    """Measure each channel over images and pixels, as batch normalisation does.

    Parameters
    ----------
    x : ndarray
        ``(N, C, H, W)``, not empty.

    Returns
    -------
    ndarray
        ``(2, C)``: the mean, and the biased variance ``mean((x - mean)^2)``. Never by ``mean(x^2) - mean^2``, which
        cancels when the mean is large.
    """
    mean = x.mean((0, 2, 3), dtype=np.float64)
    variance = np.square(x - mean[:, None, None]).mean((0, 2, 3))
    return np.stack([mean, variance]).astype(x.dtype)


def channel_affine(x, center, scale, shift):
    """Stretch each channel of (N, C, H, W) around a center and move it, by numbers (C,)."""
    return (x - center[:, None, None]) * scale[:, None, None] + shift[:, None, None]


def channel_dot(g, x, center):
    """Add up ``g * (x - center)`` for each channel of g and x (N, C, H, W), over images and pixels: (C,)."""
    return (g * (x - center[:, None, None])).sum((0, 2, 3), dtype=np.float64).astype(x.dtype)


def batch_norm(x, weight, bias, eps):
    """Normalise each channel of (N, C, H, W) by its own moments (2, C), which are given too."""
    mean, var = moments = channel_moments(x)
    scale = 1 / np.sqrt(var + x.dtype.type(eps))
    scale, bias = (scale, np.zeros_like(mean)) if weight is None else (scale * weight, bias)
    return channel_affine(x, mean, scale, bias), moments


def batch_norm_grads(g, x, moments, weight, eps):
    """Send cotangents g (N, C, H, W) back through ``z * weight + bias``, where ``z = (x - mean) / sqrt(var + eps)``.

    Mean and variance, `moments` (2, C), are those of x itself.

    Returns
    -------
    (ndarray, ndarray, ndarray)
        dx (N, C, H, W), dweight and dbias (C,).
    """
    axes, channel = (0, 2, 3), (slice(None), None, None)
    (mean, var), h = moments, g.astype(np.float64)
    inverse = 1 / np.sqrt(var + np.float64(eps))
    z = (x - mean[channel]) * inverse[channel]
    dx = inverse[channel] * (h - h.mean(axes)[channel] - z * (h * z).mean(axes)[channel])
    dx = dx if weight is None else dx * weight[channel]
    return [a.astype(x.dtype) for a in (dx, (h * z).sum(axes), h.sum(axes))]
