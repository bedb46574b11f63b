"""Boxes of images: compiled against their definitions, wherever the boxes lie."""

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from minigrad import kernels
from minigrad.kernels import reference

from .layouts import LAYOUTS, draw_values

layouts, dtypes = st.sampled_from(sorted(LAYOUTS)), st.sampled_from([np.float32, np.float64])
small = st.integers(1, 6)


def corners(draw, count, low, high):
    return np.random.default_rng(draw(st.integers(0, 2**32))).integers(low, high + 1, count)


@given(st.data(), st.tuples(small, small, small, small), st.tuples(small, small), st.integers(0, 9), layouts, dtypes)
def test_cut(data, shape, size, count, layout, dtype):
    x = LAYOUTS[layout](draw_values(data.draw, shape, dtype))
    which = corners(data.draw, count, 0, shape[0] - 1)
    tops, lefts = (corners(data.draw, count, -8, 8) for _ in "hw")
    arguments = x, which, tops, lefts, size, -np.inf
    found = kernels.cut_boxes(*arguments)
    assert_array_equal(found, reference.cut_boxes(*arguments))
    assert found.dtype == dtype and found.transpose(0, 2, 3, 1).flags.c_contiguous


@given(st.data(), st.integers(0, 9), small, st.tuples(small, small), st.tuples(small, small), layouts, dtypes)
def test_paste(data, count, channels, size, y_size, layout, dtype):
    x = LAYOUTS[layout](draw_values(data.draw, (count, channels, *size), dtype))
    y = LAYOUTS["channels-last"](np.full((count, channels, *y_size), 9, dtype))
    places = [corners(data.draw, count, -8, 8) for _ in range(4)]
    twin = y.copy()
    kernels.paste_boxes(x, *places[:2], y, *places[2:])
    reference.paste_boxes(x, *places[:2], twin, *places[2:])
    assert_array_equal(y, twin)


@given(st.data(), st.tuples(small, small, small, small), st.integers(0, 9), layouts, dtypes)
def test_changed(data, shape, count, layout, dtype):
    x, y = (LAYOUTS[layout](draw_values(data.draw, shape, dtype)) for _ in "xy")
    size = [data.draw(st.integers(1, n)) for n in shape[2:]]
    tops, lefts = (corners(data.draw, count, 0, n - m) for n, m in zip(shape[2:], size))
    marks = np.random.default_rng(0).random((count, shape[1], *size)) < 0.5
    arguments = x, y, marks, tops, lefts
    assert_array_equal(kernels.changed_boxes(*arguments), reference.changed_boxes(*arguments))


@given(st.data(), st.integers(0, 40), small, st.tuples(small, small), st.integers(1, 70), layouts, dtypes)
def test_linear(data, count, channels, size, out, layout, dtype):
    height, width = (n + data.draw(st.integers(0, 3)) for n in size)
    x = LAYOUTS[layout](draw_values(data.draw, (count, channels, *size), dtype))
    clean = LAYOUTS[layout](draw_values(data.draw, (3, channels, height, width), dtype))
    tops, lefts = corners(data.draw, count, 0, height - size[0]), corners(data.draw, count, 0, width - size[1])
    which, weight = corners(data.draw, count, 0, 2), draw_values(data.draw, (out, clean[0].size), dtype)
    arguments = x, tops, lefts, clean, draw_values(data.draw, (3, out), dtype), which, weight
    found = kernels.linear_boxes(*arguments)
    assert_array_equal(found, reference.linear_boxes(*arguments))  # small integers add up exactly
    assert found.dtype == dtype


axis = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(0, 3), st.integers(1, 2))


@given(st.data(), st.tuples(axis, axis), st.sampled_from([1, 1, 2, 3]), st.booleans(), st.booleans(), dtypes)
def test_convolution(data, axes, groups, relu, bias, dtype):
    kernel, stride, padding, dilation = zip(*axes)
    channels, out = (groups * data.draw(st.integers(1, n)) for n in (8, 40))
    box, image = (data.draw(st.tuples(*[st.integers(1, n)] * 2)) for n in (7, 9))
    clean = LAYOUTS["channels-last"](draw_values(data.draw, (2, channels, *image), dtype))
    weight = kernels.weight_layout(draw_values(data.draw, (out, channels // groups, *kernel), dtype))
    bias = draw_values(data.draw, (out,), dtype) if bias else None
    try:
        clean_y = reference.conv2d(clean, weight, bias, stride, padding, dilation, groups)
    except ValueError:
        reject()
    count = data.draw(st.integers(0, 6))
    which = corners(data.draw, count, 0, 1)
    places = [corners(data.draw, count, 0, max(0, n - m)) for n, m in zip(image, box)]
    x = reference.cut_boxes(clean, which, *places, [min(n, m) for n, m in zip(image, box)], 0.0)
    changed = np.random.default_rng(0).random(x.shape) < 0.3
    x[changed] += 1
    size = [data.draw(st.integers(1, n)) for n in clean_y.shape[2:]]
    firsts = [corners(data.draw, count, 0, n - m) for n, m in zip(clean_y.shape[2:], size)]
    pool = [tuple(data.draw(st.integers(1, min(3, n))) for n in size) for _ in range(2)]
    settings = stride, padding, dilation, groups, relu, pool
    arguments = x, *places, clean, clean_y, which, weight, bias, *firsts, size, *settings
    found = kernels.conv2d_boxes(*arguments)
    assert_array_equal(found, reference.conv2d_boxes(*arguments))
    assert found.dtype == dtype


@pytest.mark.compiled
def test_threads_share_large_ones():
    rng = np.random.default_rng(0)
    x, which = rng.integers(-3, 4, (6, 3, 20, 21)).astype(np.float32), rng.integers(0, 6, 300)
    tops, lefts = rng.integers(-5, 12, (2, 300))
    boxes = kernels.cut_boxes(x, which, tops, lefts, (9, 10), 7.0)
    assert boxes.size > 2**15
    assert_array_equal(boxes, reference.cut_boxes(x, which, tops, lefts, (9, 10), 7.0))
    over = kernels.cut_boxes(x, which, tops + 2, lefts - 1, (9, 10), 0.0)
    twin = over.copy()
    kernels.paste_boxes(boxes, tops, lefts, over, tops + 2, lefts - 1)
    reference.paste_boxes(boxes, tops, lefts, twin, tops + 2, lefts - 1)
    assert_array_equal(over, twin)
    marks, other = rng.random((300, 3, 9, 10)) < 0.1, np.where(rng.random(x.shape) < 0.9, x, 9)
    arguments = x, other, marks, tops.clip(0, 11), lefts.clip(0, 11)
    assert_array_equal(kernels.changed_boxes(*arguments), reference.changed_boxes(*arguments))
