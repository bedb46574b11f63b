"""Matrices turned around, alone, in batches, and into panels."""

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from minigrad.kernels.layout import NARROW, SERIAL, channels_first, channels_last, turned
from minigrad.kernels.micro import PANEL_BYTES
from minigrad.kernels.pack import pack
from minigrad.kernels.turn import turn

SIDES = st.integers(0, 40)


@given(SIDES, SIDES, st.integers(0, 3), st.integers(0, 3), st.sampled_from([np.float32, np.float64]))
def test_every_number_finds_its_place_and_nothing_else_is_written(rows, columns, x_gap, y_gap, dtype):
    x = np.arange(rows * (columns + x_gap), dtype=dtype).reshape(rows, columns + x_gap)
    y = np.full((columns, rows + y_gap), -1, dtype)
    turn(y.reshape(-1), 0, rows + y_gap, x.reshape(-1), 0, columns + x_gap, rows, columns)
    assert_array_equal(y[:, :rows], x[:, :columns].T)
    assert (y[:, rows:] == -1).all()


@pytest.mark.parametrize("shape", [(2, 5, 7), (1, NARROW, 50), (9, 61, NARROW + 1), (3, 300, 160), (1, 400, 401)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_batches(shape, dtype):
    x = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    assert_array_equal(turned(x), x.swapaxes(1, 2))
    images = x.reshape(*shape, 1)
    assert_array_equal(channels_last(images), images.transpose(0, 2, 3, 1))
    assert_array_equal(channels_first(channels_last(images).transpose(0, 3, 1, 2)), images)


@pytest.mark.compiled
def test_any_number_of_threads():
    x, team = np.random.default_rng(0).normal(size=(5, SERIAL // 400, 100)), numba.get_num_threads()
    try:
        for threads in range(1, team + 1):
            numba.set_num_threads(threads)
            assert_array_equal(turned(x), x.swapaxes(1, 2))
    finally:
        numba.set_num_threads(team)


@given(
    st.tuples(*[st.integers(1, 3)] * 2, st.integers(1, 40), st.integers(1, 70)),
    st.sampled_from(["rows", "columns", "neither"]),
    st.sampled_from([np.float32, np.float64]),
)
def test_panels_hold_the_columns_of_each_group(sizes, side_by_side, dtype):
    groups, taps, run, columns = sizes
    order = {"rows": (0, 1, 3, 2), "columns": (0, 1, 2, 3), "neither": (1, 2, 3, 0)}[side_by_side]
    matrices = np.arange(groups * taps * run * columns, dtype=dtype).reshape(groups, taps, run, columns)
    memory = np.ascontiguousarray(matrices.transpose(order))
    seen = memory.transpose(np.argsort(order))
    group, tap, row, column = (stride // seen.itemsize for stride in seen.strides)
    panels = pack(memory, np.arange(taps) * tap, run, row, column, group, groups, columns)
    width, lanes = panels.row, PANEL_BYTES // 2 // seen.itemsize
    assert width == (lanes if columns <= lanes else 2 * lanes) and panels.panel == taps * run * width
    packed = panels.memory.reshape(groups, -1, taps * run, width)
    for g, matrix in enumerate(matrices.reshape(groups, taps * run, columns)):
        side = np.concatenate(list(packed[g]), 1)
        assert_array_equal(side[:, :columns], matrix)
