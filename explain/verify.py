"""Identities: where theory says that two explanations are one, or what one adds up to; and whether it is so here.

An attribution has no ground truth, so an error in its code looks like an explanation. But many methods are the same
thing on some networks, by theorems; each theorem is a test that needs no ground truth. Everything is computed in
float64, on copies.
"""

import copy
import time
from dataclasses import dataclass

import numpy as np

import minigrad

from . import identities
from .case import Case, NotApplicable
from .inputs import as_generator, as_samples
from .scoring import Scoring

TOLERANCE = 1e-7


@dataclass
class Check:
    """One identity, tried.

    Attributes
    ----------
    name : str
    residual : float
        The largest difference, as a part of the largest value; nan where not applicable.
    tolerance : float
    note : str
        Why it is not applicable, or on what it was tried.
    seconds : float
    """

    name: str
    residual: float
    tolerance: float
    note: str
    seconds: float

    @property
    def verdict(self):
        """'holds', 'FAILS' or 'not applicable'."""
        return "not applicable" if np.isnan(self.residual) else "holds" if self.residual <= self.tolerance else "FAILS"


@dataclass
class Report:
    """All identities; print it for the table. True if none fails."""

    checks: list

    @property
    def passed(self):
        """Whether no applicable identity fails."""
        return not any(check.verdict == "FAILS" for check in self.checks)

    def __bool__(self):
        return self.passed

    def __getitem__(self, name):
        return next(check for check in self.checks if check.name == name)

    def __str__(self):
        wide = max(len(check.name) for check in self.checks)
        lines = [f"{'identity':<{wide}}  {'residual':>9}  verdict"]
        for check in self.checks:
            residual = "-" if np.isnan(check.residual) else f"{check.residual:.1e}"
            lines.append(f"{check.name:<{wide}}  {residual:>9}  {check.verdict}{check.note and f': {check.note}'}")
        failed = sum(check.verdict == "FAILS" for check in self.checks)
        held = sum(check.verdict == "holds" for check in self.checks)
        lines.append(f"{held} hold, {failed} fail, {len(self.checks) - held - failed} not applicable")
        return "\n".join(lines)


def verify(model, x, target=None, *, layer=None, tolerance=TOLERANCE, rng=None, bounds=(0, 1)):
    """Try the identities of `explain.identities` on a network and some inputs.

    Parameters
    ----------
    model : Module
        It is not changed: copies in float64 are.
    x : ndarray (N, C, H, W)
    target : int, integer array (N,), or None for the predicted class
    layer : Module or str, optional
        For the identities about an inner layer; the last convolution if left out.
    tolerance : float
        Of residuals, which are parts of the largest value.
    rng : np.random.Generator, optional
        For baselines that are not zero.
    bounds : (low, high) or None
        The range x must lie in.

    Returns
    -------
    Report
        ``bool(report)`` is False if an identity fails. One that does not apply to the network is listed with the
        reason.

    Raises
    ------
    ValueError, TypeError
        For inputs that no method would take, or a model that is no Module.
    """
    if not isinstance(model, minigrad.nn.Module):
        raise TypeError(
            f"verify: model is {type(model).__name__}, expected a Module, of which copies in float64 are made"
        )
    if not tolerance > 0:
        raise ValueError(f"verify: tolerance is {tolerance!r}, expected a positive number")
    exact = copy.deepcopy(model).to(np.float64).eval()
    with Scoring("verify", exact, as_samples("verify", x, bounds).astype(np.float64), target, bounds=bounds) as run:
        x, target = run.x, run.target
    if x.ndim != 4:
        raise ValueError(f"verify: x has shape {x.shape}, expected pictures (N, C, H, W)")
    path = None if layer is None else layer_of(model, layer)
    case = Case(exact, x, target, path, as_generator("verify", rng), bounds)
    return Report([_tried(name, identity, case, tolerance) for name, identity in identities.ALL.items()])


def layer_of(model, layer):
    """The path of a layer: copies have other modules, but the same paths."""
    from .scoring import layer_path

    return layer_path("verify", model, layer)


def _tried(name, identity, case, tolerance):
    start = time.perf_counter()
    try:
        residual, note = identity(case)
    except NotApplicable as reason:
        residual, note = np.nan, str(reason)
    return Check(name, float(residual), tolerance, note, time.perf_counter() - start)
