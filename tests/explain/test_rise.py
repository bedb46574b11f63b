"""RISE: its sum, its masks, and that it finds what a model looks at."""

import numpy as np
import pytest

import explain
import minigrad
from minigrad import functional as F

from . import nets

pytestmark = pytest.mark.compiled  # hundreds of passes through a network take minutes in plain Python


def test_rise_is_the_weighted_mean_of_its_masks():
    model, x, baseline = nets.build("cnn"), nets.images(), nets.images(seed=2)
    masks = np.random.default_rng(0).random((11, 12, 12))
    found = explain.rise(model, x, [0, 3, 1], masks=masks, probability=0.4, baselines=baseline)
    for i, target in enumerate((0, 3, 1)):
        inputs = masks[:, None] * x[i] + (1 - masks[:, None]) * baseline[i]
        p = F.softmax(model(minigrad.Tensor(inputs)), 1).data[:, target]
        expected = np.einsum("m,mhw->hw", p, masks) / 11 / 0.4
        np.testing.assert_allclose(found.values[i], np.broadcast_to(expected, (2, 12, 12)), rtol=1e-12)
        error = (p[:, None, None] * masks / 0.4).std(0, ddof=1) / np.sqrt(11)
        np.testing.assert_allclose(found.extra["standard_error"][i], error, rtol=1e-9)


def masks_of(size, cells, probability, count=600):
    """The random masks, read off a model that notes its inputs."""
    seen = []

    def model(t):
        seen.append(t.data[:, 0])
        return t.sum((2, 3)) * minigrad.tensor(np.array([[1.0, -1.0]]))

    options = {"cells": cells, "probability": probability, "n_samples": count, "score": "logit"}
    explain.rise(model, np.ones((1, 1, *size)), 0, rng=np.random.default_rng(0), **options)
    return np.concatenate(seen)[-count:]


@pytest.mark.parametrize("size, cells", [((12, 12), 4), ((9, 14), (3, 5)), ((7, 7), 7)])
def test_masks_are_soft_and_show_every_pixel_as_often(size, cells):
    masks = masks_of(size, cells, 0.3)
    assert masks.shape == (600, *size) and masks.min() >= 0 and masks.max() <= 1
    np.testing.assert_allclose(masks.mean(0), 0.3, atol=0.1)
    assert masks.mean() == pytest.approx(0.3, abs=0.02)
    cell = -(-size[0] // np.ravel(cells)[0])
    assert np.abs(np.diff(masks, axis=1)).max() <= 1 / cell + 1e-9, "bilinear: a step is at most one over the cell"


def test_the_map_is_highest_where_the_model_looks():
    def model(t):
        inside = t[:, :, 3:6, 7:10].mean((1, 2, 3))
        return minigrad.stack([inside * 8, inside * -8], 1)

    found = explain.rise(model, np.ones((1, 1, 12, 12)), 0, n_samples=1500, cells=6, rng=np.random.default_rng(0))
    y, x = np.unravel_index(found.values[0, 0].argmax(), (12, 12))
    assert 3 <= y < 6 and 7 <= x < 10


def test_a_mask_does_not_depend_on_how_many_there_are():
    model, x = nets.build("cnn"), nets.images(1)
    few, many = (explain.rise(model, x, 0, n_samples=n, rng=np.random.default_rng(4), batch_size=7) for n in (10, 20))
    assert few.settings["n_samples"] == 10 and few.forwards == 11 and many.forwards == 21
    assert np.abs(few.values - many.values).max() > 0


def test_errors():
    model, x = nets.build("cnn"), nets.images()
    for options, message in (
        ({"n_samples": 1}, "n_samples is 1, expected an integer of at least 2"),
        ({"cells": 0}, "cells is 0, expected an integer or a pair, from 1"),
        ({"cells": (3, 13)}, r"cells is \(3, 13\), expected .* to the pixels \(12, 12\)"),
        ({"probability": 0}, "probability is 0, expected a number above 0"),
        ({"masks": np.ones((4, 3, 3))}, r"masks has shape \(4, 3, 3\), expected at least 2 of \(12, 12\)"),
        ({"masks": np.full((4, 12, 12), 1.5)}, r"masks .*with values in \[0, 1\]"),
    ):
        with pytest.raises(ValueError, match="rise: " + message):
            explain.rise(model, x, 0, **options)
    with pytest.raises(ValueError, match=r"rise: x has shape \(2, 6\), expected images"):
        explain.rise(lambda t: t, np.zeros((2, 6)), 0)
