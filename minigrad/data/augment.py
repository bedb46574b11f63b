"""Augmentation: the same digit, moved or turned a little, is another training example.

A network learns from it what the label does not depend on. `shift` and `rotate` draw at random; `shift_by` and
`rotate_by` do what they are told. A turned pixel falls between four others and is their mean, weighted by closeness
(bilinear interpolation); what comes from outside the picture is 0.
"""

import numpy as np

from .dataset import require_rng


def shift(images, pixels=2, *, rng):
    """Move every image by a random whole number of pixels, up to `pixels` each way, filling with 0.

    Parameters
    ----------
    images : ndarray (N, C, H, W)
    pixels : int
        Largest move along each axis; every move in [-pixels, pixels] is equally likely.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray (N, C, H, W)
        New array of the same dtype.

    Raises
    ------
    ValueError
        `images` is not 4-D, `pixels` is negative.
    TypeError
        `rng` is not a Generator.
    """
    require_rng(rng, "shift")
    _check(images, pixels, "shift", "pixels")
    return shift_by(images, rng.integers(-pixels, pixels, size=(len(images), 2), endpoint=True))


def shift_by(images, offsets):
    """Move image n down by ``offsets[n, 0]`` and right by ``offsets[n, 1]`` whole pixels, filling with 0.

    Parameters
    ----------
    images : ndarray (N, C, H, W)
    offsets : ndarray (N, 2), integers

    Returns
    -------
    ndarray (N, C, H, W)
    """
    offsets = np.asarray(offsets)
    height, width = images.shape[2:]
    reach = int(np.abs(offsets).max(initial=0))
    padded = np.pad(images, ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    # (N, C, 2 reach + 1, 2 reach + 1, H, W): every possible crop, as a view; one is picked for each image.
    crops = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
    return crops[np.arange(len(images)), :, reach - offsets[:, 0], reach - offsets[:, 1]]


def rotate(images, degrees=15.0, *, rng):
    """Turn every image about its centre by a random angle, up to `degrees` each way, filling with 0.

    Parameters
    ----------
    images : ndarray (N, C, H, W), float
    degrees : float
        Angles are uniform in [-degrees, degrees].
    rng : numpy.random.Generator

    Returns
    -------
    ndarray (N, C, H, W)
        New array of the same dtype.

    Raises
    ------
    ValueError
        `images` is not 4-D, `degrees` is negative.
    TypeError
        `rng` is not a Generator.
    """
    require_rng(rng, "rotate")
    _check(images, degrees, "rotate", "degrees")
    return rotate_by(images, rng.uniform(-degrees, degrees, size=len(images)))


def rotate_by(images, angles):
    """Turn image n counter-clockwise about its centre by ``angles[n]`` degrees, with bilinear interpolation.

    Parameters
    ----------
    images : ndarray (N, C, H, W), float
    angles : ndarray (N,)

    Returns
    -------
    ndarray (N, C, H, W)
        Same dtype; 0 where a pixel comes from outside the image.

    Raises
    ------
    TypeError
        `images` are not floating point: the mean of two bytes is no byte.
    """
    if images.dtype.kind != "f":
        raise TypeError(f"rotate: images are {images.dtype}, expected floating point; images.astype(np.float32) / 255")
    count, channels, height, width = images.shape
    turn = np.deg2rad(np.asarray(angles)).astype(images.dtype)[:, None, None]
    down = np.arange(height, dtype=images.dtype)[:, None] - (height - 1) / 2
    right = np.arange(width, dtype=images.dtype) - (width - 1) / 2
    # Where the pixel at (down, right) of the result lies in the image: (N, H, W). Rows grow downwards, hence the signs.
    y = np.cos(turn) * down + np.sin(turn) * right + (height - 1) / 2
    x = np.cos(turn) * right - np.sin(turn) * down + (width - 1) / 2
    # The border of zeros is one pixel before and two after, so that a clipped coordinate and its neighbour read zeros.
    padded = np.pad(images, ((0, 0), (0, 0), (1, 2), (1, 2)))
    y, x = np.clip(y, -1, height) + 1, np.clip(x, -1, width) + 1
    top, left = np.floor(y), np.floor(x)
    v, h = (y - top)[:, None], (x - left)[:, None]  # (N, 1, H, W)
    row, plane = width + 3, (height + 3) * (width + 3)
    start = np.arange(count * channels).reshape(count, channels, 1, 1) * plane
    index = start + (top.astype(np.intp) * row + left.astype(np.intp))[:, None]  # (N, C, H, W) into flat padded
    a, b, c, d = (padded.ravel().take(index + step) for step in (0, 1, row, row + 1))
    upper, lower = a + h * (b - a), c + h * (d - c)
    return upper + v * (lower - upper)


def _check(images, limit, caller, name):
    if np.ndim(images) != 4:
        raise ValueError(f"{caller}: images have shape {np.shape(images)}, expected (N, C, H, W); "
                         f"one image is images[None]")
    if limit < 0:
        raise ValueError(f"{caller}: {name} is {limit}, expected 0 or more; moves go both ways already")
