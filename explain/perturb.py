"""Attributions by removal: take a feature away, or shuffle it between samples, and see what the score loses."""

import numpy as np

from .game import AllBut, Game, playing, steps
from .inputs import as_generator
from .masks import as_feature_mask, value_mask
from .patches import Patches, of_target, outputs_without
from .reach import Unreachable


def feature_ablation(
    model,
    x,
    target=None,
    *,
    baselines=0,
    feature_mask=None,
    perturbations_per_eval=None,
    fast=None,
    progress=False,
    **common,
):
    """The score that is lost when a feature is replaced by the baseline.

    attribution of every value of feature k = F(x) - F(x with feature k replaced)

    Parameters
    ----------
    model, x, target, **common
        As in `explain.scoring.Scoring`. x may have any number of axes.
    baselines : number, or array of x's shape or with one row
    feature_mask : None, 'grid', 'superpixels', 'values', or integer array that broadcasts against x
        The feature of every value, see `explain.masks`; None makes every value a feature.
    perturbations_per_eval : int, optional
        Captum's way to set the batch size: in copies of all samples.
    fast : bool, optional
        As in `occlusion`: features that lie in a small box need not run the whole network.
    progress : bool
        Show a bar.

    Returns
    -------
    Attribution
        Not complete. The features' values are in ``extra["feature_values"]`` (N, M).

    Raises
    ------
    ValueError, TypeError
        If the feature mask has gaps or another shape, or the baseline has.
    """
    with playing("feature_ablation", model, x, target, perturbations_per_eval, common) as run:
        game = Game(run, baselines, feature_mask, value_mask, progress)
        shares, recomputed = _lost(run, game, fast, progress)
        return game.played(shares, extra={"recomputed": recomputed})


def feature_permutation(
    model,
    x,
    target=None,
    *,
    feature_mask=None,
    permutations=None,
    perturbations_per_eval=None,
    rng=None,
    progress=False,
    **common,
):
    """The score that is lost when a feature is shuffled between the samples of the batch. Breiman 2001.

    attribution of every value of feature k in sample i = F(x_i) - F(x_i with feature k of sample p_k(i))

    What takes a feature's place is real, unlike a baseline; but it says something of the whole batch, and depends on
    it.

    Parameters
    ----------
    model, x, target, **common
        As in `explain.scoring.Scoring`; at least 2 samples.
    feature_mask : None, 'grid', 'values', or integer array that broadcasts against one sample
        The feature of every value, the same for all samples; None makes every value a feature.
    permutations : integer array (M, N), optional
        For each feature whose values sample i gets; drawn if left out, never the identity.
    perturbations_per_eval : int, optional
        Captum's way to set the batch size: in copies of all samples.
    rng : np.random.Generator, optional
    progress : bool
        Show a bar.

    Returns
    -------
    Attribution

    Raises
    ------
    ValueError
        For fewer than 2 samples, or permutations that are none.
    """
    with playing("feature_permutation", model, x, target, perturbations_per_eval, common) as run:
        count = len(run.x)
        if count < 2:
            raise ValueError(
                "feature_permutation: x holds 1 sample, expected at least 2: features are shuffled between samples; "
                "for one sample use feature_ablation"
            )
        mask, features = as_feature_mask(run.method, feature_mask, run.x, value_mask)
        if len(mask) > 1:
            raise ValueError(
                f"feature_permutation: feature_mask has shape {mask.shape}, expected one for all samples (1, ...): "
                "a feature must be the same values in each"
            )
        features = int(features[0])
        permutations = _permutations(run, permutations, features, rng)
        lost = np.empty((count, features))
        for part in steps(run.batches(features * count), progress, run.method):
            feature, rows = np.divmod(np.arange(part.start, part.stop), count)
            chosen = mask == feature.reshape(-1, *[1] * (mask.ndim - 1))
            inputs = np.where(chosen, run.x[permutations[feature, rows]], run.x[rows])
            lost[rows, feature] = run.clean[rows] - run.scores(inputs, run.target[rows])
        values = np.broadcast_to(lost[:, mask[0]], run.x.shape).astype(run.x.dtype)
        return run.attribution(
            values, extra={"feature_values": lost, "feature_mask": mask, "permutations": permutations}
        )


def _lost(run, game, fast, progress):
    """F(x) - F(x without the feature) for each sample's features, and a sentence on how that was computed."""
    clean, reason = run.clean.astype(np.float64), "fast=False"
    if fast is not False:
        try:
            hidden = outputs_without(run, _as_patches(game), game.baseline, of_target, progress)
            return list((clean - hidden).T), "what a feature can reach"
        except Unreachable as error:
            reason = str(error)
            if fast:
                raise ValueError(
                    f"feature_ablation: fast=True, but {reason}; leave fast out to compute everything"
                ) from None
    shares = [None] * len(run.x)
    for features, samples in game.sizes():
        for i, worth in zip(samples, game.worth(samples, AllBut(features)), strict=True):
            shares[i] = clean[i] - worth
    return shares, f"everything: {reason}"


def _as_patches(game):
    """The features as sets of values in boxes of one size. Raises Unreachable where there are no boxes to speak of."""
    mask = game.mask
    if len(mask) > 1 or mask.ndim != 4:
        raise Unreachable(
            "the features differ between samples" if len(mask) > 1 else "the samples are no images (C, H, W)"
        )
    mask = np.broadcast_to(mask[0], (mask.shape[1], *game.run.x.shape[2:]))
    spans = [_spans(mask, axis, game.features[0]) for axis in (1, 2)]
    size = [int((last - first).max()) + 1 for first, last in spans]
    if np.prod(size) > mask[0].size / 2:
        raise Unreachable(f"the features spread over {size[0]}x{size[1]} of {mask.shape[1]}x{mask.shape[2]} pixels")
    tops, lefts = (np.minimum(first, n - m) for (first, _), n, m in zip(spans, mask.shape[1:], size, strict=True))
    views = np.lib.stride_tricks.sliding_window_view(mask, size, axis=(1, 2))  # (C, rows, columns, h, w)
    numbers = np.arange(game.features[0]).reshape(-1, 1, 1, 1)
    return Patches(tops, lefts, views[:, tops, lefts].swapaxes(0, 1) == numbers)


def _spans(mask, axis, features):
    """The first and the last index along an axis at which each feature occurs."""
    flat, place = mask.ravel(), np.indices(mask.shape)[axis].ravel()
    first, last = np.full(features, mask.shape[axis]), np.zeros(features, int)
    np.minimum.at(first, flat, place)
    np.maximum.at(last, flat, place)
    return first, last


def _permutations(run, given, features, rng):
    """Whose values each sample gets, for each feature: (M, N)."""
    count = len(run.x)
    if given is not None:
        given = np.asarray(given)
        if given.shape != (features, count) or not (np.sort(given, axis=1) == np.arange(count)).all():
            raise ValueError(
                f"{run.method}: permutations has shape {given.shape}, expected for each of the {features} features "
                f"the numbers 0..{count - 1} in some order"
            )
        return given
    rng = as_generator(run.method, rng)
    drawn = np.tile(np.arange(count), (features, 1))
    still = np.arange(features)
    while len(still):
        drawn[still] = rng.permuted(drawn[still], axis=1)
        still = still[(drawn[still] == np.arange(count)).all(1)]
    return drawn
