"""Channels side by side, and the gate for a part of the channels: against their formulas, in any memory order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from minigrad import kernels
from minigrad.kernels import reference

from .layouts import LAYOUTS, draw_values

layouts = st.sampled_from(sorted(LAYOUTS))
dtypes = st.sampled_from([np.float32, np.float64])
large = st.booleans()  # enough numbers for several threads


@given(st.data(), st.lists(st.integers(0, 5), min_size=1, max_size=4), dtypes, large)
def test_it_is_concatenation(data, channels, dtype, large):
    n, h, w = data.draw(st.tuples(*[st.integers(0, 3)] * 3)) if not large else (4, 60, 80)
    xs, rectified = [], []
    for c in channels:
        x = np.random.default_rng(c).normal(size=(n, c, h, w)) if large else draw_values(data.draw, (n, c, h, w), dtype)
        xs.append(LAYOUTS[data.draw(layouts)](x.astype(dtype)))
        rectified.append(data.draw(st.booleans()))
    y = kernels.concat_channels(xs, rectified)
    assert_array_equal(y, reference.concat_channels(xs, rectified))
    assert y.dtype == dtype and y.transpose(0, 2, 3, 1).flags.c_contiguous


def test_a_rectified_nan_stays_one():
    x = np.full((1, 2, 2, 2), np.nan, np.float32)
    assert np.isnan(kernels.concat_channels([x, x], [True, False])).all()


@given(st.data(), layouts, dtypes, large)
def test_the_gate_takes_some_channels_of_larger_images(data, layout, dtype, large):
    n, c, h, w = data.draw(st.tuples(*[st.integers(0, 3)] * 4)) if not large else (3, 6, 50, 60)
    before, after = data.draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    rng = np.random.default_rng(0)
    images = np.ascontiguousarray(rng.normal(size=(n, h, w, before + c + after)).astype(dtype)).transpose(0, 3, 1, 2)
    g = images[:, before : before + c]
    x = LAYOUTS[layout](rng.integers(-1, 2, (n, c, h, w)).astype(dtype))
    assert_array_equal(kernels.relu_gate(g, x), reference.relu_gate(g, x))
