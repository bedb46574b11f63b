"""Exercises of lesson 8: how well a trigger was localised, and which class is too easy to reach."""

import numpy as np

from exercises import solved


def intersection_over_union(answer):
    """``intersection_over_union(found, planted)``: of two boolean masks."""
    found, planted = np.zeros((6, 6), bool), np.zeros((6, 6), bool)
    found[1:4, 1:4], planted[2:5, 2:5] = True, True
    value = solved(answer(found, planted))
    assert np.isclose(value, 4 / 14), f"4 pixels in both, 14 in either: 4/14, not {value}"
    assert np.isclose(solved(answer(planted, planted)), 1), "equal masks have 1"


def anomaly_index(answer):
    """``anomaly_index(norms)``: |norm - median| / (1.4826 MAD) for each class (K,)."""
    norms = np.array([50.0, 55.0, 60.0, 10.0, 52.0])
    found = np.asarray(solved(answer(norms)))
    expected = np.abs(norms - 52) / (1.4826 * 3)
    assert np.allclose(found, expected), "MAD is the median of the distances from the median (here 3)"
