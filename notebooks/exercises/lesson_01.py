"""Exercises of lesson 1: two derivatives, checked by finite differences."""

import numpy as np

import minigrad
from exercises import solved
from minigrad import nn


def softplus_vjp(answer):
    """``softplus_vjp(g, x)``: the vjp of y = log(1 + exp(x)), element by element, for arrays g and x."""
    rng = np.random.default_rng(0)
    x, g, h = rng.normal(size=7), rng.normal(size=7), 1e-6
    slope = (np.log1p(np.exp(x + h)) - np.log1p(np.exp(x - h))) / (2 * h)
    found = solved(answer(g, x))
    assert np.shape(found) == (7,), f"expected an array of shape (7,), got {np.shape(found)}"
    assert np.allclose(found, g * slope, atol=1e-6), "the slope of log(1 + e^x) is e^x / (1 + e^x); times g"
    assert np.isfinite(solved(answer(np.ones(1), np.array([1000.0])))).all(), "overflows at x = 1000"


def directional_derivative(answer):
    """``directional_derivative(f, x, d)``: (f(x + h d) - f(x - h d)) / 2h with a step that suits float64."""
    def f(x):
        return float(np.sin(x).sum())

    x, d = np.array([0.3, 1.1, -2.0]), np.array([1.0, -0.5, 2.0])
    found = solved(answer(f, x, d))
    exact = float((np.cos(x) * d).sum())
    assert abs(found - exact) < 1e-8, f"off by {abs(found - exact):.1e}: is the step too large, or so small it rounds?"


def per_sample_gradients(answer):
    """``per_sample_gradients(model, x)``: each sample's gradient of its largest logit at x (N, 2), one walk."""
    rng = np.random.default_rng(1)
    model = nn.Sequential(nn.Linear(2, 5, rng=rng), nn.ReLU(), nn.Linear(5, 3, rng=rng))
    x = rng.normal(size=(4, 2)).astype(np.float32)
    found = np.asarray(solved(answer(model, x)))
    assert found.shape == (4, 2), f"expected shape (4, 2), got {found.shape}"
    for i in range(4):
        leaf = minigrad.tensor(x[i:i + 1], requires_grad=True)
        alone = minigrad.grad(model(leaf).max(), leaf).data[0]
        assert np.allclose(found[i], alone, atol=1e-6), f"sample {i} alone has another gradient"
