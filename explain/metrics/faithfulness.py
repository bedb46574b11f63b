"""Faithfulness, by small questions: if part of the input changes, does the score change as the map says it must?"""

from functools import cache

import numpy as np

from ..game import checked_count
from ..inputs import as_baseline
from ..scoring import Scoring
from .controls import Subject, over_pixels


def infidelity(
    model,
    attribution,
    x=None,
    target=None,
    *,
    perturb_func="square",
    n_perturb_samples=50,
    normalize=False,
    baselines=0,
    controls=True,
    rng=None,
    **common,
):
    """How wrong the map is about what perturbations do to the score: a mean squared error. Yeh et al. 2019.

    mean over perturbations I of (a . I - (F(x) - F(x - I)))^2

    Parameters
    ----------
    model, **common
        As in `explain.scoring.Scoring`.
    attribution : Attribution, or array of x's shape (the channels may be one)
    x, target
        An Attribution knows them.
    perturb_func : 'square', 'noisy_baseline' or callable
        'square': I = x - x' inside a random square of up to a third of the picture, so x - I has the baseline there.
        'noisy_baseline': I = x - (x' + noise of deviation 0.1). Such an I is a part of x itself; it suits maps that are
        shares of the score (integrated gradients), while gradients would want a small additive noise. A callable gets
        samples (N, ...) and returns (I, x - I), as Captum's; it is called once per perturbation with all samples.
    n_perturb_samples : int
    normalize : bool
        Scale each sample's map by the number that fits best before it is judged, so that only its shape counts.
    baselines : number, or array of x's shape or with one row
        x'.
    controls : bool, or dict of str to array
        Maps to compare with; True for the usual ones.
    rng : np.random.Generator, optional
        All samples, maps and batch sizes meet the same squares and noise.

    Returns
    -------
    Measurement
        Lower is better; in the score's squared unit.
    """
    checked_count("infidelity", "n_perturb_samples", n_perturb_samples, 1, "the mean over so many is taken")
    subject = Subject("infidelity", attribution, x, target)
    with Scoring("infidelity", model, subject.x, subject.target, **common) as run:
        baseline = as_baseline(run, baselines)
        given = (
            [_checked(perturb_func(run.x), run.x) for _ in range(n_perturb_samples)] if callable(perturb_func) else None
        )

        def perturbed(k, seed):
            return given[k] if given else _perturbation(perturb_func, run.x, baseline, np.random.default_rng([seed, k]))

        @cache
        def dropped(seed):
            return run.clean[:, None] - scores_of(run, n_perturb_samples, lambda k: perturbed(k, seed)[1])

        def error(values, seed):
            axes = tuple(range(1, run.x.ndim))
            foretold = np.stack([(values * perturbed(k, seed)[0]).sum(axes) for k in range(n_perturb_samples)], 1)
            if normalize:
                squares, products = (foretold**2).sum(1), (foretold * dropped(seed)).sum(1)
                foretold = foretold * np.divide(products, squares, out=np.ones(len(run.x)), where=squares > 0)[:, None]
            return ((foretold - dropped(seed)) ** 2).mean(1)

        settings = {
            "perturb_func": getattr(perturb_func, "__name__", perturb_func),
            "n_perturb_samples": n_perturb_samples,
            "normalize": normalize,
        }
        return subject.measure(error, "lower", controls, rng, settings=settings)


