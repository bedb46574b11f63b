"""Parts of images that differ from clean ones, and what layers make of them.

A `Crop` follows a change from layer to layer. A convolution or a pooling maps rows a..b of its input to outputs
ceil((a + p - r + 1) / s) .. floor((b + p) / s), with stride s, padding p and a window that reaches over r rows; to
compute them it needs the new box seen backwards, clean values around the changed ones.
"""

from dataclasses import dataclass, replace

import numpy as np

from minigrad import ops

BOXED = 2**26  # bytes of a dense layer's weights that are kept by box, so that they are not gathered again


@dataclass(eq=False)
class Crop:
    """What W changes make of a part of n images: values (W n, C, h, w) in boxes that start at `tops` and `lefts` (W,).

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
        rows, columns = (
            _overlap(new, n, old, m)
            for new, n, old, m in zip((tops, lefts), size, (self.tops, self.lefts), self.size, strict=True)
        )
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
    """A Crop whose ReLU is still due: after the max-pool that follows there are fewer values, and they are the same."""

    crop: Crop


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
    """Where spans new..new+n and old..old+m meet: (start, stop) counted in the new one, then in the old one."""
    start, stop = np.maximum(new, old), np.minimum(new + n, old + m)
    return list(zip(*((end - span).tolist() for span in (new, old) for end in (start, stop)), strict=True))


def _sticks_out(starts, n, length):
    return starts.min() < 0 or starts.max() + n > length


def _as_images(grouped):
    """(W, n, h, w, C) as (W n, C, h, w), without a copy."""
    return grouped.reshape(-1, *grouped.shape[2:]).transpose(0, 3, 1, 2)


def window(t, crop, pool=None):
    """A convolution or pooling of a Crop; given the `pool` that follows, all of the pool's windows that it reaches."""
    op, firsts, starts, lengths = t.op, [], [], []
    for axis, (start, out) in enumerate(zip((crop.tops, crop.lefts), t.shape[2:], strict=True)):
        first, stop = reached(t, axis, start, start + crop.size[axis], pool)
        count = int((stop - first).max())
        firsts.append(np.minimum(first, out - count))
        starts.append(firsts[-1] * op.stride[axis] - op.padding[axis])
        lengths.append((count - 1) * op.stride[axis] + _extent(t)[axis])
    same = tuple(lengths) == crop.size and all(map(np.array_equal, starts, (crop.tops, crop.lefts)))
    source = crop.values if same else crop.within(*starts, lengths, -np.inf if isinstance(op, ops.MaxPool2d) else 0.0)
    bare = {"padding": (0, 0)} if isinstance(op, ops.Conv2d) else {"padding": (0, 0), "ceil_mode": False}
    return Crop(replace(op, **bare).forward(source, *(x.data for x in t.inputs[1:])), *firsts, t.data)


def reached(t, axis, start, stop, pool=None):
    """Along one axis: which outputs first..stop of a convolution or pooling see some of its inputs start..stop.

    Given the `pool` that follows, they are extended to its whole windows.
    """
    stride, padding, extent, out = t.op.stride[axis], t.op.padding[axis], _extent(t)[axis], t.shape[2 + axis]
    first = -((extent - 1 - start - padding) // stride)  # the ceiling of a quotient
    first = np.minimum(np.maximum(first, 0), out - 1)
    stop = np.minimum((stop - 1 + padding) // stride + 1, out)
    if pool is not None:
        stride, padding, extent = pool.stride[axis], pool.padding[axis], pool.kernel_size[axis]
        begin = -((extent - 1 - first - padding) // stride) * stride - padding
        end = (stop - 1 + padding) // stride * stride - padding + extent
        first, stop = np.minimum(np.maximum(begin, 0), out - 1), np.minimum(end, out)
    return first, np.maximum(stop, first + 1)


def _extent(t):
    """Rows and columns from the first to the last input that one output sees."""
    if isinstance(t.op, ops.Conv2d):
        return [d * (k - 1) + 1 for k, d in zip(t.inputs[1].shape[2:], t.op.dilation, strict=True)]
    return t.op.kernel_size


def joined(t, states):
    """An elementwise op or a concatenation of channels, in the box that holds those of all inputs."""
    crops = [s for s in states if s is not None]
    tops, lefts = (np.minimum.reduce([getattr(c, name) for c in crops]) for name in ("tops", "lefts"))
    size = [
        int(max((getattr(c, name) - starts).max() + c.size[axis] for c in crops))
        for axis, (name, starts) in enumerate((("tops", tops), ("lefts", lefts)))
    ]
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


def dense(t, crop, boxed):
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
            box = columns[top : top + crop.size[0], left : left + crop.size[1]]
            boxed[key] = np.ascontiguousarray(box).reshape(-1, t.shape[1])
        d = difference[here].reshape(len(here) * len(clean), -1)
        y[here] += ops.MatMul().forward(d, boxed[key]).reshape(len(here), *t.shape)
    return y.reshape(-1, y.shape[-1])
