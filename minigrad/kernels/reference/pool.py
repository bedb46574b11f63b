"""Pooling, tap by tap (see `windows`): the largest or the mean of each window, and where their gradients go."""

from math import prod

import numpy as np

from minigrad.kernels.geometry import pool_output_shape
from minigrad.kernels.reference.simple import relu
from minigrad.kernels.reference.windows import crop, pad, tap


def winners(x, kernel_size, stride, padding, ceil_mode):
    """Find the tap that wins each max-pooling window.

    The taps compete in row-major order and a later one must be strictly larger, so the first of equals wins. A NaN
    beats whatever came before it, another NaN included. Padding never wins.

    Parameters
    ----------
    x : ndarray
        ``(N, C, H, W)``.
    kernel_size, stride, padding : tuple of (int, int)
        ``(height, width)``.
    ceil_mode : bool
        See `minigrad.kernels.geometry.pool_output_size`.

    Returns
    -------
    ndarray of int
        ``(N, C, OH, OW)``, each ``i * kw + j``.
    """
    shape = pool_output_shape(x.shape, kernel_size, stride, padding, ceil_mode)
    window = stride, (1, 1), shape[2:]
    padded = pad(x, kernel_size, stride, padding, (1, 1), shape[2:])
    inside = pad(np.ones(x.shape, bool), kernel_size, stride, padding, (1, 1), shape[2:])
    winner, best = np.full(shape, -1), np.empty(shape, x.dtype)
    for i, j in np.ndindex(*kernel_size):
        value = tap(padded, i, j, *window)
        wins = tap(inside, i, j, *window) & ((winner < 0) | (value > best) | np.isnan(value))
        winner[wins], best[wins] = i * kernel_size[1] + j, value[wins]
    return winner


def max_pool2d(x, kernel_size, stride, padding, ceil_mode):
    """Take the largest value of each window; settings as in `winners`. (N, C, H, W) -> (N, C, OH, OW)."""
    return max_pool2d_winners(x, kernel_size, stride, padding, ceil_mode)[0]


def max_pool2d_winners(x, kernel_size, stride, padding, ceil_mode):
    """The largest value of each window, and the `winners`, of the first of uint8, uint32, uint64 with room for them."""
    winner = winners(x, kernel_size, stride, padding, ceil_mode)
    return collect_winners(x, winner, kernel_size, stride, padding, ceil_mode), winner.astype(kind(kernel_size))


def relu_max_pool2d(x, kernel_size, stride, padding, ceil_mode):
    """Rectify, then pool; settings as in `winners`. (N, C, H, W) -> (N, C, OH, OW)."""
    return max_pool2d(relu(x), kernel_size, stride, padding, ceil_mode)


def relu_max_pool2d_winners(x, kernel_size, stride, padding, ceil_mode):
    """`relu_max_pool2d`, and the winners: nobody, the largest number of their type, where none is positive."""
    y, winner = max_pool2d_winners(relu(x), kernel_size, stride, padding, ceil_mode)
    return y, np.where(y > 0, winner, np.iinfo(winner.dtype).max)


def route_winners(g, winners, input_shape, kernel_size, stride, padding, ceil_mode):
    """Send each output's gradient to the input that won its window: the gradient of `max_pool2d`.

    Parameters
    ----------
    g, winners : ndarray
        ``(N, C, OH, OW)``.
    input_shape : tuple of int
        ``(N, C, H, W)``, of what was pooled.
    kernel_size, stride, padding, ceil_mode
        As in `winners`.

    Returns
    -------
    ndarray
        ``(N, C, H, W)``: an input that won several overlapping windows gets the sum, a loser zero.
    """
    out = g.shape[2:]
    dx = pad(np.zeros(input_shape, g.dtype), kernel_size, stride, padding, (1, 1), out)
    for i, j in np.ndindex(*kernel_size):
        tap(dx, i, j, stride, (1, 1), out)[...] += np.where(winners == i * kernel_size[1] + j, g, 0)
    return crop(dx, padding, input_shape)


def collect_winners(v, winners, kernel_size, stride, padding, ceil_mode):
    """Read another array at the inputs that won: the transpose of `route_winners`, and its gradient.

    Parameters
    ----------
    v, winners : ndarray
        ``(N, C, H, W)`` and ``(N, C, OH, OW)``.
    kernel_size, stride, padding, ceil_mode
        As in `winners`.

    Returns
    -------
    ndarray
        ``(N, C, OH, OW)``, zero where nobody won.
    """
    y, out = np.zeros(winners.shape, v.dtype), winners.shape[2:]
    padded = pad(v, kernel_size, stride, padding, (1, 1), out)
    for i, j in np.ndindex(*kernel_size):
        wins = winners == i * kernel_size[1] + j
        y[wins] = tap(padded, i, j, stride, (1, 1), out)[wins]
    return y


def kind(kernel_size):
    """The type of the winners of windows of that size."""
    return next(kind for kind in (np.uint8, np.uint32, np.uint64) if prod(kernel_size) <= np.iinfo(kind).max)


def window_areas(input_shape, kernel_size, stride, padding, out, count_include_pad):
    """Count the elements each average is taken over: (OH, OW).

    The far padding counts with `count_include_pad`, what hangs over beyond it (`ceil_mode`) never does.
    """
    lengths = []
    for a, size in enumerate(input_shape[2:]):
        start = np.arange(out[a]) * stride[a] - padding[a]
        stop = np.minimum(start + kernel_size[a], size + padding[a])
        if not count_include_pad:
            start, stop = np.maximum(start, 0), np.minimum(stop, size)
        lengths.append(stop - start)
    return np.outer(*lengths)


def avg_pool2d(x, kernel_size, stride, padding, ceil_mode, count_include_pad):
    """Average each window.

    Parameters
    ----------
    x : ndarray
        ``(N, C, H, W)``.
    kernel_size, stride, padding, ceil_mode
        As in `winners`.
    count_include_pad : bool
        Divide by the window's size with its padding, not only by the inputs in it.

    Returns
    -------
    ndarray
        ``(N, C, OH, OW)``.
    """
    shape = pool_output_shape(x.shape, kernel_size, stride, padding, ceil_mode)
    padded = pad(x, kernel_size, stride, padding, (1, 1), shape[2:])
    y = np.zeros(shape, x.dtype)
    for i, j in np.ndindex(*kernel_size):
        y += tap(padded, i, j, stride, (1, 1), shape[2:])
    areas = window_areas(x.shape, kernel_size, stride, padding, shape[2:], count_include_pad)
    return y / areas.astype(x.dtype)


def avg_pool2d_grad(g, input_shape, kernel_size, stride, padding, ceil_mode, count_include_pad):
    """Spread each output's gradient evenly over its window: the transpose of `avg_pool2d`.

    Parameters
    ----------
    g : ndarray
        ``(N, C, OH, OW)``.
    input_shape : tuple of int
        ``(N, C, H, W)``.
    kernel_size, stride, padding, ceil_mode, count_include_pad
        As in `avg_pool2d`.

    Returns
    -------
    ndarray
        ``(N, C, H, W)``.
    """
    out = pool_output_shape(input_shape, kernel_size, stride, padding, ceil_mode)[2:]
    g = g / window_areas(input_shape, kernel_size, stride, padding, out, count_include_pad).astype(g.dtype)
    dx = pad(np.zeros(input_shape, g.dtype), kernel_size, stride, padding, (1, 1), out)
    for i, j in np.ndindex(*kernel_size):
        tap(dx, i, j, stride, (1, 1), out)[...] += g
    return crop(dx, padding, input_shape)
