"""A convolution, a rectifier and a max-pool in one pass: the images between them are never in memory.

The first convolution of a network is cheap, for its images have few channels, but what it makes is the largest array
of all: for 64 digits 6.4 MB, written once, read for the pool, read again on the way back. Here a thread convolves one
image at a time into its own cache, pools it there, and keeps of it only the pooled numbers and, for each, which tap of
its window won: a byte. On the way back the winners alone say where a cotangent goes.

A window with nothing positive in it, or with a NaN, has no winner (`NOBODY`): the rectifier's gate is shut. All this is
for pools whose windows lie side by side, as they mostly do: images stand on one another without a seam, so that a batch
is one tall image and its rows can be shared out.
"""

from math import prod

import numba
import numpy as np

from minigrad.kernels._jit import kernel, parallel_kernel, threads
from minigrad.kernels.conv import convolve_share
from minigrad.kernels.conv_grad import add_products, correlation
from minigrad.kernels.geometry import conv_output_size
from minigrad.kernels.layout import as_nchw, channels_last, empty_channels_last
from minigrad.kernels.pack import in_place
from minigrad.kernels.plan import forward_axis, make_plan
from minigrad.kernels.weights import filters_first, filters_last, read_only
from minigrad.kernels.windows import run

NOBODY = 255
FAN_IN = 32  # multiplications an output number may cost, if it is to be made again when somebody asks for it
IMAGE_BYTES = 1024 * 1024  # an image of the convolution, which should stay in a core's own cache


def is_made_again(in_shape, out_shape, weight_shape, itemsize):
    """Whether a convolution may wait: it is cheap, so that it may be repeated, and what it reads is easily copied.

    And one of its images fits into a cache.
    """
    _, filters, height, width = out_shape
    small = filters * height * width * itemsize <= IMAGE_BYTES and 4 * prod(in_shape) <= prod(out_shape)
    return small and prod(weight_shape[1:]) <= FAN_IN


def leaves_no_gaps(out_shape, kernel_size, stride, padding, ceil_mode):
    """Whether a pool's windows lie side by side and cover an image, and their taps can be numbered in a byte."""
    whole = out_shape[2] % kernel_size[0] == out_shape[3] % kernel_size[1] == 0
    return whole and stride == kernel_size and padding == (0, 0) and prod(kernel_size) < NOBODY


