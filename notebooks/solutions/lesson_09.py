"""Solutions of lesson 9."""

import numpy as np


def deletion_curve(f, x, heat):
    """Remove one more each time."""
    x, found = x.copy(), [f(x)]
    for i in np.argsort(-heat):
        x[i] = 0
        found.append(f(x))
    return found


def trapezoid_weights(n):
    """There are n - 1 intervals; the ends belong to one each."""
    w = np.full(n, 1 / (n - 1))
    w[[0, -1]] /= 2
    return w
