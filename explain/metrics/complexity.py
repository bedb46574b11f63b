"""Complexity: into how few pixels a map puts what it has to say. A sparse map is easier to read, not more right."""

import numpy as np

from ..attribution import Attribution
from .controls import as_controls, drawn_seed, judged


def gini(attribution, *, controls=True, rng=None):
    """The Gini index of a map's magnitudes: 0 if all are equal, near 1 if one holds everything. Chalasani et al. 2020.

    G = sum over i of (2 i - n - 1) a_(i) / (n sum of a),   a_(1) <= ... <= a_(n) the sorted |values|

    Parameters
    ----------
    attribution : Attribution or array (N, ...)
        It is not changed. A map of zeros is one of equal values: 0.
    controls : bool, or dict of str to array
        The usual ones need to know x, that is, an Attribution.
    rng : np.random.Generator, optional
        For the random control.

    Returns
    -------
    Measurement
        Higher is sparser.
    """

    def index(a):
        n, total = a.shape[1], a.sum(1)
        weighted = np.sort(a, axis=1) @ (2 * np.arange(1, n + 1) - n - 1)
        return np.divide(weighted, n * total, out=np.zeros(len(a)), where=total > 0)

    return _of_magnitudes("gini", index, "higher", attribution, controls, rng)


def entropy(attribution, *, controls=True, rng=None):
    """The entropy of a map's magnitudes as shares of their sum, in nats. Bhatt et al. 2020.

    - sum over i of p_i ln p_i,   p_i = |a_i| / sum of |a|

    0 if one value holds everything, ln n if all are equal; a map of zeros is one of equal values. Parameters as in
    `gini`.

    Returns
    -------
    Measurement
        Lower is simpler.
    """

    def nats(a):
        total = a.sum(1, keepdims=True)
        p = np.divide(a, total, out=np.full(a.shape, 1 / a.shape[1]), where=total > 0)
        return -(p * np.log(p, out=np.zeros_like(p), where=p > 0)).sum(1)

    return _of_magnitudes("entropy", nats, "lower", attribution, controls, rng)


def _of_magnitudes(metric, measured, better, attribution, controls, rng):
    known = isinstance(attribution, Attribution)
    values = np.asarray(attribution, np.float64)
    if values.ndim < 2 or not np.isfinite(values).all():
        raise ValueError(f"{metric}: the attribution has shape {values.shape}, expected finite numbers (N, ...)")
    x = attribution.x if known and attribution.x.shape[:1] == values.shape[:1] else np.zeros(values.shape)
    if controls is True and not (known and x.shape[2:] == values.shape[2:]):
        controls = False  # the edges of what?
    return judged(
        metric,
        attribution.method if known else "map",
        values,
        lambda a: measured(np.abs(a).reshape(len(a), -1)),
        better,
        as_controls(metric, controls, x, drawn_seed(rng)),
    )
