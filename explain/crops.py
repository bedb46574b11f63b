"""Parts of images that differ from clean ones, and what layers make of them.

A `Crop` follows a change from layer to layer. A convolution or a pooling maps rows a..b of its input to outputs
ceil((a + p - r + 1) / s) .. floor((b + p) / s), with stride s, padding p and a window that reaches over r rows; to
compute them it needs the new box seen backwards, clean values around the changed ones.
"""

from dataclasses import dataclass, replace

import numpy as np

from minigrad import kernels, ops


@dataclass(eq=False)
class Crop:
    """What R changes make of a part of their images: values (R, C, h, w) in boxes that start at `tops` and `lefts` (R,).

    `clean` (n, C, H, W) holds the unchanged images, `images` (R,) which of them each change is about.
    """

    values: np.ndarray
    images: np.ndarray
    tops: np.ndarray
    lefts: np.ndarray
    clean: np.ndarray

    @property
    def size(self):
        return self.values.shape[2:]

    def unchanged(self):
        """What the images hold in the boxes if nothing is changed: (R, C, h, w)."""
        return kernels.cut_boxes(self.clean, self.images, self.tops, self.lefts, self.size, 0.0)

    def within(self, tops, lefts, size, fill=0.0):
        """The changed images in other boxes, `fill` outside of the images: (R, C, h, w)."""
        found = kernels.cut_boxes(self.clean, self.images, tops, lefts, size, fill)
        kernels.paste_boxes(self.values, self.tops, self.lefts, found, tops, lefts)
        return found

    def whole(self):
        """The complete changed images (R, C, H, W)."""
        everywhere = np.zeros(len(self.tops), np.int64)
        return self.within(everywhere, everywhere, self.clean.shape[2:])

    def at(self, tops, lefts, size):
        """Whether these are the boxes that the values lie in."""
        return self.size == tuple(size) and np.array_equal(self.tops, tops) and np.array_equal(self.lefts, lefts)


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


def window(t, crop, pool=None):
    """A convolution or pooling of a Crop; given the `pool` that follows, all of the pool's windows that it reaches."""
    op, firsts, starts, lengths = t.op, [], [], []
    for axis, (start, out) in enumerate(zip((crop.tops, crop.lefts), t.shape[2:], strict=True)):
        first, stop = reached(t, axis, start, start + crop.size[axis], pool)
        count = int((stop - first).max())
        firsts.append(np.minimum(first, out - count))
        starts.append(firsts[-1] * op.stride[axis] - op.padding[axis])
        lengths.append((count - 1) * op.stride[axis] + _extent(t)[axis])
    fill = -np.inf if isinstance(op, ops.MaxPool2d) else 0.0
    source = crop.values if crop.at(*starts, lengths) else crop.within(*starts, lengths, fill)
    bare = {"padding": (0, 0)} if isinstance(op, ops.Conv2d) else {"padding": (0, 0), "ceil_mode": False}
    values = replace(op, **bare).forward(source, *(x.data for x in t.inputs[1:]))
    return Crop(values, crop.images, *firsts, t.data)


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
    images, operands = crops[0].images, []
    for x, crop in zip(t.inputs, states, strict=True):
        if crop is None and not any(x.data.strides[i] for i in (0, 2, 3)):
            operands.append(np.broadcast_to(x.data[:1, :, :1, :1], (len(images), x.shape[1], *size)))
        elif crop is None:
            operands.append(kernels.cut_boxes(x.data, images, tops, lefts, size, 0.0))
        elif crop.at(tops, lefts, size):
            operands.append(crop.values)
        else:
            operands.append(crop.within(tops, lefts, size))
    return Crop(t.op.forward(*operands), images, tops, lefts, t.data)


def dense(t, crop):
    """A dense layer after flattening: what it gave, plus its weights times the difference in each box."""
    weight = t.inputs[1].data.reshape(-1, *crop.clean.shape[1:])
    difference = ops.Sub().forward(crop.values, crop.unchanged())
    return t.data[crop.images] + kernels.linear_boxes(difference, crop.tops, crop.lefts, weight)
