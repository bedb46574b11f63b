"""A run of a small network, for the tests of commands."""

import numpy as np
import pytest

import minigrad
from minigrad import data, models


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A saved network that has seen some digits."""
    path = tmp_path_factory.mktemp("run") / "model.safetensors"
    model = models.lenet5(rng=np.random.default_rng(0))
    train = data.load("digits", "train")
    optimizer = minigrad.optim.Adam(model.parameters(), lr=3e-3)
    for images, labels in data.batches(train, 64, shuffle=True, rng=np.random.default_rng(0)):
        optimizer.zero_grad()
        minigrad.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    minigrad.save(path, model, dataset="digits", classes=list("0123456789"), input=(1, 28, 28))
    return path.parent
