"""Exercises of lesson 3: counting parameters, and reading a confusion matrix."""

import numpy as np

from exercises import solved
from minigrad import models


def parameter_count(answer):
    """``parameter_count(model)``: how many numbers the model learns, and how many convolutions hold: a pair."""
    for name in ("mnist_cnn", "lenet5", "cifar_cnn"):
        model = models.create(name)
        total = sum(p.size for p in model.parameters())
        conv = sum(p.size for path, p in model.named_parameters() if path.startswith("features"))
        found = solved(answer(model))
        assert tuple(found) == (total, conv), f"{name} has {total:,} and {conv:,}, not {found}"


def recalls(answer):
    """``recalls(confusion)``: of each class's images the part found, from a matrix (true, predicted) of counts."""
    confusion = np.array([[8, 2, 0], [1, 3, 1], [0, 0, 4]])
    found = np.asarray(solved(answer(confusion)))
    assert np.allclose(found, [0.8, 0.6, 1.0]), "divide the diagonal by the sum of each row (the true class)"
