"""Hiding many small sets of values, and computing for each only what it can reach."""

from dataclasses import dataclass

import numpy as np

from minigrad import kernels

from .crops import Crop
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

    def laid_over(self, x, baseline, which, images, tops, lefts, size):
        """What other boxes (R, C, h, w) of `images` hold when the patches `which` are hidden."""
        own = self.tops[which], self.lefts[which]
        clean, hidden = (kernels.cut_boxes(a, images, *own, self.size, 0.0) for a in (x, baseline))
        values = np.where(self.hidden[which], hidden, clean)
        return Crop(values, images, *own, x).within(tops, lefts, size)


@dataclass(eq=False)
class Changes:
    """The pairs of a patch and an image in which it changes something, and the boxes of the changed values.

    On black ground a black patch changes nothing, and on the rim of a digit little. Two rectangles that hide the same
    values of an image are one change.

    which, images : (R,), of each pair; tops, lefts, heights, widths : (R,), of the box
    copies, originals : pairs (2, ...) that are like other pairs, and these
    """

    which: np.ndarray
    images: np.ndarray
    tops: np.ndarray
    lefts: np.ndarray
    heights: np.ndarray
    widths: np.ndarray
    copies: np.ndarray
    originals: np.ndarray

    @classmethod
    def made_by(cls, patches, x, baseline):
        """Hiding each of the patches in images x (n, C, H, W)."""
        differs = np.ascontiguousarray((x != baseline).transpose(0, 2, 3, 1), np.float32).transpose(0, 3, 1, 2)
        (height, width), step, pairs = patches.size, max(1, CHUNK // patches.hidden[0].size), []
        for start in range(0, len(patches.tops) * len(x), step):
            which, images = np.divmod(np.arange(start, min(start + step, len(patches.tops) * len(x))), len(x))
            corner = patches.tops[which], patches.lefts[which]
            changed = kernels.cut_boxes(differs, images, *corner, patches.size, 0.0).astype(bool) & patches.hidden[which]
            rows, columns = changed.any((1, 3)), changed.any((1, 2))
            top, left = rows.argmax(1), columns.argmax(1)
            box = (corner[0] + top, corner[1] + left, height - rows[:, ::-1].argmax(1) - top,
                   width - columns[:, ::-1].argmax(1) - left)  # fmt: skip
            pairs.append(np.stack([which, images, *box])[:, rows.any(1)])
        pairs = np.concatenate(pairs, 1)
        first = inverse = np.arange(pairs.shape[1])
        if patches.hidden.all():
            key = np.ravel_multi_index(pairs[1:], [len(x), *x.shape[2:], height + 1, width + 1])
            _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
        again = np.flatnonzero(first[inverse] != np.arange(len(inverse)))
        return cls(*pairs[:, first], pairs[:2, again], pairs[:2, first[inverse[again]]])

    def boxes(self, chunk, size):
        """Some of the pairs, and for each the corner of a box in an image of `size`, and what size suits all of them."""
        common = int(self.heights[chunk].max()), int(self.widths[chunk].max())
        corner = (np.minimum(starts[chunk], n - m) for starts, n, m in zip((self.tops, self.lefts), size, common))
        return self.which[chunk], self.images[chunk], *corner, common


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
            group[i : i + rows]
            for group in reach.groups(changes.tops, changes.lefts, changes.heights, changes.widths)
            for i in range(0, len(group), rows)
        ]
        for chunk in steps(chunks, progress, run.method):
            which, images, *box = changes.boxes(chunk, leaf.shape[2:])
            values = patches.laid_over(leaf.data, baseline[part], which, images, *box)
            y = reach.run(values, images, *box[:2])
            found[which, part.start + images] = keep(y, target[images])
        found[changes.copies[0], part.start + changes.copies[1]] = found[
            changes.originals[0], part.start + changes.originals[1]
        ]
        run.forwards += found[:, part].shape[0] * len(clean)
    return found
