"""Axioms: what a map can be proved to have or lack. Each is a residual with a tolerance, no equality of floats."""

import numpy as np

import minigrad

from ..inputs import as_baseline
from ..perturb import feature_ablation
from ..scoring import Scoring
from .controls import Subject, drawn_seed, judged
from .robustness import as_methods, method_name


def completeness(
    model, attribution, x=None, target=None, *, baselines=None, tolerance=1e-3, controls=True, rng=None, **common
):
    """How far the sum of the map is from what it should be, as a part of that. Sundararajan et al. 2017.

    |sum of a - (F(x) - F(x'))| / |F(x) - F(x')|

    Parameters
    ----------
    model, **common
        As in `explain.scoring.Scoring`.
    attribution : Attribution, or array of x's shape
    x, target
        An Attribution knows them.
    baselines : number, or array with x's shape, with one row or with rows whose mean score counts; optional
        x'. If left out it is the attribution's own; one that has none is held to F(x), as LRP promises.
    tolerance : float
        ``extra["complete"]`` (N,) says whose residual is at most that.
    controls : bool, or dict of str to array
    rng : np.random.Generator, optional
        For the random control.

    Returns
    -------
    Measurement
        Lower is better; 0 is complete. ``extra["promised"]`` (N,) is F(x) - F(x'). Where that is 0 the residual itself
        counts.
    """
    subject = Subject("completeness", attribution, x, target)
    own = baselines is None and subject.attribution is not None
    baselines = subject.attribution.baseline if own else baselines
    pool = own and subject.attribution.pool
    with Scoring("completeness", model, subject.x, subject.target, **common) as run:
        promised, own_sums = run.clean.astype(np.float64), _sums(subject)
        if baselines is not None:
            promised = promised - _reference(run, baselines, pool)

        def residual(values, seed):
            sums = values.reshape(len(values), -1).sum(1) if values is not subject.values else own_sums
            off = np.abs(sums - promised) / np.where(promised != 0, np.abs(promised), 1)
            return {"values": off, "extra": {"complete": off <= tolerance, "promised": promised}}

        return subject.measure(residual, "lower", controls, rng, settings={"tolerance": tolerance})


def non_sensitivity(
    model,
    attribution,
    x=None,
    target=None,
    *,
    baselines=0,
    feature_mask=None,
    tolerance=1e-6,
    controls=True,
    rng=None,
    **common,
):
    """The part of the features that are relevant without effect, or the reverse. Nguyen and Martinez 2020.

    Parameters
    ----------
    model, attribution, x, target, controls, rng, **common
        As in `completeness`.
    baselines, feature_mask
        As in `explain.feature_ablation`, which tells the effect: that of replacing the feature by the baseline.
    tolerance : float
        What is at most that part of the largest magnitude, of the map or of the effects, counts as zero.

    Returns
    -------
    Measurement
        Lower is better.
    """
    subject = Subject("non_sensitivity", attribution, x, target)
    effects = feature_ablation(
        model, subject.x, subject.target, baselines=baselines, feature_mask=feature_mask, **common
    )
    mask = np.broadcast_to(effects.extra["feature_mask"], subject.x.shape)

    def some(table):
        return np.abs(table) > tolerance * np.nanmax(np.abs(table), axis=1, keepdims=True)

    def wrong(values, seed):
        values = np.broadcast_to(values, subject.x.shape)
        table = effects.extra["feature_values"]
        shares = np.stack(
            [np.bincount(m.ravel(), row.ravel(), table.shape[1]) for m, row in zip(mask, values, strict=True)]
        )
        known = ~np.isnan(table)
        return ((some(shares) != some(np.where(known, table, 0))) & known).sum(1) / known.sum(1)

    return subject.measure(wrong, "lower", controls, rng, settings={"tolerance": tolerance})


def input_invariance(method, model, x, target=None, *, shift=0.3, controls=True, rng=None, **options):
    """How much a map changes if inputs are shifted and the model shifts them back. Kindermans et al. 2019.

    ||A'(x + s) - A(x)|| / ||A(x)||,   A' the map of the model F'(x) = F(x - s), which computes the same

    A method that multiplies with the input, or compares it with a baseline that stays where it was, is not invariant.

    Parameters
    ----------
    method : callable
        Any method of this package.
    model, x, target
        As in `explain.scoring.Scoring`.
    shift : number, or array that broadcasts against x
        s.
    controls : bool, or dict of str to callable
    rng : np.random.Generator, optional
    **options
        Of `method`.

    Returns
    -------
    Measurement
        Lower is better.
    """
    bounds = options.pop("bounds", (0, 1))
    with Scoring("input_invariance", model, x, target, bounds=bounds) as run:
        x, target = run.x, run.target
    shift = np.asarray(shift, x.dtype)
    shifted, there = _Shifted(model, shift), (x + shift).astype(x.dtype)

    def change(explainer):
        given = options if explainer is method else {}
        here = np.asarray(explainer(model, x, target, bounds=bounds, **given), np.float64).reshape(len(x), -1)
        other = np.asarray(explainer(shifted, there, target, bounds=None, **given), np.float64).reshape(len(x), -1)
        size = np.linalg.norm(here, axis=1)
        return np.linalg.norm(other - here, axis=1) / np.where(size > 0, size, 1)

    return judged(
        "input_invariance", method_name(method), method, change, "lower", as_methods(controls, drawn_seed(rng))
    )


class _Shifted(minigrad.nn.Module):
    """The model of inputs that were shifted; its layers keep their paths."""

    def __init__(self, model, shift):
        self.model, self.shift = model, shift

    def members(self):
        """Those of the model."""
        return self.model.members() if isinstance(self.model, minigrad.nn.Module) else []

    def forward(self, x):
        return self.model(x - self.shift)


def _sums(subject):
    """The sums of the map; where features were explained each value has its feature's share, which counts once."""
    shares = None if subject.attribution is None else subject.attribution.extra.get("feature_values")
    return subject.values.reshape(len(subject.x), -1).sum(1) if shares is None else np.nansum(shares, 1)


def _reference(run, baselines, pool):
    """F(x') per sample, or the mean over a pool of baselines."""
    rows = np.asarray(baselines, run.x.dtype)
    if pool or rows.ndim == run.x.ndim and rows.shape[1:] == run.x.shape[1:] and len(rows) not in (1, len(run.x)):
        return run.outputs(rows).mean(0, dtype=np.float64)[run.target]
    return run.scores(as_baseline(run, rows)).astype(np.float64)
