"""KernelSHAP: Shapley values as the solution of a weighted least-squares problem. Lundberg and Lee 2017.

    minimise over phi:  sum over coalitions S of pi(|S|) (v(S) - v(0) - sum over i in S of phi_i)^2
    subject to:         sum over all i of phi_i = v(all) - v(0)
    with                pi(k) = (M - 1) / (C(M, k) k (M - k))

With all 2^M - 2 coalitions the solution is the Shapley values; with a sample of them it is an estimate of theirs. The
weights of the empty and the full coalition are infinite: they are the constraint, which is eliminated exactly (the
last feature's share is what the others leave) and not, as elsewhere, replaced by large weights.
"""

from itertools import combinations
from math import comb

import numpy as np

from .game import Game, Streams, checked_count, checked_table, playing
from .masks import default_mask


def kernel_shap(
    model,
    x,
    target=None,
    *,
    baselines=0,
    feature_mask=None,
    n_samples=None,
    coalitions=None,
    perturbations_per_eval=None,
    rng=None,
    progress=False,
    **common,
):
    """Shapley values estimated by regression on the worth of coalitions; exact if all of them are asked for.

    Coalitions of the sizes that weigh most (one feature, all but one, two ...) are enumerated as far as `n_samples`
    goes (2 M do for the first), the rest are drawn by the kernel's weights, each with its complement. Covert and Lee
    2021.

    Parameters
    ----------
    model, x, target, **common
        As in `explain.scoring.Scoring`. x may have any number of axes.
    baselines : number, or array of x's shape or with one row
        What absent features are replaced by.
    feature_mask : None, 'grid', 'superpixels', 'values', or integer array that broadcasts against x
        None is superpixels for photographs, a grid of about 7x7 cells for other images, else every value.
    n_samples : int, optional
        Coalitions beside the empty and the full one; 2 M + 2048 if left out, and never more than there are.
    coalitions : array (S, M) of 0 and 1, optional
        In place of random ones; they count as drawn by the kernel, that is, with equal weights.
    perturbations_per_eval : int, optional
        Captum's way to set the batch size: in copies of all samples.
    rng : np.random.Generator, optional
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
        If there are too few coalitions to tell the features apart.
    """
    with playing("kernel_shap", model, x, target, perturbations_per_eval, common) as run:
        game, streams = Game(run, baselines, feature_mask, default_mask, progress), Streams(run.method, rng)
        if n_samples is not None:
            checked_count(run.method, "n_samples", n_samples, 1, "so many coalitions are asked for")
        shares, ends = [None] * len(run.x), np.empty((len(run.x), 2))
        for features, samples in game.sizes():
            if coalitions is None:
                asked = 2 * features + 2048 if n_samples is None else n_samples
                table, weights = kernel_coalitions(features, asked, streams.stream(features))
            else:
                table = checked_table(run.method, "coalitions", coalitions, features)
                table = table[table.any(1) & ~table.all(1)]
                weights = np.ones(len(table))
            _check_told_apart(run, table, features)
            limits = np.stack([np.zeros(features, bool), np.ones(features, bool)])
            worth = game.worth(samples, np.concatenate([limits, table]))
            ends[samples] = worth[:, :2]
            for i, share in zip(samples, regress(table, weights, worth[:, 2:], ends[samples]), strict=True):
                shares[i] = share
        return game.played(shares, ends, settings={"n_samples": len(table)})


def kernel_coalitions(features, n_samples, rng):
    """Coalitions (S, M) other than the empty and the full one, at most `n_samples`, and their weights (S,).

    The weights add up to 1, over all sizes and within each as the Shapley kernel has it.
    """
    n_samples = min(n_samples, 2**features - 2)
    sizes = np.arange(1, features // 2 + 1)  # a size stands for its complements' too
    kernel = np.where(2 * sizes == features, 1, 2) / (sizes * (features - sizes))
    kernel = kernel / kernel.sum()
    rows, weights, done = [], [], 0
    for k, weight in zip(sizes.tolist(), kernel, strict=True):
        there = comb(features, k) * (1 if 2 * k == features else 2)
        left = n_samples - len(weights)
        if left < there or k > 1 and left * weight / kernel[done:].sum() < there * (1 - 1e-9):
            break  # single features are taken as soon as they fit: they tell all features apart
        chosen = np.array(list(combinations(range(features), k)))
        level = np.zeros((len(chosen), features), bool)
        np.put_along_axis(level, chosen, True, 1)
        rows.append(level if 2 * k == features else np.concatenate([level, ~level]))
        weights += [weight / there] * there
        done += 1
    left = n_samples - len(weights)
    if left and done < len(sizes):
        drawn = np.zeros((-(-left // 2), features), bool)
        drawn_sizes = rng.choice(sizes[done:], len(drawn), p=kernel[done:] / kernel[done:].sum())
        for row, k in zip(drawn, drawn_sizes, strict=True):
            row[rng.permutation(features)[:k]] = True
        pairs = np.stack([drawn, ~drawn], 1).reshape(-1, features)[:left]
        rows.append(pairs)
        weights += [kernel[done:].sum() / left] * left
    if not rows:
        return np.zeros((0, features), bool), np.zeros(0)
    return np.concatenate(rows), np.array(weights) / sum(weights)


def regress(table, weights, worth, ends):
    """The shares (N, M) that fit the worth (N, S) of coalitions best and add up to the difference of `ends` (N, 2)."""
    if table.shape[1] == 1:
        return np.diff(ends, axis=1)
    total = ends[:, 1] - ends[:, 0]
    others, last = table[:, :-1].astype(np.float64), table[:, -1:].astype(np.float64)
    design, left = others - last, worth - ends[:, :1] - total[:, None] * last.T
    weighted = design.T * weights
    found = np.linalg.solve(weighted @ design, weighted @ left.T).T
    return np.concatenate([found, (total - found.sum(1))[:, None]], axis=1)


def _check_told_apart(run, table, features):
    """The design must have full rank once the constraint is used up."""
    design = table[:, :-1].astype(np.float64) - table[:, -1:]
    rank = np.linalg.matrix_rank(design.T @ design, hermitian=True) if len(table) and features > 1 else 0
    if rank < features - 1:
        raise ValueError(
            f"{run.method}: {len(table)} coalitions tell only {rank + 1} of {features} features apart; use "
            "n_samples of at "
            f"least {2 * features} (by default it is {2 * features + 2048}), or a feature_mask with fewer features"
        )
