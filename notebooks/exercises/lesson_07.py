"""Exercises of lesson 7: the Gram matrix of a style, and a box around what is bright."""

import numpy as np

from exercises import solved


def gram(answer):
    """``gram(a)``: the products of all pairs of channels of a (C, H, W), averaged over the places: (C, C)."""
    a = np.random.default_rng(0).normal(size=(3, 4, 5))
    found = np.asarray(solved(answer(a)))
    assert found.shape == (3, 3), f"expected shape (3, 3), got {found.shape}"
    expected = np.array([[(a[i] * a[j]).mean() for j in range(3)] for i in range(3)])
    assert np.allclose(found, expected), "entry (i, j) is the mean of a[i] * a[j]"


def bounding_box(answer):
    """``bounding_box(heat, share)``: (top, left, bottom, right) around all above share * max."""
    heat = np.zeros((9, 8))
    heat[2:5, 3:7], heat[8, 0] = 1.0, 0.2
    found = solved(answer(heat, 0.5))
    assert tuple(found) == (2, 3, 5, 7), f"expected (2, 3, 5, 7), bottom and right not included, got {tuple(found)}"
    assert tuple(solved(answer(heat, 0.1))) == (2, 0, 9, 7), "the weak corner belongs to it too at share 0.1"
