"""Batch norm and other scalings, folded into the layers with weights beside them - on the tape, not in the model.

In evaluation a batch norm is y = a x + c per channel, and two affine maps in a row are one. So a rule such as z+ need
not stumble over the scaling: it is asked for the pair, as if it were one layer with the weights

    BN after a layer     a (W x + b) + c  =  (a W) x + (a b + c)
    BN before a layer    W (a x + c) + b  =  (W a) x + (W c + b)      a bias per output: padding sees no c

and the batch norm itself passes on what it gets. The same holds for `(x - mean) / std` in front of the first layer,
so that z^B is given the bounds of a pixel, in the pixel's own units.
"""

from typing import NamedTuple

import numpy as np

import minigrad
from minigrad import ops

from .kinds import Scaling, kinds
from .rules import named, pass_through, per_output, route


class Fold(NamedTuple):
    """A layer together with the scalings around it: y = op(x, weight) + bias."""

    y: object
    x: object
    weight: object
    bias: object

    def rule(self, inner):
        """`inner`, asked about the folded layer instead of the op's own operands."""

        def outer(op, r, y, *xs):
            pulls = inner(op, r, self.y.reshape(*y.shape), self.x.reshape(*xs[0].shape), self.weight, self.bias)
            return pulls[0], *(None for _ in xs[1:])

        def sinks(op, r, y, *xs, places):
            return inner.sinks(
                op, r, self.y.reshape(*y.shape), self.x.reshape(*xs[0].shape), self.weight, self.bias, places=places
            )

        return named(f"{inner.__qualname__}, folded", outer, sinks if hasattr(inner, "sinks") else None)


def folds(trail):
    """{step: `Fold`} for the layers with scalings beside them, and {step: rule} for the scalings themselves."""
    users, found = trail.users(), {}
    for t in trail.steps:
        if not isinstance(t.op, (ops.Conv2d, ops.Linear)) or trail.operands(t) != (0,):
            continue
        before, after = _before(t, trail, users, found), _after(t, trail, users)
        weight, bias = t.inputs[1], per_output(t.op, t.inputs[2]) if t.inputs[2:] else None
        x, y = t.inputs[0], t
        if before:
            x = before[0].inputs[trail.operands(before[0])[0]]
            scale, shift = (v.reshape(1, *t.inputs[0].shape[1:]) for v in _affine(before, x, trail))
            moved = t.op(shift, weight)
            weight = weight * _per_input(t.op, scale, weight)
            bias = moved if bias is None else moved + bias
        if after:
            y = after[-1]
            one = (0, slice(None), *[slice(1)] * (t.ndim - 2))  # (O,), or (O, 1, 1): an image's places are all alike
            scale, shift = (v.reshape(1, *t.shape[1:])[one] for v in _affine(after, t, trail))
            weight = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
            bias = shift if bias is None else bias * scale + shift
        if before or after:
            found[t] = Fold(y, x, weight, bias if bias.ndim > 1 else bias.reshape(1, -1))  # two axes: see rules.applied
            found |= {step: route if isinstance(step.op, ops.Reshape) else pass_through for step in (*before, *after)}
    return found


def _after(t, trail, users):
    """The steps from the layer `t` to a batch norm of its channels, the batch norm included; else none."""
    steps = [t]
    while len(users[steps[-1]]) == 1:
        step = users[steps[-1]][0]
        if step.shape[: t.ndim] != t.shape or step.size != t.size:
            break
        steps.append(step)
        if isinstance(step.op, ops.BatchNorm):
            return steps[1:] if trail.operands(step) == (0,) else []
        if not isinstance(step.op, ops.Reshape):
            break
    return []


def _before(t, trail, users, taken):
    """The steps of scalings, oldest first, that end in the input of the layer `t`; else none."""
    steps, x = [], t.inputs[0]
    while x.op is not None and len(users.get(x, ())) == 1 and x not in taken:
        places = trail.operands(x)
        scales = Scaling in kinds(x, places) and _per_sample(x, places)
        if not scales and not (isinstance(x.op, ops.Reshape) and x.shape[:1] == x.inputs[0].shape[:1]):
            break
        steps.append(x)
        x = x.inputs[places[0]]
    while steps and isinstance(steps[-1].op, ops.Reshape):
        steps.pop()
    steps = steps[::-1]
    if steps and isinstance(t.op, ops.Conv2d):  # its weights reach all places of a channel
        scale, _ = _affine(steps, steps[0].inputs[trail.operands(steps[0])[0]], trail)
        rows = scale.data.reshape(t.inputs[0].shape[1], -1)
        return steps if (rows == rows[:, :1]).all() else []
    return steps


def _per_sample(t, places):
    """Whether the constants of a scaling are the same for all samples."""
    return isinstance(t.op, (ops.BatchNorm, ops.Neg)) or len(_constant(t, places[0]).data) == 1


def _affine(steps, x, trail):
    """(scale, shift), each for one sample (1, ...), of a chain of scalings and reshapes of `x`, oldest first."""
    scale = minigrad.Tensor(np.ones((1, *x.shape[1:]), x.dtype))
    shift = scale * 0
    for t in steps:
        if isinstance(t.op, ops.Reshape):
            scale, shift = (v.reshape(1, *t.shape[1:]) for v in (scale, shift))
        else:
            factor, offset = _terms(t, *trail.operands(t))
            scale, shift = scale * factor, shift * factor + offset
    return scale, shift


def _terms(t, place):
    """(a, c) of a scaling t = a x + c of its operand at `place`."""
    if isinstance(t.op, ops.Neg):
        return -1, 0
    if isinstance(t.op, ops.BatchNorm):
        mean, var, *affine = t.inputs[1:]
        factor = (var + t.op.eps) ** -0.5 * (affine[0] if affine else 1)
        offset = -mean * factor + (affine[1] if affine else 0)
        return factor.reshape(-1, 1, 1), offset.reshape(-1, 1, 1)
    constant = _constant(t, place)
    if isinstance(t.op, ops.Mul):
        return constant, 0
    if isinstance(t.op, ops.Div):
        return 1 / constant, 0
    return (1, constant) if isinstance(t.op, ops.Add) else (1, -constant) if place == 0 else (-1, constant)


def _constant(t, place):
    """The other operand of a scaling as it was before broadcasting: an axis that was repeated has stride 0."""
    data = t.inputs[1 - place].data
    return minigrad.Tensor(data[tuple(slice(1 if stride == 0 else None) for stride in data.strides)])


def _per_input(op, scale, weight):
    """The factors (1, ...) of a layer's inputs, in the shape that broadcasts against its weight."""
    if isinstance(op, ops.Linear):
        return scale
    outputs, channels = weight.shape[:2]
    rows = scale[0, :, 0, 0].reshape(op.groups, 1, channels).expand(op.groups, outputs // op.groups, channels)
    return rows.reshape(outputs, channels, 1, 1)