def conv2d_relu_max_pool2d(x, weight, bias, window, pool):
    """Convolve, rectify and pool, where `is_made_again` and `leaves_no_gaps` say so.

    Parameters
    ----------
    x : ndarray
        ``(N, C, H, W)``, any strides.
    weight, bias : ndarray
        ``(O, C / groups, kh, kw)``, and ``(O,)`` or None.
    window : tuple
        stride, padding, dilation and groups of the convolution.
    pool : tuple of (int, int)
        The pool's height and width.

    Returns
    -------
    (ndarray, ndarray)
        What was pooled, ``(N, O, PH, PW)``, and the winners, uint8 of the same shape: ``i * kernel_width + j`` for tap
        (i, j) of the window. Both channels-last.
    """
    stride, padding, dilation, groups = window
    (out_channels, _, *kernel_size), (images, channels, *size) = weight.shape, x.shape
    axes = [
        forward_axis(conv_output_size(size[a], kernel_size[a], *given), kernel_size[a], *given)
        for a, given in ((a, (stride[a], padding[a], dilation[a])) for a in (0, 1))
    ]
    rows, columns = axes
    shape = images, out_channels, rows.count // pool[0], columns.count // pool[1]
    y, winners = empty_channels_last(shape, x.dtype), empty_channels_last(shape, np.uint8)
    if y.size:
        plan = make_plan(rows, columns, channels, channels // groups, out_channels)
        bias = np.zeros(out_channels, x.dtype) if bias is None else np.ascontiguousarray(bias)
        _convolve_and_pool(
            y, winners, pool, np.empty((threads(), rows.count, columns.count, out_channels), x.dtype),
            channels_last(x), *in_place(filters_last(weight), out_channels, out_channels // groups), read_only(bias),
            np.empty((threads(), rows.span * plan.pitch), x.dtype), groups,
            np.array([rows.near, columns.near, rows.reach]), *plan,
        )  # fmt: skip
    return as_nchw(y), as_nchw(winners)


def relu_max_pool2d_winners(x, pool):
    """Rectify and pool images whose windows leave no gaps, and say who won.

    Parameters
    ----------
    x : ndarray
        ``(N, C, H, W)``, any strides.
    pool : tuple of (int, int)
        The window's height and width.

    Returns
    -------
    (ndarray, ndarray)
        As of `conv2d_relu_max_pool2d`.
    """
    images, channels, height, width = x.shape
    shape = images, channels, height // pool[0], width // pool[1]
    y, winners = empty_channels_last(shape, x.dtype), empty_channels_last(shape, np.uint8)
    run(_pool, _pool_parallel, x.size, images * shape[2], _tall(channels_last(x)), _tall(y), _tall(winners), pool)
    return as_nchw(y), as_nchw(winners)


def route_winners(g, winners, pool):
    """Send each cotangent to its winner: the gradient of a rectifier and a pool, ``relu_max_pool2d_route``.

    Parameters
    ----------
    g, winners : ndarray
        ``(N, C, PH, PW)``.
    pool : tuple of (int, int)
        The window's height and width.

    Returns
    -------
    ndarray
        ``(N, C, PH * height, PW * width)``, channels-last.
    """
    images, channels, height, width = g.shape
    dx = empty_channels_last((images, channels, height * pool[0], width * pool[1]), g.dtype)
    operands = _tall(dx), _tall(channels_last(g)), _tall(channels_last(winners)), pool
    run(_hand_out, _hand_out_parallel, dx.size, images * height, *operands)
    return as_nchw(dx)


def conv2d_relu_max_pool2d_grads(x, winners, g, pool, weight_shape, stride, padding, dilation, groups):
    """Give the gradients of `conv2d_relu_max_pool2d` with respect to weight and bias.

    Parameters
    ----------
    x : ndarray
        ``(N, C, H, W)``, any strides: what was convolved.
    winners, g : ndarray
        ``(N, O, PH, PW)``: who won, and the cotangent of what was pooled.
    pool : tuple of (int, int)
        The window's height and width.
    weight_shape : tuple of int
        ``(O, C / groups, kh, kw)``.
    stride, padding, dilation, groups
        Of the convolution.

    Returns
    -------
    (ndarray, ndarray)
        ``(O, C / groups, kh, kw)``, in the memory order of `weight_layout`, and ``(O,)``.
    """
    x, winners, g = (channels_last(a) for a in (x, winners, g))
    images, height, width, filters = g.shape
    out = images, height * pool[0], width * pool[1], filters
    plan = correlation(x, out, weight_shape, stride, padding, dilation, groups, blocks=1)
    routed, sums = np.empty((threads(), *out[1:]), g.dtype), np.zeros((threads(), filters))
    if x.size and g.size:
        _correlate_winners(x, winners, g, pool, routed, sums, *plan)
    return filters_first(plan.total()), sums.sum(0).astype(g.dtype)


def _tall(images):
    """See (N, H, W, C) as one image, (N * H, W, C)."""
    return images.reshape(-1, *images.shape[2:])


@parallel_kernel
def _convolve_and_pool(
    y, winners, pool, convolved, x, w, w_group, w_panel, w_row, bias, frames, groups, edges, taps, run, x_rows, y_rows,
    pitch,
):  # fmt: skip
    for thread in numba.prange(len(frames)):
        image, team = convolved[thread], len(frames)
        for n in range(np.int64(thread) * len(x) // team, (np.int64(thread) + 1) * len(x) // team):
            convolve_share(
                0, image.reshape(-1), x[n : n + 1], w, w_group, w_panel, w_row, bias, frames[thread : thread + 1], 1,
                groups, edges, taps, run, x_rows, y_rows, pitch,
            )  # fmt: skip
            _pool(image, y[n], winners[n], pool, 0, y.shape[1])


@parallel_kernel
def _correlate_winners(
    x, winners, g, pool, routed, sums, dw, frames, blocks, groups, edges, steps, x_rows, y_rows, pitch, shape
):  # fmt: skip
    for thread in numba.prange(len(frames)):
        image, team = routed[thread], len(frames)
        for n in range(np.int64(thread) * len(g) // team, (np.int64(thread) + 1) * len(g) // team):
            _hand_out(image, g[n], winners[n], pool, 0, g.shape[1])
            add_products(
                dw[thread], x, n, 0, image, frames[thread], groups, edges, steps, x_rows, y_rows, pitch
            )
            _add_up(sums[thread], g[n], winners[n])


@kernel
def _pool(image, y, winners, pool, first, last):
    """Pool the positive numbers of an image (H, W, C) for the rows from `first` to `last` of y, and note who won."""
    columns, channels = y.shape[1:]
    winner = np.empty((columns, channels), np.int32)
    for r in range(first, last):
        out, up, low = y[r], image[r * pool[0]], image[r * pool[0] + pool[0] - 1]
        for s in range(columns):
            left = s * pool[1]
            if pool[0] == 2 and pool[1] == 2:  # the usual window, in registers
                for c in range(channels):
                    best, position = _challenge(out.dtype.type(0), np.int32(NOBODY), up[left, c], np.int32(0))
                    best, position = _challenge(best, position, up[left + 1, c], np.int32(1))
                    best, position = _challenge(best, position, low[left, c], np.int32(2))
                    out[s, c], winner[s, c] = _challenge(best, position, low[left + 1, c], np.int32(3))
                continue
            for c in range(channels):
                out[s, c], winner[s, c] = 0, NOBODY
            for i in range(pool[0]):
                line = image[r * pool[0] + i]
                for j in range(pool[1]):
                    tap = np.int32(i * pool[1] + j)
                    for c in range(channels):
                        out[s, c], winner[s, c] = _challenge(out[s, c], winner[s, c], line[left + j, c], tap)
        for s in range(columns):
            for c in range(channels):
                winners[r, s, c] = winner[s, c]


@parallel_kernel
def _pool_parallel(image, y, winners, pool, tasks, parts):
    for t in numba.prange(parts):
        _pool(image, y, winners, pool, np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts)


@kernel
def _challenge(best, position, value, tap):
    """The larger of two, and where it is; a NaN is the largest of all and is nowhere."""
    unknown = value != value
    position = np.int32(NOBODY) if unknown else position
    return value if (value > best) | unknown else best, tap if value > best else position


@kernel
def _hand_out(image, g, winners, pool, first, last):
    """Write rows `first` to `last` of g (PH, PW, C) where their winners are in an image, and zeros elsewhere."""
    columns, channels = g.shape[1:]
    zero = g.dtype.type(0)
    for r in range(first, last):
        given, winner = g[r], winners[r]
        for i in range(pool[0]):
            line = image[r * pool[0] + i]
            for s in range(columns):
                for j in range(pool[1]):
                    w, tap = s * pool[1] + j, np.int32(i * pool[1] + j)
                    for c in range(channels):
                        u = given[s, c]
                        line[w, c] = u if np.int32(winner[s, c]) == tap else zero


@parallel_kernel
def _hand_out_parallel(image, g, winners, pool, tasks, parts):
    for t in numba.prange(parts):
        _hand_out(image, g, winners, pool, np.int64(t) * tasks // parts, (np.int64(t) + 1) * tasks // parts)


@kernel
def _add_up(sums, g, winners):
    """Add the cotangents that have a winner, channel by channel: a row in its own precision, rows in float64."""
    columns, channels = g.shape[1:]
    zero, total = g.dtype.type(0), np.empty(channels, g.dtype)
    for r in range(g.shape[0]):
        given, winner = g[r], winners[r]
        total[:] = 0
        for s in range(columns):
            for c in range(channels):
                u = given[s, c]
                total[c] += u if np.int32(winner[s, c]) != NOBODY else zero
        for c in range(channels):
            sums[c] += total[c]
