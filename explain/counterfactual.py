"""The smallest change that would have made the model decide otherwise. Wachter, Mittelstadt and Russell 2017.

On an affine model it has a closed form: the nearest point on the boundary f(x) = w . x + b = 0 is x - f(x) w / |w|^2,
and of several boundaries the nearest is the one with the smallest |f| / |w|. With pixels confined to [0, 1] the nearest
point is clip(x + t w), and t is found exactly among the breakpoints at which pixels reach their bounds.

Elsewhere the model is replaced by its tangents. First from point to point until the boundary is crossed (DeepFool,
Moosavi-Dezfooli et al. 2016), and back towards x as far as it goes; then along the boundary: the *original* x is
projected onto the tangent at the crossing, and a step that far, or part of it, is kept where it leads to a nearer
crossing. Where that ends, x - x' is normal to the boundary, as it must be at the nearest point.
"""

import numpy as np

import minigrad

from .game import checked_count
from .game import steps as shown_steps
from .scoring import Scoring

CLASSES = 10  # rivals that are looked at: the gradient of each costs a backward walk


def counterfactual(model, x, target=None, *, steps=50, overshoot=1e-4, rivals=CLASSES, progress=False, **common):
    """The nearest input, in Euclidean distance, that the model decides otherwise; exact on an affine model.

    Parameters
    ----------
    model, x, **common
        As in `explain.scoring.Scoring`; logits (N, K), or (N, 1) of which the sign decides. `bounds` confines the
        result too: None gives the textbook's closed form.
    target : int, integer array of shape (N,), or None
        The class it is to become; None is any other than it is. With one logit it plays no part.
    steps : int
        Linearisations at most; an affine model needs one or two.
    overshoot : float
        How far beyond the boundary to go, as a part of the change: on it no class wins.
    rivals : int
        Classes that are considered, by their scores at x, where `target` is None.
    progress : bool

    Returns
    -------
    Attribution
        The values are the change, x' - x; `target` is the class x' is decided for. ``extra["counterfactual"]`` is x',
        ``extra["distance"]`` (N,) its Euclidean distance from x, nan where no crossing was found: the change is then
        zero, and ``extra["found"]`` (N,) False.
    """
    method = "counterfactual"
    steps = checked_count(method, "steps", steps, 1, "linearisations")
    rivals = checked_count(method, "rivals", rivals, 1, "classes to consider")
    if not overshoot >= 0:
        raise ValueError(f"{method}: overshoot is {overshoot!r}, expected a number of at least 0")
    bounds = common.get("bounds", (0, 1))
    with Scoring(method, model, x, target, **common) as run:
        if run.logits.shape[1] == 1:
            target = None
        if target is not None and (same := run.target == run.logits.argmax(1)).any():
            raise ValueError(f"{method}: sample {int(same.argmax())} is of class {run.target[same][0]} already, "
                             "expected a target that it is not")  # fmt: skip
        changed, decided = run.x.copy(), np.array([_decision(logits) for logits in run.logits])
        found = np.zeros(len(run.x), bool)
        for i in shown_steps(range(len(run.x)), progress, method):
            goals = _goals(run.logits[i], None if target is None else int(run.target[i]), rivals)
            search = _Search(run, i, None if target is None else int(run.target[i]), bounds, overshoot)
            if (best := search.nearest(goals, steps)) is not None:
                changed[i], decided[i], found[i] = *best, True
        moved = changed.astype(np.float64) - run.x
        distance = np.sqrt((moved.reshape(len(moved), -1) ** 2).sum(1))
        result = run.attribution(changed - run.x, settings={"steps": steps, "overshoot": overshoot, "bounds": bounds},
                                 extra={"counterfactual": changed, "found": found,
                                        "distance": np.where(found, distance, np.nan)})  # fmt: skip
        result.target = decided
        return result


def nearest_on_boundary(x, weight, bias, bounds=None):
    """The point nearest to x at which weight . x + bias = 0: the closed form.

    Parameters
    ----------
    x : ndarray
    weight : ndarray of x's shape
    bias : float
    bounds : (low, high), optional
        Between which every value must stay.

    Returns
    -------
    ndarray of x's shape, or None
        None where the bounds leave no such point.
    """
    x, w = np.asarray(x, np.float64), np.asarray(weight, np.float64)
    f, square = float((w * x).sum() + bias), float((w * w).sum())
    if not square:
        return x.copy() if f == 0 else None
    if bounds is None:
        return x - f / square * w
    # f(clip(x + t w)) is piecewise linear and never falls with t: find the piece that holds its root.
    up = np.where(w > 0, bounds[1] - x, x - bounds[0])[w != 0] / np.abs(w[w != 0])
    down = np.where(w > 0, x - bounds[0], bounds[1] - x)[w != 0] / np.abs(w[w != 0])
    sign = -np.sign(f)
    ends = up if sign > 0 else down
    order = np.argsort(ends)
    ends = ends[order]
    slope = np.cumsum((w[w != 0] ** 2)[order][::-1])[::-1]  # on the way to the k-th end: of the pixels not yet there
    gained = np.cumsum(slope * np.diff(ends, prepend=0))
    k = int(np.searchsorted(gained, abs(f) * (1 - 1e-12)))
    if k == len(ends):
        return None
    t = ends[k] - (gained[k] - abs(f)) / slope[k]
    return np.clip(x + sign * t * w, *bounds)


