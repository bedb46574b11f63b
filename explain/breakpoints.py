"""Where a network bends: the linear pieces of a piecewise-linear network along a straight line.

Move the input along a line, x(t) = x' + t (x - x'). Up to the first ReLU everything is linear in t, so where a unit
changes sign can be read off the two ends of an interval: a crossing of two straight lines. Cut there, and on each new
interval everything is linear up to the next op that bends; look there, and so on through the tape. Where no op bends
any more, the whole network is linear and its gradient constant, so an integral over the interval is one evaluation in
its middle. Compare Sotoudeh and Thakur, "Computing Linear Restrictions of Neural Networks", NeurIPS 2019.
"""

from collections import Counter

import numpy as np

from minigrad import kernels, ops, tape
from minigrad.autodiff import place

_LINEAR = (
    ops.Add,
    ops.Sub,
    ops.Neg,
    ops.Sum,
    ops.Concat,
    ops.Reshape,
    ops.Permute,
    ops.GetItem,
    ops.PutItem,
    ops.Pad,
    ops.BroadcastTo,
    ops.SumTo,
    ops.AvgPool2d,
    ops.AvgPool2dInput,
    ops.AdaptiveAvgPool2d,
    ops.Interpolate,
    ops.Adjoint,
    ops.Cast,
    ops.ChannelSum,
)
_LINEAR_IN_EACH = (ops.Mul, ops.MatMul, ops.Linear, ops.Conv2d, ops.Conv2dInput, ops.Conv2dWeight, ops.Einsum)
_LINEAR_IN_FIRST = (ops.Div, ops.BatchNorm)
_SHORTEST = 1e-12  # of an interval: a crossing closer than this to a cut is that cut


def linear_pieces(function, forward, path, batch_size):
    """Cut [0, 1] for each sample of a path into the intervals on which the network is linear.

    Parameters
    ----------
    function : str
        For messages.
    forward : callable
        ``forward(rows, points) -> (leaf, y)``: the tape of the samples `rows` at `points`.
    path : Path
    batch_size : int
        Intervals that are examined at once.

    Returns
    -------
    rows, low, high : ndarrays of one length
        The sample of each interval and its ends, sorted by sample and then by place.

    Raises
    ------
    ValueError
        If an op between the leaf and y is not piecewise linear, naming it and the module it ran in.
    """
    count = len(path.start)
    todo = np.stack([np.arange(count), np.zeros(count), np.ones(count)], 1)  # rows of (sample, low, high)
    pieces = []
    while len(todo):
        cut = []
        for i in range(0, len(todo), batch_size):
            whole, halves = _examine(function, forward, path, todo[i : i + batch_size])
            pieces.append(whole)
            cut.append(halves)
        todo = np.concatenate(cut)
    pieces = np.concatenate(pieces)
    rows, low, high = pieces[np.lexsort((pieces[:, 1], pieces[:, 0]))].T
    return rows.astype(int), low, high


def _examine(function, forward, path, intervals):
    """Those of the intervals on which the tape is linear, and the parts of the others, cut where the first op bends."""
    ends, where = np.unique(np.concatenate([intervals[:, [0, 1]], intervals[:, [0, 2]]]), axis=0, return_inverse=True)
    low, high = where.reshape(2, -1)
    rows = ends[:, 0].astype(int)
    leaf, y = forward(rows, path.points(rows, ends[:, 1]))
    whole = np.ones(len(intervals), bool)
    cuts = []
    for op, inputs, bends in _bending(function, leaf, y):
        left = np.flatnonzero(whole)
        if not len(left):
            break
        for gap_low, gap_high in bends(op, *[(x.data[low[left]], x.data[high[left]]) for x in inputs]):
            which, place_in = _crossings(gap_low.reshape(len(left), -1), gap_high.reshape(len(left), -1))
            _, start, stop = intervals[left[which]].T
            at = start + place_in * (stop - start)
            inside = (at - start > _SHORTEST) & (stop - at > _SHORTEST)
            cuts.append(np.stack([left[which][inside], at[inside]], 1))
            whole[left[which][inside]] = False
    return intervals[whole], _parts(intervals, np.concatenate(cuts) if cuts else np.zeros((0, 2)))


def _crossings(low, high):
    """(interval, place in [0, 1]) of each feature that goes from one sign to the other; rounding noise is no sign."""
    noise = 64 * np.finfo(low.dtype).eps * np.maximum(np.abs(low), np.abs(high)).max(1, initial=0, keepdims=True)
    signs = [np.sign(a) * (np.abs(a) > noise) for a in (low, high)]
    which, feature = np.nonzero(signs[0] * signs[1] < 0)
    a, b = low[which, feature].astype(float), high[which, feature].astype(float)
    return which, a / (a - b)


