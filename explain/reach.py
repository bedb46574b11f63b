"""What a change inside a box of the input can reach: the tape run again on crops.

A patch of 10x10 pixels changes 12x12 outputs of a 3x3 convolution and 7x7 of the pooling after it; what it does not
reach stays as the tape has it. So the ops of a recorded tape, which hold settings and no operands, are applied again
to small crops that follow the change from layer to layer:

* elementwise ops and batch norm map a box to the same box;
* a convolution or a pooling maps a box to the box of the outputs that see it (`explain.crops`);
* additions and concatenations join two boxes into the one that holds both;
* a dense layer is linear: y + W d, where the difference d is zero outside the box;
* from the first op that mixes everything on, the whole tensors are computed.

The results equal those of the whole network, up to rounding.
"""

from dataclasses import replace
from itertools import product

import numpy as np

from minigrad import ops

from .crops import Crop, Due, Flat, dense, joined, pooled, reached, window
from .kinds import ELEMENTWISE, PAIRWISE, Trail

_POINTWISE = (*ELEMENTWISE, *PAIRWISE, ops.Add, ops.Sub, ops.Mul, ops.Neg, ops.Cast, ops.Where)
_WINDOWS = (ops.Conv2d, ops.MaxPool2d, ops.AvgPool2d)
_ROWWISE = (ops.Softmax, ops.LogSoftmax, ops.AdaptiveAvgPool2d, ops.Interpolate)
_REDUCTIONS = (ops.Sum, ops.Max, ops.Min)
GROUP = 256  # changes that cost as much as to begin with a group of them


class Reach:
    """A tape, ready to be run again for changes that stay inside a box of its leaf (n, C, H, W).

    Raises
    ------
    Unreachable
        If the tape holds an op that cannot be applied to other samples, naming it.
    """

    def __init__(self, leaf, y):
        self.leaf, self.y = leaf, y
        trail = Trail.between(leaf, y)
        self.steps, self.live, self.samples = trail.steps, trail.live, len(leaf.data)
        if leaf.ndim != 4:
            raise Unreachable(f"the input has shape {leaf.shape}: only images (N, C, H, W) have places")
        for t in self.steps:
            if not self._knows(t):
                raise Unreachable(
                    f"{type(t.op).__name__} in {t.scope or 'no module'} is not known to treat samples one by one"
                )
        self.last = {x: t for t in self.steps for x in t.inputs}
        self.pools, self.due = _pools_after(self.steps)

    def run(self, crop):
        """y (R, classes) for the changes of a Crop of the leaf."""
        states = {self.leaf: crop}
        for t in self.steps:
            states[t] = self._step(t, [states.get(x) for x in t.inputs], crop.images)
            for x in t.inputs:
                if x in states and self.last[x] is t:
                    del states[x]
        y = states[self.y]
        return y if isinstance(y, np.ndarray) else y.whole()

    def groups(self, spans):
        """The numbers of the changes in `spans` that reach about equally far: to be run together without much waste.

        Near a border a change reaches less. Changes are split in two by rows and by columns, where that spares most: a
        group costs the area of its largest member for each, and a fixed time.
        """
        far = [self._far(axis, *span) for axis, span in enumerate(spans)]
        if not far[0].size:
            return []
        limits = [np.unique(lengths) for lengths in far]
        near = [lengths <= limit[:, None] for lengths, limit in zip(far, limits, strict=True)]
        rows, columns = (
            ((within.astype(float), limit), ((~within).astype(float), np.full_like(limit, limit[-1])))
            for within, limit in zip(near, limits, strict=True)
        )
        cost = 0
        for (by_row, height), (by_column, width) in product(rows, columns):
            members = by_row @ by_column.T  # for each limit of rows and of columns
            cost += (members + GROUP * (members > 0)) * np.outer(height, width)
        best = np.unravel_index(cost.argmin(), cost.shape)
        number = sum((~within[k]) * n for within, k, n in zip(near, best, (1, 2), strict=True))
        return [np.flatnonzero(number == k) for k in np.unique(number)]

    def _far(self, axis, start, stop):
        """Along one axis: how many rows of the last layer that has places the rows start..stop of the input reach."""
        spans = {self.leaf: (start, stop)}
        for t in self.steps:
            inputs = [spans[x] for x in t.inputs if x in spans]
            if t.ndim != 4 or len(inputs) < sum(x in self.live for x in t.inputs):
                continue
            if isinstance(t.op, _WINDOWS):
                spans[t] = start, stop = reached(t, axis, *inputs[0], self.pools.get(t))
            elif isinstance(t.op, (*_POINTWISE, ops.BatchNorm, ops.Concat)):
                starts, stops = zip(*inputs, strict=True)
                spans[t] = start, stop = np.minimum.reduce(starts), np.maximum.reduce(stops)
        return stop - start

    def _knows(self, t):
        """Whether `_step` can run this op: its settings and constants must not tie it to the recorded samples."""
        op, only_first = t.op, self.live.isdisjoint(t.inputs[1:])
        if isinstance(op, _POINTWISE):
            return all(x in self.live or self._constant(x) for x in t.inputs)
        if isinstance(op, (*_WINDOWS, ops.BatchNorm)):
            return only_first and t.ndim == 4
        if isinstance(op, ops.Linear):
            return only_first
        if isinstance(op, _ROWWISE):
            return getattr(op, "dim", 1) % t.ndim != 0
        if isinstance(op, _REDUCTIONS):
            return 0 not in op.dims
        if isinstance(op, (ops.Reshape, ops.Permute, ops.BroadcastTo)):
            x = t.inputs[0]
            return t.ndim > 0 and x.ndim > 0 and t.shape[0] == x.shape[0] == self.samples and _keeps_samples_first(op)
        if isinstance(op, ops.LayerNorm):
            return only_first and op.ndim < t.ndim
        if isinstance(op, ops.Concat):
            return op.dim != 0 and all(x in self.live or self._constant(x) for x in t.inputs)
        if isinstance(op, ops.MatMul):
            return t.ndim > 2 and self.live.issuperset(t.inputs) or t.ndim == 2 and only_first
        if isinstance(op, ops.GetItem):
            return (
                isinstance(op.index, tuple)
                and op.index[0] == slice(None)
                and all(isinstance(i, (slice, int)) for i in op.index)
            )
        return isinstance(op, ops.Pad) and not any(op.widths[0])

    def _constant(self, x):
        """Whether an operand that is not on the trail is sure to be none of the samples' business.

        One with a row for each sample may have been computed from them behind the tape's back, unless the rows are
        one and the same or it was made from parameters.
        """
        return len(x.data) == self.samples and (x.requires_grad or x.data.strides[0] == 0)

    def _step(self, t, states, images):
        """The Crop, Flat or array of `t` for those of its inputs; None stands for an input that nothing changes."""
        op, first = t.op, states[0]
        if isinstance(op, ops.Conv2d) and isinstance(first, Crop):
            return Due(first, t) if t in self.due else window(t, first, self.pools.get(t))
        if isinstance(first, Due):
            return replace(first, relu=True) if isinstance(op, ops.ReLU) else pooled(t, first)
        if isinstance(op, (ops.MaxPool2d, ops.AvgPool2d)) and isinstance(first, Crop) and _plain(t):
            return window(t, first)
        if isinstance(op, ops.BatchNorm) and isinstance(first, Crop):
            return replace(first, values=op.forward(first.values, *(x.data for x in t.inputs[1:])), clean=t.data)
        if isinstance(op, ops.Reshape) and isinstance(first, Crop) and t.ndim == 2:
            return Flat(first)
        if isinstance(op, ops.Linear) and isinstance(first, Flat):
            return dense(t, first.crop)
        local = all(s is None or isinstance(s, Crop) for s in states)
        if local and t.ndim == 4 and (isinstance(op, _POINTWISE) or isinstance(op, ops.Concat) and op.dim == 1):
            return joined(t, states)
        return self._whole(t, states, images)

    def _whole(self, t, states, images):
        """The complete output for complete inputs, with the settings and constants made for other samples."""
        wholes = [s if s is None or isinstance(s, np.ndarray) else s.whole() for s in states]
        per_sample = isinstance(t.op, (*_POINTWISE, ops.Concat))
        operands = [
            s if s is not None else _of(x.data, images) if per_sample else x.data
            for x, s in zip(t.inputs, wholes, strict=True)
        ]
        if isinstance(t.op, (ops.Reshape, ops.BroadcastTo)):
            return replace(t.op, shape=(len(images), *t.op.shape[1:])).forward(*operands)
        return t.op.forward(*operands)


