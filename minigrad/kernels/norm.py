"""Mean and variance of each channel, safe from cancellation, in one trip to memory.

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
from minigrad.kernels.channels import fold
from minigrad.kernels.layout import channels_last
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
    means, variances = sums[:, 0], sums[:, 1]
    mean = means.mean(0)
    return np.stack([mean, (variances + np.square(means - mean)).mean(0)]).astype(x.dtype)


@kernel
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
