"""Images with their labels, and the mini-batches that stochastic gradient descent walks through.

Pixels are float32 in [0, 1] and the first layer of a model standardises them (``nn.Standardize``), so that an
attack's eps and a picture's brightness mean the same for every model.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Labelled images, checked when they are put together.

    Parameters
    ----------
    images : ndarray (N, C, H, W), float32
        Pixels in [0, 1].
    labels : ndarray (N,), any integer type
        Stored as int64, each in [0, number of classes).
    classes : sequence of str
        ``classes[label]`` is the name of a label.
    name : str

    Raises
    ------
    TypeError
        Images are not float32, or labels not integers.
    ValueError
        Shapes do not fit, a pixel is not finite or outside [0, 1], a label is out of range.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    name: str = "dataset"

    def __post_init__(self):
        """Check, and store labels as int64 and classes as a tuple."""
        object.__setattr__(self, "classes", tuple(self.classes))
        _check_images(self.images)
        object.__setattr__(self, "labels", _checked_labels(self.labels, len(self.images), len(self.classes)))

    def __len__(self):
        """Return the number of images."""
        return len(self.images)

    def __getitem__(self, index):
        """``dataset[:100]`` is a Dataset that shares this one's memory; ``dataset[3]`` is (image (C, H, W), label)."""
        if isinstance(index, slice):
            return replace(self, images=self.images[index], labels=self.labels[index])
        if isinstance(index, (int, np.integer)) and not isinstance(index, bool):
            return self.images[index], int(self.labels[index])
        raise TypeError(f"Dataset: index is a {type(index).__name__}, expected a slice or an int; "
                        f"for a list of indices or a mask use dataset.subset(indices)")

    def subset(self, indices):
        """Return a Dataset with copies of the images at `indices`: integers in any order, or a mask of N booleans."""
        indices = np.asarray(indices)
        if indices.size == 0 and indices.dtype.kind == "f":
            indices = indices.astype(np.int64)  # NumPy calls an empty list float
        if indices.ndim != 1 or indices.dtype.kind not in "iub":
            raise TypeError(f"subset: indices are {indices.dtype} of shape {indices.shape}, "
                            f"expected a one-dimensional sequence of integers or booleans")
        if indices.dtype.kind == "b" and len(indices) != len(self):
            raise ValueError(f"subset: the mask has {len(indices)} entries for {len(self)} images")
        if indices.dtype.kind != "b" and len(indices) and not -len(self) <= indices.min() <= indices.max() < len(self):
            raise ValueError(f"subset: indices from {indices.min()} to {indices.max()} for {len(self)} images")
        return replace(self, images=self.images[indices], labels=self.labels[indices])

    def __repr__(self):
        """One line: name, number and shape of the images, and how many there are of each class."""
        counts = np.bincount(self.labels, minlength=len(self.classes))
        if len(counts) > 10:
            balance = f"{counts.min()} to {counts.max()} of each"
        else:
            balance = ", ".join(f"{name}: {count}" for name, count in zip(self.classes, counts))
        return (f"Dataset({self.name}, {len(self)} images {self.images.shape[1:]} {self.images.dtype}, "
                f"{len(self.classes)} classes ({balance}))")


def _check_images(images):
    if not isinstance(images, np.ndarray) or images.dtype != np.float32:
        kind = getattr(images, "dtype", type(images).__name__)
        fix = "images.astype(np.float32)" + (" / 255 if they are bytes" if np.dtype(np.uint8) == kind else "")
        raise TypeError(f"Dataset: images are {kind}, expected a float32 array with pixels in [0, 1]; {fix}")
    if images.ndim != 4:
        fix = "images[:, None] adds the channel" if images.ndim == 3 else "one image is images[None]"
        raise ValueError(f"Dataset: images have shape {images.shape}, expected (N, C, H, W); {fix}")
    if images.size == 0:
        return
    low, high = images.min(), images.max()  # NaN, if there is one
    if not np.isfinite(low) or not np.isfinite(high):
        first = np.flatnonzero(~np.isfinite(images).all(axis=(1, 2, 3)))[0]
        raise ValueError(f"Dataset: image {first} holds NaN or inf, expected pixels in [0, 1]; leave it out")
    if low < 0 or high > 1:
        likely = "they look like 0..255: divide by 255" if low >= 0 and high > 2 else (
            "they look standardised: undo that and let nn.Standardize be the model's first layer" if low < 0 else
            "clip them: np.clip(images, 0, 1)")
        raise ValueError(f"Dataset: pixels go from {low:g} to {high:g}, expected [0, 1]; {likely}")


