"""Pools of any windows, which may overlap: a vector of channels of one window at a time.

A loop over channels inside of loops over a window's taps would read and write the largest number so far, and who won,
once for each tap. Here both stay in registers until all taps have been seen. The gradient reads no image: it goes from
pixel to pixel and adds what the windows that reach it send there, while the pixel is in the nearest cache.

`place` is (top, bottom, left, right): a window's rows and columns in the image. A tap's number, ``i * kernel_width +
j``, is a row's number times `kernel_width`, and a column's, less what both make for the window's `corner`.
"""

import numpy as np

from minigrad.kernels._jit import inlined_kernel
from minigrad.kernels.lanes import anywhere, choose, load, spread, store, tainted
from minigrad.kernels.windows import write_largest, write_winner


@inlined_kernel
def largest(c, lanes, operands):
    """Write the largest number of a window of an image, or `floor` if none is above it, to y at `at`."""
    image, y, at, floor, place = operands
    best, _ = _contest(c, lanes, image, place, 0, 0, np.int64(0))  # nobody asks for the tap
    write_largest(y, at + c, lanes, best, floor)


@inlined_kernel
def largest_and_winner(c, lanes, operands):
    """Write the largest number of a window and its tap; if `rectified`, zero and `nobody` where it is not positive."""
    image, y, winners, at, rectified, nobody, (place, kernel_width, corner) = operands
    best, winner = _contest(c, lanes, image, place, kernel_width, corner, nobody)
    write_winner(y, winners, at + c, lanes, best, winner, rectified, nobody)


@inlined_kernel
def send(c, lanes, operands):
    """Add what g has at `source` to the image at `target`, where that is what won: the `tap` of its window."""
    image, target, g, winners, source, tap = operands
    won = load(winners, source + c, lanes) == spread(winners.dtype.type(tap), lanes)
    sent = choose(won, load(g, source + c, lanes), spread(g.dtype.type(0), lanes))
    store(image, target + c, lanes, load(image, target + c, lanes) + sent)


@inlined_kernel
def collect(c, lanes, operands):
    """Write what an image holds where the winner of a window is, to y at `at`."""
    image, y, winners, at, (place, kernel_width, corner) = operands
    top, bottom, left, right = place
    width, channels = image.shape[1:]
    winner, found = load(winners, at + c, lanes), spread(y.dtype.type(0), lanes)
    for h in range(top, bottom):
        for w in range(left, right):
            tap = spread(winners.dtype.type(h * kernel_width + w - corner), lanes)
            found = choose(winner == tap, load(image, (h * width + w) * channels + c, lanes), found)
    store(y, at + c, lanes, found)


@inlined_kernel
def _contest(c, lanes, image, place, kernel_width, corner, nobody):
    """The largest number of a window, and its tap, of the type of `nobody`.

    A comparison that minds NaNs takes two or three instructions, so it waits until the sum says that there may be any:
    it is NaN then, or where there are infinities of both signs.
    """
    top, bottom, left, right = place
    width, channels = image.shape[1:]
    number = type(nobody)
    best = load(image, (top * width + left) * channels + c, lanes)
    winner, total = spread(number(top * kernel_width + left - corner), lanes), spread(image.dtype.type(0), lanes)
    for h in range(top, bottom):
        for w in range(left, right):
            value = load(image, (h * width + w) * channels + c, lanes)
            beats = value > best
            best = choose(beats, value, best)
            winner = choose(beats, spread(number(h * kernel_width + w - corner), lanes), winner)
            total = tainted(total, value)
    if anywhere(total != total):
        for h in range(top, bottom):
            for w in range(left, right):
                value = load(image, (h * width + w) * channels + c, lanes)
                unknown = value != value
                best = choose(unknown, value, best)
                winner = choose(unknown, spread(number(h * kernel_width + w - corner), lanes), winner)
    return best, winner
