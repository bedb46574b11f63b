"""The rows of the ops on images (see `table`): convolution, pooling, normalisation, resampling."""

import numpy as np

from minigrad import ops

from .table import apart, positive, row, transposed, turned

# x (N, C, H, W), weight (O, C / groups, kh, kw), stride, padding, dilation, groups
CONVOLUTIONS = [
    ((2, 2, 4, 5), (3, 2, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((1, 1, 5, 4), (2, 1, 2, 3), (2, 1), (0, 2), (1, 1), 1),
    ((1, 4, 5, 5), (2, 2, 3, 2), (1, 2), (1, 0), (2, 1), 2),
    ((2, 3, 3, 3), (3, 1, 2, 2), (3, 3), (0, 0), (1, 1), 3),
    ((1, 2, 1, 1), (1, 2, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    ((1, 1, 6, 1), (1, 1, 3, 1), (2, 1), (2, 0), (2, 1), 1),
]


def convolve(x, weight, stride, padding, dilation, groups):
    """The definition of a cross-correlation, one output at a time."""
    x = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)))
    window = [d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[2:])]
    size = [(n - w) // s + 1 for n, w, s in zip(x.shape[2:], window, stride)]
    y, depth = np.zeros((x.shape[0], weight.shape[0], *size), x.dtype), weight.shape[1]
    for n, o, i, j in np.ndindex(*y.shape):
        first, top, left = o // (weight.shape[0] // groups) * depth, i * stride[0], j * stride[1]
        patch = x[n, first : first + depth, top : top + window[0] : dilation[0], left : left + window[1] : dilation[1]]
        y[n, o, i, j] = (patch * weight[o]).sum()
    return y


@row(ops.Conv2d)
def conv2d(rng):
    for x, weight, *window in CONVOLUTIONS:
        x, weight, bias = apart(rng, *x), apart(rng, *weight), apart(rng, weight[0])
        yield (
            ops.Conv2d(*window),
            lambda x, w, b, window=window: convolve(x, w, *window) + b[:, None, None],
            turned(x),
            weight,
            bias,
        )
        yield ops.Conv2d(*window), lambda x, w, window=window: convolve(x, w, *window), x, turned(weight)


@row(ops.Conv2dInput)
def conv2d_input(rng):
    for x, weight, *window in CONVOLUTIONS:
        g = apart(rng, *convolve(np.zeros(x), np.zeros(weight), *window).shape)
        yield (
            ops.Conv2dInput(*window, x),
            lambda g, w, x=x, window=window: transposed(lambda e: convolve(e, w, *window), x, g),
            g,
            apart(rng, *weight),
        )


@row(ops.Conv2dWeight)
def conv2d_weight(rng):
    for x, weight, *window in CONVOLUTIONS:
        g = apart(rng, *convolve(np.zeros(x), np.zeros(weight), *window).shape)
        yield (
            ops.Conv2dWeight(*window, weight),
            lambda x, g, weight=weight, window=window: transposed(lambda e: convolve(x, e, *window), weight, g),
            apart(rng, *x),
            turned(g),
        )


@row(ops.ChannelSum)
def channel_sum(rng):
    for shape in (2, 3, 2, 2), (1, 1, 1, 1), (3, 2, 1, 4):
        yield ops.ChannelSum(), lambda g: np.array([g[:, c].sum() for c in range(g.shape[1])]), apart(rng, *shape)


# x (N, C, H, W), kernel_size, stride, padding, ceil_mode
POOLINGS = [
    ((2, 2, 4, 4), (2, 2), (2, 2), (0, 0), False),
    ((1, 2, 5, 4), (3, 2), (2, 1), (1, 1), False),
    ((1, 1, 5, 5), (3, 3), (2, 2), (0, 1), True),
    ((1, 2, 4, 7), (2, 3), (3, 3), (1, 0), True),
    ((1, 1, 1, 1), (1, 1), (1, 1), (0, 0), False),
    ((1, 1, 6, 2), (3, 1), (1, 2), (1, 0), False),
]


def patches(shape, kernel_size, stride, padding, ceil_mode):
    """Each window as (output place, rows, columns): the rows and columns may reach outside of the image."""
    starts = []
    for n, k, s, p in zip(shape[2:], kernel_size, stride, padding):
        last = n + 2 * p - k
        starts.append([i - p for i in range(0, last + 1 + (s - 1 if ceil_mode else 0), s) if i <= last or i < n + p])
    for i, top in enumerate(starts[0]):
        for j, left in enumerate(starts[1]):
            yield (i, j), range(top, top + kernel_size[0]), range(left, left + kernel_size[1])


def pooled(x, window, summary):
    windows = list(patches(x.shape, *window))
    y = np.zeros((*x.shape[:2], *(n + 1 for n in windows[-1][0])))
    for (i, j), rows, columns in windows:
        inside = [(r, c) for r in rows for c in columns if 0 <= r < x.shape[2] and 0 <= c < x.shape[3]]
        for n, c in np.ndindex(*x.shape[:2]):
            y[n, c, i, j] = summary(n, c, inside, rows, columns)
    return y


def collected(v, x, window):
    """v where x has its largest in each window."""
    return pooled(x, window, lambda n, c, inside, *_: v[n, c][max(inside, key=lambda at: x[n, c][at])])


def averaged(x, window, count_include_pad):
    def mean(n, c, inside, rows, columns):
        p, limits = window[2], x.shape[2:]
        area = np.prod([min(w.stop, m + q) - w.start for w, m, q in zip((rows, columns), limits, p)])
        return sum(x[n, c][at] for at in inside) / (area if count_include_pad else len(inside))

    return pooled(x, window, mean)


@row(ops.MaxPool2d)
def max_pool2d(rng):
    for shape, *window in POOLINGS:
        for order in (turned, np.ascontiguousarray):
            yield ops.MaxPool2d(*window), lambda x, window=window: collected(x, x, window), order(apart(rng, *shape))


@row(ops.MaxPoolRoute)
def max_pool_route(rng):
    for shape, *window in POOLINGS:
        x = apart(rng, *shape)
        yield (
            ops.MaxPoolRoute(*window),
            lambda g, x, window=window: transposed(lambda v: collected(v, x, window), x.shape, g),
            apart(rng, *collected(x, x, window).shape),
            x,
        )


@row(ops.MaxPoolCollect)
def max_pool_collect(rng):
    for shape, *window in POOLINGS:
        yield (
            ops.MaxPoolCollect(*window),
            lambda v, x, window=window: collected(v, x, window),
            apart(rng, *shape),
            apart(rng, *shape),
        )


@row(ops.AvgPool2d)
def avg_pool2d(rng):
    for shape, *window in POOLINGS:
        for count in (True, False):
            yield (
                ops.AvgPool2d(*window, count),
                lambda x, window=window, count=count: averaged(x, window, count),
                apart(rng, *shape),
            )


@row(ops.AvgPool2dInput)
def avg_pool2d_input(rng):
    for shape, *window in POOLINGS:
        for count in (True, False):
            g = apart(rng, *averaged(np.zeros(shape), window, count).shape)
            yield (
                ops.AvgPool2dInput(*window, count, shape),
                lambda g, shape=shape, window=window, count=count: transposed(
                    lambda x: averaged(x, window, count), shape, g
                ),
                g,
            )


@row(ops.Moments)
def moments(rng):
    for shape in (2, 3, 2, 2), (2, 1, 1, 1), (3, 2, 1, 4):
        yield (
            ops.Moments(),
            lambda x: np.array(
                [[x[:, c].mean() for c in range(x.shape[1])], [x[:, c].var() for c in range(x.shape[1])]]
            ),
            turned(apart(rng, *shape)),
        )


@row(ops.ChannelAffine)
def channel_affine(rng):
    def oracle(x, center, scale, shift):
        return np.stack([(x[:, c] - center[c]) * scale[c] + shift[c] for c in range(x.shape[1])], 1)

    for shape in (2, 3, 2, 2), (1, 1, 1, 1), (0, 2, 1, 1):
        yield ops.ChannelAffine(), oracle, turned(apart(rng, *shape)), *(apart(rng, shape[1]) for _ in range(3))


@row(ops.ChannelDot)
def channel_dot(rng):
    def oracle(a, b, center):
        return np.array([(a[:, c] * (b[:, c] - center[c])).sum() for c in range(a.shape[1])])

    for shape in (2, 3, 2, 2), (1, 1, 1, 1), (3, 2, 1, 4):
        yield ops.ChannelDot(), oracle, turned(apart(rng, *shape)), apart(rng, *shape), apart(rng, shape[1])


@row(ops.BatchNorm)
def batch_norm(rng):
    def oracle(x, mean, var, weight=None, bias=None):
        columns = [(x[:, c] - mean[c]) / (var[c] + 0.1) ** 0.5 for c in range(x.shape[1])]
        return np.stack([y if weight is None else y * weight[c] + bias[c] for c, y in enumerate(columns)], 1)

    for shape in (2, 3, 2, 2), (1, 1, 1, 1), (0, 2, 1, 1):
        channels = shape[1]
        yield ops.BatchNorm(0.1), oracle, turned(apart(rng, *shape)), apart(rng, channels), positive(rng, channels)
        yield (
            ops.BatchNorm(0.1),
            oracle,
            apart(rng, *shape),
            apart(rng, channels),
            positive(rng, channels),
            apart(rng, channels),
            apart(rng, channels),
        )


def own_norm(x, weight=None, bias=None):
    mean, var = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
    y = (x - mean) / (var + 0.1) ** 0.5
    return y if weight is None else y * weight[:, None, None] + bias[:, None, None]


@row(ops.BatchNormTraining)
def batch_norm_training(rng):
    for shape in (2, 3, 2, 2), (3, 1, 1, 1), (2, 2, 1, 4):
        yield ops.BatchNormTraining(0.1), own_norm, turned(apart(rng, *shape))
        yield ops.BatchNormTraining(0.1), own_norm, apart(rng, *shape), apart(rng, shape[1]), apart(rng, shape[1])


@row(ops.BatchNormGrad)
def batch_norm_grad(rng):
    def oracle(g, x, weight=None, *, which):
        z, mean = own_norm(x), (0, 2, 3)
        if which:
            return (g * z).sum(mean) if which == 1 else g.sum(mean)
        scale = (1 if weight is None else weight[:, None, None]) / (x.var(mean, keepdims=True) + 0.1) ** 0.5
        return scale * (g - g.mean(mean, keepdims=True) - z * (g * z).mean(mean, keepdims=True))

    for shape in (2, 3, 2, 2), (3, 1, 1, 1):
        g, x = turned(apart(rng, *shape)), apart(rng, *shape)
        yield ops.BatchNormGrad(0.1, 0), lambda g, x: oracle(g, x, which=0), g, x
        for which in range(3):
            yield (
                ops.BatchNormGrad(0.1, which),
                lambda g, x, weight, which=which: oracle(g, x, weight, which=which),
                g,
                x,
                apart(rng, shape[1]),
            )


@row(ops.LayerNorm)
def layer_norm(rng):
    def oracle(x, weight=None, bias=None, *, ndim):
        samples = x.reshape(-1, int(np.prod(x.shape[x.ndim - ndim :])))
        y = np.array([(s - s.mean()) / (s.var() + 0.1) ** 0.5 for s in samples]).reshape(x.shape)
        return y if weight is None else y * weight + bias

    for shape, ndim in [((2, 3), 1), ((4,), 1), ((2, 3, 2), 2), ((2, 2, 3), 1)]:
        affine = [apart(rng, *shape[len(shape) - ndim :]) for _ in range(2)]
        yield ops.LayerNorm(ndim, 0.1), lambda x, ndim=ndim: oracle(x, ndim=ndim), apart(rng, *shape)
        yield ops.LayerNorm(ndim, 0.1), lambda *xs, ndim=ndim: oracle(*xs, ndim=ndim), apart(rng, *shape), *affine


def adaptive(x, size):
    y = np.zeros((*x.shape[:2], *size))
    for i, j in np.ndindex(*size):
        rows, columns = (
            [at for at in range(n) if at >= k * n // m and at * m < (k + 1) * n]
            for k, m, n in zip((i, j), size, x.shape[2:])
        )
        y[:, :, i, j] = x[:, :, rows][..., columns].mean((2, 3))
    return y


@row(ops.AdaptiveAvgPool2d)
def adaptive_avg_pool2d(rng):
    for shape, size in [((2, 2, 4, 5), (2, 3)), ((1, 1, 3, 3), (1, 1)), ((1, 2, 2, 3), (5, 4)), ((1, 1, 7, 1), (3, 1))]:
        yield ops.AdaptiveAvgPool2d(size), lambda x, size=size: adaptive(x, size), apart(rng, *shape)


def bilinear(x, size):
    """Half-pixel centres, as in OpenCV: between the four nearest centres, those outside moved to the border."""
    y = np.zeros((*x.shape[:2], *size))
    for i, j in np.ndindex(*size):
        (top, below, t), (left, right, s) = (
            (int(f), min(int(f) + 1, n - 1), f - int(f))
            for n, f in ((n, max((k + 0.5) * n / m - 0.5, 0)) for k, m, n in zip((i, j), size, x.shape[2:]))
        )
        y[:, :, i, j] = (
            (1 - t) * (1 - s) * x[:, :, top, left]
            + (1 - t) * s * x[:, :, top, right]
            + t * (1 - s) * x[:, :, below, left]
            + t * s * x[:, :, below, right]
        )
    return y


def nearest(x, size):
    return np.stack(
        [
            np.stack([x[:, :, i * x.shape[2] // size[0], j * x.shape[3] // size[1]] for j in range(size[1])], 2)
            for i in range(size[0])
        ],
        2,
    )


@row(ops.Interpolate)
def interpolate(rng):
    for shape, size in [((2, 2, 3, 4), (6, 5)), ((1, 1, 5, 2), (2, 2)), ((1, 2, 1, 1), (3, 2))]:
        scales = tuple(n / m for n, m in zip(shape[2:], size))
        yield ops.Interpolate(size, "bilinear", scales), lambda x, size=size: bilinear(x, size), apart(rng, *shape)
        yield ops.Interpolate(size, "nearest", scales), lambda x, size=size: nearest(x, size), apart(rng, *shape)


@row(ops.Adjoint)
def adjoint(rng):
    for shape, size in [((2, 2, 4, 5), (2, 3)), ((1, 1, 2, 3), (5, 4))]:
        yield (
            ops.Adjoint(ops.AdaptiveAvgPool2d(size), shape[2:]),
            lambda g, shape=shape, size=size: transposed(lambda x: adaptive(x, size), shape, g),
            apart(rng, *shape[:2], *size),
        )
