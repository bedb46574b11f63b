"""Shapley values against their sum over all orders, their axioms, and the estimates against them."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import explain
import minigrad
from explain.kernel_shap import kernel_coalitions, regress
from explain.shapley import all_coalitions, exact

from . import nets

# Marked `compiled`: hundreds of passes through a network take minutes in plain Python.

CELLS = explain.grid_mask(nets.SHAPE, 4)
TARGET = np.array([0, 3, 1])
worths = st.integers(1, 6).flatmap(
    lambda m: st.lists(st.floats(-10, 10), min_size=2**m, max_size=2**m).map(lambda v: np.array([v]))
)


def by_orders(worth):
    """The mean over all orders of what each feature adds when it arrives."""
    features = len(worth).bit_length() - 1
    found, orders = np.zeros(features), list(permutations(range(features)))
    for order in orders:
        coalition = 0
        for i in order:
            found[i] += worth[coalition | 1 << i] - worth[coalition]
            coalition |= 1 << i
    return found / len(orders)


@given(worth=worths)
def test_exact_values_are_the_mean_over_all_orders_and_all_coalitions_of_kernel_shap(worth):
    found = exact(worth)[0]
    np.testing.assert_allclose(found, by_orders(worth[0]), atol=1e-12)
    np.testing.assert_allclose(found.sum(), worth[0, -1] - worth[0, 0], atol=1e-12)  # efficiency
    table, weights = kernel_coalitions(len(found), 10**6, None)
    numbers = table @ (1 << np.arange(len(found)))
    assert len(table) == max(0, 2 ** len(found) - 2) == len(set(numbers.tolist()))
    shares = regress(table, weights, worth[:, numbers], worth[:, [0, -1]])
    np.testing.assert_allclose(shares[0], found, atol=1e-9)


@given(worth=worths, seed=st.integers(0, 99))
def test_axioms(worth, seed):
    """A dummy gets what it brings alone, twins get the same, and the values of a sum are the sum of the values."""
    other = np.random.default_rng(seed).normal(size=worth.shape)
    np.testing.assert_allclose(exact(2 * worth + other), 2 * exact(worth) + exact(other), atol=1e-10)
    with_dummy = np.concatenate([worth, worth + 0.7], axis=1)  # one more feature, which always adds 0.7
    np.testing.assert_allclose(exact(with_dummy)[0], [*exact(worth)[0], 0.7], atol=1e-12)
    table = all_coalitions(int(worth.size).bit_length() - 1)
    twins = worth[0, (table @ (1 << np.arange(table.shape[1]))) & ~1] if table.shape[1] > 1 else None
    if twins is not None:  # worth that depends on features 0 and 1 only through how many of them are there
        count = table[:, 0].astype(int) + table[:, 1]
        symmetric = twins[(table @ (1 << np.arange(table.shape[1]))) & ~3] + count**2
        found = exact(symmetric[None])[0]
        assert found[0] == pytest.approx(found[1], abs=1e-12)


def test_coalitions_are_numbered_in_binary():
    np.testing.assert_array_equal(all_coalitions(2), [[0, 0], [1, 0], [0, 1], [1, 1]])


@pytest.mark.compiled
@pytest.mark.parametrize("name", list(nets.ALL))
def test_networks_give_their_scores_away_completely(name):
    model, x, baseline = nets.build(name), nets.images(), nets.images(seed=9)
    found = explain.shapley_values(model, x, TARGET, feature_mask=CELLS, baselines=baseline)
    kernel = explain.kernel_shap(model, x, TARGET, feature_mask=CELLS, baselines=baseline)
    shares = found.extra["feature_values"]
    worth = np.empty((3, 2**9))
    for k, row in enumerate(all_coalitions(9)):
        y = model(minigrad.Tensor(np.where(row[CELLS], x, baseline))).data
        worth[:, k] = y[np.arange(3), TARGET]
    np.testing.assert_allclose(shares, exact(worth), atol=1e-12)
    np.testing.assert_allclose(shares.sum(1), worth[:, -1] - worth[:, 0], atol=1e-12)
    np.testing.assert_allclose(kernel.values, found.values, atol=1e-10)
    assert np.abs(found.delta).max() < 1e-12 and np.abs(kernel.delta).max() < 1e-12
    assert found.forwards == kernel.forwards == 3 + 3 * 2**9
    np.testing.assert_array_equal(found.values, np.broadcast_to(shares[:, CELLS[0]], x.shape))


def test_a_linear_model_gets_what_it_says():
    w = np.random.default_rng(0).normal(size=(3, 5))
    x, baseline = np.random.default_rng(1).random((2, 4, 5))
    found = [
        method(lambda t: minigrad.functional.linear(t, w), x, 1, baselines=baseline, **options)
        for method, options in (
            (explain.shapley_values, {}),
            (explain.kernel_shap, {"n_samples": 12}),
            (explain.shapley_sampling, {"n_samples": 4}),
            (explain.lime, {"ridge": 0}),
            (explain.feature_ablation, {}),
        )
    ]
    for one in found:
        np.testing.assert_allclose(one.values, w[1] * (x - baseline), atol=1e-10)


@settings(max_examples=20)
@given(m=st.integers(2, 12), n=st.integers(1, 400), seed=st.integers(0, 9))
def test_kernel_coalitions_keep_the_kernels_weights(m, n, seed):
    table, weights = kernel_coalitions(m, n, np.random.default_rng(seed))
    size = table.sum(1)
    assert len(table) == len(weights) == min(n, 2**m - 2)
    assert size.min() > 0 and size.max() < m
    assert weights.sum() == pytest.approx(1)
    k = np.arange(1, m)
    kernel = 1 / (k * (m - k))
    for at in np.flatnonzero(np.bincount(size, minlength=m)[1:] == 0):
        assert n < 2**m - 2, f"size {at + 1} is missing"
    if n >= 2**m - 2:
        np.testing.assert_allclose(np.bincount(size, weights, m)[1:], kernel / kernel.sum(), rtol=1e-9)
    elif n > 2 * m and m > 3:  # single features are enumerated and weigh what they should
        np.testing.assert_allclose(weights[size == 1].sum(), (kernel / kernel.sum())[0], rtol=1e-9)
        assert len(set(map(bytes, table[size == 1]))) == m


@pytest.mark.compiled
def test_estimates_come_near_and_say_how_near():
    model, x = nets.build("cnn"), nets.images(1)
    true = explain.shapley_values(model, x, 0, feature_mask=CELLS).extra["feature_values"]
    z = []
    for seed in range(30):
        for antithetic in (True, False):
            found = explain.shapley_sampling(
                model, x, 0, feature_mask=CELLS, n_samples=40, antithetic=antithetic, rng=np.random.default_rng(seed)
            )
            assert np.abs(found.delta).max() < 1e-12
            z.append((found.extra["feature_values"] - true) / found.extra["standard_error"])
    assert 0.8 < np.std(z) < 1.25 and abs(np.mean(z)) < 0.1
    rough, fine = (
        np.abs(explain.kernel_shap(model, x, 0, feature_mask=CELLS, n_samples=n).extra["feature_values"] - true).max()
        for n in (60, 400)
    )
    assert fine < rough and fine < 0.1 * np.abs(true).max()


def test_antithetic_pairs_are_an_order_and_its_reverse():
    """For a score of main effects and pairs of features, a pair of orders is exact: each pair meets both ways."""
    pairs = np.random.default_rng(0).normal(size=(6, 6))

    def model(t):
        return ((t @ minigrad.tensor(pairs)) * t).sum(1, keepdims=True)

    x = np.random.default_rng(1).random((2, 6))
    true = explain.shapley_values(model, x, 0)
    found = explain.shapley_sampling(model, x, 0, n_samples=4, rng=np.random.default_rng(3))
    np.testing.assert_allclose(found.values, true.values, atol=1e-12)
    np.testing.assert_allclose(found.extra["standard_error"], 0, atol=1e-12)
    plain = explain.shapley_sampling(model, x, 0, n_samples=4, antithetic=False, rng=np.random.default_rng(3))
    assert np.abs(plain.values - true.values).max() > 1e-3


@pytest.mark.compiled
def test_given_orders_are_followed():
    model, x = nets.build("cnn"), nets.images(1)
    order = np.array([[4, 1, 0, 2, 3, 8, 5, 7, 6]])
    found = explain.shapley_sampling(model, x, 2, feature_mask=CELLS, permutations=order)
    before = model(minigrad.Tensor(0 * x)).data[0, 2]
    for k in range(9):
        after = model(minigrad.Tensor(x * np.isin(CELLS, order[0, : k + 1]))).data[0, 2]
        assert found.extra["feature_values"][0, order[0, k]] == pytest.approx(after - before, abs=1e-12)
        before = after
    assert np.isnan(found.extra["standard_error"]).all(), "one order says nothing of its error"


@pytest.mark.compiled
@pytest.mark.parametrize("method", [explain.kernel_shap, explain.shapley_sampling, explain.lime])
def test_the_same_generator_gives_the_same_bytes(method):
    model, x = nets.build("cnn"), nets.images()
    mask = np.stack([explain.grid_mask(nets.SHAPE, c)[0] for c in (2, 3, 2)])  # samples with 36, 16 and 36 features
    one, two, other = (
        method(model, x, 0, feature_mask=mask, n_samples=200, rng=np.random.default_rng(s)) for s in (1, 1, 2)
    )
    assert one.values.tobytes() == two.values.tobytes() != other.values.tobytes()
    for i in range(3):
        alone = method(
            model, x[i : i + 1], 0, feature_mask=mask[i : i + 1], n_samples=200, rng=np.random.default_rng(1)
        )
        np.testing.assert_allclose(alone.values, one.values[i : i + 1], rtol=1e-9, atol=1e-12)


@pytest.mark.compiled
def test_one_feature_has_all():
    model, x = nets.build("cnn"), nets.images()
    mask = np.zeros((1, 1, 1, 1), int)
    all_of_it = explain.shapley_values(model, x, 0, feature_mask=mask)
    for method in (explain.kernel_shap, explain.shapley_sampling):
        np.testing.assert_allclose(method(model, x, 0, feature_mask=mask).values, all_of_it.values, atol=1e-12)


def test_errors():
    model, x = nets.build("cnn"), nets.images()
    with pytest.raises(
        ValueError, match=r"shapley_values: 288 features have 2\^288 coalitions, .*use kernel_shap or shap"
    ):
        explain.shapley_values(model, x, 0)
    with pytest.raises(
        ValueError, match="kernel_shap: 5 coalitions tell only . of 9 features apart; use n_samples of at least 18"
    ):
        explain.kernel_shap(model, x, 0, feature_mask=CELLS, n_samples=5)
    with pytest.raises(ValueError, match="kernel_shap: n_samples is 0, expected an integer of at least 1"):
        explain.kernel_shap(model, x, 0, n_samples=0)
    with pytest.raises(ValueError, match=r"kernel_shap: coalitions has shape \(2, 4\), expected \(S, 9\) of 0 and 1"):
        explain.kernel_shap(model, x, 0, feature_mask=CELLS, coalitions=np.ones((2, 4)))
    with pytest.raises(ValueError, match="shapley_sampling: n_samples is 2, expected an integer of at least 4"):
        explain.shapley_sampling(model, x, 0, n_samples=2)
    with pytest.raises(ValueError, match="n_samples is 7, expected an even number for antithetic=True"):
        explain.shapley_sampling(model, x, 0, n_samples=7)
    with pytest.raises(
        ValueError, match=r"permutations has shape \(1, 9\), expected \(S, 9\): in each row the numbers 0..8"
    ):
        explain.shapley_sampling(model, x, 0, feature_mask=CELLS, permutations=np.zeros((1, 9), int))
