"""Interval bounds: how far the logits can move while every pixel moves by at most eps. One tape, walked forward.

Each tensor of the tape gets a lower and an upper bound for all images of the ball, op by op, by interval arithmetic. A
linear op maps centre c and radius r of the box to W c + b and |W| r; a monotone op maps both ends. What holds for the
bounds holds for every image: if the label's lower bound is above all other upper bounds, no attack can succeed. The
converse is false, and the bounds grow loose from layer to layer: a network that was not trained for them is certified
at hardly any eps.

The walk is in float64, whatever the model's dtype, and the bounds are those of real arithmetic up to about 1e-12;
float32 logits may leave them by their own rounding, about 1e-6 of their size.
Source: Gowal et al., On the effectiveness of interval bound propagation for training verifiably robust models, 2018.
"""
from dataclasses import dataclass

import numpy as np

import minigrad
from minigrad import ops

from .arguments import limits, radius
from .victim import Victim


@dataclass(eq=False)
class Bounds:
    """What the logits can be.

    Attributes
    ----------
    lower, upper : ndarray (N, K), float64
    certified : ndarray of bool (N,)
        Whether the label wins for every image of the ball.
    """

    lower: np.ndarray
    upper: np.ndarray
    certified: np.ndarray


def interval_bounds(model, x, y, *, eps, bounds=(0, 1)):
    """Bounds on the logits of every image within eps of x in Linf and inside `bounds`.

    Parameters
    ----------
    model : Module or callable
        In evaluation mode; of the ops that the table `RULES` knows.
    x, y : arrays (N, C, H, W) and (N,)
    eps : float, or one for each image
    bounds : (low, high)

    Returns
    -------
    Bounds

    Raises
    ------
    ValueError
        For an op without a rule, naming it, where it ran, and the ops that have one.
    """
    name = "interval_bounds"
    victim = Victim(name, model, x, y, bounds=bounds)
    eps = radius(name, eps, len(victim.x)).reshape(-1, *(1,) * (victim.x.ndim - 1))
    low, high = limits(name, bounds)
    leaf = minigrad.Tensor(victim.x, requires_grad=True)
    logits = model(leaf)
    centre = victim.x.astype(np.float64)
    box = {leaf: (np.maximum(centre - eps, low), np.minimum(centre + eps, high))}
    for t in minigrad.tape(logits):
        if t is not leaf and t.op is not None and any(x in box for x in t.inputs):
            box[t] = _through(t, box)
    lower, upper = box[logits]
    others = upper.copy()
    others[np.arange(len(others)), victim.y] = -np.inf
    return Bounds(lower, upper, lower[np.arange(len(lower)), victim.y] > others.max(1))


def _through(t, box):
    rule = next((rule for kinds, rule in RULES if isinstance(t.op, kinds)), None)
    varying = [x in box for x in t.inputs]
    if rule is None or rule in (_linear, _batch_norm, _scaled) and any(varying[1:]):
        known = ", ".join(sorted(kind.__name__ for kinds, _ in RULES for kind in kinds))
        raise ValueError(f"interval_bounds: no rule for {type(t.op).__name__} in {t.scope or 'the model'}"
                         f"{' whose weights depend on x' if rule else ''}; there are rules for {known}")
    ends = [box[x] if inside else (x.data.astype(np.float64),) * 2
            for x, inside in zip(t.inputs, varying, strict=True)]
    return rule(t.op, *ends)


def _linear(op, x, weight, *bias):
    """W c + b, plus or minus |W| r."""
    centre, reach = (x[1] + x[0]) / 2, (x[1] - x[0]) / 2
    middle, reach = op.forward(centre, weight[0], *(b[0] for b in bias)), op.forward(reach, np.abs(weight[0]))
    return middle - reach, middle + reach


def _batch_norm(op, x, mean, var, *affine):
    """A stretch by a constant of either sign, per channel."""
    ends = [op.forward(end, mean[0], var[0], *(a[0] for a in affine)) for end in x]
    return np.minimum(*ends), np.maximum(*ends)


def _monotone(op, *inputs):
    """Both ends: an op that never falls when an input rises."""
    return tuple(op.forward(*(ends[k] for ends in inputs)) for k in (0, 1))


def _bent(op, x):
    """An op that is monotone on each side of 0, rising or falling: both ends, and 0 if it lies between them."""
    low, high = x
    values = op.forward(low), op.forward(high), op.forward(np.clip(0.0, low, high))
    return np.minimum.reduce(values), np.maximum.reduce(values)


def _falling(op, x):
    return op.forward(x[1]), op.forward(x[0])


def _difference(op, a, b):
    return op.forward(a[0], b[1]), op.forward(a[1], b[0])


def _scaled(op, x, by):
    """Times or divided by a constant of either sign."""
    ends = op.forward(x[0], by[0]), op.forward(x[1], by[0])
    return np.minimum(*ends), np.maximum(*ends)


RULES = [
    ((ops.Linear, ops.Conv2d, ops.MatMul), _linear),
    ((ops.BatchNorm,), _batch_norm),
    ((ops.ReLU, ops.Sigmoid, ops.Tanh, ops.Softplus, ops.Exp, ops.MaxPool2d, ops.AvgPool2d, ops.AdaptiveAvgPool2d,
      ops.Add, ops.Concat, ops.Reshape, ops.Permute, ops.GetItem, ops.Pad, ops.BroadcastTo, ops.Sum, ops.Max,
      ops.Maximum, ops.Minimum, ops.Clip), _monotone),
    ((ops.LeakyReLU, ops.ELU), _bent),  # a slope or alpha below 0 falls before it rises
    ((ops.Sub,), _difference),
    ((ops.Neg,), _falling),
    ((ops.Mul, ops.Div), _scaled),
]
