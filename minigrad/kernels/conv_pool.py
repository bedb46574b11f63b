"""A convolution, a rectifier and a 2 x 2 max-pool in one pass: the images between them are never in memory.

The first convolution of a network is cheap, for its images have few channels, but what it makes is the largest array
of all: for 64 digits 6.4 MB, written once, read for the pool, read again on the way back. Here a thread convolves one
image at a time into its own cache, pools it there, and keeps of it only the pooled numbers and, for each, which tap of
its window won: a byte. On the way back the winners alone say where a cotangent goes.

Convolutions that Winograd's algorithm speeds up are in `winograd_pool`.
"""

from math import prod

import numba
import numpy as np

from minigrad.kernels import winograd, winograd_pool
from minigrad.kernels._jit import parallel_kernel, threads
from minigrad.kernels.conv import conv2d_input_grad, convolve_block
from minigrad.kernels.conv_grad import add_products, correlation
from minigrad.kernels.layout import as_nchw, channels_last, empty_channels_last
from minigrad.kernels.pack import in_place
from minigrad.kernels.pairs import PAIRS, add_up_pairs, hand_out_pairs, pool_pairs
from minigrad.kernels.plan import forward_axes, make_plan
from minigrad.kernels.queue import run_queue, take
from minigrad.kernels.subroutine import subroutine
from minigrad.kernels.weights import filters_first, filters_last, read_only
from minigrad.kernels.winners import route_winners

FAN_IN = 32  # multiplications an output number may cost, if it is to be made again when somebody asks for it
IMAGE_BYTES = 1024 * 1024  # an image of the convolution, which should stay in a core's own cache


def is_made_again(in_shape, out_shape, weight_shape, itemsize):
    """Whether a convolution may wait: it is cheap, so that it may be repeated, and what it reads is easily copied.

    And one of its images fits into a cache.
    """
    _, filters, height, width = out_shape
    small = filters * height * width * itemsize <= IMAGE_BYTES and 4 * prod(in_shape) <= prod(out_shape)
    return small and is_cheap(weight_shape)


def is_cheap(weight_shape):
    """Whether a number of the convolution costs few multiplications."""
    return prod(weight_shape[1:]) <= FAN_IN


def by_tiles(weight_shape, dtype, stride, padding, dilation, groups):
    """Whether a convolution is one that `winograd_pool` knows."""
    return max(padding) <= 2 and winograd.pays(weight_shape, dtype, stride, dilation, groups)


