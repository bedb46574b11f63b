"""Batch normalisation: mean and variance of each channel, safe from cancellation, in one look; its gradients.

``mean(x^2) - mean^2`` loses all digits when the mean is large, and the two-pass formula reads the batch twice. Here
each image has a center, the mean of a few of its pixels, and one look adds up d = x - center and d^2, numbers that are
small whatever the mean. How small? If the few are one pixel in k, the image's variance is at least (center - mean)^2 /
k, for so much these pixels contribute alone. So d^2 is at most 1 + k times the variance on average, and the subtraction
costs log2(1 + k) bits at the worst. The images are then merged in float64 by the pairwise formula of Chan, Golub &
LeVeque (1983):

    mean = average of the images' means        variance = average of (image's variance + (image's mean - mean)^2)

An image is measured by one thread, so the result is the same for any number. The order of operations counts: of equal
numbers the mean is to be that number, and the variance zero.

Normalising and its gradients need two looks at the batch, with a few numbers for each channel worked out in between.
All of that is one kernel each way: calls from Python, and NumPy's for the few numbers, would take as long as the looks.
"""

import numpy as np
from numba import prange

from minigrad.kernels._jit import inlined_kernel, kernel, ordered_kernel, parallel_kernel, threads
from minigrad.kernels.channels import RUN, affine_rows, columns, repeated, sum_images
from minigrad.kernels.lanes import each_vector, load, multiply_add, spread, store, widened
from minigrad.kernels.layout import as_nchw, empty_channels_last
from minigrad.kernels.subroutine import ordered_subroutine, subroutine
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
    images, moments = columns(x), np.empty((2, x.shape[1]), x.dtype)
    parts = np.empty((len(x), 2, images.shape[2]))
    run(_measure, _measure_parallel, x.size, len(x), images, parts)
    _merge(parts, moments)
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
    c, images, y = x.shape[1], columns(x), empty_channels_last(x.shape, x.dtype)
    moments = np.empty((2, c), x.dtype)
    operands = images, *_affine(weight, bias, c, x.dtype), eps, moments, y.reshape(images.shape)
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
    c, images, dx = x.shape[1], columns(x), empty_channels_last(x.shape, x.dtype)
    weight, _ = _affine(weight, None, c, x.dtype)
    moments, sums = read_only(np.ascontiguousarray(moments)), np.empty((2, c), x.dtype)
    operands = columns(g), images, moments, weight, eps, sums, dx.reshape(images.shape)
    if x.size < SERIAL:
        _send_all_back(*operands)
    else:
        _send_back_parallel(*operands, threads())
    return as_nchw(dx), sums[1], sums[0]


def _affine(weight, bias, channels, dtype):
    """Weight and bias, contiguous and read-only, one and zero where there are none."""
    weight = np.ones(channels, dtype) if weight is None else np.ascontiguousarray(weight)
    bias = np.zeros(channels, dtype) if bias is None else np.ascontiguousarray(bias)
    return read_only(weight), read_only(bias)


@ordered_subroutine
def _measure(images, parts, start, stop):
    """Write mean and variance of the columns of some images."""
    for n in range(start, stop):
        each_vector(_measure_columns, images[n, 0], (images[n], parts[n]))