def _checked_labels(labels, count, classes):
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu":
        raise TypeError(f"Dataset: labels are {labels.dtype}, expected integers: class numbers, not names or one-hot")
    if labels.shape != (count,):
        raise ValueError(f"Dataset: labels have shape {labels.shape}, expected ({count},), one for each image")
    if count and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(f"Dataset: labels go from {labels.min()} to {labels.max()}, expected 0 to {classes - 1} "
                         f"for {classes} classes; number them from 0")
    return labels.astype(np.int64, copy=False)


@dataclass(frozen=True, eq=False)
class Batches:
    """An iterable over mini-batches (images, labels), made by `batches`; each ``for`` starts a new epoch."""

    dataset: Dataset
    batch_size: int
    shuffle: bool
    rng: np.random.Generator | None
    drop_last: bool
    augment: Callable | None

    def __len__(self):
        """Return the number of batches in an epoch."""
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self):
        """Walk through an epoch, in a new order if shuffling."""
        count = len(self.dataset)
        return self.walk(self.rng.permutation(count) if self.shuffle else np.arange(count))

    def walk(self, order, start=0):
        """Yield the batches, from number `start` on, of an epoch that takes the images in the order of these indices.

        They are copies, so whoever changes a batch in place leaves the dataset alone.
        """
        for batch in range(start, len(self)):
            chosen = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield self._augmented(self.dataset.images[chosen]), self.dataset.labels[chosen]

    def _augmented(self, images):
        if self.augment is None:
            return images
        result = self.augment(images, rng=self.rng)
        if isinstance(result, np.ndarray) and result.ndim == 4 and (
                len(result), result.dtype) == (len(images), images.dtype):
            return result
        came = f"{result.dtype} {result.shape}" if isinstance(result, np.ndarray) else type(result).__name__
        raise ValueError(f"batches: augment returned {came}, expected {len(images)} {images.dtype} images; "
                         f"it is called as augment(images, rng=rng) and returns the new images")


def batches(dataset, batch_size, shuffle=False, rng=None, drop_last=False, augment=None):
    """Cut a dataset into mini-batches.

    Parameters
    ----------
    dataset : Dataset
    batch_size : int
        Images in a batch; the last one may be smaller.
    shuffle : bool
        A new order every epoch, drawn from `rng` when the epoch starts.
    rng : numpy.random.Generator, optional
        Needed to shuffle or augment. The same state gives the same batches.
    drop_last : bool
        Leave out a last batch that is smaller than the others.
    augment : callable, optional
        ``augment(images, rng=rng) -> images``, for instance ``functools.partial(data.shift, pixels=2)``.

    Returns
    -------
    Batches
        Iterable, as often as wanted, over (images (B, C, H, W) float32, labels (B,) int64); ``len`` counts batches.

    Raises
    ------
    ValueError
        `batch_size` below 1, no images, `drop_last` would leave no batch, or augment returns something else.
    TypeError
        `batch_size` is no integer, or randomness is asked for without a Generator.
    """
    if not isinstance(batch_size, (int, np.integer)) or isinstance(batch_size, bool):
        raise TypeError(f"batches: batch_size is {batch_size!r}, expected an integer, at least 1")
    if batch_size < 1:
        raise ValueError(f"batches: batch_size is {batch_size}, expected at least 1")
    if len(dataset) == 0:
        raise ValueError(f"batches: {dataset!r} is empty; check the slice or mask it was made with")
    if drop_last and len(dataset) < batch_size:
        raise ValueError(f"batches: drop_last leaves nothing of {len(dataset)} images in batches of {batch_size}; "
                         f"take a smaller batch_size")
    if shuffle or augment is not None:
        require_rng(rng, "batches")
    return Batches(dataset, int(batch_size), shuffle, rng, drop_last, augment)


def require_rng(rng, caller):
    """Raise TypeError unless `rng` is a numpy Generator: randomness is always the caller's."""
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"{caller}: rng is {rng!r}, expected a numpy Generator; pass rng=np.random.default_rng(seed)")
