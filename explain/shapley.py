"""Shapley values: the one efficient, symmetric and linear way to share out a score that gives a dummy nothing.

    phi_i = sum over coalitions S without i of |S|! (M - |S| - 1)! / M! * (v(S + i) - v(S))

which is also the mean, over all orders in which M features may arrive, of what i adds when it comes. Shapley 1953;
for explanations Strumbelj and Kononenko 2010. With few features every coalition is asked for once, 2^M of them; with
many, random orders are drawn, and the standard error says how far the mean may be off.
"""

from math import comb

import numpy as np

from .game import Game, Streams, checked_count, playing
from .masks import default_mask, value_mask

EXACT = 20  # features at most: 2^20 coalitions are a million samples through the model


def shapley_values(
    model, x, target=None, *, baselines=0, feature_mask=None, perturbations_per_eval=None, progress=False, **common
):
    """The exact Shapley values of a sample's features, from the worth of all 2^M coalitions.

    Parameters
    ----------
    model, x, target, **common
        As in `explain.scoring.Scoring`. x may have any number of axes.
    baselines : number, or array of x's shape or with one row
        What absent features are replaced by.
    feature_mask : None, 'grid', 'superpixels', 'values', or integer array that broadcasts against x
        The feature of every value, see `explain.masks`; None makes every value a feature. At most 20 features.
    perturbations_per_eval : int, optional
        Captum's way to set the batch size: in copies of all samples.
    progress : bool
        Show a bar.

    Returns
    -------
    Attribution
        Every value has its feature's whole share; the shares are in ``extra["feature_values"]`` (N, M). Complete:
        `delta` is the sum of the shares less F(x) - F(x').

    Raises
    ------
    ValueError
        For more than 20 features.
    """
    with playing("shapley_values", model, x, target, perturbations_per_eval, common) as run:
        game = Game(run, baselines, feature_mask, value_mask, progress)
        if game.features.max() > EXACT:
            raise ValueError(
                f"shapley_values: {game.features.max()} features have 2^{game.features.max()} coalitions, "
                "expected at most "
                f"{EXACT} features; use kernel_shap or shapley_sampling, or fewer features: "
                "feature_mask=grid_mask(x.shape, cell)"
            )
        shares, ends = [None] * len(run.x), np.empty((len(run.x), 2))
        for features, samples in game.sizes():
            worth = game.worth(samples, all_coalitions(features))
            ends[samples] = worth[:, [0, -1]]
            for i, share in zip(samples, exact(worth), strict=True):
                shares[i] = share
        return game.played(shares, ends)


def all_coalitions(features):
    """The table (2^M, M) of all coalitions; feature i is in those whose number has bit i."""
    return (np.arange(2**features)[:, None] >> np.arange(features) & 1).astype(bool)


def exact(worth):
    """Shapley values (N, M) from the worth (N, 2^M) of `all_coalitions`."""
    features = worth.shape[1].bit_length() - 1
    size = np.bitwise_count(np.arange(2**features))
    weight = np.array(
        [1 / (features * comb(features - 1, k)) for k in range(features)]
    )  # of v(S + i) - v(S) with |S| = k
    joined, alone = worth * weight[np.maximum(size, 1) - 1], worth * weight[np.minimum(size, features - 1)]
    found = np.empty((len(worth), features))
    for i in range(features):
        with_i, without_i = (a.reshape(len(a), -1, 2, 2**i)[:, :, bit] for a, bit in ((joined, 1), (alone, 0)))
        found[:, i] = with_i.sum((1, 2)) - without_i.sum((1, 2))
    return found


