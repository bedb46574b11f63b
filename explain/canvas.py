"""Which numbers stand for an image while it is made: its pixels, or its frequencies in colours that belong together.

Gradients say which way is *steepest*, and steepness depends on the ruler. Measured pixel by pixel, the steepest way is
full of high frequencies, for strided convolutions and max-pools pass them back; photographs, however, have most of
their power in low ones (it falls as 1/f) and channels that rise and fall together. In numbers in which photographs look
like white noise, the same gradient makes a picture (Olah, Mordvintsev and Schubert, "Feature visualization", 2017).

A canvas is three functions: `decode` from numbers (a Tensor) to pixels in [0, 1], `encode` back (arrays), and `confine`
to the numbers that stand for images.
"""

from dataclasses import dataclass

import numpy as np

from minigrad import Op
from minigrad import functional as F

MARGIN = 1e-3  # pixels come this close to 0 and 1 where they are written as logits


class Pixels:
    """The numbers are the pixels, clipped to [0, 1] after each step."""

    def __repr__(self):
        return "Pixels()"

    def noise(self, shape, rng):
        """A beginning (N, C, H, W): grey, with noise of a photograph's contrast; the same for all N."""
        return np.broadcast_to(np.clip(0.5 + 0.225 * rng.standard_normal(shape[1:]), 0, 1), shape)

    def decode(self, numbers):
        """As they are."""
        return numbers

    def encode(self, images):
        """As they are."""
        return images

    def confine(self, numbers):
        """Into [0, 1]."""
        return np.clip(numbers, 0, 1)


@dataclass(frozen=True, eq=False)
class Hartley(Op):
    """The orthonormal Hartley transform of each channel: Fourier's, with sine + cosine in place of exp(i ...).

    From real numbers to as many real ones, symmetric, and its own inverse; so it is its own derivative too. A
    coefficient and the one of the opposite frequency hold what a complex Fourier coefficient does (Bracewell 1983).
    """

    def forward(self, x):
        """(..., H, W) to the same."""
        from scipy.fft import fft2

        spectrum = fft2(x, norm="ortho")
        return np.ascontiguousarray(spectrum.real - spectrum.imag)

    def vjp(self, g, y, x):
        """The same of the cotangent."""
        return (lambda: Hartley()(g),)


class Fourier:
    """The numbers are frequencies of decorrelated colours: pixels = sigmoid(mean + M hartley(numbers / f^decay)).

    Standard normal numbers give images with the mean, the covariance of colours, and, as far as it is 1/f^decay, the
    spectrum of the photographs it was fitted to.

    Parameters
    ----------
    images : ndarray (N, C, H, W) in [0, 1], optional
        What images should be like: the user's data. Colours are fitted to the logits of its pixels. If left out, or for
        another number of channels, channels are taken to be independent, around grey.
    decay : float
        1 is that of photographs; 0 makes all frequencies alike.
    """

    def __init__(self, images=None, decay=1.0):
        self.decay = float(decay)
        self.mean, self.matrix = (np.zeros(1), None) if images is None else fit_colours(images)

    def __repr__(self):
        return f"Fourier(decay={self.decay:g}, colours={'independent' if self.matrix is None else 'fitted'})"

    def noise(self, shape, rng):
        """A beginning (N, C, H, W), hardly any different from the mean colour; the same for all N."""
        return np.broadcast_to(0.01 * rng.standard_normal(shape[1:]), shape)

    def decode(self, numbers):
        """Frequencies to pixels."""
        mean, matrix, spectrum = self._fixed(numbers.shape, numbers.dtype)
        waves = Hartley()(numbers * spectrum)
        colours = F.conv2d(waves, matrix[:, :, None, None]) if len(matrix) > 1 else waves * matrix
        return (colours + mean).sigmoid()

    def encode(self, images):
        """Pixels to frequencies; those near 0 and 1 are first brought to a distance of `MARGIN` from them."""
        mean, matrix, spectrum = self._fixed(images.shape, np.float64)
        waves = np.einsum("ij,njhw->nihw", np.linalg.inv(matrix), logits(images) - mean)
        return (Hartley().forward(waves) / spectrum).astype(images.dtype)

    def confine(self, numbers):
        """Any will do."""
        return numbers

    def _fixed(self, shape, dtype):
        channels = shape[1]
        if self.matrix is not None and len(self.matrix) != channels:
            raise ValueError(f"Fourier: it was fitted to {len(self.matrix)} channels, these images have {channels}; "
                             "fit it to images like those the model takes")  # fmt: skip
        matrix = np.eye(channels) if self.matrix is None else self.matrix
        mean = np.broadcast_to(self.mean, (channels,)).reshape(1, channels, 1, 1)
        return mean.astype(dtype), matrix.astype(dtype), power(*shape[2:], self.decay).astype(dtype)


def power(height, width, decay):
    """The amplitude (H, W) of each frequency: 1/f^decay, with f = 0 as the lowest other, and a mean square of 1."""
    f = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    amplitude = np.maximum(f, 1 / max(height, width)) ** -decay
    return amplitude / np.sqrt((amplitude**2).mean())


def fit_colours(images):
    """The mean (C,) of the logits of all pixels, and a matrix M (C, C) with M M^T = their covariance.

    M's columns are the principal axes, each as long as the standard deviation along it: M times white noise has the
    colours of the images.

    Parameters
    ----------
    images : ndarray (N, C, H, W) in [0, 1]
    """
    images = np.asarray(images)
    if images.ndim != 4 or not images.size or images.min() < 0 or images.max() > 1:
        raise ValueError(f"fit_colours: images have shape {images.shape}, expected (N, C, H, W) with values in [0, 1]")
    pixels = logits(images).transpose(1, 0, 2, 3).reshape(images.shape[1], -1)
    variances, axes = np.linalg.eigh(np.atleast_2d(np.cov(pixels)))
    return pixels.mean(1), axes * np.sqrt(np.maximum(variances, 1e-4))


def logits(images):
    """log(p / (1 - p)) of pixels, in float64, at most `MARGIN` from 0 and 1."""
    p = np.clip(np.asarray(images, np.float64), MARGIN, 1 - MARGIN)
    return np.log(p / (1 - p))
