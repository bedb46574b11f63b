"""Batch normalisation: mean and variance of each channel, safe from cancellation, in one trip to memory; its gradients.

``mean(x^2) - mean^2`` loses all digits when the mean is large, and the two-pass formula reads the batch twice. Here the
two passes run image by image, while the image is in the cache: the first finds the image's mean k, the second adds up d
= x - k and d^2, small numbers whatever the mean. The images are then merged in float64 by the pairwise formula of Chan,
Golub & LeVeque (1983):

    mean = average of the images' means        variance = average of (image's variance + (image's mean - mean)^2)

Inside an image, sums run over whole rows at once (W * C elements side by side), so that the loops are long and need no
reduction; the columns are added up at the end. An image is summed by one thread, so the result is the same for any
number.

Normalising and its gradients need two looks at the batch, with a few numbers for each channel worked out in between.
All of that is one kernel each way: calls from Python, and NumPy's for the few numbers, would take as long as the looks.
"""

import numpy as np
from numba import prange

from minigrad.kernels._jit import kernel, ordered_kernel, parallel_kernel, threads
from minigrad.kernels.channels import affine_rows, fold, repeat, repeated, sum_images
from minigrad.kernels.layout import as_nchw, channels_last, empty_channels_last
from minigrad.kernels.subroutine import subroutine
from minigrad.kernels.weights import read_only
from minigrad.kernels.windows import SERIAL, run


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


def batch_norm(x, weight, bias, eps):
    """Normalise each channel by its own moments: ``(x - mean) / sqrt(var + eps) * weight + bias``.

    Parameters
    ----------
    x : ndarray
        ``(N, C, H, W)``, any strides, not empty.
    weight, bias : ndarray or None
        ``(C,)``; one and zero if left out.
    eps : float

    Returns
    -------
    (ndarray, ndarray)
        What was normalised, channels-last; and the moments, as `channel_moments` gives them.
    """
    n, c, h, w = x.shape
    y, moments, channels = empty_channels_last(x.shape, x.dtype), np.empty((2, c), x.dtype), np.empty((3, c), x.dtype)
    operands = channels_last(x).reshape(n, h, w * c), *_affine(weight, bias, c, x.dtype), eps
    operands += np.empty((n, 2, c)), moments, channels, y.reshape(n * h, w * c)
    if x.size < SERIAL:
        _normalise(*operands)
    else:
        _normalise_parallel(*operands, threads())
    return as_nchw(y), moments


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
    dx, channels = empty_channels_last(x.shape, x.dtype), np.empty((4, c), x.dtype)
    dweight, dbias = np.empty((2, c), x.dtype)
    weight, _ = _affine(weight, None, c, x.dtype)
    operands = *(channels_last(a).reshape(n, h, w * c) for a in (g, x)), read_only(np.ascontiguousarray(moments))
    operands += weight, eps, np.empty((n, 2, c)), channels, dx.reshape(n * h, w * c), dweight, dbias
    if x.size < SERIAL:
        _send_all_back(*operands)
    else:
        _send_back_parallel(*operands, threads())
    return as_nchw(dx), dweight, dbias


def _affine(weight, bias, channels, dtype):
    """Weight and bias, contiguous and read-only, one and zero where there are none."""
    weight = np.ones(channels, dtype) if weight is None else np.ascontiguousarray(weight)
    bias = np.zeros(channels, dtype) if bias is None else np.ascontiguousarray(bias)
    return read_only(weight), read_only(bias)


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
        repeat(mean, center)
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
    mean, variance = np.zeros(channels), np.zeros(channels)
    for n in range(images):
        for c in range(channels):
            mean[c] += sums[n, 0, c]
    for c in range(channels):
        mean[c] /= images
    for n in range(images):
        for c in range(channels):
            away = sums[n, 0, c] - mean[c]
            variance[c] += sums[n, 1, c] + away * away
    for c in range(channels):
        moments[0, c], moments[1, c] = mean[c], variance[c] / images


@kernel
def _normalise(x, weight, bias, eps, sums, moments, channels, y):
    _image_sums(x, sums, 0, len(x))
    _merge(sums, moments)
    _scale(moments, weight, bias, eps, channels)
    affine_rows(x.reshape(y.shape), channels, y, 0, len(y))


@parallel_kernel
def _normalise_parallel(x, weight, bias, eps, sums, moments, channels, y, parts):
    for t in prange(parts):
        _image_sums(x, sums, np.int64(t) * len(x) // parts, (np.int64(t) + 1) * len(x) // parts)
    _merge(sums, moments)
    _scale(moments, weight, bias, eps, channels)
    for t in prange(parts):
        rows = x.reshape(y.shape)
        affine_rows(rows, channels, y, np.int64(t) * len(y) // parts, (np.int64(t) + 1) * len(y) // parts)


@ordered_kernel
def _scale(moments, weight, bias, eps, channels):
    """Write center, scale and shift of each channel, in the precision of the batch."""
    number = moments.dtype.type
    for c in range(moments.shape[1]):
        channels[0, c] = moments[0, c]
        channels[1, c] = number(1) / np.sqrt(moments[1, c] + number(eps)) * weight[c]
        channels[2, c] = bias[c]


@kernel
def _send_all_back(g, x, moments, weight, eps, sums, channels, dx, dweight, dbias):
    sum_images(g, x, moments[:1], sums, 0, len(x))
    _gradients(sums, moments, weight, eps, x.size // weight.size, channels, dweight, dbias)
    _send_back(g.reshape(dx.shape), x.reshape(dx.shape), channels, dx, 0, len(dx))


@parallel_kernel
def _send_back_parallel(g, x, moments, weight, eps, sums, channels, dx, dweight, dbias, parts):
    for t in prange(parts):
        sum_images(g, x, moments[:1], sums, np.int64(t) * len(x) // parts, (np.int64(t) + 1) * len(x) // parts)
    _gradients(sums, moments, weight, eps, x.size // weight.size, channels, dweight, dbias)
    for t in prange(parts):
        rows = g.reshape(dx.shape), x.reshape(dx.shape)
        _send_back(*rows, channels, dx, np.int64(t) * len(dx) // parts, (np.int64(t) + 1) * len(dx) // parts)


@ordered_kernel
def _gradients(sums, moments, weight, eps, numbers, channels, dweight, dbias):
    """Write the gradients of weight and bias, and for each channel scale, center, slope and shift of dx; in float64."""
    total, projected = np.zeros(weight.size), np.zeros(weight.size)
    for n in range(len(sums)):
        for c in range(weight.size):
            total[c] += sums[n, 0, c]
            projected[c] += sums[n, 1, c]
    for c in range(weight.size):
        inverse = 1 / np.sqrt(moments[1, c] + np.float64(eps))
        scale, along = inverse * weight[c], projected[c] * inverse
        channels[0, c], channels[1, c] = scale, moments[0, c]
        channels[2, c], channels[3, c] = -scale * inverse * along / numbers, -scale * total[c] / numbers
        dweight[c], dbias[c] = along, total[c]


@subroutine
def _send_back(g, x, channels, dx, first, last):
    length = x.shape[1]
    scale, center = repeated(channels[0], length), repeated(channels[1], length)
    along, shift = repeated(channels[2], length), repeated(channels[3], length)
    for r in range(first, last):
        a, b, target = g[r], x[r], dx[r]
        for i in range(target.size):
            target[i] = a[i] * scale[i] + (b[i] - center[i]) * along[i] + shift[i]
