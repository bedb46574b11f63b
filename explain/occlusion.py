"""Occlusion: hide a patch, and see what the score loses. Zeiler and Fergus 2014.

The patch slides over the picture; a value gets the mean loss over the patches that hid it. Where the model is a
network of convolutions and the like, only what a patch can reach is computed again (`explain.reach`); where it is
not, the whole picture goes through the model for every patch. Both give the same numbers.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

from .game import playing, steps
from .inputs import as_baseline
from .patches import Patches, of_target, outputs_without
from .reach import Unreachable


def occlusion(
    model,
    x,
    target=None,
    *,
    sliding_window_shapes,
    strides=None,
    baselines=0,
    perturbations_per_eval=None,
    fast=None,
    progress=False,
    **common,
):
    """The score that is lost when a window of the input is hidden, averaged over the windows that hide a value.

    attribution_i = mean over windows W that hold i of F(x) - F(x with W replaced by the baseline)

    Parameters
    ----------
    model, x, target, **common
        As in `explain.scoring.Scoring`. x may have any number of axes.
    sliding_window_shapes : int, pair, or tuple with a length for every axis of a sample
        The window; for images (N, C, H, W) also the side of a square, or (height, width), over all channels.
    strides : likewise, optional
        Steps between windows, 1 if left out. The last window of an axis may hang over the edge, where it is cut off.
    baselines : number, or array of x's shape or with one row
        What hidden values become.
    perturbations_per_eval : int, optional
        Captum's way to set the batch size: in copies of all samples.
    fast : bool, optional
        True computes only what a window reaches, False everything; None (the default) chooses. Then
        ``extra["recomputed"]`` says which, and why.
    progress : bool
        Show a bar.

    Returns
    -------
    Attribution
        Not complete. ``extra["losses"]`` (N, *positions) is the score lost for each window.

    Raises
    ------
    ValueError
        If the window is larger than x, a stride larger than the window (some values would never be hidden), the
        baseline has another shape, or ``fast=True`` with a model whose tape does not allow it.
    """
    with playing("occlusion", model, x, target, perturbations_per_eval, common) as run:
        windows = Windows.over(run, sliding_window_shapes, strides)
        baseline = as_baseline(run, baselines)
        hidden, recomputed = _occluded(run, windows, baseline, of_target, fast, progress)  # (windows, N)
        losses = run.clean.astype(np.float64) - hidden
        values = windows.mean(losses, run.x)
        settings = {"sliding_window_shapes": windows.shape, "strides": windows.strides}
        return run.attribution(
            values,
            baseline=baseline,
            settings=settings,
            extra={"losses": losses.T.reshape(len(run.x), *windows.counts), "recomputed": recomputed},
        )


@dataclass(eq=False)
class OcclusionMap:
    """What the model makes of a picture for each place of a patch.

    Attributes
    ----------
    probability : ndarray (N, rows, columns)
        Of the target, with the patch there.
    predicted : ndarray of int64 (N, rows, columns)
        The class that wins with the patch there.
    target : ndarray (N,)
    clean : ndarray (N,)
        The target's probability without a patch.
    tops, lefts : ndarray (rows,), (columns,)
        Where the patch's upper left corner is, in pixels.
    extra : dict
        ``recomputed`` as in `occlusion`.
    """

    probability: np.ndarray
    predicted: np.ndarray
    target: np.ndarray
    clean: np.ndarray
    tops: np.ndarray
    lefts: np.ndarray
    extra: dict


def occlusion_map(
    model,
    x,
    target=None,
    *,
    sliding_window_shapes=10,
    strides=2,
    baselines=0,
    perturbations_per_eval=None,
    fast=None,
    progress=False,
    **common,
):
    """The target's probability and the predicted class for each place of a patch, by default black, 10x10, moved by 2.

    Parameters
    ----------
    model, x, target, **common
        As in `explain.scoring.Scoring`; x (N, C, H, W). As target give the true classes.
    sliding_window_shapes, strides, baselines, perturbations_per_eval, fast, progress
        As in `occlusion`; the patch covers all channels.

    Returns
    -------
    OcclusionMap
    """
    if "score" in common:
        raise TypeError(
            f"occlusion_map: got score={common['score']!r}, but it always shows probabilities; leave score out"
        )
    with playing("occlusion_map", model, x, target, perturbations_per_eval, common) as run:
        if run.x.ndim != 4:
            raise ValueError(
                f"occlusion_map: x has shape {run.x.shape}, expected images (N, C, H, W); for others use occlusion"
            )
        windows = Windows.over(run, sliding_window_shapes, strides)
        if windows.counts[0] > 1:
            raise ValueError(
                f"occlusion_map: the patch {windows.shape} covers a part of the {run.x.shape[1]} channels, expected all"
            )
        baseline = as_baseline(run, baselines)
        logits, recomputed = _occluded(run, windows, baseline, lambda scores, _: scores, fast, progress)
        samples = np.arange(len(run.x))
        places = (len(run.x), *windows.counts[1:])
        tops, lefts = (np.arange(n) * s for n, s in zip(windows.counts[1:], windows.strides[1:], strict=True))
        return OcclusionMap(
            _softmax(logits)[:, samples, run.target].T.reshape(places),
            logits.argmax(2).T.reshape(places),
            run.target,
            _softmax(run.logits)[samples, run.target],
            tops,
            lefts,
            {"recomputed": recomputed},
        )


@dataclass(eq=False)
class Windows:
    """The places of a window that slides over samples of some shape, in row-major order.

    Along an axis of length n window k starts at k s; there are ceil((n - w) / s) + 1, and the last is cut off at the
    edge.
    """

    shape: tuple
    strides: tuple
    counts: tuple
    places: list  # of a tuple of slices each

    @classmethod
    def over(cls, run, shape, strides):
        """The windows for the samples of `run`, from the options of `occlusion`."""
        lengths, method = run.x.shape[1:], run.method
        shape = _per_axis(method, "sliding_window_shapes", shape, lengths, lengths[0])
        strides = _per_axis(method, "strides", 1 if strides is None else strides, lengths, shape[0])
        if any(w > n for w, n in zip(shape, lengths, strict=True)):
            raise ValueError(
                f"{method}: the window {shape} is larger than a sample {lengths}; make sliding_window_shapes smaller"
            )
        if any(s > w and w < n for s, w, n in zip(strides, shape, lengths, strict=True)):
            raise ValueError(
                f"{method}: strides {strides} go beyond the window {shape}: some values would never be hidden; "
                "make them smaller"
            )
        counts = tuple(-(-(n - w) // s) + 1 for n, w, s in zip(lengths, shape, strides, strict=True))
        axes = (
            [slice(k * s, min(k * s + w, n)) for k in range(count)]
            for n, w, s, count in zip(lengths, shape, strides, counts, strict=True)
        )
        return cls(shape, strides, counts, list(product(*axes)))

    def mean(self, losses, x):
        """For every value the mean of `losses` (windows, N) over the windows that hold it, as x's shape and dtype."""
        total, covering = losses.T.reshape(len(x), *self.counts), np.ones(())
        for n, w, stride, count in zip(x.shape[1:], self.shape, self.strides, self.counts, strict=True):
            from_start = np.arange(n) - stride * np.arange(count)[:, None]
            covers = ((from_start >= 0) & (from_start < w)).astype(np.float64)  # (windows, values) along this axis
            total, covering = np.tensordot(total, covers, (1, 0)), np.multiply.outer(covering, covers.sum(0))
        return (total / covering).astype(x.dtype)


