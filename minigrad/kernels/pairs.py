"""Pools whose windows are two by two and lie side by side, as they mostly do: each window once, all in registers.

A row of the pool belongs to a pair of rows of the image. `each_window` walks along it and hands a vector of channels of
one window after the other to a function, which finds the largest number (`largest_of_four`) and the winner
(`largest_and_winner_of_four`) or is told the winner (`hand_out_window`). Winners are what `winners` says they are.

Kernels that go from a convolution to its pool know no other windows: `pool_pairs`, `hand_out_pairs` and `add_up_pairs`
are for them, one image at a time.
"""

import numpy as np

from minigrad.kernels._jit import inlined_kernel
from minigrad.kernels.lanes import choose, every, first, lane_count, load, spread, store, wide
from minigrad.kernels.subroutine import subroutine
from minigrad.kernels.windows import write_largest, write_winner

PAIRS = (2, 2), (2, 2), (0, 0), False
NOBODY = np.uint8(255)


def are_pairs(shape, kernel_size, stride, padding, ceil_mode):
    """Whether the windows of a pool are such and cover images (N, C, H, W), so that `ceil_mode` makes no difference."""
    return (kernel_size, stride, padding) == PAIRS[:3] and shape[2] % 2 == shape[3] % 2 == 0


@inlined_kernel
def in_pairs(window, pool, image):
    """Whether the windows of a pool (OH, OW, C) are such, and none of them is cut off at the right of the image."""
    kh, kw, sh, sw, ph, pw = window
    return kh == kw == sh == sw == 2 and ph == pw == 0 and 2 * pool.shape[1] <= image.shape[1]


@inlined_kernel
def each_window(act, row, operands):
    """Call ``act(at, left, right, lanes, operands)`` for all vectors of a row (OW, C) of the pool.

    `at` is a vector's position in the row, `left` and `right` are those of the window's columns in rows of the image.
    Where channels fill registers, vectors are as wide. Where a pixel has fewer channels than a vector has lanes, the
    vector reaches over into the pixels that follow, which come right when it is their turn: from the left to the
    right, as functions that write to both columns must, too. At the end of the row, and at the end of a pixel of more
    channels, vectors are cut off, which is slower.
    """
    columns, channels = row.shape
    size, full = lane_count(every(row)), lane_count(wide(row))
    if channels % full == 0:
        for s in range(columns):
            for at in range(s * channels, (s + 1) * channels, full):
                act(at, s * channels + at, (s + 1) * channels + at, wide(row), operands)
        return
    into_others = columns - (size - 1) // channels if channels < size else 0  # pixels whose vector may reach over
    for s in range(columns):
        here, end = s * channels, (s + 1) * channels
        for at in range(here, end, size):
            if at + size <= end or s < into_others:
                act(at, here + at, end + at, every(row), operands)
            else:
                act(at, here + at, end + at, first(row, end - at), operands)


@inlined_kernel
def largest_of_four(at, left, right, lanes, operands):
    """Write the largest number, or `floor` if none is above it."""
    up, low, y, floor = operands
    best, _, _, _ = _play(up, low, left, right, lanes)
    write_largest(y, at, lanes, best, floor)


@inlined_kernel
def largest_and_winner_of_four(at, left, right, lanes, operands):
    """Write the largest number and its tap; if `rectified`, zero and `NOBODY` where it is not positive."""
    up, low, y, winners, rectified = operands
    best, two, three, four = _play(up, low, left, right, lanes)
    tap = choose(two, spread(winners.dtype.type(1), lanes), spread(winners.dtype.type(0), lanes))
    tap = choose(three, spread(winners.dtype.type(2), lanes), tap)
    tap = choose(four, spread(winners.dtype.type(3), lanes), tap)
    write_winner(y, winners, at, lanes, best, tap, rectified, NOBODY)


@inlined_kernel
def hand_out_window(at, left, right, lanes, operands):
    """Send a number to the tap that a byte names."""
    g, winners, up, low = operands
    winner, u, zero = load(winners, at, lanes), load(g, at, lanes), spread(g.dtype.type(0), lanes)
    store(up, left, lanes, choose(winner == spread(winners.dtype.type(0), lanes), u, zero))
    store(up, right, lanes, choose(winner == spread(winners.dtype.type(1), lanes), u, zero))
    store(low, left, lanes, choose(winner == spread(winners.dtype.type(2), lanes), u, zero))
    store(low, right, lanes, choose(winner == spread(winners.dtype.type(3), lanes), u, zero))


@inlined_kernel
def _play(up, low, left, right, lanes):
    """The largest number of a window, and whether the second, third and fourth tap beat those before them."""
    best, b = load(up, left, lanes), load(up, right, lanes)
    c, d = load(low, left, lanes), load(low, right, lanes)
    two = (b > best) | (b != b)
    best = choose(two, b, best)
    three = (c > best) | (c != c)
    best = choose(three, c, best)
    four = (d > best) | (d != d)
    return choose(four, d, best), two, three, four


@subroutine
def pool_pairs(image, y, winners, rectified, first_row, last_row):
    """Pool an image (H, W, C) for some rows of y (OH, OW, C), and note who won."""
    for r in range(first_row, last_row):
        operands = image[2 * r], image[2 * r + 1], y[r], winners[r], rectified
        each_window(largest_and_winner_of_four, y[r], operands)


@subroutine
def hand_out_pairs(image, g, winners, first_row, last_row):
    """Write some rows of g (OH, OW, C) where their winners are in an image, and zeros elsewhere."""
    for r in range(first_row, last_row):
        each_window(hand_out_window, g[r], (g[r], winners[r], image[2 * r], image[2 * r + 1]))


@subroutine
def add_up_pairs(sums, g, winners):
    """Add the cotangents that have a winner, channel by channel: a row in its own precision, rows in float64."""
    columns, channels = g.shape[1:]
    zero, total = g.dtype.type(0), np.empty(channels, g.dtype)
    for r in range(g.shape[0]):
        given, winner = g[r], winners[r]
        total[:] = 0
        for s in range(columns):
            for c in range(channels):
                u = given[s, c]
                total[c] += u if winner[s, c] != NOBODY else zero
        for c in range(channels):
            sums[c] += total[c]
