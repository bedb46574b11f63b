"""Boxes of images: the copies written out one by one, and a layer's product with images that are zero elsewhere."""

import numpy as np


def cut_boxes(x, which, tops, lefts, size, fill):
    """Copy boxes (R, C, h, w) out of images (N, C, H, W): a slice of the image in a frame of `fill`."""
    h, w = size
    framed = np.full((*x.shape[:2], x.shape[2] + 2 * h, x.shape[3] + 2 * w), fill, x.dtype)
    framed[:, :, h:-h, w:-w] = x
    y = np.full((len(which), x.shape[1], h, w), fill, x.dtype)
    for box, image, top, left in zip(y, which, np.maximum(tops + h, 0), np.maximum(lefts + w, 0)):
        part = framed[image, :, top : top + h, left : left + w]
        box[:, : part.shape[1], : part.shape[2]] = part
    return y


def paste_boxes(x, tops, lefts, y, y_tops, y_lefts):
    """Copy boxes x (R, C, h, w) over boxes y (R, C, H, W) of the same images, pixel by pixel."""
    for r in range(len(x)):
        for i, j in np.ndindex(x.shape[2:]):
            row, column = i + tops[r] - y_tops[r], j + lefts[r] - y_lefts[r]
            if 0 <= row < y.shape[2] and 0 <= column < y.shape[3]:
                y[r, :, row, column] = x[r, :, i, j]


def linear_boxes(x, tops, lefts, weight):
    """Multiply images that are zero but for boxes x (R, C, h, w) by a layer's weight (O, C, H, W): (R, O)."""
    images = np.zeros((len(x), *weight.shape[1:]), x.dtype)
    for image, box, top, left in zip(images, x, tops, lefts):
        image[:, top : top + box.shape[1], left : left + box.shape[2]] = box
    return np.einsum("rchw, ochw -> ro", images, weight)