def _per_axis(method, name, value, lengths, all_channels):
    """One positive integer for each axis of a sample."""
    given = (value,) * min(len(lengths), 2) if np.ndim(value) == 0 else tuple(value)
    if len(lengths) == 3 and len(given) == 2:
        given = (all_channels, *given)
    if len(given) != len(lengths) or not all(isinstance(n, (int, np.integer)) and n > 0 for n in given):
        raise ValueError(
            f"{method}: {name} is {value!r}, expected a positive integer for each axis of a sample {lengths}"
            + (", or (height, width), or the side of a square" if len(lengths) == 3 else "")
        )
    return tuple(int(n) for n in given)


def _occluded(run, windows, baseline, keep, fast, progress):
    """What `keep` makes of the scores with each window hidden, (windows, N, ...), and how they were computed."""
    if fast is False:
        return _naively(run, windows, baseline, keep, progress), "everything: fast=False"
    try:
        return outputs_without(run, Patches.of(windows), baseline, keep, progress), "what a window can reach"
    except Unreachable as reason:
        if fast:
            raise ValueError(f"{run.method}: fast=True, but {reason}; leave fast out to compute everything") from None
        return _naively(run, windows, baseline, keep, progress), f"everything: {reason}"


def _naively(run, windows, baseline, keep, progress):
    found, count = [], len(run.x)
    for part in steps(run.batches(len(windows.places) * count), progress, run.method):
        which, samples = np.divmod(np.arange(part.start, part.stop), count)
        inputs = run.x[samples]
        for row, i, k in zip(inputs, samples, which, strict=True):
            row[windows.places[k]] = baseline[i][windows.places[k]]
        found.append(keep(run.outputs(inputs), run.target[samples]))
    found = np.concatenate(found)
    return found.reshape(len(windows.places), count, *found.shape[1:])


def _softmax(logits):
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)