@inlined_kernel
def _measure_columns(at, lanes, operands):
    image, moments = operands
    places, length = image.shape
    corner, zero, few = load(image, at, lanes), spread(image.dtype.type(0), lanes), min(places, RUN)
    away = zero
    for i in range(1, few):
        away = away + (load(image, i * (places // few) * length + at, lanes) - corner)
    center = multiply_add(away, spread(image.dtype.type(1 / few), lanes), corner)
    total = squares = spread(0.0, lanes)
    for start in range(0, places, RUN):
        one = two = zero
        for place in range(start, min(start + RUN, places)):
            d = load(image, place * length + at, lanes) - center
            one = one + d
            two = multiply_add(d, d, two)
        total = total + widened(one)
        squares = squares + widened(two)
    share = spread(1 / places, lanes)
    shift = total * share
    store(moments[0], at, lanes, widened(center) + shift)
    store(moments[1], at, lanes, squares * share - shift * shift)


@parallel_kernel
def _measure_parallel(images, parts, tasks, threads):
    for t in prange(threads):
        _measure(images, parts, np.int64(t) * tasks // threads, (np.int64(t) + 1) * tasks // threads)


@ordered_kernel
def _merge(parts, moments):
    channels, count = moments.shape[1], parts.size // moments.size
    mean, variance = np.zeros(channels), np.zeros(channels)
    for n in range(len(parts)):
        for start in range(0, parts.shape[2], channels):
            for c in range(channels):
                mean[c] += parts[n, 0, start + c] - parts[0, 0, c]
    for c in range(channels):
        mean[c] = parts[0, 0, c] + mean[c] / count
    for n in range(len(parts)):
        for start in range(0, parts.shape[2], channels):
            for c in range(channels):
                away = parts[n, 0, start + c] - mean[c]
                variance[c] += parts[n, 1, start + c] + away * away
    for c in range(channels):
        moments[0, c], moments[1, c] = mean[c], variance[c] / count


@inlined_kernel
def _rows(images):
    """See (N, places, columns) as (N * places, columns)."""
    return images.reshape(images.shape[0] * images.shape[1], images.shape[2])


@kernel
def _normalise(x, weight, bias, eps, moments, y):
    parts = np.empty((len(x), 2, x.shape[2]))
    _measure(x, parts, 0, len(x))
    _merge(parts, moments)
    channels = _scale(moments, weight, bias, eps)
    affine_rows(_rows(x), channels, _rows(y), 0, x.shape[0] * x.shape[1])


@parallel_kernel
def _normalise_parallel(x, weight, bias, eps, moments, y, threads):
    parts = np.empty((len(x), 2, x.shape[2]))
    for t in prange(threads):
        _measure(x, parts, np.int64(t) * len(x) // threads, (np.int64(t) + 1) * len(x) // threads)
    _merge(parts, moments)
    channels = _scale(moments, weight, bias, eps)
    places = x.shape[0] * x.shape[1]
    for t in prange(threads):
        share = np.int64(t) * places // threads, (np.int64(t) + 1) * places // threads
        affine_rows(_rows(x), channels, _rows(y), *share)


@ordered_kernel
def _scale(moments, weight, bias, eps):
    """Center, scale and shift of each channel, in the precision of the batch."""
    number, channels = moments.dtype.type, np.empty((3, weight.size), moments.dtype)
    for c in range(moments.shape[1]):
        channels[0, c] = moments[0, c]
        channels[1, c] = number(1) / np.sqrt(moments[1, c] + number(eps)) * weight[c]
        channels[2, c] = bias[c]
    return channels


@kernel
def _send_all_back(g, x, moments, weight, eps, sums, dx):
    parts = np.empty((len(x), 2, x.shape[2]))
    sum_images(g, x, moments[:1], parts, 0, len(x))
    channels = _gradients(parts, moments, weight, eps, x.size // weight.size, sums)
    _send_back(_rows(g), _rows(x), channels, _rows(dx), 0, x.shape[0] * x.shape[1])


@parallel_kernel
def _send_back_parallel(g, x, moments, weight, eps, sums, dx, threads):
    parts = np.empty((len(x), 2, x.shape[2]))
    for t in prange(threads):
        share = np.int64(t) * len(x) // threads, (np.int64(t) + 1) * len(x) // threads
        sum_images(g, x, moments[:1], parts, *share)
    channels = _gradients(parts, moments, weight, eps, x.size // weight.size, sums)
    places = x.shape[0] * x.shape[1]
    for t in prange(threads):
        share = np.int64(t) * places // threads, (np.int64(t) + 1) * places // threads
        _send_back(_rows(g), _rows(x), channels, _rows(dx), *share)


@ordered_kernel
def _gradients(parts, moments, weight, eps, numbers, sums):
    """Write the gradients of bias and weight; return scale, center, slope and shift of dx for each channel. In float64.
    """
    total, projected = np.zeros(weight.size), np.zeros(weight.size)
    for n in range(len(parts)):
        for start in range(0, parts.shape[2], weight.size):
            for c in range(weight.size):
                total[c] += parts[n, 0, start + c]
                projected[c] += parts[n, 1, start + c]
    channels = np.empty((4, weight.size), moments.dtype)
    for c in range(weight.size):
        inverse = 1 / np.sqrt(moments[1, c] + np.float64(eps))
        scale, along = inverse * weight[c], projected[c] * inverse
        channels[0, c], channels[1, c] = scale, moments[0, c]
        channels[2, c], channels[3, c] = -scale * inverse * along / numbers, -scale * total[c] / numbers
        sums[0, c], sums[1, c] = total[c], along
    return channels


@subroutine
def _send_back(g, x, channels, dx, start, stop):
    length, places = x.shape[1], slice(start, stop)
    scale, center = repeated(channels[0], length), repeated(channels[1], length)
    along, shift = repeated(channels[2], length), repeated(channels[3], length)
    each_vector(_send_columns, scale, (g[places], x[places], scale, center, along, shift, dx[places]))


@inlined_kernel
def _send_columns(at, lanes, operands):
    g, x, scale, center, along, shift, dx = operands
    factor, middle = load(scale, at, lanes), load(center, at, lanes)
    slope, move = load(along, at, lanes), load(shift, at, lanes)
    for place in range(at, x.size, scale.size):
        away = multiply_add(load(x, place, lanes) - middle, slope, move)
        store(dx, place, lanes, multiply_add(load(g, place, lanes), factor, away))
