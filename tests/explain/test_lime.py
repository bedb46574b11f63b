"""LIME against weighted least squares solved densely, and what its defaults promise."""

import numpy as np
import pytest

import explain
import minigrad
from explain.lime import fit_ridge

from . import nets, trained

pytestmark = pytest.mark.compiled  # hundreds of passes through a network take minutes in plain Python

CELLS = explain.grid_mask(nets.SHAPE, 4)


@pytest.mark.parametrize("ridge", [0.0, 0.1, 10.0])
def test_the_fit_is_ridge_regression(ridge):
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    table, weights, worth = rng.random((60, 7)) < 0.5, rng.random(60), rng.normal(size=(3, 60))
    found, intercept, r_squared = fit_ridge(table, weights, worth, ridge)
    for i in range(3):
        fit = Ridge(alpha=ridge, solver="svd").fit(table, worth[i], sample_weight=weights)
        np.testing.assert_allclose(found[i], fit.coef_, rtol=1e-9)
        assert intercept[i] == pytest.approx(fit.intercept_) and r_squared[i] == pytest.approx(
            fit.score(table, worth[i], sample_weight=weights)
        )


@pytest.mark.parametrize("similarity", ["cosine", "euclidean", lambda z: 1.0 + z.sum(1)])
def test_lime_solves_its_weighted_least_squares(similarity):
    model, x, baseline = nets.build("smooth"), nets.images(), 0.3
    table = np.random.default_rng(0).random((40, 9)) < 0.5
    found = explain.lime(
        model, x, 2, feature_mask=CELLS, baselines=baseline, coalitions=table, similarity=similarity, kernel_width=0.4
    )
    part, weights = table.mean(1), []
    for z, p in zip(table, part, strict=True):
        if similarity == "cosine":  # between the mask and the mask of ones
            d = 1 - z.sum() / np.sqrt(max(z.sum(), 1) * 9)
        else:
            d = np.sqrt(1 - p)
        weights.append(np.sqrt(np.exp(-(d**2) / 0.4**2)) if isinstance(similarity, str) else 1 + z.sum())
    design = np.concatenate([table, np.ones((40, 1))], axis=1) * np.sqrt(weights)[:, None]
    design = np.concatenate([design, np.eye(10)[:9]])  # a ridge is nine more observations, of zeros
    for i in range(3):
        inputs = np.where(table[:, CELLS[0]], x[i], baseline)
        y = np.concatenate([model(minigrad.Tensor(inputs)).data[:, 2] * np.sqrt(weights), np.zeros(9)])
        *coefficients, intercept = np.linalg.lstsq(design, y, rcond=None)[0]
        np.testing.assert_allclose(found.extra["feature_values"][i], coefficients, rtol=1e-8)
        assert found.extra["intercept"][i] == pytest.approx(intercept)


def test_scores_that_hardly_vary_are_explained_all_the_same():
    """A lasso of 0.01 explains a score that varies by less with zeros throughout."""
    model, x = nets.build("cnn"), nets.images()
    small, usual = (
        explain.lime(lambda t, f=f: model(t) * f, x, 0, feature_mask=CELLS, rng=np.random.default_rng(0))
        for f in (1e-4, 1)
    )
    assert (small.values != 0).all()
    np.testing.assert_allclose(small.values, usual.values * 1e-4, rtol=1e-6)


def test_the_defaults_find_the_stroke():
    model, x = trained.cnn()
    found = explain.lime(model, x[:4], rng=np.random.default_rng(0))
    assert found.settings["n_samples"] == 1000 and found.extra["feature_mask"].max() == 15
    assert (found.extra["r_squared"] > 0.5).all()
    for i in range(4):
        ink = x[i] > 0.5
        assert found.values[i][ink].mean() > found.values[i][~ink].mean()


def test_errors():
    model, x = nets.build("cnn"), nets.images()
    with pytest.raises(
        ValueError, match="lime: n_samples is 25, expected an integer of at least 37: 36 coefficients and an in"
    ):
        explain.lime(model, x, 0, n_samples=25)
    with pytest.raises(ValueError, match="lime: got kernel_width 0 and ridge 1.0"):
        explain.lime(model, x, 0, kernel_width=0)
    with pytest.raises(ValueError, match="ridge -1, expected a positive number and one of at least 0"):
        explain.lime(model, x, 0, ridge=-1)
    with pytest.raises(ValueError, match="similarity is 'manhattan', expected 'cosine', 'euclidean' or a function"):
        explain.lime(model, x, 0, similarity="manhattan")
    with pytest.raises(
        ValueError, match=r"similarity gave shape \(2,\), expected a weight of at least 0 for each of the 40"
    ):
        explain.lime(model, x, 0, n_samples=40, similarity=lambda z: np.ones(2))
    with pytest.raises(ValueError, match="1 of 40 masks are near enough .*raise kernel_width"):
        explain.lime(model, x, 0, n_samples=40, kernel_width=1e-3)
