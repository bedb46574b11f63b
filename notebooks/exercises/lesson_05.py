"""Exercises of lesson 5: Shapley values of a small game, and the nearest point on the other side of a plane."""

import numpy as np

from exercises import solved


def shapley(answer):
    """``shapley(worth, players)``: the Shapley values (players,) of a game; `worth` takes a frozenset of numbers."""
    def glove(coalition):  # two left gloves, one right glove: a pair is worth 1
        return float(min(len(coalition & {0, 1}), len(coalition & {2})))

    found = np.asarray(solved(answer(glove, 3)))
    assert np.allclose(found, [1 / 6, 1 / 6, 2 / 3]), f"the glove game has 1/6, 1/6, 2/3, not {found}"
    weights = np.array([1.0, -2.0, 0.5, 3.0])
    found = np.asarray(solved(answer(lambda s: sum(weights[i] for i in s), 4)))
    assert np.allclose(found, weights), "in a sum every player gets its own term"


def nearest_counterfactual(answer):
    """``nearest_counterfactual(w, b, x)``: the nearest point to x on the boundary w.x + b = 0."""
    rng = np.random.default_rng(0)
    w, x, b = rng.normal(size=5), rng.normal(size=5), 0.7
    found = np.asarray(solved(answer(w, b, x)))
    assert abs(w @ found + b) < 1e-9, f"w.x + b is {w @ found + b:.3g} there: is the step divided by |w| or by |w|^2?"
    normal = (found - x) / np.linalg.norm(found - x)
    assert np.isclose(abs(normal @ w), np.linalg.norm(w)), "not the nearest: the way must be along w"
