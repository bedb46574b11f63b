"""Hiding many small sets of values, and computing for each only what it can reach."""

from dataclasses import dataclass

import numpy as np

from minigrad import kernels

from .crops import Crop, common_size, corners
from .game import steps
from .reach import Reach, Unreachable

CHUNK = 2**26  # values of the largest activation, of all samples in a chunk, if no batch_size is given: bounds memory
ROWS = 4096  # and never more samples than this


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

    def laid_over(self, x, baseline, which, images, spans):
        """The Crop of images x in which the patches `which` are hidden in `images`, where they change the `spans`."""
        place = self.tops[which], self.lefts[which]
        values = kernels.cut_boxes(baseline, images, *place, self.size, 0.0)
        if not self.hidden.all():
            values = np.where(self.hidden[which], values, kernels.cut_boxes(x, images, *place, self.size, 0.0))
        everywhere = [(start, start + n) for start, n in zip(place, self.size, strict=True)]
        crop = Crop(values, images, everywhere, x)
        size = common_size(spans)
        return Crop(crop.within(*corners(spans, size, x.shape[2:]), size), images, spans, x)


@dataclass(eq=False)
class Changes:
    """The pairs of a patch and an image in which it changes something, and where.

    On black ground a black patch changes nothing, and on the rim of a digit little. Two rectangles that hide the same
    values of an image are one change.

    which, images : (R,), of each pair
    spans : ((first, stop), (first, stop)), arrays (R,) of the rows and the columns that change
    copies, originals : pairs (2, ...) that are like other pairs, and these
    """

    which: np.ndarray
    images: np.ndarray
    spans: tuple
    copies: np.ndarray
    originals: np.ndarray

    @classmethod
    def made_by(cls, patches, x, baseline):
        """Hiding each of the patches in images x (n, C, H, W)."""
        ends = kernels.changed_boxes(x, baseline, patches.hidden, patches.tops, patches.lefts)
        which, images = np.nonzero(ends[1])
        ends = ends[:, which, images]
        first = inverse = np.arange(len(which))
        if patches.hidden.all():
            height, width = x.shape[2:]
            key = np.ravel_multi_index([images, *ends], [len(x), height, height + 1, width, width + 1])
            _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
        again = np.flatnonzero(first[inverse] != np.arange(len(inverse)))
        copies, originals = (np.stack([which[k], images[k]]) for k in (again, first[inverse[again]]))
        return cls(which[first], images[first], (ends[:2, first], ends[2:, first]), copies, originals)

    def __getitem__(self, chunk):
        """The patches, images and spans of some of the pairs."""
        return self.which[chunk], self.images[chunk], [[end[chunk] for end in span] for span in self.spans]


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
        reach, target = Reach(leaf, scores), run.targets(part)
        clean = keep(scores.data, target)
        if found is None:
            found = np.empty((len(patches.tops), len(run.x), *clean.shape[1:]), clean.dtype)
        found[:, part] = clean
        changes = Changes.made_by(patches, leaf.data, baseline[part])
        rows = run.asked_batch_size or min(ROWS, CHUNK * len(clean) // max(t.size for t in reach.steps))
        chunks = [
            chunk
            for group in reach.groups(changes.spans)
            for chunk in np.array_split(group, -(-len(group) // rows))
        ]
        for chunk in steps(chunks, progress, run.method):
            which, images, spans = changes[chunk]
            y = reach.run(patches.laid_over(leaf.data, baseline[part], which, images, spans))
            found[which, part.start + images] = keep(y, target[images])
        found[changes.copies[0], part.start + changes.copies[1]] = found[
            changes.originals[0], part.start + changes.originals[1]
        ]
        run.forwards += found[:, part].shape[0] * len(clean)
    return found
