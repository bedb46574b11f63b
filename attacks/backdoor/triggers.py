"""Triggers: what is put on an image so that a backdoored model sees the target in it.

A trigger is a small frozen object with two methods: `apply(images)` puts it on, `mask(shape)` says where it is. Any
object that has both will do where a trigger is asked for.
"""
from dataclasses import dataclass

import numpy as np

from ..arguments import number
from .localise import binarised


@dataclass(frozen=True, eq=False)
class Patch:
    """A sticker at a fixed place: x' = (1 - o) x + o pattern, where o is 1 under the opaque part and 0 elsewhere.

    Parameters
    ----------
    pattern : array of shape (h, w) or (C, h, w), in [0, 1]
        Its colours; one without channels is put on every channel of the image.
    place : (row, column)
        Of its upper left corner on the image. Negative numbers count from the lower and right edge, as in NumPy:
        ``(-4, -4)`` puts a patch of 4 x 4 into the lower right corner.
    opaque : array of bool, shape (h, w), optional
        Which of its pixels cover the image, for emblems that are no rectangles; all, if left out.

    References
    ----------
    Gu, Dolan-Gavitt and Garg, BadNets, 2017.
    """

    pattern: np.ndarray
    place: tuple
    opaque: np.ndarray | None = None

    def __post_init__(self):
        pattern = _pixels("Patch", "pattern", self.pattern, (2, 3))
        opaque = np.ones(pattern.shape[-2:], bool) if self.opaque is None else np.asarray(self.opaque)
        if opaque.shape != pattern.shape[-2:] or opaque.dtype != bool or not opaque.any():
            raise ValueError(f"Patch: opaque is {opaque.dtype} of shape {opaque.shape}, expected booleans of the "
                             f"pattern's {pattern.shape[-2:]}, at least one True")
        if np.shape(self.place) != (2,) or not all(isinstance(p, (int, np.integer)) for p in self.place):
            raise ValueError(f"Patch: place is {self.place!r}, expected two integers (row, column), such as (-4, -4)")
        object.__setattr__(self, "pattern", pattern)
        object.__setattr__(self, "opaque", opaque)
        object.__setattr__(self, "place", tuple(map(int, self.place)))

    def apply(self, images):
        """Copies of images (N, C, H, W) with the patch on them, of their dtype."""
        images = np.array(_images("Patch", images))
        where = self._window(images.shape)
        pattern = self.pattern[None] if self.pattern.ndim == 2 else self.pattern
        if len(pattern) not in (1, images.shape[1]):
            raise ValueError(f"Patch: the pattern has {len(pattern)} channels, the images {images.shape[1]}; a pattern "
                             "(h, w) is put on every channel")
        images[where] = np.where(self.opaque, pattern, images[where])
        return images

    def mask(self, shape):
        """Where it is: booleans (H, W) for images of `shape` (..., H, W)."""
        mask = np.zeros(shape[-2:], bool)
        mask[self._window(mask.shape)] = self.opaque
        return mask

    def _window(self, shape):
        """The index of the rectangle it covers."""
        window = [...]
        for name, at, length, size in zip(("row", "column"), self.place, shape[-2:], self.opaque.shape, strict=True):
            start = at + length if at < 0 else at
            if not 0 <= start <= length - size:
                raise ValueError(f"Patch: {size} pixels at {name} {at} reach beyond an image of {length}; expected "
                                 f"{name} in [0, {length - size}] or [{-length}, {-size}]")
            window.append(slice(start, start + size))
        return tuple(window)


@dataclass(frozen=True, eq=False)
class Blend:
    """An image mixed into all others, weakly: x' = (1 - alpha) x + alpha image.

    Parameters
    ----------
    image : array of shape (H, W) or (C, H, W), in [0, 1]
    alpha : float in (0, 1]

    References
    ----------
    Chen et al., Targeted backdoor attacks on deep learning systems using data poisoning, 2017.
    """

    image: np.ndarray
    alpha: float = 0.1

    def __post_init__(self):
        object.__setattr__(self, "image", _pixels("Blend", "image", self.image, (2, 3)))
        object.__setattr__(self, "alpha", number("Blend", "alpha", self.alpha, high=1, above=True))

    def apply(self, images):
        """Copies of images (N, C, H, W) with the image mixed in, of their dtype."""
        return _mixed("Blend", images, self.image, self.alpha)

    def mask(self, shape):
        """Everywhere: booleans (H, W)."""
        return np.ones(shape[-2:], bool)


@dataclass(frozen=True, eq=False)
class Overlay:
    """What `neural_cleanse` finds, and what the other two are cases of: x' = (1 - m) x + m pattern.

    Parameters
    ----------
    weights : array of shape (H, W), in [0, 1]
        m, how much of each pixel is replaced.
    pattern : array of shape (H, W) or (C, H, W), in [0, 1]
    """

    weights: np.ndarray
    pattern: np.ndarray

    def __post_init__(self):
        object.__setattr__(self, "weights", _pixels("Overlay", "weights", self.weights, (2,)))
        object.__setattr__(self, "pattern", _pixels("Overlay", "pattern", self.pattern, (2, 3)))

    def apply(self, images):
        """Copies of images (N, C, H, W) with the pattern over them, of their dtype."""
        return _mixed("Overlay", images, self.pattern, self.weights)

    def mask(self, shape):
        """Where it is, by `binarised`: booleans (H, W)."""
        if self.weights.shape != tuple(shape[-2:]):
            raise ValueError(f"Overlay: it is {self.weights.shape} pixels large, the images are {tuple(shape[-2:])}")
        return binarised(self.weights)


def _mixed(trigger, images, pattern, weights):
    """(1 - weights) images + weights pattern: to the last bit the image where a weight is 0, the pattern where 1."""
    images = _images(trigger, images)
    if pattern.shape[-2:] != images.shape[-2:] or pattern.shape[:-2] not in ((), (1,), images.shape[1:2]):
        raise ValueError(f"{trigger}: the pattern has shape {pattern.shape}, expected that of the images it is mixed "
                         f"into, {images.shape[1:]}, or {images.shape[2:]}")
    return np.clip((1 - weights) * images + weights * pattern, 0, 1).astype(images.dtype)


def _pixels(trigger, name, array, dimensions):
    try:
        array = np.asarray(array, np.float32)
    except (TypeError, ValueError):
        array = np.array(np.nan)
    if array.ndim not in dimensions or not array.size or not (array.min() >= 0 and array.max() <= 1):
        raise ValueError(f"{trigger}: {name} has shape {array.shape}, expected (h, w) or (C, h, w) with values in "
                         "[0, 1]")
    return array


def _images(trigger, images):
    images = np.asarray(images)
    if images.ndim != 4 or images.dtype.kind != "f":
        raise ValueError(f"{trigger}: images are {images.dtype} of shape {images.shape}, expected floats (N, C, H, W); "
                         "one image is image[None]")
    return images
