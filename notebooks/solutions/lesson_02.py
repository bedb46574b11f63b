"""Solutions of lesson 2."""

import numpy as np


def output_size(n, kernel, stride, padding, dilation):
    """As many starts as fit: the window spans dilation (kernel - 1) + 1."""
    return (n + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def average_pool(x):
    """Split both axes in pairs and average over the pairs."""
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).mean((3, 5))


def input_gradient(g, w):
    """A full correlation with the turned kernel."""
    k = len(w)
    padded, turned = np.pad(g, k - 1), w[::-1, ::-1]
    windows = np.lib.stride_tricks.sliding_window_view(padded, (k, k))
    return np.einsum("hwij,ij->hw", windows, turned)
