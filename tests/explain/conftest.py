"""A run of a small network, for the tests of commands."""

import numpy as np
import pytest

import minigrad
from minigrad import models


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A saved network for the embedded digits; it need not know them."""
    path = tmp_path_factory.mktemp("run") / "model.safetensors"
    model = models.lenet5(rng=np.random.default_rng(0))
    minigrad.save(path, model, dataset="digits", classes=list("0123456789"), input=(1, 28, 28))
    return path.parent
