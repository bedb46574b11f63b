"""Functions that slide over an image or change its size.

Whether shapes and settings fit is asked once for each set of them (`lru_cache`).
"""
from functools import lru_cache

import numpy as np

from .. import ops
from ..kernels.geometry import conv_output_size, pair, pool_output_size, whole
from ..ops.elementwise import as_tensor
from .arguments import images, operands


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Cross-correlate images with filters, as `torch.nn.functional.conv2d`.

    y[n, o, i, j] = bias[o] + sum over c, a, b of x[n, c, i s + a d - p, j s + b d - p] * weight[o, c, a, b]

    Parameters
    ----------
    x : Tensor or ndarray of shape (N, C, H, W)
    weight : Tensor or ndarray of shape (O, C / groups, kh, kw)
    bias : Tensor or ndarray of shape (O,), optional
    stride, dilation : int or pair, at least 1
    padding : int or pair, at least 0, or 'same' (with stride 1) or 'valid'
        Zeros around the image.
    groups : int
        The channels and the filters are cut into so many groups that do not see each other.

    Returns
    -------
    Tensor of shape (N, O, H', W') with H' = floor((H + 2 p - d (kh - 1) - 1) / s) + 1

    Raises
    ------
    ValueError, TypeError
        If the shapes do not fit one another, the dtypes differ, or the window is larger than the padded image.
    """
    x = images("conv2d", x)
    weight, *bias = operands("conv2d", x, weight=weight, bias=bias)
    bias_shape, groups = bias[0].shape if bias else None, whole(groups, "conv2d: groups")
    stride, dilation = pair(stride, "conv2d: stride"), pair(dilation, "conv2d: dilation")
    if isinstance(padding, str):
        _check_weight("conv2d", weight.shape, bias_shape, groups, outputs_axis=0)
        x, padding = _named_padding(x, weight, stride, padding, dilation)
    padding = pair(padding, "conv2d: padding")
    return _fitting_conv2d(x.shape, weight.shape, bias_shape, stride, padding, dilation, groups)(x, weight, *bias)


@lru_cache(maxsize=1024)
def _fitting_conv2d(x_shape, weight_shape, bias_shape, stride, padding, dilation, groups):
    _check_weight("conv2d", weight_shape, bias_shape, groups, outputs_axis=0)
    if x_shape[1] != weight_shape[1] * groups:
        raise ValueError(f"conv2d: x has {x_shape[1]} channels, weight expects {weight_shape[1] * groups} "
                         f"(x {x_shape}, weight {weight_shape}, groups {groups}); check in_channels")
    for size, k, s, p, d in zip(x_shape[2:], weight_shape[2:], stride, padding, dilation, strict=True):
        _sized("conv2d", x_shape, conv_output_size, size, k, s, p, d)
    return ops.Conv2d(stride, padding, dilation, groups)


def conv_transpose2d(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The transposed convolution: what the gradient of `conv2d` with respect to its input computes.

    Parameters
    ----------
    x : Tensor or ndarray of shape (N, C, H, W)
    weight : Tensor or ndarray of shape (C, O / groups, kh, kw)
    bias : Tensor or ndarray of shape (O,), optional
    stride, padding, dilation, groups : as in `conv2d`, of the convolution that is transposed
    output_padding : int or pair, below stride or dilation
        Rows and columns added at the lower right, to choose among the sizes a strided convolution maps to one.

    Returns
    -------
    Tensor of shape (N, O, H', W') with H' = (H - 1) s - 2 p + d (kh - 1) + output_padding + 1
    """
    x = images("conv_transpose2d", x)
    weight, *bias = operands("conv_transpose2d", x, weight=weight, bias=bias)
    groups = whole(groups, "conv_transpose2d: groups")
    _check_weight("conv_transpose2d", weight.shape, bias[0].shape if bias else None, groups, outputs_axis=1)
    if x.shape[1] != weight.shape[0]:
        raise ValueError(f"conv_transpose2d: x has {x.shape[1]} channels, weight expects {weight.shape[0]} "
                         f"(x {x.shape}, weight {weight.shape}); check in_channels")
    stride, padding, extra, dilation = (pair(value, f"conv_transpose2d: {name}") for name, value in (
        ("stride", stride), ("padding", padding), ("output_padding", output_padding), ("dilation", dilation)))
    if min(stride) < 1 or min(dilation) < 1 or min(padding) < 0:
        raise ValueError(
            f"conv_transpose2d: got stride {stride}, dilation {dilation}, padding {padding}, expected "
            "stride and dilation of at least 1 and padding of at least 0"
        )
    if any(e < 0 or e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise ValueError(f"conv_transpose2d: output_padding {extra} must be below stride {stride} or dilation "
                         f"{dilation}")
    size = [(n - 1) * s - 2 * p + d * (k - 1) + e + 1 for n, k, s, p, d, e in
            zip(x.shape[2:], weight.shape[2:], stride, padding, dilation, extra, strict=True)]
    if min(size) < 1:
        raise ValueError(f"conv_transpose2d: the output would have size {tuple(size)}; lower padding {padding}")
    if extra[0] >= stride[0] or extra[1] >= stride[1]:  # allowed if below dilation: as if x had more zeros at the end
        x = pad(x, (0, extra[1] // stride[1], 0, extra[0] // stride[0]))
    y = ops.Conv2dInput(stride, padding, dilation, groups, (x.shape[0], weight.shape[1] * groups, *size))(x, weight)
    return y + bias[0].reshape(-1, 1, 1) if bias else y


def max_pool2d(x, kernel_size, stride=None, padding=0, ceil_mode=False):
    """The largest value of each window, as `torch.nn.functional.max_pool2d`; stride None means kernel_size.

    Of equal values the first in reading order gets the gradient. With `ceil_mode` a last window may hang over the
    edge, if it starts inside the image or its left padding.

    Returns
    -------
    Tensor of shape (N, C, H', W')
    """
    x = images("max_pool2d", x)
    window = _pooling("max_pool2d", kernel_size, stride, padding, ceil_mode)
    _check_pooling("max_pool2d", x.shape, *window)
    return ops.MaxPool2d(*window)(x)


def avg_pool2d(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """The mean of each window, as `torch.nn.functional.avg_pool2d`; stride None means kernel_size.

    `count_include_pad` says whether the divisor counts the zeros of the padding.
    """
    x = images("avg_pool2d", x)
    window = _pooling("avg_pool2d", kernel_size, stride, padding, ceil_mode)
    _check_pooling("avg_pool2d", x.shape, *window)
    return ops.AvgPool2d(*window, bool(count_include_pad))(x)


def adaptive_avg_pool2d(x, output_size):
    """Means over windows laid so that the output has `output_size`, an integer or a pair; None keeps that size."""
    x = images("adaptive_avg_pool2d", x)
    size = output_size if hasattr(output_size, "__len__") else (output_size, output_size)
    if len(size) == 2:
        size = [n if m is None else m for m, n in zip(size, x.shape[2:], strict=True)]
    size = pair(size, "adaptive_avg_pool2d: output_size")
    if min(size) < 1 or min(x.shape[2:]) < 1:
        raise ValueError(f"adaptive_avg_pool2d: output_size is {size} for x {x.shape}, expected at least 1 pixel each "
                         "way")
    return ops.AdaptiveAvgPool2d(size)(x)


def interpolate(x, size=None, scale_factor=None, mode="nearest", align_corners=False):
    """Resize images, as `torch.nn.functional.interpolate`.

    Parameters
    ----------
    x : Tensor or ndarray of shape (N, C, H, W)
    size : int or pair, optional
        Of the output; give either this or `scale_factor`.
    scale_factor : float or pair, optional
        The output has floor(size * scale_factor) pixels.
    mode : 'nearest', 'bilinear' or 'bicubic'
    align_corners : bool
        Whether the centres of the corner pixels (True) or their outer corners (False) coincide.
    """
    x = images("interpolate", x)
    if mode not in ("nearest", "bilinear", "bicubic"):
        raise ValueError(f"interpolate: mode is {mode!r}, expected 'nearest', 'bilinear' or 'bicubic'")
    if (size is None) == (scale_factor is None):
        raise ValueError(f"interpolate: got size={size} and scale_factor={scale_factor}, expected exactly one of them")
    if mode == "nearest" and align_corners:
        raise ValueError("interpolate: align_corners has no meaning for mode 'nearest'; leave it False")
    if size is None:
        factors = tuple(scale_factor) if hasattr(scale_factor, "__len__") else (scale_factor,) * 2
        if len(factors) != 2 or not all(isinstance(f, (int, float, np.number)) and f > 0 for f in factors):
            raise ValueError(f"interpolate: scale_factor is {scale_factor!r}, expected a positive number or a pair of "
                             "them")
        size = tuple(int(np.floor(n * f)) for n, f in zip(x.shape[2:], factors, strict=True))
        scales = tuple(1 / f for f in factors)
    else:
        size = pair(size, "interpolate: size")
        scales = tuple(n / m for n, m in zip(x.shape[2:], size, strict=True) if m)
    if min(size) < 1 or min(x.shape[2:]) < 1:
        raise ValueError(f"interpolate: from {x.shape[2:]} to {size}; expected at least one pixel in each direction")
    if align_corners:
        scales = tuple((n - 1) / (m - 1) if m > 1 else 0.0 for n, m in zip(x.shape[2:], size, strict=True))
    return ops.Interpolate(size, mode, scales, align_corners)(x)


def pad(x, pad, mode="constant", value=0.0):
    """Pad the last axes, as `torch.nn.functional.pad`: `pad` is (left, right[, top, bottom[, ...]]).

    A negative width crops. Modes 'reflect' (without repeating the border) and 'replicate' continue the image.
    """
    x = as_tensor(x, what="pad: x")
    if not hasattr(pad, "__len__") or not all(isinstance(n, (int, np.integer)) for n in pad):
        raise TypeError(f"pad: pad is {pad!r}, expected integers (left, right[, top, bottom[, ...]])")
    if len(pad) % 2 or len(pad) > 2 * x.ndim:
        raise ValueError(f"pad: got {len(pad)} widths, expected a pair for each of up to {x.ndim} axes (x {x.shape})")
    pairs = [(0, 0)] * (x.ndim - len(pad) // 2) + [tuple(pad[i:i + 2]) for i in range(0, len(pad), 2)][::-1]
    if any(n + min(before, 0) + min(after, 0) < 0 for n, (before, after) in zip(x.shape, pairs, strict=True)):
        raise ValueError(f"pad: widths {tuple(pad)} crop more than there is of x {x.shape}")
    if mode in ("reflect", "replicate"):
        return _continued(x, pairs, mode)
    if mode != "constant":
        raise ValueError(f"pad: mode is {mode!r}, expected 'constant', 'reflect' or 'replicate'")
    if any(width < 0 for widths in pairs for width in widths):
        inside = zip(x.shape, pairs, strict=True)
        x = x[tuple(slice(max(-before, 0), n - max(-after, 0)) for n, (before, after) in inside)]
        pairs = [(max(before, 0), max(after, 0)) for before, after in pairs]
    return ops.Pad(tuple(pairs), float(value))(x) if any(map(any, pairs)) else x


def _continued(x, pairs, mode):
    """Padding that repeats pixels is reading at indices: one axis at a time."""
    for axis, (before, after) in enumerate(pairs):
        if before or after:
            n = x.shape[axis]
            if mode == "reflect" and max(before, after) >= n:
                raise ValueError(f"pad: reflect can add at most {n - 1} to an axis of length {n}, got "
                                 f"{(before, after)}")
            at = np.arange(-before, n + after)
            at = np.abs(at) if mode == "reflect" else np.clip(at, 0, n - 1)
            at = np.where(at >= n, 2 * (n - 1) - at, at) if mode == "reflect" else at
            x = x[(slice(None),) * axis + (at,)]
    return x


def _check_weight(function, shape, bias_shape, groups, outputs_axis):
    if len(shape) != 4:
        raise ValueError(f"{function}: weight has shape {shape}, expected 4 axes: two of channels, two of the window")
    if 0 in shape:
        raise ValueError(f"{function}: weight has shape {shape}, expected no axis of length 0")
    if groups < 1 or shape[0] % groups:
        raise ValueError(f"{function}: groups is {groups}, expected a positive divisor of {shape[0]} (weight {shape})")
    outputs = shape[outputs_axis] * (groups if outputs_axis else 1)
    if bias_shape not in (None, (outputs,)):
        raise ValueError(f"{function}: bias has shape {bias_shape}, expected ({outputs},) for weight {shape}")


def _named_padding(x, weight, stride, padding, dilation):
    if padding == "valid":
        return x, 0
    if padding != "same" or stride != (1, 1):
        raise ValueError(f"conv2d: padding is {padding!r} with stride {stride}, expected numbers, 'valid', or 'same' "
                         "with stride 1")
    total = [d * (k - 1) for k, d in zip(weight.shape[2:], dilation, strict=True)]
    (top, left) = (t // 2 for t in total)
    return pad(x, (0, total[1] - 2 * left, 0, total[0] - 2 * top)), (top, left)


def _pooling(function, kernel_size, stride, padding, ceil_mode):
    kernel_size = pair(kernel_size, f"{function}: kernel_size")
    stride = kernel_size if stride is None else pair(stride, f"{function}: stride")
    try:
        ceil_mode = bool(ceil_mode)
    except ValueError:
        raise TypeError(f"{function}: ceil_mode is {ceil_mode!r}, expected True or False") from None
    return kernel_size, stride, pair(padding, f"{function}: padding"), ceil_mode


@lru_cache(maxsize=1024)
def _check_pooling(function, x_shape, kernel_size, stride, padding, ceil_mode):
    for size, k, s, p in zip(x_shape[2:], kernel_size, stride, padding, strict=True):
        _sized(function, x_shape, pool_output_size, size, k, s, p, ceil_mode)


def _sized(function, x_shape, output_size, *geometry):
    try:
        output_size(*geometry)
    except ValueError as error:
        raise ValueError(f"{function}: {str(error).split(': ', 1)[1]} (x {x_shape})") from None
