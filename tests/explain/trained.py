"""Networks that have learned, for what must hold on trained ones: a small CNN in a second, and `mnist_cnn`."""

from functools import cache

import numpy as np
import pytest

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


@cache
def mnist_cnn(dataset):
    """The network of 799,078 parameters after 200 steps on a dataset of 28x28 images, in float64; and 4 test images.

    Skips the test where the dataset is not on this machine.
    """
    try:
        train, test = (minigrad.data.load(dataset, split, download=False) for split in ("train", "test"))
    except FileNotFoundError:
        pytest.skip(f"{dataset} is not on this machine: set MINIGRAD_DATA or load it once")
    model, rng = minigrad.models.mnist_cnn(rng=np.random.default_rng(0)), np.random.default_rng(1)
    optimizer = minigrad.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(200):
        rows = rng.choice(len(train), 64, replace=False)
        loss = cross_entropy(model(minigrad.Tensor(train.images[rows])), train.labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    right = (model.eval()(minigrad.Tensor(test.images[:200])).data.argmax(1) == test.labels[:200]).mean()
    assert right > 0.75, f"{dataset}: {right:.0%} of 200 test images"
    return model.to(np.float64), test.images[:4].astype(np.float64), test.labels[:4]
