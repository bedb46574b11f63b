"""Hiding many small sets of values, and computing for each only what it can reach."""

from dataclasses import dataclass

import numpy as np

from .crops import boxes
from .game import steps
from .reach import Reach, Unreachable

CHUNK = 2**25  # values of the largest activation, of all samples in a chunk, if no batch_size is given: bounds memory
ROWS = 1024  # and never more samples than this


@dataclass(eq=False)
class Patches:
    """Sets of values to hide, each inside a box of one size: where the boxes are, and what is hidden in them.

    tops, lefts : (W,); hidden : bool (W, C, h, w)
    """

    tops: np.ndarray
    lefts: np.ndarray
    hidden: np.ndarray

    @property
    def size(self):
        """Of the boxes, in pixels."""
        return self.hidden.shape[2:]

    @classmethod
    def of(cls, windows):
        """The windows of an occlusion; those that hang over the edge move inside and hide a part of their box."""
        if len(windows.shape) != 3:
            raise Unreachable("the samples are no images (C, H, W)")
        size, (channels, *ends) = windows.shape[1:], [s.stop for s in windows.places[-1]]
        tops, lefts = (
            np.array([min(place[axis].start, end - n) for place in windows.places])
            for axis, end, n in zip((1, 2), ends, size, strict=True)
        )
        hidden = np.zeros((len(tops), channels, *size), bool)
        for box, (c, rows, columns), top, left in zip(hidden, windows.places, tops, lefts, strict=True):
            box[c, rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = True
        return cls(tops, lefts, hidden)


def of_target(scores, target):
    """Of all classes' scores (..., K), those of the classes `target`, which broadcasts against (...)."""
    return np.take_along_axis(scores, np.broadcast_to(target, scores.shape[:-1])[..., None], -1)[..., 0]


def outputs_without(run, patches, baseline, keep, progress):
    """What ``keep(scores, target)`` makes of the scores with each of the Patches hidden: (W, N, ...).

    Only what they can reach is computed. Raises Unreachable.
    """
    found = None
    for part in run.batches(len(run.x)):
        leaf, scores = run.record(run.x[part], part)
        reach, count = Reach(leaf, scores), len(leaf.data)
        rows = run.asked_batch_size or min(ROWS, CHUNK // max(t.size // count for t in reach.steps))
        chunks = [
            group[i : i + max(1, rows // count)]
            for group in reach.groups(patches.tops, patches.lefts, patches.size)
            for i in range(0, len(group), max(1, rows // count))
        ]
        for chunk in steps(chunks, progress, run.method):
            places = patches.tops[chunk], patches.lefts[chunk], patches.size
            hidden = patches.hidden[chunk][:, None].transpose(0, 1, 3, 4, 2)  # (W, 1, h, w, C)
            values = np.where(hidden, boxes(baseline[part], *places), boxes(leaf.data, *places))
            y = reach.run(values.reshape(-1, *values.shape[2:]).transpose(0, 3, 1, 2), *places[:2])
            kept = keep(y, run.targets(part))
            if found is None:
                found = np.empty((len(patches.tops), len(run.x), *kept.shape[2:]), kept.dtype)
            found[chunk, part] = kept
            run.forwards += len(chunk) * count
    return found
