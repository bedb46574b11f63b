"""Parts of images that differ from clean ones, and what layers make of them.

A `Crop` follows a change from layer to layer. A convolution or a pooling maps rows a..b of its input to outputs
ceil((a + p - r + 1) / s) .. floor((b + p) / s), with stride s, padding p and a window that reaches over r rows; to
compute them it needs the new box seen backwards, clean values around the changed ones.
"""

from dataclasses import dataclass, replace

import numpy as np

from minigrad import kernels, ops

CACHE = 2**20  # bytes of a core's own cache


@dataclass(eq=False)
class Crop:
    """What R changes make of a part of their images: values (R, C, h, w) in boxes of one size that hold what changed.

    images : (R,), which image each change is about
    spans : ((first, stop), (first, stop)), arrays (R,) of the rows and columns that changed
    clean : (n, C, H, W), the unchanged images
    """

    values: np.ndarray
    images: np.ndarray
    spans: tuple
    clean: np.ndarray

    @property
    def size(self):
        return self.values.shape[2:]

    @property
    def corners(self):
        """The rows and the columns (R,) at which the boxes begin."""
        return corners(self.spans, self.size, self.clean.shape[2:])

    def within(self, tops, lefts, size, fill=0.0):
        """The changed images in other boxes, `fill` outside of the images: (R, C, h, w)."""
        found = kernels.cut_boxes(self.clean, self.images, tops, lefts, size, fill)
        kernels.paste_boxes(self.values, *self.corners, found, tops, lefts)
        return found

    def whole(self):
        """The complete changed images (R, C, H, W)."""
        everywhere = np.zeros(len(self.images), np.int64)
        return self.within(everywhere, everywhere, self.clean.shape[2:])


def common_size(spans):
    """The size of a box that holds each of the spans: (rows, columns)."""
    return [int((stop - first).max()) for first, stop in spans]


def corners(spans, size, image):
    """Where boxes of a size begin that hold the spans and lie within an image of another size."""
    return [np.minimum(first, n - length) for (first, _), length, n in zip(spans, size, image, strict=True)]


@dataclass(eq=False)
class Flat:
    """A Crop after flattening, which only a dense layer can use as such."""

    crop: Crop

    def whole(self):
        images = self.crop.whole()
        return images.reshape(len(images), -1)


@dataclass(eq=False)
class Due:
    """A Crop whose convolution, and perhaps ReLU, waits for the max-pool that follows: one kernel does all."""

    crop: Crop
    convolution: object  # the Tensor
    relu: bool = False


def window(t, crop, pool=None):
    """A convolution or pooling of a Crop; given the `pool` that follows, all of the pool's windows that it reaches."""
    spans = [reached(t, axis, *span, pool) for axis, span in enumerate(crop.spans)]
    size = common_size(spans)
    firsts = corners(spans, size, t.shape[2:])
    if isinstance(t.op, ops.Conv2d):
        values = _convolved(t, crop, firsts, size)
    else:
        source = crop.within(*_seen(t, firsts, size), -np.inf if isinstance(t.op, ops.MaxPool2d) else 0.0)
        values = replace(t.op, padding=(0, 0), ceil_mode=False).forward(source)
    return Crop(values, crop.images, spans, t.data)


def pooled(t, due):
    """A max-pool, whose windows all lie inside of its input, of what is Due."""
    spans = [reached(t, axis, *reached(due.convolution, axis, *span)) for axis, span in enumerate(due.crop.spans)]
    size = common_size(spans)
    *firsts, before = _seen(t, corners(spans, size, t.shape[2:]), size)
    return Crop(_convolved(due.convolution, due.crop, firsts, before, due.relu, t.op), due.crop.images, spans, t.data)


def _convolved(t, crop, firsts, size, relu=False, pool=None):
    """The values of a convolution in boxes of its output, or of the ReLU and the pooling after it."""
    op, (weight, *bias) = t.op, [x.data for x in t.inputs[1:]]
    *starts, lengths = _seen(t, firsts, size)
    if (np.prod(lengths) * len(crop.clean[0]) + np.prod(size) * len(weight)) * t.dtype.itemsize <= CACHE:
        windows = (pool.kernel_size, pool.stride) if pool else ((1, 1), (1, 1))
        return kernels.conv2d_boxes(
            crop.values, *crop.corners, crop.clean, t.data, crop.images, weight, bias[0] if bias else None, *firsts,
            size, op.stride, op.padding, op.dilation, op.groups, relu, windows,
        )  # fmt: skip
    y = replace(op, padding=(0, 0)).forward(crop.within(*starts, lengths), weight, *bias)
    y = ops.ReLU().forward(y) if relu else y
    return pool.forward(y) if pool else y


def _seen(t, firsts, size):
    """The boxes of the inputs that boxes of the outputs of `t` see: tops, lefts, size."""
    op = t.op
    starts = [first * s - p for first, s, p in zip(firsts, op.stride, op.padding, strict=True)]
    return *starts, [(n - 1) * s + extent for n, s, extent in zip(size, op.stride, _extent(t), strict=True)]


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
    spans = [
        (np.minimum.reduce([c.spans[axis][0] for c in crops]), np.maximum.reduce([c.spans[axis][1] for c in crops]))
        for axis in (0, 1)
    ]
    images, size, operands = crops[0].images, common_size(spans), []
    firsts = corners(spans, size, t.shape[2:])
    for x, crop in zip(t.inputs, states, strict=True):
        if crop is None and not any(x.data.strides[i] for i in (0, 2, 3)):
            operands.append(np.broadcast_to(x.data[:1, :, :1, :1], (len(images), x.shape[1], *size)))
        elif crop is None:
            operands.append(kernels.cut_boxes(x.data, images, *firsts, size, 0.0))
        elif len(crops) == 1:
            operands.append(crop.values)
        else:
            operands.append(crop.within(*firsts, size))
    return Crop(t.op.forward(*operands), images, spans, t.data)


def dense(t, crop):
    """A dense layer after flattening: what it gave, plus its weights times the difference in each box."""
    return kernels.linear_boxes(crop.values, *crop.corners, crop.clean, t.data, crop.images, t.inputs[1].data)
