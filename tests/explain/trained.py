"""A small CNN that has learned the embedded digits, for what must hold on trained networks."""

from functools import cache

import numpy as np

import minigrad
from minigrad import nn
from minigrad.functional import cross_entropy


@cache
def digits():
    """Images (N, 1, 8, 8) in [0, 1] and labels of scikit-learn's digits."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return (data.images[:, None] / 16).astype(np.float64), data.target


def cnn(batch_norm=False):
    """A network of two convolutions, in float64 and evaluation mode, and images it has not seen."""
    return _trained(batch_norm)


@cache
def _trained(batch_norm):
    x, labels = digits()
    rng = np.random.default_rng(0)
    norm = [nn.BatchNorm2d(8)] * batch_norm
    model = nn.Sequential(
        nn.Standardize(0.3, 0.4),
        nn.Conv2d(1, 8, 3, padding=1, rng=rng),
        *norm,
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3, rng=rng),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(48, 24, rng=rng),
        nn.ReLU(),
        nn.Linear(24, 10, rng=rng),
    ).to(np.float64)
    optimizer = minigrad.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        rows = rng.choice(1500, 32, replace=False)
        loss = cross_entropy(model(minigrad.Tensor(x[rows])), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval(), x[1500:1516]
