"""Robustness: whether a map stays as it is when the input hardly changes. A constant map is the most robust of all."""

import numpy as np

from ..game import checked_count
from ..scoring import Scoring
from .controls import control_methods, drawn_seed, judged

ORDERS = {1: 1, 2: 2, "fro": 2, np.inf: np.inf}


def sensitivity_max(
    method,
    model,
    x,
    target=None,
    *,
    perturb_radius=0.02,
    n_perturb_samples=10,
    perturb_func=None,
    norm_ord="fro",
    controls=True,
    rng=None,
    **options,
):
    """The largest relative change of the map in a small neighbourhood of the input. Yeh et al. 2019.

    max over k of ||A(x + u_k) - A(x)|| / ||A(x)||,   u_k uniform in [-r, r]^d;   0 in the denominator counts as 1

    Parameters
    ----------
    method : callable
        Any method of this package: ``method(model, x, target, **options)``. One that draws random numbers must draw the
        same in every call, or its noise is measured too: ``lambda *a, **k: rise(*a, rng=np.random.default_rng(0),
        **k)``.
    model, x, target
        As in `explain.scoring.Scoring`; the target is that of x, also for what is near it.
    perturb_radius : float
        r, in the units of x. Perturbed inputs are not clipped.
    n_perturb_samples : int
    perturb_func : callable, optional
        In place of uniform noise: gets x (N, ...) and returns the perturbed samples, once per perturbation.
    norm_ord : 'fro', 1, 2 or inf
        The norm over all values of a map; 'fro' is 2.
    controls : bool, or dict of str to callable
        Methods to compare with; the usual random one draws new noise in every call.
    rng : np.random.Generator, optional
        All samples get the same noise.
    **options
        Of `method`.

    Returns
    -------
    Measurement
        Lower is more robust.
    """
    checked_count("sensitivity_max", "n_perturb_samples", n_perturb_samples, 1, "the largest of so many changes counts")
    if norm_ord not in ORDERS:
        raise ValueError(f"sensitivity_max: norm_ord is {norm_ord!r}, expected 'fro', 1, 2 or inf")
    if not (np.isscalar(perturb_radius) and perturb_radius >= 0):
        raise ValueError(
            f"sensitivity_max: perturb_radius is {perturb_radius!r}, expected a number of at least 0, in the units of x"
        )
    bounds = options.pop("bounds", (0, 1))
    with Scoring("sensitivity_max", model, x, target, bounds=bounds) as run:
        x, target = run.x, run.target
    seed = drawn_seed(rng)

    def moved(k):
        if perturb_func is not None:
            return np.asarray(perturb_func(x), x.dtype)
        u = np.random.default_rng([seed, k]).uniform(-perturb_radius, perturb_radius, x.shape[1:])
        return (x + u).astype(x.dtype)

    neighbours = [moved(k) for k in range(n_perturb_samples)]

    def norm(a):
        return np.linalg.norm(a.reshape(len(a), -1), ORDERS[norm_ord], axis=1)

    def largest(explainer):
        given = options if explainer is method else {}
        centre = np.asarray(explainer(model, x, target, bounds=bounds, **given), np.float64)
        size = norm(centre)
        changes = [
            norm(np.asarray(explainer(model, near, target, bounds=None, **given), np.float64) - centre)
            for near in neighbours
        ]
        return np.max(changes, axis=0) / np.where(size > 0, size, 1)

    settings = {"perturb_radius": perturb_radius, "n_perturb_samples": n_perturb_samples, "norm_ord": norm_ord}
    return judged(
        "sensitivity_max", method_name(method), method, largest, "lower", as_methods(controls, seed), settings=settings
    )


def method_name(method):
    """The name of a method, also of a partial one."""
    inner = getattr(method, "func", method)
    return getattr(inner, "__name__", type(inner).__name__)


def as_methods(controls, seed):
    """The methods to compare with: none, the usual ones, or those given."""
    return controls if isinstance(controls, dict) else control_methods(seed) if controls else {}
