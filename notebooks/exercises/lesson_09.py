"""Exercises of lesson 9: a metric, and an invariant that catches a wrong quadrature."""

import numpy as np

from exercises import solved


def deletion_curve(answer):
    """``deletion_curve(f, x, heat)``: f(x) with none, one, two ... pixels set to 0, the most important first."""
    x, heat = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.1, 0.9, 0.3, 0.2])
    weights = np.array([1.0, 10.0, 100.0, 1000.0])
    found = np.asarray(solved(answer(lambda v: float(weights @ v), x, heat)))
    expected = np.array([4321.0, 4301.0, 4001.0, 1.0, 0.0])
    assert found.shape == (5,), f"four pixels give five points, not {found.shape}"
    assert np.allclose(found, expected), f"expected {expected}: the pixel with the largest heat goes first"


def trapezoid_weights(answer):
    """``trapezoid_weights(n)``: of the trapezoidal rule at n points from 0 to 1, both ends included."""
    for n in (2, 3, 50):
        w = np.asarray(solved(answer(n)))
        assert w.shape == (n,), f"expected {n} weights"
        assert np.isclose(w.sum(), 1), f"1 integrates to {w.sum():.4f}: how many intervals are there?"
        t = np.linspace(0, 1, n)
        assert np.isclose(w @ t, 0.5), "a straight line must be integrated exactly"
