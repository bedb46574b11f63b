"""Means over noise: their closed forms on polynomials, and randomness that belongs to the call alone."""

from functools import partial

import numpy as np
import pytest

import explain
import minigrad

from . import nets


def squares(x):
    """F_0 = sum of x^2, F_1 = sum of x."""
    flat = x.flatten(1)
    return minigrad.stack([(flat * flat).sum(1), flat.sum(1)], 1)


def test_kinds_are_moments_of_the_gradients():
    x = nets.images()
    noise = np.random.default_rng(0).normal(0, 0.2, (7, *x.shape))
    gradients = 2 * (x + noise)
    for kind, right in (
        ("smoothgrad", gradients.mean(0)),
        ("smoothgrad_sq", (gradients**2).mean(0)),
        ("vargrad", gradients.var(0)),
    ):
        found = explain.smooth_grad(squares, x, 0, noise=noise, kind=kind)
        np.testing.assert_allclose(found.values, right, rtol=1e-10)
    error = explain.smooth_grad(squares, x, 0, noise=noise).extra["standard_error"]
    np.testing.assert_allclose(error, gradients.std(0, ddof=1) / np.sqrt(7), rtol=1e-10)


def test_a_variance_does_not_cancel():
    x = np.full((1, 1, 2, 2), 0.5)
    found = explain.smooth_grad(lambda t: 1e9 * squares(t) * 0 + 1e8 * squares(t), x, 1, n_samples=5, kind="vargrad")
    assert not found.values.any()


def test_the_mean_goes_to_the_gradient_of_the_blurred_score():
    x = nets.images(1)
    found = explain.smooth_grad(squares, x, 0, n_samples=400, stdev=0.3, rng=np.random.default_rng(1))
    assert (np.abs(found.values - 2 * x) < 5 * found.extra["standard_error"]).all()
    np.testing.assert_allclose(found.extra["standard_error"], 0.6 / 20, rtol=0.2)


def test_any_method_with_its_options_may_be_wrapped():
    model, x, b = nets.build("smooth"), nets.images(), nets.images(seed=3)
    noise = np.random.default_rng(0).normal(0, 0.1, (3, *x.shape))
    found = explain.smooth_grad(model, x, 1, method=explain.integrated_gradients, noise=noise, baselines=b, n_steps=5)
    alone = [explain.integrated_gradients(model, x + n, 1, baselines=b, n_steps=5, bounds=None).values for n in noise]
    np.testing.assert_allclose(found.values, np.mean(alone, 0), rtol=1e-10, atol=1e-14)
    cam = explain.smooth_grad(model, x, 1, method=explain.layer_activation, noise=noise, layer="3")
    assert cam.shape == (3, 4, 4, 4)
    magnitudes = explain.smooth_grad(model, x, 1, method=explain.saliency, noise=noise)
    assert (magnitudes.values >= np.abs(explain.smooth_grad(model, x, 1, noise=noise).values) - 1e-15).all()


def test_the_target_is_that_of_the_clean_input():
    model, x = nets.build("cnn"), nets.images()
    found = explain.smooth_grad(model, x, stdev=3.0, n_samples=4, rng=np.random.default_rng(0))
    assert found.target.tolist() == explain.saliency(model, x).target.tolist()


METHODS = [explain.smooth_grad, partial(explain.gradient_shap, baselines=nets.images(4, seed=6))]


@pytest.mark.parametrize("method", METHODS)
def test_randomness_is_the_callers(method):
    model, x = nets.build("cnn"), nets.images()
    first, again, other = (method(model, x, 1, n_samples=3, rng=np.random.default_rng(s)).values for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    state = np.random.get_state()[1].copy()  # noqa: NPY002  the global generator must not be touched
    method(model, x, 1, n_samples=3)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_gradient_shap_by_hand():
    """x^2: (x - b) times 2 (b + u (x - b)), whose mean over u is x^2 - b^2."""
    x, pool = nets.images(), nets.images(4, seed=6)
    choices, u = np.array([3, 0]), np.array([0.25, 0.9])
    found = explain.gradient_shap(squares, x, 0, baselines=pool, draws=(choices, u, np.zeros((2, *x.shape))))
    right = np.mean([(x - pool[c]) * 2 * (pool[c] + t * (x - pool[c])) for c, t in zip(choices, u)], 0)
    np.testing.assert_allclose(found.values, right, rtol=1e-12)
    promised = (x**2).sum((1, 2, 3)) - (pool**2).sum((1, 2, 3)).mean()
    np.testing.assert_allclose(found.delta, right.sum((1, 2, 3)) - promised, rtol=1e-10)


def test_gradient_shap_is_complete_on_average():
    model, x, pool = nets.build("smooth"), nets.images(), nets.images(4, seed=6)
    few, many = (
        explain.gradient_shap(model, x, 2, baselines=pool, n_samples=n, rng=np.random.default_rng(0))
        for n in (20, 2000)
    )
    assert np.abs(many.delta).max() < 0.005 < np.abs(few.delta).max()
    one = explain.gradient_shap(model, x, 2, baselines=pool[:1], n_samples=2000, rng=np.random.default_rng(0))
    ig = explain.integrated_gradients(model, x, 2, baselines=pool[:1])
    assert (np.abs(one.values - ig.values) < 5 * one.extra["standard_error"] + 1e-12).all()


@pytest.mark.parametrize(
    ("method", "options", "match"),
    [
        (
            explain.smooth_grad,
            {"kind": "median"},
            r"smooth_grad: kind is 'median', expected one of smoothgrad, smoothgrad_sq, vargrad",
        ),
        (explain.smooth_grad, {"n_samples": 0}, r"smooth_grad: n_samples is 0, expected an integer of at least 1"),
        (explain.smooth_grad, {"n_samples": 2.0}, r"n_samples is 2.0"),
        (explain.smooth_grad, {"stdev": -1}, r"stdev is -1, expected a number of at least 0"),
        (explain.smooth_grad, {"stdev": [0.1, 0.2]}, r"stdev is \[0.1, 0.2\]"),
        (
            explain.smooth_grad,
            {"noise": np.zeros((4, 9))},
            r"noise has shape \(4, 9\), expected \(n_samples, \*\(3, 2, 12, 12\)\)",
        ),
        (
            explain.gradient_shap,
            {"baselines": nets.images(2)[:, :1]},
            r"gradient_shap: baselines has shape \(2, 1, 12, 12\), .*\(B, 2, 12, 12\)",
        ),
        (
            explain.gradient_shap,
            {"baselines": nets.images(2), "draws": ([0, 2], [0.5, 0.5], np.zeros((2, 1, 1, 1, 1)))},
            r"choices of draws go from 0 to 2, expected integers in 0\.\.1",
        ),
        (
            explain.gradient_shap,
            {"baselines": 0, "draws": ([0], [0.5, 0.5], np.zeros((2, 1, 1, 1, 1)))},
            r"choices of draws has shape \(1, 1\), expected \(2,\) or \(2, 3\)",
        ),
    ],
)
def test_bad_options_are_named(method, options, match):
    with pytest.raises(ValueError, match=match):
        method(nets.build("cnn"), nets.images(), **options)
