"""Pooling: compiled against its definition, and the identities between its pieces."""

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minigrad import kernels
from minigrad.kernels import pool, reference, winners
from minigrad.kernels.pairs import hand_out_pairs, pool_pairs

from .layouts import LAYOUTS, draw_values, pools

WINDOW = (3, 3), (2, 2), (1, 1), True


def images(shape=(3, 5, 40, 31), dtype=np.float32):
    """Enough elements for the parallel loops, in channels-last memory."""
    return LAYOUTS["channels-last"](np.random.default_rng(0).normal(size=shape).astype(dtype))


def route(g, x, window, module=kernels):
    """The gradient of a max-pool of x."""
    return module.route_winners(g, module.max_pool2d_winners(x, *window)[1], x.shape, *window)


def collect(v, x, window):
    """What v holds where x has its largest numbers."""
    return kernels.collect_winners(v, kernels.max_pool2d_winners(x, *window)[1], *window)


def is_channels_last(y):
    return y.transpose(0, 2, 3, 1).flags.c_contiguous


@given(pools(special=[np.nan, -np.inf, np.inf]), st.data())
def test_max_pooling_is_its_definition_to_the_bit(pool, data):
    x, window = pool
    y, winners = kernels.max_pool2d_winners(x, *window)
    expected, theirs = reference.max_pool2d_winners(x, *window)
    assert_array_equal(y, expected)
    assert_array_equal(winners, theirs)
    assert winners.dtype == theirs.dtype
    assert_array_equal(kernels.max_pool2d(x, *window), expected)
    g, v = draw_values(data.draw, y.shape, x.dtype), draw_values(data.draw, x.shape, x.dtype, [np.nan])
    results = y, kernels.route_winners(g, winners, x.shape, *window), kernels.collect_winners(v, winners, *window)
    assert_array_equal(results[1], reference.route_winners(g, theirs, x.shape, *window))  # small integers: exact sums
    assert_array_equal(results[2], reference.collect_winners(v, theirs, *window))
    assert all(r.dtype == x.dtype and is_channels_last(r) for r in results)


@given(pools(special=[np.nan, -np.inf, np.inf, -0.0]), st.data())
def test_a_rectifier_and_a_pool_in_one_pass_are_both_in_turn_to_the_bit(pool, data):
    x, window = pool
    y, winners = kernels.relu_max_pool2d_winners(x, *window)
    expected, theirs = reference.relu_max_pool2d_winners(x, *window)
    assert_array_equal(y, expected)
    assert_array_equal(winners, theirs)
    alone = kernels.relu_max_pool2d(x, *window)
    assert_array_equal(alone, reference.relu_max_pool2d(x, *window))
    g = draw_values(data.draw, y.shape, x.dtype)
    dx = kernels.route_winners(g, winners, x.shape, *window)
    rectified = kernels.relu(x)
    assert_array_equal(dx, kernels.relu_gate(route(g, rectified, window), x))
    for pooled in (y, alone):
        assert not np.signbit(pooled[pooled == 0]).any()
    assert all(r.dtype == x.dtype and is_channels_last(r) for r in (y, alone, dx))


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 20), st.integers(1, 4), st.integers(1, 9)),
    st.sampled_from([np.float32, np.float64]),
    st.sampled_from(sorted(LAYOUTS)),
    st.data(),
)
def test_windows_of_two_by_two_have_the_winners_of_their_definition_to_the_bit(shape, dtype, layout, data):
    images, channels, height, width = shape
    window, lay_out = ((2, 2), (2, 2), (0, 0), False), LAYOUTS[layout]
    full = images, channels, 2 * height, 2 * width
    x = lay_out(draw_values(data.draw, full, dtype, [np.nan, -np.inf, np.inf, -0.0]))
    g = lay_out(draw_values(data.draw, shape, dtype, [np.nan, np.inf]))
    for name in ("max_pool2d_winners", "relu_max_pool2d_winners"):
        y, winners = getattr(kernels, name)(x, *window)
        expected, theirs = getattr(reference, name)(x, *window)
        assert_array_equal(y, expected)
        assert_array_equal(winners, theirs)
        dx = kernels.route_winners(g, winners, x.shape, *window)
        assert_array_equal(dx, reference.route_winners(g, winners, x.shape, *window))
    assert not np.signbit(y[y == 0]).any()


