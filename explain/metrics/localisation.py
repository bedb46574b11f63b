"""Localisation: whether a map lights up where the thing is. It needs to be known where that is: a mask per sample.

A network may be right for reasons beside the thing, so a faithful map can lose here. Only what speaks *for* the class
counts: maps are summed over channels, and what is negative says "not because of this", which is no finding of the
thing.
"""

import numpy as np

from .controls import Subject


def pointing_game(attribution, mask, x=None, *, tolerance=0, controls=True, rng=None):
    """Whether the largest value lies on the thing: 1 or 0. Zhang et al. 2018.

    Parameters
    ----------
    attribution : Attribution, or array (N, C, H, W) with x
    mask : bool array (N, H, W), (N, 1, H, W) or (H, W)
        Where the thing is. A sample with an empty mask has nothing to hit: nan, and left out of the mean.
    x : ndarray (N, C, H, W)
        For the controls, where the attribution is a plain array.
    tolerance : int
        Pixels by which the largest value may miss; the paper's is 15 on photographs.
    controls : bool, or dict of str to array
    rng : np.random.Generator, optional
        For the random control.

    Returns
    -------
    Measurement
        Where k of m values that share the maximum lie on the thing the sample counts k / m, so that a constant map is
        worth the part of the picture that the thing fills.
    """
    if not isinstance(tolerance, (int, np.integer)) or tolerance < 0:
        raise ValueError(f"pointing_game: tolerance is {tolerance!r}, expected a number of pixels of at least 0")

    def hits(a, inside):
        largest = a == a.max((1, 2), keepdims=True)
        return (largest & _grown(inside, tolerance)).sum((1, 2)) / largest.sum((1, 2))

    return _where("pointing_game", hits, attribution, mask, x, controls, rng, {"tolerance": tolerance})


def relevance_mass(attribution, mask, x=None, *, controls=True, rng=None):
    """The part of the positive relevance that lies on the thing. Arras et al. 2022.

    Parameters and empty masks as in `pointing_game`. A map without anything positive is nan.

    Returns
    -------
    Measurement
        In [0, 1].
    """

    def mass(a, inside):
        a = np.maximum(a, 0)
        total = a.sum((1, 2))
        return np.divide((a * inside).sum((1, 2)), total, out=np.full(len(a), np.nan), where=total > 0)

    return _where("relevance_mass", mass, attribution, mask, x, controls, rng, {})


def relevance_rank(attribution, mask, x=None, *, controls=True, rng=None):
    """If the thing fills k pixels: the part of the k largest values that lies on it. Arras et al. 2022.

    Parameters and empty masks as in `pointing_game`. Of several values equal to the k-th largest, each counts in part.

    Returns
    -------
    Measurement
        In [0, 1].
    """

    def rank(a, inside):
        found = np.full(len(a), np.nan)
        for i, (row, thing) in enumerate(zip(a.reshape(len(a), -1), inside.reshape(len(a), -1), strict=True)):
            if k := int(thing.sum()):
                last = np.partition(row, -k)[-k]
                above, level = row > last, row == last
                found[i] = ((above & thing).sum() + (k - above.sum()) * (level & thing).sum() / level.sum()) / k
        return found

    return _where("relevance_rank", rank, attribution, mask, x, controls, rng, {})


def _where(metric, measured, attribution, mask, x, controls, rng, settings):
    if x is None and getattr(attribution, "x", None) is None and np.ndim(attribution) == 4:
        x, controls = np.zeros(np.shape(attribution)), controls if isinstance(controls, dict) else False
    subject = Subject(metric, attribution, x)
    if subject.x.ndim != 4:
        raise ValueError(f"{metric}: x has shape {subject.x.shape}, expected pictures (N, C, H, W)")
    inside, shape = np.asarray(mask), (len(subject.x), *subject.x.shape[2:])
    inside = inside[:, 0] if inside.ndim == 4 and inside.shape[1] == 1 else inside
    if inside.shape not in (shape, shape[1:]) or not np.isin(inside, (0, 1)).all():
        raise ValueError(
            f"{metric}: mask is {inside.dtype} of shape {inside.shape}, expected booleans {shape}: where the thing is"
        )
    inside = np.broadcast_to(inside.astype(bool), shape)

    def known(values, seed):
        return np.where(inside.any((1, 2)), measured(values.sum(1), inside), np.nan)

    return subject.measure(known, "higher", controls, rng, settings=settings)


def _grown(inside, pixels):
    """The mask and everything within `pixels` of it."""
    if not pixels:
        return inside
    from scipy.ndimage import distance_transform_edt

    return np.stack([distance_transform_edt(~one) <= pixels if one.any() else one for one in inside])
