"""Boxes of images: the copies written out one by one, and a layer's product with images that are zero elsewhere."""

import numpy as np

from minigrad.kernels.reference.conv import conv2d
from minigrad.kernels.reference.pool import max_pool2d


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


def changed_boxes(x, y, marks, tops, lefts):
    """The rows and columns that hold what differs inside of marked parts of boxes: (4, W, N); 0 where nothing does."""
    found = np.zeros((4, len(marks), len(x)), np.int64)
    for box, (mark, top, left) in enumerate(zip(marks, tops, lefts)):
        place = slice(None), slice(top, top + mark.shape[1]), slice(left, left + mark.shape[2])
        for image in range(len(x)):
            _, rows, columns = np.nonzero((x[image] != y[image])[place] & mark)
            if len(rows):
                ends = rows.min() + top, rows.max() + top + 1, columns.min() + left, columns.max() + left + 1
                found[:, box, image] = ends
    return found


def linear_boxes(x, tops, lefts, clean, clean_y, which, weight):
    """Multiply images, changed where the boxes x (R, C, h, w) lie, by a layer's weight (O, C * H * W): (R, O).

    `clean_y` holds the bias too: it is the layer's answer to the clean images.
    """
    change = np.zeros((len(x), *clean.shape[1:]), x.dtype)
    for image, box, top, left, i in zip(change, x, tops, lefts, which):
        place = slice(None), slice(top, top + box.shape[1]), slice(left, left + box.shape[2])
        image[place] = box - clean[i][place]
    return clean_y[which] + change.reshape(len(x), clean[0].size) @ weight.T


def conv2d_boxes(
    x, tops, lefts, clean, clean_y, which, weight, bias, y_tops, y_lefts, size, stride, padding, dilation, groups, relu,
    pool,
):  # fmt: skip
    """Convolve the changed images where the boxes of the result see them, rectify if asked to, and pool."""
    span = [(n - 1) * s + d * (k - 1) + 1 for n, s, d, k in zip(size, stride, dilation, weight.shape[2:])]
    corners = [first * s - p for first, s, p in zip((y_tops, y_lefts), stride, padding)]
    frames = cut_boxes(clean, which, *corners, span, 0.0)
    paste_boxes(x, tops, lefts, frames, *corners)
    y = conv2d(frames, weight, bias, stride, (0, 0), dilation, groups)
    return max_pool2d(np.maximum(y, 0) if relu else y, *pool, (0, 0), False)