@pytest.mark.parametrize("kernel_size, kind", [((15, 17), np.uint8), ((2, 128), np.uint32), ((1, 300), np.uint32)])
def test_windows_of_more_taps_than_a_byte_can_number(kernel_size, kind):
    window = kernel_size, (2, 3), (0, 1), False
    x = images((2, 5, 16, 310))
    x[0] = -1
    x[1, :, 0, 0] = np.nan
    g = kernels.max_pool2d(x, *window)
    for name in ("max_pool2d_winners", "relu_max_pool2d_winners"):
        y, winners = getattr(kernels, name)(x, *window)
        expected, theirs = getattr(reference, name)(x, *window)
        assert_array_equal(y, expected)
        assert_array_equal(winners, theirs)
        assert winners.dtype == theirs.dtype == kind
        routed = kernels.route_winners(g, winners, x.shape, *window)
        assert_allclose(routed, reference.route_winners(g, winners, x.shape, *window), rtol=1e-5)
        collected = kernels.collect_winners(x, winners, *window)
        assert_array_equal(collected, reference.collect_winners(x, winners, *window))
    assert (winners[0] == np.iinfo(kind).max).all() and (winners[1] != np.iinfo(kind).max).any()


def test_each_tap_of_the_widest_windows_has_a_number_of_its_own():
    """More than four bytes have; the windows hang over the images on all sides."""
    x, window = images((1, 3, 8, 4)), ((8, 2**31), (1, 1), (4, 2**30), False)
    y, winners = kernels.max_pool2d_winners(x, *window)
    assert winners.dtype == np.uint64 and y.shape == (1, 3, 9, 5)
    routed = kernels.route_winners(np.ones_like(y), winners, x.shape, *window)
    assert routed.sum() == y.size
    assert_array_equal(kernels.collect_winners(x, winners, *window), y)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("row", [[np.inf, -np.inf, 0], [3e38] * 3, [-np.inf, np.nan, np.inf], [-3e38] * 3])
def test_sums_of_large_numbers_do_not_show(row):
    x, window = np.array([[[row]]], np.float32), ((1, 3), (1, 3), (0, 0), False)
    y, winners = kernels.max_pool2d_winners(x, *window)
    expected, theirs = reference.max_pool2d_winners(x, *window)
    assert_array_equal(y, expected)
    assert_array_equal(winners, theirs)
    assert_array_equal(kernels.max_pool2d(x, *window), expected)


@pytest.mark.parametrize("channels", [1, 3, 6, 7, 8, 9, 20])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_of_vectors_end_where_the_row_ends(channels, dtype):
    rows, columns = slice(2, 4), 5
    g = np.ones((6, columns, channels), dtype)
    winners = np.full(g.shape, 3, np.uint8)
    image = np.full((12, 2 * columns, channels), 7, dtype)
    hand_out_pairs(image, g, winners, rows.start, rows.stop)
    assert (image[:4] == 7).all() and (image[8:] == 7).all()
    assert image[4:8].sum() == g[rows].sum()
    y, noted = np.full(g.shape, 7, dtype), np.full(g.shape, 77, np.uint8)
    pool_pairs(image, y, noted, True, rows.start, rows.stop)
    for untouched in (slice(0, 2), slice(4, 6)):
        assert (y[untouched] == 7).all() and (noted[untouched] == 77).all()
    assert (y[rows] == 1).all() and (noted[rows] == 3).all()


@given(pools(special=[np.nan]), st.booleans(), st.data())
def test_average_pooling_is_its_definition(pool, count_include_pad, data):
    x, window = pool
    y = kernels.avg_pool2d(x, *window, count_include_pad)
    g = draw_values(data.draw, y.shape, x.dtype)
    dx = kernels.avg_pool2d_grad(g, x.shape, *window, count_include_pad)
    assert_array_equal(y, reference.avg_pool2d(x, *window, count_include_pad))
    tolerance = 16 * np.finfo(x.dtype).eps
    assert_allclose(
        dx, reference.avg_pool2d_grad(g, x.shape, *window, count_include_pad), rtol=tolerance, atol=16 * tolerance
    )
    assert y.dtype == dx.dtype == x.dtype
    assert is_channels_last(y) and is_channels_last(dx)


@given(pools(), st.booleans(), st.data())
def test_each_gradient_is_the_transpose(pool, count_include_pad, data):
    x, window = pool
    v = draw_values(data.draw, x.shape, np.float64)
    g = draw_values(data.draw, reference.max_pool2d(x, *window).shape, np.float64)
    x = x.astype(np.float64)
    collected, routed = collect(v, x, window), route(g, x, window)
    assert np.vdot(g, collected) == np.vdot(routed, v)
    averaged = kernels.avg_pool2d(v, *window, count_include_pad)
    spread = kernels.avg_pool2d_grad(g, x.shape, *window, count_include_pad)
    assert_allclose(np.vdot(g, averaged), np.vdot(spread, v), rtol=1e-12, atol=1e-9)


