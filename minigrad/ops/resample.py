"""Images resampled to another size: two matrices, one for the rows and one for the columns.

Adaptive average pooling and every interpolation are fixed linear maps that treat rows and columns alike, so each is
`y = R x C^T` for matrices that depend on the sizes alone, and its derivative is `R^T g C`.
"""
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .. import kernels
from ..kernels.layout import channels_last, turned
from ..tensor import Op


class _Separable(Op):
    """R x C^T for each channel of x (N, C, H, W); a subclass says which matrices."""

    def matrices(self, height, width):
        raise NotImplementedError

    def forward(self, x):
        return _apply(x, *self.matrices(*x.shape[2:]))

    def back(self, g, height, width):
        """The derivative, for images of this size and a cotangent g of the result: an array."""
        return _apply(g, *(matrix.T for matrix in self.matrices(height, width)))

    def vjp(self, g, y, x):
        return (lambda: Adjoint(self, x.shape[2:])(g),)


@dataclass(frozen=True, eq=False)
class Adjoint(Op):
    """R^T g C: the derivative of a separable map `of` images of size `input_size`."""
    of: _Separable
    input_size: tuple

    def forward(self, g):
        return self.of.back(g, *self.input_size)

    def vjp(self, h, y, g):
        return (lambda: self.of(h),)


@dataclass(frozen=True, eq=False)
class AdaptiveAvgPool2d(_Separable):
    """Means over as many windows as the output has pixels; window i spans floor(i n / m) to ceil((i + 1) n / m)."""
    output_size: tuple

    def matrices(self, height, width):
        return tuple(_averages(m, n) for m, n in zip(self.output_size, (height, width), strict=True))

    def forward(self, x):
        window = self._even_windows(*x.shape[2:])
        return kernels.avg_pool2d(x, *window) if window else super().forward(x)

    def back(self, g, height, width):
        window = self._even_windows(height, width)
        if not window:
            return super().back(g, height, width)
        return kernels.avg_pool2d_grad(g, (*g.shape[:2], height, width), *window)

    def _even_windows(self, height, width):
        """The settings of the plain average pool that this is, where the output's sizes divide the input's."""
        (tall, wide), size = self.output_size, (height // self.output_size[0], width // self.output_size[1])
        return (size, size, (0, 0), False, True) if (height, width) == (tall * size[0], wide * size[1]) else None


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
    """On the kernels' own threads: NumPy's would go on spinning, and take the cores from the next kernels."""
    rows, columns = rows.astype(x.dtype), columns.astype(x.dtype)
    (images, channels, height, width), (tall, wide) = x.shape, (len(rows), len(columns))
    y = turned(channels_last(x).reshape(images, height, width * channels)).reshape(-1, height)
    y = kernels.matmul(y, rows.T).reshape(images, width, channels * tall)
    return kernels.matmul(turned(y).reshape(-1, width), columns.T).reshape(images, channels, tall, wide)


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
