"""Exercises of lesson 4: a map that keeps its sign, and a check that a map must pass."""

import numpy as np

import minigrad
from exercises import solved
from minigrad import nn


def _net(seed=0):
    rng = np.random.default_rng(seed)
    net = nn.Sequential(nn.Conv2d(1, 4, 3, rng=rng), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3, rng=rng)).eval()
    return net, rng.random((2, 1, 6, 6)).astype(np.float32)


def signed_gradient(answer):
    """``signed_gradient(model, x, target)``: the gradient of each sample's logit `target` (N,) at x, sign kept."""
    net, x = _net()
    target = np.array([2, 0])
    leaf = minigrad.tensor(x, requires_grad=True)
    expected = minigrad.grad(net(leaf)[np.arange(2), target].sum(), leaf).data
    found = np.asarray(solved(answer(net, x, target)))
    assert found.shape == x.shape, f"expected the shape of x {x.shape}, got {found.shape}"
    assert (found < 0).any(), "nothing is negative: was a magnitude taken?"
    assert np.allclose(found, expected, atol=1e-6), "not the gradient of the targets' logits"


def midpoint_integrated_gradients(answer):
    """``midpoint_integrated_gradients(model, x, target, steps)``: from black, the slope at the middle of each step."""
    net, x = _net(1)
    target = np.array([1, 2])
    found = np.asarray(solved(answer(net, x, target, 200)))
    assert found.shape == x.shape, f"expected the shape of x {x.shape}, got {found.shape}"
    gained = (net(x).data - net(0 * x).data)[np.arange(2), target]
    sums = found.reshape(2, -1).sum(1)
    assert np.allclose(sums, gained, atol=2e-2), f"the shares add up to {sums}, the logits rose by {gained}"
