"""What the pooling kernels share: which inputs lie under a window, who works on what, and what is written of a window.

Threads share out output rows. Only the gradients write to places that belong to several output rows; there each thread
owns a band of *input* rows and looks at all windows that touch it. Sums are so taken in the same order for any number
of threads.
"""

from minigrad.kernels._jit import inlined_kernel, kernel, threads
from minigrad.kernels.lanes import choose, spread, store

SERIAL = 1 << 15  # input elements; below, waking the other threads takes longer than the loop


def window_settings(kernel_size, stride, padding):
    """Pack the settings as the kernels take them: (kh, kw, sh, sw, ph, pw)."""
    return (*kernel_size, *stride, *padding)


def image_bands(input_shape):
    """Count the bands of rows to cut each image into, so that even a small batch has work for every thread."""
    return min(input_shape[2], -(-threads() // max(input_shape[0], 1)))


def run(serial, parallel, size, tasks, *operands):
    """Give one thread all tasks, or every thread its share."""
    if size < SERIAL:
        serial(*operands, 0, tasks)
    else:
        parallel(*operands, tasks, threads())


@kernel
def span(position, kernel_size, stride, padding, size):
    """The inputs [start, stop) under a window, along one axis."""
    start = position * stride - padding
    return max(start, 0), min(start + kernel_size, size)


@kernel
def first_window(row, kernel_size, stride, padding):
    """The first window that reaches input `row` or beyond."""
    return max(0, -((kernel_size - 1 - row - padding) // stride))


@inlined_kernel
def write_largest(y, at, lanes, best, floor):
    """Write the largest numbers of windows, or `floor` where they are not above it."""
    smallest = spread(floor, lanes)
    store(y, at, lanes, choose((best > smallest) | (best != best), best, smallest))


@inlined_kernel
def write_winner(y, winners, at, lanes, best, winner, rectified, nobody):
    """Write the largest numbers of windows and their taps; if `rectified`, zero and `nobody` where not positive."""
    if rectified:
        zero = spread(y.dtype.type(0), lanes)
        positive = best > zero
        best = choose(positive | (best != best), best, zero)
        winner = choose(positive, winner, spread(winners.dtype.type(nobody), lanes))
    store(y, at, lanes, best)
    store(winners, at, lanes, winner)
