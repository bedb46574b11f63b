"""Batch normalisation: mean and variance of each channel, safe from cancellation, in one trip to memory; its gradients.

``mean(x^2) - mean^2`` loses all digits when the mean is large, and the two-pass formula reads the batch twice. Here the
two passes run image by image, while the image is in the cache: the first finds the image's mean k, the second adds up d
= x - k and d^2, small numbers whatever the mean. The images are then merged in float64 by the pairwise formula of Chan,
Golub & LeVeque (1983):

    mean = average of the images' means        variance = average of (image's variance + (image's mean - mean)^2)

Inside an image, sums run over whole rows at once (W * C elements side by side), so that the loops are long and need no
reduction; the columns are added up at the end. An image is summed by one thread, so the result is the same for any
number.
"""

import numpy as np
from numba import prange

from minigrad.kernels._jit import kernel, parallel_kernel
from minigrad.kernels.channels import channel_sums, fold, repeated
from minigrad.kernels.layout import as_nchw, channels_last, empty_channels_last
from minigrad.kernels.subroutine import subroutine
from minigrad.kernels.weights import read_only
from minigrad.kernels.windows import run


def channel_moments(x):
    """Measure each channel over images and pixels, as batch normalisation does.

    Parameters
    ----------
    x : ndarray
        ``(N, C, H, W)``, any strides, not empty.

    Returns
    -------
    ndarray
        ``(2, C)``: the mean, and the biased variance ``mean((x - mean)^2)``.
    """
    n, c, h, w = x.shape
    sums = np.empty((n, 2, c))
    run(_image_sums, _image_sums_parallel, x.size, n, channels_last(x).reshape(n, h, w * c), sums)
    moments = np.empty((2, c), x.dtype)
    _merge(sums, moments)
    return moments


def batch_norm_grads(g, x, moments, weight, eps):
    """Send cotangents back through ``(x - mean) / sqrt(var + eps) * weight + bias``, mean and var being those of x.

    With z what is normalised, n the numbers of a channel and the sums over them:
    ``dx = weight / sqrt(var + eps) * (g - sum(g) / n - z * sum(g * z) / n)``, dweight is ``sum(g * z)``, dbias
    ``sum(g)`` (Ioffe and Szegedy 2015). One pass for the sums, one for dx.

    Parameters
    ----------
    g, x : ndarray
        ``(N, C, H, W)``, any strides, not empty.
    moments : ndarray
        ``(2, C)``, of x.
    weight : ndarray or None
        ``(C,)``
    eps : float

    Returns
    -------
    (ndarray, ndarray, ndarray)
        dx, channels-last; dweight and dbias, ``(C,)``.
    """
    n, c, h, w = x.shape
    g, x = (as_nchw(channels_last(a)) for a in (g, x))  # once for both passes
    mean, inverse = moments[0], 1 / np.sqrt(moments[1] + np.float64(eps))
    total, projected = channel_sums(g, x, mean)
    projected *= inverse
    scale = inverse if weight is None else inverse * weight
    numbers = x.size // c
    channels = np.stack([scale, mean, -scale * inverse * projected / numbers, -scale * total / numbers]).astype(x.dtype)
    dx = empty_channels_last(x.shape, x.dtype)
    rows = (channels_last(a).reshape(n * h, w * c) for a in (g, x))
    run(_send_back, _send_back_parallel, x.size, n * h, *rows, read_only(channels), dx.reshape(n * h, w * c))
    return as_nchw(dx), projected.astype(x.dtype), total.astype(x.dtype)


@subroutine
def _image_sums(x, sums, first, last):
    rows, length = x.shape[1:]
    channels = sums.shape[2]
    center, one, two = np.empty(length, x.dtype), np.empty(length, x.dtype), np.empty(length, x.dtype)
    mean, shift = np.empty(channels), np.empty(channels)
    pixels = rows * (length // channels)
    for n in range(first, last):
        image = x[n]
        one[:] = 0
        for h in range(rows):
            for i in range(length):
                one[i] += image[h, i]
        fold(one, mean)
        for c in range(channels):
            mean[c] /= pixels
        for start in range(0, length, channels):
            center[start : start + channels] = mean
        one[:] = 0
        two[:] = 0
        for h in range(rows):
            for i in range(length):
                d = image[h, i] - center[i]
                one[i] += d
                two[i] += d * d
        fold(one, shift)
        fold(two, sums[n, 1])
        for c in range(channels):
            shift[c] /= pixels
            sums[n, 0, c] = center[c] + shift[c]
            sums[n, 1, c] = sums[n, 1, c] / pixels - shift[c] * shift[c]


@parallel_kernel
def _image_sums_parallel(x, sums, tasks, parts):
    for t in prange(parts):
        _image_sums(x, sums, np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts)


@kernel
def _merge(sums, moments):
    images, _, channels = sums.shape
    for c in range(channels):
        mean, variance = 0.0, 0.0
        for n in range(images):
            mean += sums[n, 0, c]
        mean /= images
        for n in range(images):
            away = sums[n, 0, c] - mean
            variance += sums[n, 1, c] + away * away
        moments[0, c], moments[1, c] = mean, variance / images


@subroutine
def _send_back(g, x, channels, dx, first, last):
    length = x.shape[1]
    scale, center = repeated(channels[0], length), repeated(channels[1], length)
    along, shift = repeated(channels[2], length), repeated(channels[3], length)
    for r in range(first, last):
        a, b, target = g[r], x[r], dx[r]
        for i in range(target.size):
            target[i] = a[i] * scale[i] + (b[i] - center[i]) * along[i] + shift[i]


@parallel_kernel
def _send_back_parallel(g, x, channels, dx, tasks, parts):
    for t in prange(parts):
        _send_back(g, x, channels, dx, np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts)
