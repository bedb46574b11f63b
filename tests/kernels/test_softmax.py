"""Cross-entropy and its gradient against their formulas, with scores of any size and odds of zero."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minigrad import kernels
from minigrad.kernels import reference

SCORES = st.sampled_from([0.0, 1.0, -2.5, 30.0, 1e4, -1e4, np.inf, -np.inf, np.nan])
ODDS = st.sampled_from([0.0, 1.0, 0.25, -1.0])


@given(st.data(), st.integers(0, 5), st.integers(1, 6), st.sampled_from([np.float32, np.float64]), st.booleans())
def test_both_are_their_formulas(data, rows, classes, dtype, turned):
    def draw(values, count):
        return np.array(data.draw(st.lists(values, min_size=count, max_size=count)), dtype)

    x, q = (draw(values, rows * classes) for values in (SCORES, ODDS))
    x, q = (a.reshape(classes, rows).T if turned else a.reshape(rows, classes) for a in (x, q))
    g = draw(ODDS, rows)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = reference.cross_entropy(x, q), reference.cross_entropy_grad(g, x, q)
        given = kernels.cross_entropy(x, q), kernels.cross_entropy_grad(g, x, q)
    for ours, theirs in zip(given, expected, strict=True):
        assert_allclose(ours, theirs, rtol=1e-6, atol=1e-30 if dtype == np.float64 else 1e-7)
        assert ours.dtype == dtype and ours.shape == theirs.shape


def test_a_small_loss_of_large_scores_keeps_its_digits():
    """log(1 + exp(-30)): not lost beside the 30, as in 30 - (30 + log(...))."""
    loss = kernels.cross_entropy(np.array([[0.0, 30.0]]), np.array([[0.0, 1.0]]))
    assert_allclose(loss, np.log1p(np.exp(-30)), atol=2**-52)


def test_half_precision_is_computed_in_double():
    rng = np.random.default_rng(0)
    x, q, g = rng.normal(size=(4, 3)), rng.random((4, 3)), rng.random(4)
    low = [a.astype(np.float16) for a in (x, q, g)]
    exact = [a.astype(np.float64) for a in low]
    assert_array_equal(kernels.cross_entropy(*low[:2]), reference.cross_entropy(*exact[:2]).astype(np.float16))
    dx = kernels.cross_entropy_grad(low[2], *low[:2])
    assert_array_equal(dx, reference.cross_entropy_grad(exact[2], *exact[:2]).astype(np.float16))


@pytest.mark.parametrize("classes", [10, 1000])
def test_float32_keeps_its_digits(classes):
    rng = np.random.default_rng(0)
    x, q = rng.normal(size=(8, classes)) * 5, np.eye(classes)[:8]
    losses = kernels.cross_entropy(x.astype(np.float32), q.astype(np.float32))
    assert_allclose(losses, reference.cross_entropy(x, q), rtol=2e-6)