def shapley_sampling(
    model,
    x,
    target=None,
    *,
    baselines=0,
    feature_mask=None,
    n_samples=50,
    antithetic=True,
    permutations=None,
    perturbations_per_eval=None,
    rng=None,
    progress=False,
    **common,
):
    """Shapley values estimated from random orders of the features, with standard errors. Strumbelj and Kononenko 2010.

    Parameters
    ----------
    model, x, target, **common
        As in `explain.scoring.Scoring`. x may have any number of axes.
    baselines : number, or array of x's shape or with one row
    feature_mask : None, 'grid', 'superpixels', 'values', or integer array that broadcasts against x
        None is superpixels for photographs, a grid of about 7x7 cells for other images, else every value.
    n_samples : int
        Orders; each costs a forward pass per feature. The same for all samples with as many features.
    antithetic : bool
        Draw pairs of an order and its reverse: what comes early in one comes late in the other, and the errors partly
        cancel. Mitchell et al. 2022.
    permutations : integer array (S, M), optional
        The orders, in place of random ones; features arrive from left to right.
    perturbations_per_eval : int, optional
        Captum's way to set the batch size: in copies of all samples.
    rng : np.random.Generator, optional
    progress : bool
        Show a bar.

    Returns
    -------
    Attribution
        Complete for any number of orders: each hands out F(x) - F(x') exactly. ``extra["standard_error"]`` (N, M) are
        those of ``extra["feature_values"]``, from the spread between orders, or between pairs if antithetic.

    Raises
    ------
    ValueError
        If n_samples is less than 2, or not a multiple of 2 of at least 4 if antithetic.
    """
    with playing("shapley_sampling", model, x, target, perturbations_per_eval, common) as run:
        game, streams = Game(run, baselines, feature_mask, default_mask, progress), Streams(run.method, rng)
        if permutations is None:
            n_samples = checked_count(
                run.method,
                "n_samples",
                n_samples,
                4 if antithetic else 2,
                "the error is estimated from two orders, or from two pairs of them if antithetic",
            )
            if antithetic and n_samples % 2:
                raise ValueError(
                    f"shapley_sampling: n_samples is {n_samples}, expected an even number for antithetic=True, "
                    "which draws pairs"
                )
        shares, errors, ends = (
            [None] * len(run.x),
            np.full((len(run.x), game.features.max()), np.nan),
            np.empty((len(run.x), 2)),
        )
        for features, samples in game.sizes():
            orders = _orders(run, permutations, features, n_samples, antithetic, streams)
            pairs = antithetic and permutations is None
            found, error, ends[samples] = _arrivals(game, samples, orders, pairs)
            for i, share in zip(samples, found, strict=True):
                shares[i] = share
            errors[samples, :features] = error
        return game.played(
            shares,
            ends,
            extra={"standard_error": errors},
            settings={"n_samples": len(orders), "antithetic": bool(pairs)},
        )


def _orders(run, given, features, n_samples, antithetic, streams):
    """The orders of arrival (S, M); if antithetic, each is followed by its reverse."""
    if given is not None:
        given = np.asarray(given)
        if (
            given.ndim != 2
            or given.shape[1] != features
            or not len(given)
            or not (np.sort(given, 1) == np.arange(features)).all()
        ):
            raise ValueError(
                f"{run.method}: permutations has shape {given.shape}, expected (S, {features}): in each row the "
                "numbers "
                f"0..{features - 1} in some order"
            )
        return given
    rng = streams.stream(features)
    orders = np.array([rng.permutation(features) for _ in range(n_samples // (2 if antithetic else 1))])
    return np.stack([orders, orders[:, ::-1]], 1).reshape(n_samples, features) if antithetic else orders


def _arrivals(game, samples, orders, pairs):
    """Mean and standard error (n, M) of what features add when they arrive, and the worth (n, 2) of none and all."""
    count, features = orders.shape
    rank = np.argsort(orders, axis=1)  # when each feature arrives
    grown = rank[:, None] < np.arange(features + 1)[:, None]  # (S, M + 1, M): after 0, 1, ..., M arrivals
    table, which = np.unique(grown.reshape(-1, features), axis=0, return_inverse=True)
    worth = game.worth(samples, table)[:, which.reshape(-1)].reshape(len(samples), count, features + 1)
    gains = np.take_along_axis(np.diff(worth, axis=2), rank[None], 2)  # (n, S, M)
    if pairs:
        gains = gains.reshape(len(samples), -1, 2, features).mean(2)
    draws = gains.shape[1]
    error = gains.std(axis=1, ddof=1) / np.sqrt(draws) if draws > 1 else np.full(gains[:, 0].shape, np.nan)
    return gains.mean(1), error, worth[:, 0, [0, -1]]
