"""Integrated gradients: the gradient averaged along the straight path from a baseline, times the way gone.

    attribution_i = (x_i - x'_i) * integral over t in [0, 1] of dF/dx_i at x' + t (x - x')

By the chain rule the sum over i is F(x) - F(x'): the method is complete, up to the error of the quadrature. On a
network of convolutions, ReLUs and max-pools the integrand is constant between finitely many breakpoints, so it can be
integrated without any error: method='exact'.
"""

import numpy as np

from .inputs import as_baseline
from .path import Path, own_score, scoring
from .quadrature import METHODS


def integrated_gradients(
    model,
    x,
    target=None,
    *,
    baselines=0,
    n_steps=50,
    method="gausslegendre",
    multiply_by_inputs=True,
    internal_batch_size=None,
    compat=None,
    **common,
):
    """What each pixel contributes to the score on the straight way from a baseline. Sundararajan et al. 2017.

    Parameters
    ----------
    model, x, target, **common
        As in `explain.scoring.Scoring`.
    baselines : number, or array of x's shape or with one row
        x', the input that stands for "nothing there".
    n_steps : int
        Evaluations per sample; not used by 'exact'.
    method : 'gausslegendre', 'riemann_left', 'riemann_right', 'riemann_middle', 'riemann_trapezoid' or 'exact'
        The rule of `explain.quadrature`, or 'exact': on piecewise-linear networks all breakpoints of the path are found
        and every piece is integrated exactly. The pieces per sample are in ``extra["pieces"]``; there may be thousands.
    multiply_by_inputs : bool
        False leaves out the factor x - x' and the completeness: the mean gradient of the path.
    internal_batch_size : int, optional
        Captum's name for batch_size.
    compat : None or 'captum'
        'captum' for Captum's trapezoid, whose weights do not add up to one.

    Returns
    -------
    Attribution
        Complete: `delta` is the sum of a sample's values less F(x) - F(x'), the error of the quadrature.

    Raises
    ------
    ValueError
        For a baseline of another shape, no steps, or method='exact' with an op that is not piecewise linear (it is
        named).
    """
    with scoring("integrated_gradients", model, x, target, internal_batch_size, common) as run:
        baseline = as_baseline(run, baselines)
        path = Path(baseline, run.x).place(run, own_score(run), method, n_steps, compat)
        mean = path.integrate(run, lambda rows, points: _gradient(run, rows, points))
        values = mean * path.direction if multiply_by_inputs else mean
        delta = residual(run, values, baseline) if multiply_by_inputs else None
        settings = {"method": method, "multiply_by_inputs": multiply_by_inputs}
        extra = {"pieces": np.bincount(path.rows)} if method == "exact" else {}
        return run.attribution(
            values,
            baseline=baseline,
            delta=delta,
            extra=extra,
            settings=settings if method == "exact" else {**settings, "n_steps": n_steps, "compat": compat},
        )


def quadrature_errors(
    model, x, target=None, *, baselines=0, n_steps=(5, 10, 20, 50, 100, 200), methods=METHODS, compat=None, **common
):
    """The true error of each rule of quadrature, measured against the exact integral, as n_steps grows.

    Parameters
    ----------
    model, x, target, baselines, compat, **common
        As in `integrated_gradients`; the model must be piecewise linear.
    n_steps : sequence of int
    methods : sequence of str

    Returns
    -------
    dict of str to ndarray of shape (len(n_steps), N)
        Per rule, the sum of the absolute errors of a sample's values, as a part of the sum of its absolute exact
        values.
    """
    exact = integrated_gradients(model, x, target, baselines=baselines, method="exact", **common)
    axes = tuple(range(1, exact.ndim))
    scale = np.abs(exact.values).sum(axes)

    def error(method, steps):
        found = integrated_gradients(
            model, x, exact.target, baselines=baselines, method=method, n_steps=steps, compat=compat, **common
        )
        return np.abs(found.values - exact.values).sum(axes) / np.where(scale > 0, scale, 1)

    return {method: np.array([error(method, steps) for steps in n_steps]) for method in methods}


def residual(run, values, baseline):
    """The completeness residual, per sample: the sum of the values less F(x) - F(x')."""
    promised = run.own_scores() - run.scores(baseline)
    return values.sum(axis=tuple(range(1, values.ndim)), dtype=np.float64) - promised


def _gradient(run, rows, points):
    leaf, scores = run.record(points)
    return run.pull(scores, leaf, run.target[rows])