def conv2d_relu_max_pool2d(x, weight, bias, window):
    """Convolve, rectify and pool, where two by two windows cover what is convolved (`pairs.are_pairs`).

    Parameters
    ----------
    x : ndarray
        ``(N, C, H, W)``, any strides.
    weight, bias : ndarray
        ``(O, C / groups, kh, kw)``, and ``(O,)`` or None.
    window : tuple
        stride, padding, dilation and groups of the convolution.

    Returns
    -------
    (ndarray, ndarray)
        What was pooled, ``(N, O, PH, PW)``, and the winners, uint8 of the same shape, as in `relu_max_pool2d_winners`.
        Both channels-last.
    """
    stride, padding, dilation, groups = window
    if by_tiles(weight.shape, x.dtype, *window):
        y, winners = winograd_pool.convolve(channels_last(x), filters_last(weight), bias, padding)
        return as_nchw(y), as_nchw(winners)
    rows, columns = forward_axes(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    (images, channels, _, _), out_channels = x.shape, len(weight)
    shape = images, out_channels, rows.count // 2, columns.count // 2
    y, winners = empty_channels_last(shape, x.dtype), empty_channels_last(shape, np.uint8)
    if y.size:
        plan = make_plan(rows, columns, channels, channels // groups, out_channels)
        bias = np.zeros(out_channels, x.dtype) if bias is None else np.ascontiguousarray(bias)
        run_queue(
            _convolve_and_pool_images, _convolve_and_pool, 4 * y.size * len(plan.taps) * plan.run,
            y, winners, channels_last(x),
            *in_place(filters_last(weight), out_channels, out_channels // groups), read_only(bias),
            (rows.span, rows.count, columns.count), groups, *plan,
        )  # fmt: skip
    return as_nchw(y), as_nchw(winners)


def conv2d_relu_max_pool2d_grads(x, winners, g, weight_shape, stride, padding, dilation, groups):
    """Give the gradients of `conv2d_relu_max_pool2d` with respect to weight and bias.

    Parameters
    ----------
    x : ndarray
        ``(N, C, H, W)``, any strides: what was convolved.
    winners, g : ndarray
        ``(N, O, PH, PW)``: who won, and the cotangent of what was pooled.
    weight_shape : tuple of int
        ``(O, C / groups, kh, kw)``.
    stride, padding, dilation, groups
        Of the convolution.

    Returns
    -------
    (ndarray, ndarray)
        ``(O, C / groups, kh, kw)``, in the memory order of `weight_layout`, and ``(O,)``.
    """
    x, winners, g = channels_last(x), _writeable(winners), channels_last(g)
    if by_tiles(weight_shape, x.dtype, stride, padding, dilation, groups):
        dw, total = winograd_pool.weight_grad(x, g, winners, padding)
        return filters_first(dw), total
    images, height, width, filters = g.shape
    out = images, 2 * height, 2 * width, filters
    plan = correlation(x, out, weight_shape, stride, padding, dilation, groups, blocks=1)
    sums = np.zeros((threads(), filters))
    if x.size and g.size:
        _correlate_winners(x, winners, g, sums, plan.dw, plan.frames, *plan.offsets)
    return filters_first(plan.total()), sums.sum(0).astype(g.dtype)


def conv2d_relu_max_pool2d_input_grad(g, winners, weight, input_shape, stride, padding, dilation, groups):
    """Give the gradient of `conv2d_relu_max_pool2d` with respect to what was convolved.

    Parameters
    ----------
    g, winners : ndarray
        ``(N, O, PH, PW)``: the cotangent of what was pooled, and who won.
    weight : ndarray
        ``(O, C / groups, kh, kw)``.
    input_shape : tuple of int
        ``(N, C, H, W)``.
    stride, padding, dilation, groups
        Of the convolution.

    Returns
    -------
    ndarray
        ``(N, C, H, W)``, channels-last in memory.
    """
    if by_tiles(weight.shape, g.dtype, stride, padding, dilation, groups) and 0 not in input_shape:
        g, winners = channels_last(g), _writeable(winners)
        return as_nchw(winograd_pool.input_grad(g, winners, filters_last(weight), padding))
    images, filters, height, width = g.shape
    routed = route_winners(g, winners, (images, filters, 2 * height, 2 * width), *PAIRS)
    return conv2d_input_grad(routed, weight, input_shape, stride, padding, dilation, groups)


def _writeable(winners):
    """Winners as (N, PH, PW, O), of the type that numba knows from where they are noted: each kernel compiles once."""
    return np.ascontiguousarray(winners.transpose(0, 2, 3, 1))


@parallel_kernel
def _convolve_and_pool(
    queue, y, winners, x, w, w_group, w_panel, w_row, bias, sizes, groups, edges, taps, run, x_rows, y_rows,
    pitch, team,
):  # fmt: skip
    for _ in numba.prange(team):
        _convolve_and_pool_images(
            queue, y, winners, x, w, w_group, w_panel, w_row, bias, sizes, groups, edges, taps, run, x_rows,
            y_rows, pitch,
        )  # fmt: skip


@subroutine
def _convolve_and_pool_images(
    queue, y, winners, x, w, w_group, w_panel, w_row, bias, sizes, groups, edges, taps, run, x_rows, y_rows,
    pitch,
):  # fmt: skip
    """One thread's work: images, as long as there are any; `sizes`: rows of a frame, rows and columns of the result."""
    span, height, width = sizes
    frame, convolved = np.empty(span * pitch, x.dtype), np.empty((height, width, y.shape[3]), x.dtype)
    n = take(queue)
    while n < len(x):
        convolve_block(
            convolved.reshape(-1), x, n, 0, len(x_rows), w, w_group, w_panel, w_row, bias, frame, groups, edges, taps,
            run, x_rows, y_rows, pitch,
        )  # fmt: skip
        pool_pairs(convolved, y[n], winners[n], True, 0, y.shape[1])
        n = take(queue)


@parallel_kernel
def _correlate_winners(x, winners, g, sums, dw, frames, groups, edges, steps, x_rows, y_rows, pitch):
    for thread in numba.prange(len(frames)):
        _correlate_images(
            np.int64(thread), x, winners, g, sums, dw, frames, groups, edges, steps, x_rows, y_rows, pitch
        )


@subroutine
def _correlate_images(thread, x, winners, g, sums, dw, frames, groups, edges, steps, x_rows, y_rows, pitch):
    """One thread's share of the images."""
    (_, height, width, filters), team = g.shape, len(frames)
    image = np.empty((2 * height, 2 * width, filters), g.dtype)
    for n in range(thread * len(g) // team, (thread + 1) * len(g) // team):
        hand_out_pairs(image, g[n], winners[n], 0, height)
        add_products(dw[thread], x, n, 0, image, frames[thread], groups, edges, steps, x_rows, y_rows, pitch)
        add_up_pairs(sums[thread], g[n], winners[n])
