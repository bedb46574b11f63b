"""The memory an array may come in, and settings of pooling windows, for the kernels' tests."""

import numpy as np
from hypothesis import reject
from hypothesis import strategies as st

from minigrad.kernels.geometry import pool_output_shape

LAYOUTS = {
    "contiguous": lambda x: np.ascontiguousarray(x),
    "channels-last": lambda x: np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1),
    "reversed": lambda x: np.ascontiguousarray(x[::-1])[::-1],
    "spread": lambda x: np.repeat(x, 2, -1)[..., ::2],
    "read-only": lambda x: _read_only(x),
}


def _read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def draw_values(draw, shape, dtype, special=()):
    """Small integers, so that ties are common and sums are exact, with some `special` values among them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x = rng.integers(-3, 4, shape).astype(dtype)
    for value in special:
        if draw(st.booleans()):
            x[rng.random(shape) < 0.3] = value
    return x


@st.composite
def pools(draw, special=()):
    """(x in some memory layout, (kernel_size, stride, padding, ceil_mode)) of windows that fit."""
    kernel_size = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel_size)
    ceil_mode = draw(st.booleans())
    size = [draw(st.integers(1, 8)) for _ in "hw"]
    shape = draw(st.integers(0, 3)), draw(st.integers(1, 4)), *size
    try:
        pool_output_shape(shape, kernel_size, stride, padding, ceil_mode)
    except ValueError:
        reject()
    x = draw_values(draw, shape, draw(st.sampled_from([np.float32, np.float64])), special)
    return LAYOUTS[draw(st.sampled_from(sorted(LAYOUTS)))](x), (kernel_size, stride, padding, ceil_mode)