@pytest.mark.compiled
@pytest.mark.parametrize("shape", [(3, 5, 40, 31), (1, 33, 40, 31), (2, 1, 150, 150), (70, 40, 4, 4)])
def test_large_images_take_the_parallel_loops(shape):
    x = images(shape, np.float64)
    y = reference.max_pool2d(x, *WINDOW)
    assert_array_equal(kernels.max_pool2d(x, *WINDOW), y)
    assert_allclose(route(y, x, WINDOW), route(y, x, WINDOW, reference), rtol=1e-14)
    assert_array_equal(collect(x, x, WINDOW), y)
    assert_array_equal(kernels.avg_pool2d(x, *WINDOW, True), reference.avg_pool2d(x, *WINDOW, True))
    expected = reference.avg_pool2d_grad(y, x.shape, *WINDOW, True)
    assert_allclose(kernels.avg_pool2d_grad(y, x.shape, *WINDOW, True), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("shape", [(1, 0, 64, 64), (0, 3, 4, 4)])
def test_without_images_or_channels_there_is_nothing_to_do(shape):
    x, window = np.zeros(shape, np.float32), ((2, 2), (2, 2), (0, 0), False)
    y = np.zeros((*shape[:2], shape[2] // 2, shape[3] // 2), np.float32)
    for _ in range(50):  # what writes past the end of an array shows up later
        assert kernels.max_pool2d(x, *window).shape == y.shape
        pooled, winners = kernels.relu_max_pool2d_winners(x, *window)
        assert pooled.shape == winners.shape == y.shape
        assert kernels.route_winners(y, winners, shape, *window).shape == shape


@pytest.mark.parametrize("name", ["max_pool2d", "relu_max_pool2d", "max_pool2d_winners", "relu_max_pool2d_winners"])
def test_no_window_fits_into_an_image_without_pixels(name):
    for module in (kernels, reference):
        with pytest.raises(ValueError, match="no window of kernel_size 2 fits into size 0"):
            getattr(module, name)(np.zeros((2, 3, 0, 4), np.float32), (2, 2), (2, 2), (0, 0), False)


def test_to_an_image_without_pixels_nothing_is_sent():
    g, winners = np.zeros((2, 3, 0, 2), np.float32), np.zeros((2, 3, 0, 2), np.uint8)
    assert kernels.route_winners(g, winners, (2, 3, 0, 4), (2, 2), (2, 2), (0, 0), False).shape == (2, 3, 0, 4)


@pytest.mark.compiled
@pytest.mark.parametrize("shape", [(1, 6, 150, 62), (1, 33, 38, 32), (33, 6, 14, 14)])
def test_bands_of_a_large_image_do_not_part_its_windows(shape):
    x, window = images(shape), ((2, 2), (2, 2), (0, 0), False)
    y = reference.max_pool2d(x, *window)
    assert_array_equal(route(y, x, window), route(y, x, window, reference))


@pytest.mark.compiled
@pytest.mark.parametrize("shape", [(3, 5, 60, 51), (1, 33, 40, 31)])
def test_any_number_of_threads_gives_the_same_bytes(shape):
    x, team = images(shape), numba.get_num_threads()
    g = kernels.max_pool2d(x, *WINDOW)

    def everything():
        return [
            r.tobytes()
            for r in (
                kernels.max_pool2d(x, *WINDOW),
                route(g, x, WINDOW),
                collect(x, x, WINDOW),
                kernels.avg_pool2d(x, *WINDOW, True),
                kernels.avg_pool2d_grad(g, x.shape, *WINDOW, True),
            )
        ]

    together = everything()
    try:
        numba.set_num_threads(1)
        assert everything() == together
    finally:
        numba.set_num_threads(team)


@pytest.mark.compiled
def test_one_compilation_serves_every_memory_layout():
    x = images()
    for lay_out in LAYOUTS.values():
        for part in (x, x[:1, :2, :5]):
            g = kernels.max_pool2d(lay_out(part), *WINDOW)
            route(lay_out(g), lay_out(part), WINDOW)
            collect(lay_out(part), lay_out(part), WINDOW)
    for function in (
        pool._max_rows, pool._max_parallel, winners._pool_rows, winners._pool_parallel, winners._hand_out_rows,
        winners._hand_out_parallel, winners._collect_rows, winners._collect_parallel,
    ):  # fmt: skip
        types = [tuple(getattr(a, "dtype", None) for a in signature) for signature in function.compiled.signatures]
        assert len(types) == len(set(types))


def test_inputs_are_left_alone():
    x = images((1, 2, 6, 6))
    before = x.copy()
    g = kernels.max_pool2d(x, *WINDOW)
    route(g, x, WINDOW)
    kernels.avg_pool2d(x, *WINDOW, False)
    assert_array_equal(x, before)
    assert x.flags.writeable and g.flags.writeable