def _goals(logits, target, rivals):
    """Which class is to beat which: groups of pairs (winner, loser); every pair of one group must come true.

    None stands for a logit of zero, which is what a single one is compared with.
    """
    if len(logits) == 1:
        return [[(0, None) if logits[0] < 0 else (None, 0)]]
    now = int(logits.argmax())
    order = [int(k) for k in np.argsort(-logits, kind="stable") if k != now]
    if target is None:
        return [[(k, now)] for k in order[:rivals]]
    return [[(target, k) for k in (now, *(k for k in order if k != target))[:rivals]]]


class _Search:
    """The search from one sample."""

    def __init__(self, run, i, target, bounds, overshoot):
        self.run, self.target, self.bounds, self.overshoot = run, target, bounds, overshoot
        self.start, self.before = run.x[i].astype(np.float64), _decision(run.logits[i])

    def nearest(self, goals, steps):
        """The nearest crossing (x', class), or None."""
        best, point = None, self.start
        while best is None and steps:
            steps, point = steps - 1, self.aim(goals, point, point)
            if point is None:
                return None
            best = self.crossing(point)
        part = 1.0
        while best and steps and part > 1 / 64:
            steps, aim = steps - 1, self.aim(goals, self.start, best[0])
            reach = self.distance(best[0])
            if aim is None or self.distance(aim) >= reach * (1 - 2 * self.overshoot):
                break
            # Part of the way where all of it leads farther: a tangent is right only near its point.
            while part > 1 / 64:
                nearer = self.crossing(best[0] + part * (aim - best[0]))
                if nearer and self.distance(nearer[0]) < reach:
                    best, part = nearer, min(1.0, 2 * part)
                    break
                part /= 2
        return best

    def aim(self, goals, origin, point):
        """The place nearest to `origin` where the model's tangent at `point` reaches a goal, or None."""
        values, gradients = _tangents(self.run, point, goals)
        aims = [_projected(origin, point, v, g, self.bounds) for v, g in zip(values, gradients, strict=True)]
        aims = [aim for aim in aims if aim is not None]
        return min(aims, key=lambda aim: ((aim - origin) ** 2).sum()) if aims else None

    def crossing(self, aim):
        """Where the way from the sample to `aim`, and somewhat beyond, crosses: (x', class), or None."""
        past, short = 1 + self.overshoot, 1 - self.overshoot
        if (hit := self.look(aim, past)) and not self.look(aim, short):
            return hit
        low, high = 0.0, short
        if not hit:
            low, high = past, next((t for t in (1.1, 1.5, 2.0) if self.look(aim, t)), None)
        if high is None:
            return None
        while high - low > max(self.overshoot, 1e-6) * high:
            middle = 0.5 * (low + high)
            low, high = (low, middle) if self.look(aim, middle) else (middle, high)
        return self.look(aim, high)

    def look(self, aim, t):
        """The point at a part t of the way to `aim`, and its class, if that is one to be reached."""
        x = self.start + t * (aim - self.start)
        x = (x if self.bounds is None else np.clip(x, *self.bounds)).astype(self.run.x.dtype)
        with minigrad.no_grad():
            now = _decision(self.run.model(minigrad.Tensor(x[None])).data[0])
        self.run.forwards += 1
        reached = now != self.before if self.target is None else now == self.target
        return (x, now) if reached else None

    def distance(self, x):
        """From the sample, Euclidean."""
        return float(np.sqrt(((x - self.start) ** 2).sum()))


def _tangents(run, point, goals):
    """For each group of goals, the margins (winner's logit less the loser's) at a point, and their gradients."""
    leaf = minigrad.Tensor(point[None].astype(run.x.dtype), requires_grad=True)
    logits = run.model(leaf)
    run.forwards += 1
    known = {None: (0.0, 0.0)}
    for k in {k for group in goals for pair in group for k in pair} - {None}:
        run.backwards += 1
        known[k] = float(logits.data[0, k]), minigrad.grad(logits[0, k], leaf).data[0].astype(np.float64)
    values, gradients = [], []
    for group in goals:
        values.append(np.array([known[a][0] - known[b][0] for a, b in group]))
        gradients.append(np.stack([known[a][1] - known[b][1] for a, b in group]))
    return values, gradients


def _projected(start, point, values, gradients, bounds):
    """The point nearest to `start` where no tangent margin is negative, or None."""
    offsets = values - (gradients * point).reshape(len(values), -1).sum(1)
    if len(values) == 1:
        return nearest_on_boundary(start, gradients[0], offsets[0], bounds)
    from scipy.optimize import minimize

    # The dual of: minimise |x' - start|^2 / 2 with gradients . x' + offsets >= 0 and x' in bounds. It has a number per
    # margin only, and x' is clip(start + multipliers . gradients).
    def at(multipliers):
        moved = start + np.tensordot(multipliers, gradients, 1)
        return moved if bounds is None else np.clip(moved, *bounds)

    norms = np.sqrt((gradients**2).reshape(len(values), -1).sum(1))
    norms[norms == 0] = 1
    gradients, offsets = gradients / norms.reshape(-1, *[1] * start.ndim), offsets / norms

    def dual(multipliers):
        x = at(multipliers)
        margins = (gradients * x).reshape(len(offsets), -1).sum(1) + offsets
        return multipliers @ margins - 0.5 * ((x - start) ** 2).sum(), margins

    best = minimize(dual, np.zeros(len(values)), jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(values),
                    options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 500})  # fmt: skip
    return at(best.x)


def _decision(logits):
    """The class decided for; with one logit 1 where it is positive, else 0."""
    return int(logits[0] > 0) if len(logits) == 1 else int(logits.argmax())
