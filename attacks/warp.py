"""Turning, scaling and shifting images: reading them at places between the pixels, and the transpose of that.

A value at (row, column) between four pixels is their mean, weighted by nearness (bilinear); outside of the image it is
`fill`. Reading is linear in the image, so the gradient of what was read goes back by the same weights: `spread`.
"""
import numpy as np


def places(shape, angle, scale, row, column, centre):
    """Where an image, turned and scaled about its centre and moved, is to be read for every pixel of a canvas.

    Parameters
    ----------
    shape : (H, W) of the canvas
    angle : array (N,)
        Degrees, counterclockwise as seen.
    scale : array (N,)
    row, column : arrays (N,)
        Where on the canvas the image's centre comes to lie, in pixels from the upper left pixel's centre.
    centre : (row, column)
        The image's centre.

    Returns
    -------
    ndarray (2, N, H, W)
        Rows and columns in the image.
    """
    cos, sin = (f(np.deg2rad(np.asarray(angle, float)))[:, None, None] for f in (np.cos, np.sin))
    scale, row, column = (np.asarray(v, float)[:, None, None] for v in (scale, row, column))
    down, right = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij")
    down, right = (down - row) / scale, (right - column) / scale
    return np.stack([cos * down + sin * right + centre[0], cos * right - sin * down + centre[1]])


def read(images, at, fill=0.0):
    """Images (N, C, H, W), or one (1, C, H, W) for all, read at the places (2, N, H', W'): (N, C, H', W')."""
    count, channels = at.shape[1], images.shape[1]
    found = np.zeros((count, channels, *at.shape[2:]))
    inside = np.zeros((count, 1, *at.shape[2:]))
    which = np.arange(count)[:, None, None] if len(images) > 1 else 0
    for index, weight in _corners(at, images.shape[2:]):
        found += np.moveaxis(images[which, :, index[0], index[1]], -1, 1) * weight[:, None]
        inside += weight[:, None]
    return (found + fill * (1 - inside)).astype(images.dtype)


def spread(g, at, shape):
    """The gradient for one image (C, H, W) that was read at the places `at` with the cotangent g (N, C, H', W')."""
    channels, height, width = shape
    total = np.zeros((channels, height * width))
    for index, weight in _corners(at, (height, width)):
        flat = (index[0] * width + index[1]).ravel()
        for c in range(channels):
            total[c] += np.bincount(flat, (g[:, c] * weight).ravel(), minlength=height * width)
    return total.reshape(shape).astype(g.dtype)


def _corners(at, shape):
    """For each of the four pixels around every place: where it is, and its weight, 0 outside of the image."""
    first = np.floor(at).astype(int)
    part = at - first
    for down in (0, 1):
        for right in (0, 1):
            index = first + np.array([down, right]).reshape(2, 1, 1, 1)
            weight = (part[0] if down else 1 - part[0]) * (part[1] if right else 1 - part[1])
            limit = np.array(shape).reshape(2, 1, 1, 1) - 1
            weight = np.where(((index >= 0) & (index <= limit)).all(0), weight, 0)
            yield np.clip(index, 0, limit), weight
