"""Faithfulness, by removal: take the pixels away in the order of the map, and watch the score.

Ties go by place, row by row, whatever the platform's sort does; so much of a map may be zero that this matters, and the
constant control shows what the order of the places is worth by itself. What takes a pixel's place matters as much:
black may be a colour the network knows, a blur hardly hides anything, and any edge of a hole is a new feature. `road`
fills holes in.
"""

import numpy as np

from ..game import checked_count
from ..inputs import as_baseline
from ..scoring import Scoring
from .controls import Subject, over_pixels
from .faithfulness import as_pixels, scores_of
from .imputation import noisy_linear_imputation


def deletion(
    model,
    attribution,
    x=None,
    target=None,
    *,
    n_steps=50,
    baselines=0,
    controls=True,
    rng=None,
    score="probability",
    **common,
):
    """The area under the target's probability while pixels are removed, the most relevant first. Petsiuk et al. 2018.

    Parameters
    ----------
    model, score, **common
        As in `explain.scoring.Scoring`; the paper's probability by default.
    attribution : Attribution, or array of x's shape (the channels may be one)
        A pixel's relevance is the sum over its channels.
    x, target
        An Attribution knows them.
    n_steps : int
        Steps of about equal size from the whole picture to none of it.
    baselines : number, array of x's shape or with one row, or 'blur'
        What takes the place of a removed pixel.
    controls : bool, or dict of str to array
        Maps to compare with; True for the usual ones.
    rng : np.random.Generator, optional
        For the random control.

    Returns
    -------
    Measurement
        Lower is better. `curve` has the parts of the pixels removed, and the score (N, n_steps + 1) then.
    """
    return _curve(
        "deletion",
        "lower",
        _area,
        model,
        attribution,
        x,
        target,
        n_steps,
        baselines,
        False,
        controls,
        rng,
        {**common, "score": score},
    )


def insertion(
    model,
    attribution,
    x=None,
    target=None,
    *,
    n_steps=50,
    baselines="blur",
    controls=True,
    rng=None,
    score="probability",
    **common,
):
    """The area under the target's probability while the pixels come back, the most relevant first. Petsiuk et al. 2018.

    As `deletion`, from the baseline to the picture; as in the paper the baseline is the picture out of focus.

    Returns
    -------
    Measurement
        Higher is better.
    """
    return _curve(
        "insertion",
        "higher",
        _area,
        model,
        attribution,
        x,
        target,
        n_steps,
        baselines,
        True,
        controls,
        rng,
        {**common, "score": score},
    )


def pixel_flipping(
    model, attribution, x=None, target=None, *, n_steps=50, baselines=0, controls=True, rng=None, **common
):
    """The mean loss of the score while pixels go, the most relevant first. Bach et al. 2015, Samek et al. 2017.

    AOPC = mean over k = 0 ... L of F(x) - F(x without the first k parts)

    Parameters as in `deletion`, and `baselines`; the score is the logit unless ``score=`` says otherwise.

    Returns
    -------
    Measurement
        Higher is better; in the unit of the score.
    """

    def loss(places, y):
        return (y[:, :1] - y).mean(1)

    return _curve(
        "pixel_flipping",
        "higher",
        loss,
        model,
        attribution,
        x,
        target,
        n_steps,
        baselines,
        False,
        controls,
        rng,
        common,
    )


