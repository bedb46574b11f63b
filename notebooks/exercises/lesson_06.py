"""Exercises of lesson 6: the steepest step, and the smallest change that fools a linear model."""

import numpy as np

from exercises import solved


def fgsm_step(answer):
    """``fgsm_step(x, g, eps)``: the image in [0, 1], at most eps from x in every pixel, that raises g.x most."""
    rng = np.random.default_rng(0)
    x, g = rng.random((2, 1, 4, 4)), rng.normal(size=(2, 1, 4, 4))
    found = np.asarray(solved(answer(x, g, 0.1)))
    assert np.abs(found - x).max() <= 0.1 + 1e-12, "further than eps in some pixel"
    assert found.min() >= 0 and found.max() <= 1, "outside of [0, 1]"
    best = np.where(g > 0, np.minimum(x + 0.1, 1), np.maximum(x - 0.1, 0))
    assert np.allclose((g * found).sum(), (g * best).sum()), "another image of the ball has a larger product with g"


def smallest_change(answer):
    """``smallest_change(w, margin, norm)``: the length of the shortest d with w.d = -margin, norm 'l2' or 'linf'."""
    w, margin = np.array([3.0, -4.0, 0.0]), 2.0
    assert np.isclose(solved(answer(w, margin, "l2")), 0.4), "in L2 go along w: |margin| / |w|_2"
    assert np.isclose(solved(answer(w, margin, "linf")), 2 / 7), "in Linf every pixel helps: |margin| / |w|_1"
