"""Ablation, permutation and the feature masks they and others work on."""

import numpy as np
import pytest
from scipy.ndimage import label

import explain
import minigrad
from explain.masks import as_feature_mask, default_mask, value_mask

from . import nets, trained

pytestmark = pytest.mark.compiled  # hundreds of passes through a network take minutes in plain Python

TARGET = np.array([0, 3, 1])


def score(model, x, target):
    return model(minigrad.Tensor(x)).data[np.arange(len(x)), target]


def ablated(model, x, target, mask, baseline):
    """One feature after the other, all samples together."""
    mask, found = np.broadcast_to(mask, x.shape), np.zeros(x.shape)
    for k in range(mask.max() + 1):
        lost = score(model, x, target) - score(model, np.where(mask == k, baseline, x), target)
        found += np.where(mask == k, lost.reshape(-1, 1, 1, 1), 0)
    return found


MASKS = {
    "cells": explain.grid_mask(nets.SHAPE, 5),
    "channels": np.arange(2).reshape(2, 1, 1),
    "scattered": np.random.default_rng(0).permutation(np.arange(288) % 7).reshape(1, *nets.SHAPE),
    "rows": np.arange(12).reshape(12, 1),
    "one for each sample": np.stack([explain.grid_mask(nets.SHAPE, c)[0] for c in (4, 6, 5)]),
    "values": value_mask(nets.images(1)),
}


@pytest.mark.parametrize("name", MASKS)
def test_ablation_is_the_loss_of_a_feature(name):
    model, x, baseline = nets.build("cnn"), nets.images(), nets.images(1, seed=4)
    expected = ablated(model, x, TARGET, MASKS[name], baseline)
    for options in ({}, {"fast": False}, {"batch_size": 7}, {"perturbations_per_eval": 5}):
        found = explain.feature_ablation(model, x, TARGET, feature_mask=MASKS[name], baselines=baseline, **options)
        np.testing.assert_allclose(found.values, expected, atol=1e-12)


def test_ablation_computes_only_what_small_features_reach():
    model, x = nets.build("cnn"), nets.images()
    assert explain.feature_ablation(model, x, 0).extra["recomputed"] == "what a feature can reach"
    for name, reason in (("channels", "spread over 12x12 of 12x12"), ("one for each sample", "differ between samples")):
        found = explain.feature_ablation(model, x, 0, feature_mask=MASKS[name])
        assert reason in found.extra["recomputed"]
        with pytest.raises(ValueError, match=f"feature_ablation: fast=True, but the features .*{reason}"):
            explain.feature_ablation(model, x, 0, feature_mask=MASKS[name], fast=True)


def test_features_with_different_numbers_are_told_by_nan():
    found = explain.feature_ablation(nets.build("cnn"), nets.images(), 0, feature_mask=MASKS["one for each sample"])
    assert np.isfinite(found.extra["feature_values"]).sum(1).tolist() == [9, 4, 9]


def test_permutation_takes_features_from_other_samples():
    model, x, rng = nets.build("smooth"), nets.images(4), np.random.default_rng(0)
    mask, target = MASKS["cells"], np.array([0, 3, 1, 1])
    orders = np.stack([rng.permutation(4) for _ in range(9)])
    found = explain.feature_permutation(model, x, target, feature_mask=mask, permutations=orders)
    full = np.broadcast_to(mask, x.shape)
    for k, order in enumerate(orders):
        lost = score(model, x, target) - score(model, np.where(full == k, x[order], x), target)
        np.testing.assert_allclose(found.extra["feature_values"][:, k], lost, atol=1e-12)
        for i in range(4):
            np.testing.assert_allclose(found.values[i][full[i] == k], lost[i], atol=1e-12)


def test_permutations_are_random_but_never_the_identity():
    model, x = nets.build("cnn"), nets.images(2)
    found = explain.feature_permutation(model, x, 0, rng=np.random.default_rng(0))
    assert (found.extra["permutations"] == [1, 0]).all() and len(found.extra["permutations"]) == 288
    x = nets.images(4)
    one, two = (explain.feature_permutation(model, x, 0, rng=np.random.default_rng(1), batch_size=b) for b in (3, 50))
    np.testing.assert_allclose(one.values, two.values, atol=1e-12)
    assert (
        one.values.tobytes() != explain.feature_permutation(model, x, 0, rng=np.random.default_rng(2)).values.tobytes()
    )
    assert not (one.extra["permutations"] == np.arange(4)).all(1).any()


def test_bad_permutations():
    model, x = nets.build("cnn"), nets.images()
    with pytest.raises(ValueError, match="x holds 1 sample, expected at least 2.*use feature_ablation"):
        explain.feature_permutation(model, x[:1], 0)
    with pytest.raises(
        ValueError, match=r"permutations has shape \(9, 2\), expected for each of the 9 features .* 0..2"
    ):
        explain.feature_permutation(model, x, 0, feature_mask=MASKS["cells"], permutations=np.zeros((9, 2), int))
    with pytest.raises(ValueError, match=r"feature_mask has shape \(3, 1, 12, 12\), expected one for all samples"):
        explain.feature_permutation(model, x, 0, feature_mask=MASKS["one for each sample"])