def road(
    model,
    attribution,
    x=None,
    target=None,
    *,
    parts=(0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9),
    noise=0.01,
    controls=True,
    rng=None,
    score="probability",
    **common,
):
    """Remove and debias: half of the score without the least relevant pixels less without the most. Rong et al. 2022.

    mean over parts p of (F(x without its p least relevant) - F(x without its p most relevant)) / 2

    A hole is filled with what its border suggests (`noisy_linear_imputation`), so that its shape does not give away
    what was there. Parameters as in `deletion`, and:

    Parameters
    ----------
    parts : sequence of float in (0, 1)
    noise : float
        Deviation of the noise on filled pixels, in the units of x.

    Returns
    -------
    Measurement
        Higher is better. `curve` has the parts and the differences; ``extra["least"]`` and ``extra["most"]`` (N, parts)
        the scores.
    """
    parts = np.asarray(parts, np.float64)
    if parts.ndim != 1 or not parts.size or parts.min() <= 0 or parts.max() >= 1:
        raise ValueError(
            f"road: parts is {parts.tolist()}, expected numbers between 0 and 1: a picture without any pixel is no "
            "picture"
        )
    subject = Subject("road", attribution, x, target)
    with Scoring("road", model, subject.x, subject.target, score=score, **common) as run:
        if run.x.ndim != 4:
            raise ValueError(f"road: x has shape {run.x.shape}, expected pictures (N, C, H, W)")

        def kept(values, seed):
            rank, scores = ranks(values), []
            for least in (True, False):
                order = rank.shape[1] - 1 - rank if least else rank

                def filled(k, order=order):
                    holes = as_pixels(order < round(parts[k] * order.shape[1]), run.x)[:, 0]
                    return noisy_linear_imputation(run.x, holes, noise=noise, rng=np.random.default_rng([seed, k]))

                scores.append(scores_of(run, len(parts), filled))
            difference = (scores[0] - scores[1]) / 2
            return {
                "values": difference.mean(1),
                "curve": (parts, difference),
                "extra": dict(zip(("least", "most"), scores)),
            }

        return subject.measure(
            kept, "higher", controls, rng, settings={"parts": parts.tolist(), "noise": noise, "score": score}
        )


def ranks(values):
    """Each pixel's place (N, P) when the largest comes first; ties row by row."""
    order = np.argsort(-over_pixels(values), axis=1, kind="stable")
    found = np.empty_like(order)
    np.put_along_axis(found, order, np.arange(order.shape[1])[None], 1)
    return found


def blurred(x, sigma=5.0):
    """Pictures (N, C, H, W) out of focus: a Gaussian blur of `sigma` pixels, the border continued."""
    from scipy.ndimage import gaussian_filter

    if x.ndim != 4:
        raise ValueError(
            f"blurred: x has shape {x.shape}, expected pictures (N, C, H, W); give baselines as a number or array"
        )
    return gaussian_filter(x, (0, 0, sigma, sigma), mode="nearest")


def _curve(metric, better, value, model, attribution, x, target, n_steps, baselines, insert, controls, rng, common):
    checked_count(metric, "n_steps", n_steps, 1, "the pixels go in so many parts")
    subject = Subject(metric, attribution, x, target)
    with Scoring(metric, model, subject.x, subject.target, **common) as run:
        blur = isinstance(baselines, str) and baselines == "blur"
        baseline = blurred(run.x) if blur else as_baseline(run, baselines)
        start, end = (baseline, run.x) if insert else (run.x, baseline)
        pixels = over_pixels(run.x).shape[1]
        counts = np.unique(np.round(np.linspace(0, pixels, n_steps + 1)).astype(int))
        places = counts / pixels

        def measured(values, seed):
            rank, found = ranks(values), np.empty((len(run.x), len(counts)))
            for part in run.batches(found.size):
                samples, k = np.divmod(np.arange(part.start, part.stop), len(counts))
                changed = as_pixels(rank[samples] < counts[k][:, None], run.x)
                found.flat[part] = run.scores(np.where(changed, end[samples], start[samples]), run.target[samples])
            return {"values": value(places, found), "curve": (places, found)}

        return subject.measure(
            measured,
            better,
            controls,
            rng,
            settings={"n_steps": len(counts) - 1, "score": run.score, "baselines": "blur" if blur else "given"},
        )


def _area(places, y):
    return ((y[:, 1:] + y[:, :-1]) / 2 * np.diff(places)).sum(1)
