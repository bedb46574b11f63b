"""The straight path from a baseline to the input, and integrals along it.

Path methods ask how the score comes about while the input moves from x' to x: every point is x' + t (x - x') with t in
[0, 1], and what they sum up is some derivative at many such points of every sample.
"""

from dataclasses import dataclass

import numpy as np

from .breakpoints import linear_pieces
from .quadrature import METHODS, quadrature
from .scoring import Scoring


@dataclass(eq=False)
class Path:
    """The way of N samples from `start` to `stop`, arrays of one shape (N, ...), and where on it to evaluate.

    ``rows[i], t[i], weights[i]``: the sample, the place in [0, 1] and the weight of evaluation i.
    """

    start: np.ndarray
    stop: np.ndarray
    rows: np.ndarray = None
    t: np.ndarray = None
    weights: np.ndarray = None

    @property
    def direction(self):
        """From start to stop: the derivative of a point by t."""
        return self.stop - self.start

    def points(self, rows, t):
        """The points at t of the samples `rows`: (len(rows), ...)."""
        t = t.astype(self.start.dtype).reshape(-1, *[1] * (self.start.ndim - 1))
        return self.start[rows] + t * self.direction[rows]

    def place(self, run, forward, method, n_steps, compat):
        """Choose rows, t and weights: by a rule of `quadrature`, or 'exact', one in the middle of every linear piece.

        ``forward(rows, points)`` gives the tape whose pieces count: the leaf that holds the points, and the output.
        """
        count = len(self.start)
        if method == "exact":
            self.rows, low, high = linear_pieces(run.method, forward, self, run.batch_size)
            self.t, self.weights = (low + high) / 2, high - low
            return self
        if method not in METHODS:
            raise ValueError(f"{run.method}: method is {method!r}, expected one of {', '.join(METHODS)}, or exact")
        t, weights = quadrature(run.method, method, n_steps, compat)
        self.rows, self.t, self.weights = (
            np.tile(np.arange(count), n_steps),
            np.repeat(t, count),
            np.repeat(weights, count),
        )
        return self

    def integrate(self, run, integrand):
        """The weighted sum, per sample, of ``integrand(rows, points) -> (len(rows), ...)``, evaluated in batches.

        It is added up in float64 and in the order of t, so that it does not depend on where batches end.
        """
        total = None
        for part in run.batches(len(self.rows)):
            rows = self.rows[part]
            values = integrand(rows, self.points(rows, self.t[part]))
            if total is None:
                total = np.zeros((len(self.start), *values.shape[1:]))
            for row, weight, value in zip(rows, self.weights[part], values, strict=True):
                total[row] += weight * value
        return total.astype(values.dtype)


def scoring(method, model, x, target, internal_batch_size, common):
    """A Scoring whose batch size may go by Captum's name for it."""
    if internal_batch_size is not None:
        common = {**common, "batch_size": internal_batch_size}
    return Scoring(method, model, x, target, **common)


def own_score(run):
    """For `Path.place`: the function that records the target's score of the samples `rows` at some points."""

    def forward(rows, points):
        leaf, scores = run.record(points)
        return leaf, scores[np.arange(len(rows)), run.target[rows]]

    return forward
