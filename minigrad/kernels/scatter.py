"""The input gradient of a convolution the other way round: multiply first, then add up (col2im).

`conv.conv2d_input_grad` gathers: every input pixel looks up the windows it met. Its register tile is as wide as the
input has channels, and so nearly empty for the first layer of a network, with 1 or 3. Here each output pixel is
multiplied by *all* weights at once, which fills the tile with kh * kw * C columns, and the products are added where
they belong. For the images of MNIST that is more than twice as fast.
"""

import numba
import numpy as np

from minigrad.kernels._jit import kernel, parallel_kernel, threads
from minigrad.kernels.lanes import LANE_BYTES, every, lane_count, load, store
from minigrad.kernels.lanes import first as first_lanes
from minigrad.kernels.micro import PANEL_BYTES, ROWS, tile
from minigrad.kernels.pack import pack
from minigrad.kernels.plan import FRAME_BYTES
from minigrad.kernels.subroutine import subroutine

SHORT = 4  # numbers in a run that are better added one by one, for many windows in turn


def scattering_pays(gathered, out_pixels, kernel_size, channels, out_channels, itemsize, side_by_side):
    """Whether `scatter` costs less than gathering does, per image; counted in clocks at two vectors a clock.

    Parameters
    ----------
    gathered : int
        Pairs of an input pixel and a tap that met: each costs a row of C columns times O numbers.
    out_pixels, kernel_size, channels, out_channels, itemsize
        Of the convolution.
    side_by_side : bool
        Whether a window's columns are, so that a row of it is added in one run.
    """
    (kh, kw), lanes = kernel_size, PANEL_BYTES // 2 // itemsize
    run, columns = kw * channels, kh * kw * channels
    gather = gathered * out_channels * max(-(-channels // lanes) / 2, 9 / 16)  # with one vector, loads are the limit
    additions = kh * -(-run * itemsize // LANE_BYTES) if side_by_side and run > SHORT else columns
    scatter = out_pixels * (out_channels * -(-columns // lanes) / 2 + 2 * additions)  # which are in memory: two each
    return scatter < gather


def scatter(g, w, input_size, stride, padding, dilation):
    """Compute the input gradient of a convolution without groups.

    Parameters
    ----------
    g : ndarray
        ``(N, OH, OW, O)``, contiguous and read-only.
    w : ndarray
        ``(kh, kw, C, O)``, contiguous.
    input_size, stride, padding, dilation : sequence of (int, int)
        ``(height, width)``.

    Returns
    -------
    ndarray
        ``(N, H, W, C)``.
    """
    (images, _, out_columns, out_channels), (kh, kw, channels, _), team = g.shape, w.shape, threads()
    columns = kh * kw * channels
    dx = np.empty((images, *input_size, channels), g.dtype)
    bands = 1 if images % team == 0 or images > 8 * team else min(team, input_size[0])
    chunk = max(1, FRAME_BYTES // (columns * out_columns * g.itemsize))  # output rows whose products fit a cache
    products = np.empty((team, chunk * out_columns * columns), g.dtype)
    panels = pack(w, np.zeros(1, np.int64), out_channels, 1, out_channels, 0, 1, columns)
    window = np.array([kh, kw, *stride, *padding, *dilation])
    _scatter(dx, g, *panels, np.zeros(columns, g.dtype), products, bands, chunk, window)
    return dx


@parallel_kernel
def _scatter(dx, g, w, w_group, w_panel, w_row, zeros, products, bands, chunk, window):
    for thread in numba.prange(len(products)):
        _scatter_share(np.int64(thread), dx, g, w, w_panel, w_row, zeros, products, bands, chunk, window)


@subroutine
def _scatter_share(thread, dx, g, w, w_panel, w_row, zeros, products, bands, chunk, window):
    """One thread's share of the bands of input rows; output rows that reach into two bands are multiplied twice."""
    images, height, width, channels = dx.shape
    _, out_rows, out_columns, out_channels = g.shape
    own, dx_flat, g_flat = products[thread], dx.reshape(-1), g.reshape(-1)
    taps, columns = np.zeros(1, np.int64), len(zeros)
    panel, nothing, row = PANEL_BYTES // g.itemsize, np.zeros(ROWS, np.int64), np.arange(ROWS)
    all_product_rows, all_g_rows = row * columns, row * out_channels
    kh, stride, padding, dilation = window[0], window[2], window[4], window[6]
    for item in range(thread * images * bands // len(products), (thread + 1) * images * bands // len(products)):
        image, top, bottom = item // bands, item % bands * height // bands, (item % bands + 1) * height // bands
        dx[image, top:bottom] = 0
        first = max(0, -((dilation * (kh - 1) - padding - top) // stride))  # the first window that reaches the band
        last = min(out_rows, (bottom - 1 + padding) // stride + 1)
        for begin in range(first, last, chunk):
            end = min(begin + chunk, last)
            pixels, g_at = (end - begin) * out_columns, (image * out_rows + begin) * out_columns * out_channels
            for at in range(0, pixels, ROWS):
                product_rows, g_rows = all_product_rows, all_g_rows
                if at + ROWS > pixels:  # a tile with fewer rows repeats its last one
                    fewer = np.minimum(row, pixels - 1 - at)
                    product_rows, g_rows = fewer * columns, fewer * out_channels
                for p in range(-(-columns // panel)):
                    tile(
                        own, at * columns + p * panel, product_rows, zeros, 0, nothing, g_flat,
                        g_at + at * out_channels, g_rows, taps, out_channels, 1, w, p * w_panel, w_row,
                        min(panel, columns - p * panel),
                    )  # fmt: skip
            for r in range(begin, end):
                line = own[(r - begin) * out_columns * columns : (r - begin + 1) * out_columns * columns]
                _add_row(dx_flat, image * height, width, channels, line, columns, r, top, bottom, window)


@kernel
def _add_row(dx, above, width, channels, products, columns, r, top, bottom, window):
    """Add the products (OW, columns) of output row r to an image, between rows top and bottom.

    `dx` is flat: rows of width * channels numbers, of which so many lie above the image's.
    """
    kh, kw, row_step, column_step = window[0], window[1], window[2], window[3]
    row_padding, column_padding, row_dilation, column_dilation = window[4], window[5], window[6], window[7]
    if column_dilation == 1 and kw * channels > SHORT:
        for s in range(len(products) // columns - 1, -1, -1):
            left = s * column_step - column_padding
            first, last = max(0, -left), min(kw, width - left)  # the window's columns inside the image
            for i in range(kh):
                h = r * row_step + i * row_dilation - row_padding
                if top <= h < bottom:
                    source, target = s * columns + (i * kw + first) * channels, (above + h) * width + left + first
                    _add_run(dx, target * channels, products, source, (last - first) * channels)
        return
    for i in range(kh):
        h = r * row_step + i * row_dilation - row_padding
        if top <= h < bottom:
            line = dx[(above + h) * width * channels : (above + h + 1) * width * channels]
            for j in range(kw):
                shift = j * column_dilation - column_padding
                first = max(0, -(shift // column_step))  # the windows whose tap j lies inside the image
                count = min(len(products) // columns, (width - 1 - shift) // column_step + 1) - first
                for c in range(channels):
                    source = products[first * columns + (i * kw + j) * channels + c :: columns]
                    target = line[(first * column_step + shift) * channels + c :: column_step * channels]
                    for s in range(count):
                        target[s] += source[s]


@kernel
def _add_run(y, y_at, x, x_at, length):
    """Add `length` numbers of x from `x_at` on to those of y from `y_at` on."""
    for k in range(0, length, lane_count(every(x))):
        lanes = first_lanes(x, length - k)
        store(y, y_at + k, lanes, load(y, y_at + k, lanes) + load(x, x_at + k, lanes))