METHODS = ("feature_ablation", "shapley_values", "shapley_sampling", "kernel_shap", "lime")


@pytest.mark.parametrize("method", METHODS)
def test_bad_masks_and_baselines(method):
    model, x = nets.build("cnn"), nets.images()
    gap = np.where(MASKS["cells"] == 4, 5, MASKS["cells"])
    for mask, error, message in (
        (
            gap,
            ValueError,
            r"the feature_mask of sample 0 has numbers from 0 to 8 with gaps \(none is \[4\]\).*np.unique",
        ),
        (MASKS["cells"] - 1, ValueError, "has numbers from -1 to 7; number the features 0, 1, 2"),
        (MASKS["cells"] * 0.5, TypeError, "feature_mask has dtype float64, expected integers"),
        (
            np.zeros((5, 12, 12), int),
            ValueError,
            r"feature_mask has shape \(5, 12, 12\), .* broadcasts against x \(3, 2,",
        ),
        (np.zeros((1, 3, 2, 12, 12), int), ValueError, "expected one that broadcasts against x"),
        ("squares", ValueError, "feature_mask is 'squares' for x .*'grid' or 'superpixels'"),
    ):
        with pytest.raises(error, match=f"{method}: .*{message}|{method}: {message}"):
            getattr(explain, method)(model, x, 0, feature_mask=mask)
    with pytest.raises(ValueError, match=rf"{method}: baselines has shape \(3, 3\), expected a number or shape"):
        getattr(explain, method)(model, x, 0, feature_mask=MASKS["cells"], baselines=np.zeros((3, 3)))


def test_a_name_is_as_good_as_a_mask():
    model, x = nets.build("cnn"), nets.images()
    for name, mask in (("grid", explain.grid_mask(nets.SHAPE, 2)), ("values", value_mask(x)), ("superpixels", None)):
        mask = explain.superpixels(x) if mask is None else mask
        by_name = explain.feature_ablation(model, x, 0, feature_mask=name)
        np.testing.assert_array_equal(by_name.values, explain.feature_ablation(model, x, 0, feature_mask=mask).values)


def test_grid_cells():
    np.testing.assert_array_equal(explain.grid_mask((3, 3), 2), [[[[0, 0, 1], [0, 0, 1], [2, 2, 3]]]])
    np.testing.assert_array_equal(explain.grid_mask((1, 2, 4), (1, 3)), [[[[0, 0, 0, 1], [2, 2, 2, 3]]]])
    for shape, cell in (((4,), 2), ((4, 4), 0), ((4, 4), (1, 2, 3)), ((4, 4), 1.5)):
        with pytest.raises(ValueError, match="grid_mask: got shape .* and cell"):
            explain.grid_mask(shape, cell)


def test_superpixels_follow_colours_and_hang_together():
    rng = np.random.default_rng(0)
    x = np.zeros((2, 3, 40, 40))
    x[0, 0, :, :23] = 1  # red on the left
    x[0, 2, :, 23:] = 1
    x[1] = rng.random((3, 40, 40))
    found = explain.superpixels(x, n_segments=16)
    assert found.shape == (2, 1, 40, 40) and found.dtype == np.int64
    left, right = (set(np.unique(part)) for part in (found[0, 0, :, :23], found[0, 0, :, 23:]))
    assert not left & right, "a patch crosses the edge between the colours"
    for i in range(2):
        assert 8 <= found[i].max() + 1 <= 16 and set(np.unique(found[i])) == set(range(found[i].max() + 1))
    assert all(label(found[0, 0] == k)[1] == 1 for k in range(found[0].max() + 1))
    np.testing.assert_array_equal(explain.superpixels(x[1:], n_segments=16)[0], found[1])
    assert explain.superpixels(x[:, :1], n_segments=9).max() >= 1
    with pytest.raises(ValueError, match="n_segments is 0, expected 1 to the number of pixels, 1600"):
        explain.superpixels(x, n_segments=0)
    with pytest.raises(ValueError, match=r"superpixels: x is int64 of shape \(3, 3\)"):
        explain.superpixels(np.zeros((3, 3), int))


def test_default_features_suit_the_input():
    assert default_mask(np.zeros((2, 1, 28, 28))).max() == 48
    assert default_mask(np.zeros((2, 3, 32, 32))).max() == 48
    photo = default_mask(np.random.default_rng(0).random((1, 3, 80, 64)))
    assert photo.shape == (1, 1, 80, 64) and 20 < photo.max() < 64
    np.testing.assert_array_equal(default_mask(np.zeros((2, 5))), [np.arange(5)])
    mask, features = as_feature_mask("m", None, np.zeros((2, 5)), default_mask)
    assert mask.shape == (1, 5) and features.tolist() == [5, 5]


def test_a_trained_network_misses_the_stroke_not_the_corner():
    model, x = trained.cnn()
    found = explain.feature_ablation(model, x)
    ink = x > 0.5
    assert np.abs(found.values[ink]).mean() > 5 * np.abs(found.values[x == 0]).mean()
    np.testing.assert_array_equal(found.values[x == 0], 0)
