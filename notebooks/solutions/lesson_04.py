"""Solutions of lesson 4."""

import numpy as np

import minigrad


def signed_gradient(model, x, target):
    """The sum of the targets' logits holds every sample's own gradient."""
    leaf = minigrad.tensor(x, requires_grad=True)
    return minigrad.grad(model(leaf)[np.arange(len(x)), target].sum(), leaf).data


def midpoint_integrated_gradients(model, x, target, steps):
    """Average the gradients along the way from black, times the way."""
    slopes = [signed_gradient(model, x * np.float32((k + 0.5) / steps), target) for k in range(steps)]
    return x * np.mean(slopes, axis=0)
