"""Solutions of lesson 1."""

import numpy as np

import minigrad


def softplus_vjp(g, x):
    """Write the slope so that nothing overflows: 1 / (1 + exp(-x)) = exp(-log(1 + exp(-x)))."""
    return g * np.exp(-np.logaddexp(0, -x))


def directional_derivative(f, x, d):
    """A step of about the cube root of the rounding error balances both errors."""
    h = 6e-6
    return (f(x + h * d) - f(x - h * d)) / (2 * h)


def per_sample_gradients(model, x):
    """The sum of the largest logits: each sample's gradient depends on its own term alone."""
    leaf = minigrad.tensor(x, requires_grad=True)
    return minigrad.grad(model(leaf).max(1).sum(), leaf).data
