"""What a change inside a box of the input can reach: the tape run again on crops.

A patch of 10x10 pixels changes 12x12 outputs of a 3x3 convolution and 7x7 of the pooling after it; what it does not reach
stays as the tape has it. So the ops of a recorded tape, which hold settings and no operands, are applied again to small
crops that follow the change from layer to layer:

* elementwise ops and batch norm map a box to the same box;
* a convolution or a pooling maps rows a..b to ceil((a + p - r + 1) / s) .. floor((b + p) / s), with stride s, padding p and
  a window that reaches over r rows; its crop of the input is the new box seen backwards, clean values around the changed ones;
* additions and concatenations join two boxes into the one that holds both;
* a dense layer is linear: y + W d, where the difference d is zero outside the box;
* from the first op that mixes everything on, the whole tensors are computed.

The results equal those of the whole network, up to rounding.
"""
from dataclasses import dataclass, replace

import numpy as np

from minigrad import ops

from .kinds import ELEMENTWISE, PAIRWISE, Trail

_POINTWISE = (*ELEMENTWISE, *PAIRWISE, ops.Add, ops.Sub, ops.Mul, ops.Neg, ops.Cast, ops.Where)
_WINDOWS = (ops.Conv2d, ops.MaxPool2d, ops.AvgPool2d)
_ROWWISE = (ops.Softmax, ops.LogSoftmax, ops.AdaptiveAvgPool2d, ops.Interpolate)
_REDUCTIONS = (ops.Sum, ops.Max, ops.Min)
BOXED = 2**26  # bytes of a dense layer's weights that are kept by box, so that they are not gathered again


@dataclass(eq=False)
class Crop:
    """What W changes make of a part of n images: new values (W n, C, h, w) in boxes that start at `tops` and `lefts` (W,).

    `clean` (n, C, H, W) holds the unchanged images. Rows of `values` are ordered by change, then by image.
    """

    values: np.ndarray
    tops: np.ndarray
    lefts: np.ndarray
    clean: np.ndarray

    @property
    def size(self):
        return self.values.shape[2:]

    def grouped(self):
        """The values as (W, n, h, w, C), contiguous in memory where kernels made them."""
        return self.values.transpose(0, 2, 3, 1).reshape(len(self.tops), -1, *self.size, self.values.shape[1])

    def within(self, tops, lefts, size, fill=0.0):
        """The changed images in other boxes, `fill` outside of the images: (W n, C, h, w)."""
        found = boxes(self.clean, tops, lefts, size, fill)
        changed = self.grouped()
        rows, columns = (_overlap(new, n, old, m) for new, n, old, m in
                         zip((tops, lefts), size, (self.tops, self.lefts), self.size, strict=True))
        for i, ((a, b, c, d), (e, f, g, h)) in enumerate(zip(rows, columns, strict=True)):
            if a < b and e < f:
                found[i, :, a:b, e:f] = changed[i, :, c:d, g:h]
        return _as_images(found)

    def whole(self):
        """The complete changed images (W n, C, H, W)."""
        everywhere = np.zeros(len(self.tops), int)
        return self.within(everywhere, everywhere, self.clean.shape[2:])


@dataclass(eq=False)
class Flat:
    """A Crop after flattening, which only a dense layer can use as such."""

    crop: Crop

    def whole(self):
        images = self.crop.whole()
        return images.reshape(len(images), -1)