def faithfulness_correlation(
    model,
    attribution,
    x=None,
    target=None,
    *,
    subset_size=None,
    n_samples=100,
    baselines=0,
    controls=True,
    rng=None,
    **common,
):
    """How well the map foretells what the score loses without some random pixels: a correlation. Bhatt et al. 2020.

    Pearson correlation, over random subsets S of the pixels, of sum of a over S with F(x) - F(x without S)

    Parameters
    ----------
    model, attribution, x, target, baselines, controls, rng, **common
        As in `infidelity`. All samples and maps meet the same subsets.
    subset_size : int, optional
        Pixels in a subset (all channels of one count once); a fifth of all if left out.
    n_samples : int
        Subsets.

    Returns
    -------
    Measurement
        In [-1, 1]; nan where the map or the score is the same for all subsets.
    """
    checked_count("faithfulness_correlation", "n_samples", n_samples, 2, "two points make a correlation")
    subject = Subject("faithfulness_correlation", attribution, x, target)
    with Scoring("faithfulness_correlation", model, subject.x, subject.target, **common) as run:
        pixels = over_pixels(run.x).shape[1]
        size = max(1, pixels // 5) if subset_size is None else subset_size
        if not isinstance(size, (int, np.integer)) or not 1 <= size < pixels:
            raise ValueError(
                f"faithfulness_correlation: subset_size is {size!r}, expected 1 to {pixels - 1}: x has {pixels} pixels"
            )
        baseline = as_baseline(run, baselines)

        @cache
        def lost(seed):
            chosen = np.random.default_rng(seed).random((n_samples, pixels)).argsort(1).argsort(1) < size
            hidden = scores_of(run, n_samples, lambda k: np.where(as_pixels(chosen[k][None], run.x), baseline, run.x))
            return chosen, run.clean[:, None] - hidden

        def correlation(values, seed):
            chosen, drops = lost(seed)
            sums = over_pixels(values) @ chosen.T  # (N, S)
            sums, drops = (a - a.mean(1, keepdims=True) for a in (sums, drops))
            same = np.abs(sums).max(1) <= 1e-12 * size * np.abs(values).reshape(len(values), -1).max(
                1
            )  # but for rounding
            norms = np.linalg.norm(sums, axis=1) * np.linalg.norm(drops, axis=1)
            return np.divide((sums * drops).sum(1), norms, out=np.full(len(sums), np.nan), where=~same & (norms > 0))

        return subject.measure(
            correlation, "higher", controls, rng, settings={"subset_size": size, "n_samples": n_samples}
        )


def as_pixels(table, x):
    """A table (N or 1, P) of pixels as an array that broadcasts against x (N, C, H, W), or against x (N, ...)."""
    return table.reshape(len(table), 1, *x.shape[2:]) if x.ndim == 4 else table.reshape(len(table), *x.shape[1:])


def scores_of(run, count, make):
    """The scores (N, count), in float64, of `count` changed versions of all samples; ``make(k)`` gives the k-th."""
    found, size = [], max(1, run.batch_size // len(run.x))
    for start in range(0, count, size):
        inputs = [make(k) for k in range(start, min(start + size, count))]
        scores = run.scores(np.concatenate(inputs), np.tile(run.target, len(inputs)))
        found.append(scores.reshape(len(inputs), -1))
    return np.concatenate(found).T.astype(np.float64)


def _perturbation(perturb_func, x, baseline, rng):
    """(I, x - I) for all samples."""
    if perturb_func == "noisy_baseline":
        change = x - (baseline + 0.1 * rng.standard_normal(x.shape[1:]).astype(x.dtype))
    elif perturb_func == "square" and x.ndim == 4:
        side = int(rng.integers(1, max(2, min(x.shape[2:]) // 3 + 1)))
        top, left = (int(rng.integers(n - side + 1)) for n in x.shape[2:])
        square = (..., slice(top, top + side), slice(left, left + side))
        change = np.zeros_like(x)
        change[square] = x[square] - baseline[square]
    else:
        raise ValueError(
            f"infidelity: perturb_func is {perturb_func!r} for x {x.shape}, expected 'square' (for pictures), "
            "'noisy_baseline' or a function of x"
        )
    return change, x - change


def _checked(returned, x):
    """What a caller's perturb_func gave: (I, x - I)."""
    change, moved = (np.asarray(a, x.dtype) for a in returned)
    if change.shape != x.shape or moved.shape != x.shape:
        raise ValueError(
            f"infidelity: perturb_func returned shapes {change.shape} and {moved.shape}, expected {x.shape} "
            "twice: the perturbation, and x less it"
        )
    return change, moved