class Unreachable(Exception):
    """Why a tape cannot be run on crops."""


def _pools_after(steps):
    """The pooling, if any, that alone uses what a convolution gives, perhaps after elementwise ops: {tensor: op}.

    To compute the few values that complete its windows is cheaper than to copy the clean ones there. And the tensors
    after which there is but a ReLU, or nothing, before a max-pool whose windows all lie inside.
    """
    users, pools, due = {}, {}, set()
    for t in steps:
        for x in t.inputs:
            users.setdefault(x, []).append(t)
    for t in reversed(steps):  # what follows t is known before t
        (user, *others) = users.get(t, [None])
        if user is None or others:
            continue
        if isinstance(user.op, (ops.MaxPool2d, ops.AvgPool2d)) and _plain(user):
            pools[t] = user.op
            if isinstance(user.op, ops.MaxPool2d) and _inside(user) and not any(user.op.padding):
                due.add(t)
        elif isinstance(user.op, ELEMENTWISE) and user in pools:
            pools[t] = pools[user]
            if isinstance(user.op, ops.ReLU) and user in due:
                due.add(t)
    return pools, due


def _plain(t):
    """Whether every window of a pooling divides by its area: then its padding may be written out as zeros."""
    op = t.op
    return isinstance(op, ops.MaxPool2d) or _inside(t) and (op.count_include_pad or not any(op.padding))


def _inside(t):
    """Whether no window of a pooling hangs over the padded input."""
    op, x = t.op, t.inputs[0]
    return all(
        (out - 1) * s + k <= n + 2 * p
        for out, s, k, n, p in zip(t.shape[2:], op.stride, op.kernel_size, x.shape[2:], op.padding, strict=True)
    )


def _of(array, images):
    """The rows of an array (n, ...) that belong to `images`, without a copy where all rows are one."""
    if array.strides[0]:
        return array[images]
    return np.broadcast_to(array[:1], (len(images), *array.shape[1:]))


def _keeps_samples_first(op):
    return not isinstance(op, ops.Permute) or op.dims[0] == 0
