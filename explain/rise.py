"""RISE: show random parts of the picture, and credit the pixels that were visible when the score was high."""

import numpy as np

from minigrad.kernels import matmul

from .game import Streams, checked_count, playing, steps
from .inputs import as_baseline

CELLS = 7


def rise(
    model,
    x,
    target=None,
    *,
    n_samples=4000,
    cells=None,
    probability=0.5,
    baselines=0,
    masks=None,
    perturbations_per_eval=None,
    rng=None,
    progress=False,
    score="probability",
    **common,
):
    """The mean score over random masks that show a pixel. Petsiuk et al. 2018.

    attribution_i = 1 / (n p) * sum over masks m of F(m x + (1 - m) x') m_i

    A mask is a coarse random grid, enlarged bilinearly and cut out at a random shift, so it is soft and has no
    preferred place. The map is high everywhere if the score is: look at its differences. Nothing but scores is used
    of the model.

    Parameters
    ----------
    model, x, target, **common
        As in `explain.scoring.Scoring`; x (N, C, H, W).
    n_samples : int
        Masks, the same ones for all samples.
    cells : int or pair, optional
        Cells of the coarse grid along the height and the width; 7, or as many as there are pixels.
    probability : float
        p, that of a cell to be visible.
    baselines : number, or array of x's shape or with one row
        x', what is shown in place of hidden pixels.
    masks : ndarray (n_samples, H, W) in [0, 1], optional
        In place of random ones; they count as drawn with `probability`.
    perturbations_per_eval : int, optional
        Captum's way to set the batch size: in copies of all samples.
    rng : np.random.Generator, optional
    progress : bool
        Show a bar.
    score : str
        As in `Scoring`; the paper's probability by default.

    Returns
    -------
    Attribution
        The same map for every channel. Not complete. ``extra["standard_error"]`` (N, H, W) is that of the map.
    """
    with playing("rise", model, x, target, perturbations_per_eval, {**common, "score": score}) as run:
        if run.x.ndim != 4:
            raise ValueError(f"rise: x has shape {run.x.shape}, expected images (N, C, H, W)")
        baseline = as_baseline(run, baselines)
        if not 0 < probability <= 1:
            raise ValueError(f"rise: probability is {probability!r}, expected a number above 0 and at most 1")
        visible = _Masks(run, cells, probability, rng) if masks is None else _given(run, masks)
        count = (
            checked_count(run.method, "n_samples", n_samples, 2, "a mean and its error need two")
            if masks is None
            else len(visible)
        )
        total, squares = np.zeros((2, *run.x.shape[:1], *run.x.shape[2:]))
        for part in steps(run.batches(count), progress, run.method):
            m = visible[part]
            for i in range(len(run.x)):  # the masks of a batch serve every sample
                inputs = m[:, None] * run.x[i] + (1 - m[:, None]) * baseline[i]
                scores = run.scores(inputs, np.broadcast_to(run.target[i], len(m))).astype(np.float64)
                total[i] += np.einsum("m,mhw->hw", scores, m)  # not by BLAS, whose threads would slow the model down
                squares[i] += np.einsum("m,mhw->hw", scores**2, m.astype(np.float64) ** 2)
        mean = total / count
        error = np.sqrt(np.maximum(squares / count - mean**2, 0) / max(count - 1, 1)) / probability
        values = np.broadcast_to((mean / probability)[:, None], run.x.shape).astype(run.x.dtype)
        return run.attribution(
            values,
            baseline=baseline,
            extra={"standard_error": error},
            settings={"n_samples": count, "cells": cells, "probability": probability, "score": score},
        )


class _Masks:
    """Random masks, made when they are asked for: thousands of photographs' would not fit into memory."""

    def __init__(self, run, cells, probability, rng):
        size = run.x.shape[2:]
        cells = [min(CELLS, n) for n in size] if cells is None else cells
        self.cells = (cells, cells) if np.ndim(cells) == 0 else tuple(cells)
        if len(self.cells) != 2 or not all(
            isinstance(c, (int, np.integer)) and 1 <= c <= n for c, n in zip(self.cells, size, strict=False)
        ):
            raise ValueError(
                f"rise: cells is {cells!r}, expected an integer or a pair, from 1 to the pixels {size}"
            )
        self.size, self.probability, self.dtype = size, probability, run.x.dtype
        self.seed = Streams(run.method, rng).seed

    def __getitem__(self, part):
        masks = np.empty((part.stop - part.start, *self.size), self.dtype)
        for row, k in zip(masks, range(part.start, part.stop), strict=True):
            rng = np.random.default_rng([self.seed, k])  # a stream for each mask: batches may end anywhere
            grid = rng.random([c + 1 for c in self.cells]) < self.probability
            down, across = (
                _enlarging(n, c, rng.integers(-(-n // c))) for n, c in zip(self.size, self.cells, strict=True)
            )
            row[...] = matmul(matmul(down, grid.astype(down.dtype)), across.T)
        return masks


def _enlarging(pixels, cells, shift):
    """The weights (pixels, cells + 1) that interpolate a grid's values linearly, `shift` pixels from its start."""
    at = (np.arange(pixels) + shift + 0.5) / -(-pixels // cells) - 0.5
    return np.maximum(0, 1 - np.abs(np.clip(at, 0, cells)[:, None] - np.arange(cells + 1)))


def _given(run, masks):
    masks = np.asarray(masks, run.x.dtype)
    if masks.shape[1:] != run.x.shape[2:] or len(masks) < 2 or masks.min() < 0 or masks.max() > 1:
        raise ValueError(
            f"{run.method}: masks has shape {masks.shape}, expected at least 2 of {run.x.shape[2:]} with values "
            "in [0, 1]"
        )
    return masks
