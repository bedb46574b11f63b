"""The one idea behind convolution and pooling: taps.

A window has kh * kw taps, and tap (i, j) of *all* windows at once is a strided view of the padded image. A convolution
adds up weighted taps, a pooling takes their mean or their largest; each gradient walks the same taps and adds into the
view instead of reading from it.
"""

import numpy as np


def pad(x, kernel_size, stride, padding, dilation, out, value=0):
    """Surround images by `value`, wide enough for every one of `out` (height, width) windows.

    Parameters
    ----------
    x : ndarray
        ``(N, C, H, W)``.
    kernel_size, stride, padding, dilation, out : tuple of (int, int)
        ``(height, width)``; `out` counts the windows, the last of which may hang over the far padding (`ceil_mode`).
    value : float, default 0
        What the new elements hold.

    Returns
    -------
    ndarray
        A new array; the image starts at ``[padding[0], padding[1]]``.
    """
    widths = [(0, 0), (0, 0)]
    for a in (0, 1):
        end = (out[a] - 1) * stride[a] + dilation[a] * (kernel_size[a] - 1) + 1
        widths.append((padding[a], max(padding[a], end - x.shape[2 + a] - padding[a])))
    return np.pad(x, widths, constant_values=value)


def tap(x, i, j, stride, dilation, out):
    """View tap (i, j) of every window.

    Parameters
    ----------
    x : ndarray
        Padded images ``(N, C, H, W)``.
    i, j : int
        Row and column of the tap inside the window.
    stride, dilation, out : tuple of (int, int)
        ``(height, width)``; `out` counts the windows.

    Returns
    -------
    ndarray
        ``(N, C, OH, OW)``, a view: writing to it writes to `x`.
    """
    top, left = i * dilation[0], j * dilation[1]
    bottom, right = top + (out[0] - 1) * stride[0] + 1, left + (out[1] - 1) * stride[1] + 1
    return x[:, :, top : bottom : stride[0], left : right : stride[1]]


def crop(x, padding, shape):
    """Cut images of `shape` (N, C, H, W) out of padded ones: the inverse of `pad`."""
    return x[:, :, padding[0] : padding[0] + shape[2], padding[1] : padding[1] + shape[3]].copy()