@dataclass(eq=False)
class Late:
    """A Crop before the ReLU that it is due: the maximum of rectified values is the rectified maximum, of fewer values."""

    crop: Crop


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
                raise Unreachable(f"{type(t.op).__name__} in {t.scope or 'no module'} is not known to treat samples one by one")
        self.last = {x: t for t in self.steps for x in t.inputs}
        self.pools, self.boxed = _pools_after(self.steps), {}

    def run(self, values, tops, lefts):
        """y for W changes of each image: (W, n, classes); `values` (W n, C, h, w) is what the boxes hold after the change."""
        states = {self.leaf: Crop(values, tops, lefts, self.leaf.data)}
        for t in self.steps:
            states[t] = self._step(t, [states.get(x) for x in t.inputs])
            for x in t.inputs:
                if x in states and self.last[x] is t:
                    del states[x]
        y = states[self.y]
        y = y if isinstance(y, np.ndarray) else y.whole()
        return y.reshape(len(tops), self.samples, *y.shape[1:])

    def _knows(self, t):
        """Whether `_step` can run this op: its settings and other operands must not tie it to the recorded samples."""
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
            return isinstance(op.index, tuple) and op.index[0] == slice(None) and all(isinstance(i, (slice, int)) for i in op.index)
        return isinstance(op, ops.Pad) and not any(op.widths[0])

    def _constant(self, x):
        """Whether an operand that is not on the trail is sure to be none of the samples' business.

        One with a row for each sample may have been computed from them behind the tape's back, unless the rows are
        one and the same or it was made from parameters.
        """
        return len(x.data) == self.samples and (x.requires_grad or x.data.strides[0] == 0)

    def _step(self, t, states):
        """The Crop, Flat or array of `t` for those of its inputs; None stands for an input that nothing changes."""
        op, first = t.op, states[0]
        if isinstance(op, ops.Conv2d) and isinstance(first, Crop):
            return _window(t, first, t.inputs[1].shape[2:], op.dilation, 0.0, {"padding": (0, 0)}, self.pools.get(t))
        if isinstance(op, ops.ReLU) and isinstance(first, Crop) and isinstance(self.pools.get(t), ops.MaxPool2d):
            return Late(first)
        if isinstance(op, (ops.MaxPool2d, ops.AvgPool2d)) and isinstance(first, (Crop, Late)) and _plain(t):
            fill = -np.inf if isinstance(op, ops.MaxPool2d) else 0.0
            crop = first.crop if isinstance(first, Late) else first
            pooled = _window(t, crop, op.kernel_size, (1, 1), fill, {"padding": (0, 0), "ceil_mode": False})
            return pooled if crop is first else replace(pooled, values=ops.ReLU().forward(pooled.values))
        if isinstance(op, ops.BatchNorm) and isinstance(first, Crop):
            return replace(first, values=op.forward(first.values, *_data(t.inputs[1:])), clean=t.data)
        if isinstance(op, ops.Reshape) and isinstance(first, Crop) and t.ndim == 2:
            return Flat(first)
        if isinstance(op, ops.Linear) and isinstance(first, Flat):
            return _dense(t, first.crop, self.boxed)
        local = all(s is None or isinstance(s, Crop) for s in states)
        if local and t.ndim == 4 and (isinstance(op, _POINTWISE) or isinstance(op, ops.Concat) and op.dim == 1):
            return _joined(t, states)
        return self._whole(t, states)

    def _whole(self, t, states):
        """The complete output for complete inputs, with the settings and constants made for other samples."""
        wholes = [s if s is None or isinstance(s, np.ndarray) else s.whole() for s in states]
        count = next(len(s) for s in wholes if s is not None)
        per_sample = isinstance(t.op, (*_POINTWISE, ops.Concat))
        operands = [s if s is not None else _repeated(x.data, count // self.samples) if per_sample else x.data
                    for x, s in zip(t.inputs, wholes, strict=True)]
        op = replace(t.op, shape=(count, *t.op.shape[1:])) if isinstance(t.op, (ops.Reshape, ops.BroadcastTo)) else t.op
        return op.forward(*operands)


class Unreachable(Exception):
    """Why a tape cannot be run on crops."""


def boxes(images, tops, lefts, size, fill=0.0):
    """Boxes of a size cut from images (n, C, H, W), `fill` where they stick out: (W, n, h, w, C)."""
    source = images.transpose(0, 2, 3, 1)
    (height, width), found = size, np.empty((len(tops), len(images), *size, images.shape[1]), images.dtype)
    if _sticks_out(tops, height, source.shape[1]) or _sticks_out(lefts, width, source.shape[2]):
        found[...] = fill
    rows, columns = _overlap(tops, height, 0, source.shape[1]), _overlap(lefts, width, 0, source.shape[2])
    for i, ((a, b, c, d), (e, f, g, h)) in enumerate(zip(rows, columns, strict=True)):
        if a < b and e < f:
            found[i, :, a:b, e:f] = source[:, c:d, g:h]
    return found


def _overlap(new, n, old, m):
    """Where spans new..new+n and old..old+m meet: (start, stop) counted in the new one, then in the old one, for each."""
    start, stop = np.maximum(new, old), np.minimum(new + n, old + m)
    return np.stack([start - new, stop - new, start - old, stop - old], 1).tolist()


def _sticks_out(starts, n, length):
    return starts.min() < 0 or starts.max() + n > length


def _as_images(grouped):
    """(W, n, h, w, C) as (W n, C, h, w), without a copy."""
    return grouped.reshape(-1, *grouped.shape[2:]).transpose(0, 3, 1, 2)


def _window(t, crop, kernel, dilation, fill, settings, pool=None):
    """A convolution or pooling of a Crop; given the `pool` that follows, all of the pool's windows that it reaches."""
    op, firsts, starts, lengths = t.op, [], [], []
    for axis, (start, out) in enumerate(zip((crop.tops, crop.lefts), t.shape[2:], strict=True)):
        reach = dilation[axis] * (kernel[axis] - 1) + 1
        first, count = _reached(start, crop.size[axis], op.stride[axis], op.padding[axis], reach, out)
        if pool is not None:
            first, count = _completed(first, count, pool.stride[axis], pool.padding[axis], pool.kernel_size[axis], out)
        firsts.append(first)
        starts.append(first * op.stride[axis] - op.padding[axis])
        lengths.append((count - 1) * op.stride[axis] + reach)
    same = tuple(lengths) == crop.size and all(map(np.array_equal, starts, (crop.tops, crop.lefts)))
    source = crop.values if same else crop.within(*starts, lengths, fill)
    return Crop(replace(op, **settings).forward(source, *_data(t.inputs[1:])), *firsts, t.data)


def _reached(start, n, stride, padding, reach, out):
    """Along one axis: the first of the outputs that inputs start..start+n can reach, and how many there are."""
    first = np.clip(-((reach - 1 - start - padding) // stride), 0, out - 1)  # the ceiling of a quotient
    last = np.clip((start + n - 1 + padding) // stride, 0, out - 1)
    return _spanning(first, last + 1, out)


def _completed(first, count, stride, padding, kernel, out):
    """The span first..first+count extended to whole windows of a pooling."""
    start = -((kernel - 1 - first - padding) // stride) * stride - padding
    stop = (first + count - 1 + padding) // stride * stride - padding + kernel
    return _spanning(np.maximum(start, 0), np.minimum(stop, out), out)


def _spanning(first, stop, length):
    """Spans first..stop made equally long, inside 0..length: their new starts, and how long they are."""
    count = int(np.maximum(stop - first, 1).max())
    return np.minimum(first, length - count), count


def _pools_after(steps):
    """The pooling, if any, that alone uses what a convolution gives, perhaps after elementwise ops.

    To compute the few values that complete its windows is cheaper than to copy the clean ones there.
    """
    users = {}
    for t in steps:
        for x in t.inputs:
            users.setdefault(x, []).append(t)
    pools = {}
    for t in reversed(steps):  # what follows t is known before t
        (user, *others) = users.get(t, [None])
        if user is not None and not others:
            if isinstance(user.op, (ops.MaxPool2d, ops.AvgPool2d)) and _plain(user):
                pools[t] = user.op
            elif isinstance(user.op, ELEMENTWISE) and user in pools:
                pools[t] = pools[user]
    return pools


def _plain(t):
    """Whether every window of a pooling divides by its area: then its padding may be written out as zeros."""
    op, x = t.op, t.inputs[0]
    if isinstance(op, ops.MaxPool2d):
        return True
    inside = all((out - 1) * s + k <= n + 2 * p for out, s, k, n, p in
                 zip(t.shape[2:], op.stride, op.kernel_size, x.shape[2:], op.padding, strict=True))
    return inside and (op.count_include_pad or not any(op.padding))


def _joined(t, states):
    """An elementwise op or a concatenation of channels, in the box that holds those of all inputs."""
    crops = [s for s in states if s is not None]
    tops, lefts = (np.minimum.reduce([getattr(c, name) for c in crops]) for name in ("tops", "lefts"))
    size = [int(max((getattr(c, name) - starts).max() + c.size[axis] for c in crops))
            for axis, (name, starts) in enumerate((("tops", tops), ("lefts", lefts)))]
    tops, lefts = (np.minimum(starts, n - m) for starts, n, m in zip((tops, lefts), t.shape[2:], size, strict=True))
    operands = []
    for x, crop in zip(t.inputs, states, strict=True):
        if crop is None and not any(x.data.strides[i] for i in (0, 2, 3)):
            operands.append(np.broadcast_to(x.data[:1, :, :1, :1], (len(crops[0].values), x.shape[1], *size)))
        elif crop is None:
            operands.append(_as_images(boxes(x.data, tops, lefts, size)))
        elif crop.size == tuple(size) and np.array_equal(crop.tops, tops) and np.array_equal(crop.lefts, lefts):
            operands.append(crop.values)
        else:
            operands.append(crop.within(tops, lefts, size))
    return Crop(t.op.forward(*operands), tops, lefts, t.data)


def _dense(t, crop, boxed):
    """A dense layer after flattening: what it gave, plus the weights of each box times the difference there.

    `boxed` remembers the weights of boxes between calls, as far as they are few.
    """
    weight, clean = t.inputs[1].data, crop.clean
    columns = weight.T.reshape(*clean.shape[1:], -1).transpose(1, 2, 0, 3)  # (H, W, C, out)
    difference = crop.grouped() - boxes(clean, crop.tops, crop.lefts, crop.size)  # (W, n, h, w, C)
    y = np.repeat(t.data[None], len(crop.tops), axis=0)
    places, which = np.unique(np.stack([crop.tops, crop.lefts]), axis=1, return_inverse=True)
    for i, (top, left) in enumerate(places.T):
        here = np.flatnonzero(which.reshape(-1) == i)
        key = t, top, left, *crop.size
        if key not in boxed:
            if sum(box.nbytes for box in boxed.values()) > BOXED:
                boxed.clear()
            box = columns[top:top + crop.size[0], left:left + crop.size[1]]
            boxed[key] = np.ascontiguousarray(box).reshape(-1, t.shape[1])
        d = difference[here].reshape(len(here) * len(clean), -1)
        y[here] += ops.MatMul().forward(d, boxed[key]).reshape(len(here), *t.shape)
    return y.reshape(-1, y.shape[-1])


def _repeated(array, times):
    """An array (n, ...) so many times, one after the other."""
    if array.strides[0]:
        return np.tile(array, (times, *[1] * (array.ndim - 1)))
    return np.broadcast_to(array[:1], (times * len(array), *array.shape[1:]))


def _data(tensors):
    return [x.data for x in tensors]


def _keeps_samples_first(op):
    return not isinstance(op, ops.Permute) or op.dims[0] == 0
