"""Exercises of lesson 2: sizes, a pooling, and a gradient."""

import numpy as np

from exercises import solved
from minigrad import functional as F
from minigrad.kernels import reference


def output_size(answer):
    """``output_size(n, kernel, stride, padding, dilation)``: how many outputs a convolution has along one axis."""
    for n, k, s, p, d in ((28, 3, 1, 1, 1), (28, 5, 2, 0, 1), (7, 3, 2, 1, 2), (227, 7, 2, 0, 1)):
        x, w = np.zeros((1, 1, n, n), np.float32), np.zeros((1, 1, k, k), np.float32)
        expected = F.conv2d(x, w, None, s, p, d).shape[2]
        found = solved(answer(n, k, s, p, d))
        assert found == expected, f"n={n}, kernel {k}, stride {s}, padding {p}, dilation {d}: {expected}, not {found}"


def average_pool(answer):
    """``average_pool(x)``: 2x2 average pooling with stride 2 of x (N, C, H, W), H and W even, without a loop."""
    x = np.random.default_rng(0).normal(size=(2, 3, 6, 8))
    expected = reference.avg_pool2d(x, (2, 2), (2, 2), (0, 0), False, True)
    found = np.asarray(solved(answer(x)))
    assert found.shape == expected.shape, f"expected shape {expected.shape}, got {found.shape}"
    assert np.allclose(found, expected), "each output is the mean of four neighbours"


def input_gradient(answer):
    """``input_gradient(g, w)``: of a convolution of one channel with w (k, k), no padding; g is (h, w)."""
    rng = np.random.default_rng(1)
    g, w = rng.normal(size=(5, 6)), rng.normal(size=(3, 3))
    expected = reference.conv2d_input_grad(g[None, None], w[None, None], (1, 1, 7, 8), (1, 1), (0, 0), (1, 1), 1)[0, 0]
    found = np.asarray(solved(answer(g, w)))
    assert found.shape == (7, 8), f"expected the input's shape (7, 8), got {found.shape}"
    assert np.allclose(found, expected), "pad g by k - 1 on all sides and correlate with w turned by 180 degrees"