def _parts(intervals, cuts):
    """Intervals cut at (interval, place), as rows of (sample, low, high); cuts that nearly coincide are one."""
    cuts = cuts[np.lexsort((cuts[:, 1], cuts[:, 0]))]
    new = np.ones(len(cuts), bool)
    new[1:] = (cuts[1:, 0] != cuts[:-1, 0]) | (cuts[1:, 1] - cuts[:-1, 1] > _SHORTEST)
    cuts = cuts[new]
    index = cuts[:, 0].astype(int)
    touched = np.unique(index)
    ends = np.concatenate(
        [np.stack([index, cuts[:, 1]], 1), *(np.stack([touched, intervals[touched, side]], 1) for side in (1, 2))]
    )
    ends = ends[np.lexsort((ends[:, 1], ends[:, 0]))]
    same = ends[1:, 0] == ends[:-1, 0]
    return np.stack([intervals[ends[:-1, 0].astype(int), 0], ends[:-1, 1], ends[1:, 1]], 1)[same]


def _bending(function, leaf, y):
    """(op, its inputs, where it bends) for the ops with kinks between leaf and y; raises where an op is curved.

    Of a ReLU that only a max-pool reads, most units never win: the two are looked at as one.
    """
    moving, found, readers = {leaf}, {}, Counter()
    for t in tape(y):
        live = [x in moving for x in t.inputs]
        readers.update(t.inputs)
        if any(live):
            moving.add(t)
            bends = _BENDS.get(type(t.op))
            if bends:
                found[t] = t.op, t.inputs, bends
            elif not _is_linear(t.op, live):
                raise ValueError(
                    f"{function}: {place(t)} is not piecewise linear in the input, so method='exact' cannot "
                    "integrate it; use method='gausslegendre' (and score='logit', which adds no softmax)"
                )
    for t in [t for t in found if isinstance(t.op, ops.MaxPool2d)]:
        x = t.inputs[0]
        if isinstance(x.op, ops.ReLU) and readers[x] == 1:
            del found[x]
            found[t] = t.op, x.inputs, _at_change_of_rectified_winner
    return found.values()


def _is_linear(op, live):
    return (
        isinstance(op, _LINEAR)
        or isinstance(op, _LINEAR_IN_EACH)
        and sum(live) == 1
        or isinstance(op, _LINEAR_IN_FIRST)
        and live[0]
        and sum(live) == 1
    )


def _at_zero(op, x):
    return [x]


def _at_limits(op, x):
    return [(x[0] - limit, x[1] - limit) for limit in (op.low, op.high) if limit is not None]


def _at_equality(op, a, b):
    return [(a[0] - b[0], a[1] - b[1])]


def _at_change_of_winner(winners):
    """Where the winners at the two ends are equal; if a third one wins between them, that is seen next."""

    def bends(op, x):
        low, high = x
        read_low, read_high = winners(op, low), winners(op, high)
        return [(read_low(low) - read_high(low), read_low(high) - read_high(high))]

    return bends


def _at_change_of_rectified_winner(op, x):
    """For windows of relu(x): a maximum of lines is convex, so negative at both ends is zero between them."""
    [(lead_low, lead_high)] = _at_change_of_winner(_of_windows)(op, x)
    best = [op.forward(v) for v in x]
    on = (best[0] > 0) | (best[1] > 0)
    return [(lead_low * on, lead_high * on), best]


def _of_windows(op, x):
    winners = kernels.max_pool2d_winners(x, *op.window)[1]
    return lambda v: kernels.collect_winners(v, winners, *op.window)


def _of_axes(op, x):
    sign = 1 if isinstance(op, ops.Max) else -1

    def last(v):  # the reduced axes made one, at the end
        kept = [i for i in range(v.ndim) if i not in op.dims]
        return v.transpose(*kept, *op.dims).reshape(*[v.shape[i] for i in kept], -1)

    winner = (sign * last(x)).argmax(-1)[..., None]
    return lambda v: np.take_along_axis(last(v), winner, -1)


_BENDS = {
    ops.ReLU: _at_zero,
    ops.LeakyReLU: _at_zero,
    ops.Abs: _at_zero,
    ops.Clip: _at_limits,
    ops.Maximum: _at_equality,
    ops.Minimum: _at_equality,
    ops.MaxPool2d: _at_change_of_winner(_of_windows),
    ops.Max: _at_change_of_winner(_of_axes),
    ops.Min: _at_change_of_winner(_of_axes),
}
