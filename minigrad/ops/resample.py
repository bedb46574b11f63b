"""Images resampled to another size: two matrices, one for the rows and one for the columns.

Adaptive average pooling and every interpolation are fixed linear maps that treat rows and columns alike, so each is
`y = R x C^T` for matrices that depend on the sizes alone, and its derivative is `R^T g C`.
"""
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..tensor import Op


class _Separable(Op):
    """R x C^T for each channel of x (N, C, H, W); a subclass says which matrices."""

    def matrices(self, height, width):
        raise NotImplementedError

    def forward(self, x):
        rows, columns = self.matrices(*x.shape[2:])
        return _apply(x, rows, columns)

    def vjp(self, g, y, x):
        return (lambda: Adjoint(self, x.shape[2:])(g),)


@dataclass(frozen=True, eq=False)
class Adjoint(Op):
    """R^T g C: the derivative of a separable map `of` images of size `input_size`."""
    of: _Separable
    input_size: tuple

    def forward(self, g):
        rows, columns = self.of.matrices(*self.input_size)
        return _apply(g, rows.T, columns.T)

    def vjp(self, h, y, g):
        return (lambda: self.of(h),)


@dataclass(frozen=True, eq=False)
class AdaptiveAvgPool2d(_Separable):
    """Means over as many windows as the output has pixels; window i spans floor(i n / m) to ceil((i + 1) n / m)."""
    output_size: tuple

    def matrices(self, height, width):
        return tuple(_averages(m, n) for m, n in zip(self.output_size, (height, width), strict=True))


@dataclass(frozen=True, eq=False)
class Interpolate(_Separable):
    """Nearest-neighbour, bilinear or bicubic interpolation; `scales` are the input's pixels per output pixel."""
    output_size: tuple
    mode: str
    scales: tuple
    align_corners: bool = False

    def matrices(self, height, width):
        return tuple(_interpolation(m, n, self.mode, scale, self.align_corners)
                     for m, n, scale in zip(self.output_size, (height, width), self.scales, strict=True))


def _apply(x, rows, columns):
    rows, columns = rows.astype(x.dtype), columns.astype(x.dtype)
    y = np.tensordot(np.tensordot(x.transpose(0, 2, 3, 1), rows, (1, 1)), columns, (1, 1))  # (N, C, oh, ow)
    return y


@lru_cache(maxsize=64)
def _averages(m, n):
    matrix = np.zeros((m, n))
    for i in range(m):
        start, stop = i * n // m, -(-(i + 1) * n // m)
        matrix[i, start:stop] = 1 / (stop - start)
    return matrix


@lru_cache(maxsize=64)
def _interpolation(m, n, mode, scale, align_corners):
    """The weights (m, n) with which n pixels make m; a pixel beyond the border is the border's."""
    out = np.arange(m)
    if mode == "nearest":
        # in float32, with whole factors apart: which pixel is nearest to a boundary is PyTorch's rounding
        source = out * n // m if m in (n, 2 * n) else np.floor(out.astype(np.float32) * np.float32(scale))
        taps = {0: np.ones(m)}
    else:
        at = out * scale if align_corners else (out + 0.5) * scale - 0.5
        if mode == "bilinear":
            at = np.maximum(at, 0)
        source = np.floor(at)
        t = at - source
        taps = {0: 1 - t, 1: t} if mode == "bilinear" else {k: _cubic(np.abs(t - k)) for k in (-1, 0, 1, 2)}
    matrix = np.zeros((m, n))
    for shift, weight in taps.items():
        np.add.at(matrix, (out, np.clip(source + shift, 0, n - 1).astype(int)), weight)
    return matrix


def _cubic(d, a=-0.75):
    """Keys' cubic kernel (1981) at distance d, with the constant that PyTorch and OpenCV use."""
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0))
