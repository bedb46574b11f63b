"""Geometry: projections are the nearest points, steps the steepest, and rounding never leaves the ball."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from attacks.ball import Ball, as_mask, top_region
from attacks.norms import L0, L1, L2, NORMS, Linf, as_norm, in_float64, toward

WALKABLE = [Linf(), L2(), L1()]
seeds, sizes = st.integers(0, 2**32 - 1), st.floats(0, 3)


def perturbations(seed, count=3, features=7):
    return np.random.default_rng(seed).normal(0, 1, (count, features))


@pytest.mark.parametrize("norm, order", [(Linf(), np.inf), (L2(), 2), (L1(), 1), (L0(), 0)])
def test_distances_are_numpys_norms(norm, order):
    d = perturbations(0)
    d[0, :3] = 0
    np.testing.assert_allclose(norm.distance(d.reshape(3, 1, 1, 7)), np.linalg.norm(d, order, axis=1))


@given(seeds, sizes)
def test_a_projection_is_in_the_ball_and_no_other_point_of_it_is_nearer(seed, eps):
    d, others = perturbations(seed), perturbations(seed + 1, count=3)
    for norm in WALKABLE:
        p = norm.project(d, eps)
        assert (norm.distance(p) <= eps * (1 + 1e-12) + 1e-15).all()
        # Of a convex set p is the nearest point to d if and only if <d - p, q - p> <= 0 for all its points q.
        q = norm.project(others, eps)
        assert (((d - p) * (q - p)).sum(1) <= 1e-9).all()
        inside = norm.distance(d) <= eps
        np.testing.assert_array_equal(p[inside], d[inside])


@given(seeds, sizes)
def test_the_l1_projection_in_a_box_is_nearest_to_all_points_of_both(seed, eps):
    rng = np.random.default_rng(seed)
    d, others = perturbations(seed), perturbations(seed + 1)
    low, high = -rng.random(d.shape) * (rng.random(d.shape) > 0.2), rng.random(d.shape) * (rng.random(d.shape) > 0.2)
    p, q = (L1().project_in_box(v, eps, low, high) for v in (d, others))
    for v in (p, q):
        assert (v >= low).all() and (v <= high).all() and (L1().distance(v) <= eps + 1e-12).all()
    assert (((d - p) * (q - p)).sum(1) <= 1e-9).all()


def test_the_l1_projection_in_a_box_equals_a_solvers():
    d, low, high = np.array([[2.0, -1.5, 0.6, 0.1, -0.4]]), np.full((1, 5), -0.7), np.full((1, 5), 0.9)
    found = L1().project_in_box(d, 1.5, low, high)[0]
    split = minimize(lambda z: ((z[:5] - z[5:] - d[0]) ** 2).sum(), np.full(10, 0.1), bounds=[(0, 0.9)] * 5
                     + [(0, 0.7)] * 5, constraints={"type": "ineq", "fun": lambda z: 1.5 - z.sum()}, tol=1e-12).x
    np.testing.assert_allclose(found, split[:5] - split[5:], atol=1e-5)


def test_projections_take_an_eps_for_each_sample():
    d, eps = perturbations(3), np.array([0, 0.5, 100])
    for norm in NORMS.values():
        together = norm.project(d, eps)
        for i in range(3):
            np.testing.assert_array_equal(together[i], norm.project(d[i:i + 1], eps[i])[0])


@given(seeds)
def test_no_step_of_norm_1_climbs_more_than_the_steepest_and_the_dual_says_how_much(seed):
    g, others = perturbations(seed), perturbations(seed + 1)
    for norm in WALKABLE:
        step = norm.steepest(g)
        climbs = (g * step).sum(1)
        np.testing.assert_allclose(norm.distance(step), 1)
        np.testing.assert_allclose(climbs, norm.dual(g))
        assert ((g * norm.project(others, 1)).sum(1) <= climbs + 1e-12).all()
        assert not norm.steepest(np.zeros_like(g)).any()


@given(seeds)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_change_rounded_toward_x_is_the_largest_that_is_not_too_large(dtype, seed):
    rng = np.random.default_rng(seed)
    x = (rng.random((2, 3, 4, 5)) * 10.0 ** rng.integers(-6, 1)).astype(dtype)
    x = x.transpose(0, 3, 1, 2) if seed % 2 else x
    d = rng.normal(size=(2, 1, 1, 1)) * 10.0 ** rng.integers(-6, 1)
    y, nearest = toward(x, d), (x + d).astype(dtype)
    assert y.dtype == dtype and (np.abs(y.astype(float) - x) <= np.abs(d)).all()
    fits = np.abs(nearest.astype(float) - x) <= np.abs(d)
    np.testing.assert_array_equal(y, np.where(fits, nearest, np.nextafter(nearest, x)))


@given(seeds, sizes)
def test_the_l1_step_in_a_box_climbs_as_much_as_any_point_of_ball_and_box(seed, size):
    rng, g = np.random.default_rng(seed), perturbations(seed)
    low, high = -rng.random(g.shape), rng.random(g.shape)
    step = L1().steepest_in_box(g, np.full(3, size), np.zeros_like(g), low, high)
    assert (L1().distance(step) <= size + 1e-12).all() and (step >= low).all() and (step <= high).all()
    other = L1().project_in_box(perturbations(seed + 1), size, low, high)
    assert ((g * other).sum(1) <= (g * step).sum(1) + 1e-12).all()


@pytest.mark.parametrize("norm, mean", [(Linf(), 7 / 8), (L2(), 7 / 8), (L1(), 7 / 8)])
def test_random_perturbations_fill_the_ball_evenly(norm, mean):
    """In dimension n the size of a point drawn evenly from the unit ball is n / (n + 1) on average."""
    d = norm.random((4000, 7), 2.0, np.random.default_rng(0))
    assert (norm.distance(d) <= 2 * (1 + 1e-12)).all()
    assert abs(norm.distance(d).mean() / 2 - mean) < 0.01
    assert np.abs(d.mean(0)).max() < 0.1


def test_l0_keeps_the_largest_changes():
    np.testing.assert_array_equal(L0().project(np.array([[1.0, -3, 2, 3, 0]]), 2.9), [[0, -3, 0, 3, 0]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("norm", [*WALKABLE, L0()], ids=["linf", "l2", "l1", "l0"])
@given(seed=seeds, eps=st.one_of(st.sampled_from([0, 1e-9, 1e-3, 0.1, 0.3]), sizes), spread=st.floats(0, 5))
def test_what_is_confined_is_inside_to_the_last_ulp(dtype, norm, seed, eps, spread):
    rng = np.random.default_rng(seed)
    x = np.clip(rng.uniform(-0.2, 1.2, (3, 1, 4, 4)), 0, 1).astype(dtype)
    eps = np.floor(eps) if norm == L0() else eps
    mask = rng.random((1, 1, 4, 4)) > 0.2
    ball, index = Ball(norm, x, eps, (0, 1), mask), np.arange(3)
    y = ball.confine((x + rng.normal(0, spread, x.shape)).astype(dtype), index)
    assert y.dtype == dtype and y.min() >= 0 and y.max() <= 1
    assert (norm.distance(in_float64(y, x)) <= eps).all() and (norm.distance(y - x) <= dtype(eps)).all()
    np.testing.assert_array_equal(np.where(mask, x, y), x)
    if norm == Linf():
        assert float(np.abs(y - x).max()) <= eps
    if eps == 0:
        np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(ball.confine(x.copy(), index), x)


def test_the_linf_ball_gives_away_no_more_than_an_ulp():
    x = np.linspace(0, 1, 500, dtype=np.float32).reshape(1, 1, 20, 25)
    y = Ball(Linf(), x, 0.3, (-9, 9)).confine(x + 1, np.array([0]))
    assert np.abs(in_float64(y, x) - 0.3).max() < 2e-7


@pytest.mark.parametrize("norm, name", [("LINF", Linf()), (np.inf, Linf()), (2, L2()), (2.0, L2()), ("l1", L1()),
                                        (0, L0()), (L2(), L2())])
def test_norms_by_name_and_number(norm, name):
    assert as_norm("pgd", norm) == name


@pytest.mark.parametrize("norm", ["l3", 3, None])
def test_unknown_norms_are_refused(norm):
    with pytest.raises(ValueError, match="pgd: norm is .*, expected 'linf', 'l2', 'l1' or 'l0'"):
        as_norm("pgd", norm)


def test_masks_are_boolean_and_fit():
    assert as_mask("pgd", None, (2, 1, 4, 4)) is None
    with pytest.raises(TypeError, match="pgd: mask has dtype float64, expected bool.*top_region"):
        as_mask("pgd", np.ones((4, 4)), (2, 1, 4, 4))
    for shape in [(3, 4), (2, 2, 1, 4, 4), (5, 2, 1, 4, 4)]:
        with pytest.raises(ValueError, match=r"pgd: mask has shape .*, which does not broadcast to the images' \(2, 1"):
            as_mask("pgd", np.ones(shape, bool), (2, 1, 4, 4))


def test_the_top_region_holds_the_largest_sums_over_channels():
    heat = np.zeros((1, 2, 2, 5))
    heat[0, 0, 0, 1], heat[0, 1, 1, 4], heat[0, :, 0, 0] = 3, 4, (9, -9)
    region = top_region(heat, 0.2)
    assert region.shape == (1, 1, 2, 5) and region.sum() == 2 and region[0, 0, 0, 1] and region[0, 0, 1, 4]
    assert not top_region(heat, 0).any() and top_region(heat, 1).all()
    with pytest.raises(ValueError, match="top_region: fraction is 2, expected a number in"):
        top_region(heat, 2)
    with pytest.raises(ValueError, match=r"top_region: heat has shape \(2, 5\), expected \(N, C, H, W\)"):
        top_region(heat[0, 0], 0.5)
