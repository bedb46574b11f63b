"""LIME: a linear model of the score, fitted to inputs in which features are hidden. Ribeiro et al. 2016.

    minimise over w, c:  sum over masks z of pi(z) (F(z) - c - w . z)^2 + ridge |w|^2

Nearness pi is measured between masks, as in the authors' library, not between inputs: it must not depend on how
bright the hidden pixels were. A ridge shrinks the coefficients; a lasso, which others use, sets all of them to zero
as soon as the score varies less than its penalty.
"""

import numpy as np

from .game import Game, Streams, checked_count, checked_table, playing
from .masks import default_mask


def lime(
    model,
    x,
    target=None,
    *,
    baselines=0,
    feature_mask=None,
    n_samples=1000,
    kernel_width=0.25,
    similarity="cosine",
    ridge=1.0,
    coalitions=None,
    perturbations_per_eval=None,
    rng=None,
    progress=False,
    **common,
):
    """The coefficients of a ridge regression of the score on which features are present.

    Parameters
    ----------
    model, x, target, **common
        As in `explain.scoring.Scoring`. x may have any number of axes.
    baselines : number, or array of x's shape or with one row
        What absent features are replaced by.
    feature_mask : None, 'grid', 'superpixels', 'values', or integer array that broadcasts against x
        None is superpixels for photographs, a grid of about 7x7 cells for other images, else every value.
    n_samples : int
        Masks: the full one, then random ones in which each feature is present with probability 1/2. The same for all
        samples with as many features.
    kernel_width : float
        s in pi(z) = sqrt(exp(-d^2 / s^2)).
    similarity : 'cosine', 'euclidean' or callable
        How the distance d of a mask from the full one is measured: 1 - sqrt(k / M) if k of M features are present,
        or sqrt((M - k) / M). A callable gets the masks (S, M) and returns pi (S,) itself.
    ridge : float
        Penalty on the squared coefficients (the intercept goes free).
    coalitions : array (S, M) of 0 and 1, optional
        The masks, in place of random ones.
    perturbations_per_eval : int, optional
        Captum's way to set the batch size: in copies of all samples.
    rng : np.random.Generator, optional
    progress : bool
        Show a bar.

    Returns
    -------
    Attribution
        Every value has its feature's coefficient; those are in ``extra["feature_values"]`` (N, M), with
        ``extra["intercept"]`` and ``extra["r_squared"]`` (N,), the weighted share of the variance that the fit
        explains. Not complete.

    Raises
    ------
    ValueError
        If there are no more masks than features, or none of the masks is near enough to count.
    """
    with playing("lime", model, x, target, perturbations_per_eval, common) as run:
        game, streams = Game(run, baselines, feature_mask, default_mask, progress), Streams(run.method, rng)
        if not kernel_width > 0 or not ridge >= 0:
            raise ValueError(
                f"lime: got kernel_width {kernel_width} and ridge {ridge}, expected a positive number and one of "
                "at least 0"
            )
        shares, intercept, r_squared = [None] * len(run.x), np.empty(len(run.x)), np.empty(len(run.x))
        for features, samples in game.sizes():
            if coalitions is None:
                count = checked_count(
                    run.method,
                    "n_samples",
                    n_samples,
                    features + 1,
                    f"{features} coefficients and an intercept are fitted; or use a feature_mask with fewer features",
                )
                table = streams.stream(features).random((count, features)) < 0.5
                table[0] = True
            else:
                table = checked_table(run.method, "coalitions", coalitions, features)
            weights = _nearness(run, table, similarity, kernel_width)
            found, intercept[samples], r_squared[samples] = fit_ridge(table, weights, game.worth(samples, table), ridge)
            for i, share in zip(samples, found, strict=True):
                shares[i] = share
        return game.played(
            shares,
            extra={"intercept": intercept, "r_squared": r_squared},
            settings={"n_samples": len(table), "kernel_width": kernel_width, "similarity": similarity, "ridge": ridge},
        )


def fit_ridge(table, weights, worth, ridge):
    """Coefficients (N, M), intercepts and R^2 (N,) of weighted ridge regressions of worth (N, S) on table (S, M)."""
    share = weights / weights.sum()
    centre, level = share @ table, worth @ share
    design, response = table - centre, (worth - level[:, None]).T  # (S, M), (S, N)
    weighted = design.T * weights
    penalised = weighted @ design + ridge * np.eye(table.shape[1])
    found = np.linalg.lstsq(penalised, weighted @ response, rcond=None)[
        0
    ].T  # the shortest, where ridge=0 leaves a choice
    left, spread = ((residual**2 * weights[:, None]).sum(0) for residual in (response - design @ found.T, response))
    return found, level - found @ centre, 1 - np.divide(left, spread, out=np.zeros_like(left), where=spread > 0)


DISTANCES = {"cosine": lambda present: 1 - np.sqrt(present), "euclidean": lambda present: np.sqrt(1 - present)}


def _nearness(run, table, similarity, kernel_width):
    """pi of every mask."""
    if callable(similarity):
        weights = np.asarray(similarity(table), np.float64)
        if weights.shape != (len(table),) or not (weights >= 0).all():
            raise ValueError(
                f"lime: similarity gave shape {weights.shape}, expected a weight of at least 0 for each of the "
                f"{len(table)} masks"
            )
    elif similarity in DISTANCES:
        weights = np.exp(-((DISTANCES[similarity](table.mean(1)) / kernel_width) ** 2) / 2)
    else:
        raise ValueError(
            f"lime: similarity is {similarity!r}, expected 'cosine', 'euclidean' or a function of the masks"
        )
    if np.count_nonzero(weights) < 2:
        raise ValueError(
            f"lime: {np.count_nonzero(weights)} of {len(table)} masks are near enough to the full one to count, "
            "expected at least "
            f"2; raise kernel_width (it is {kernel_width}) or n_samples"
        )
    return weights
