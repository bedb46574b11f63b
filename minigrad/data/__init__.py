"""Data: pictures with labels, from files to shuffled mini-batches.

>>> train = load("digits")
>>> for images, labels in batches(train, 64, shuffle=True, rng=np.random.default_rng(0)):
...     pass
"""

import difflib

import numpy as np

from .augment import rotate, rotate_by, shift, shift_by
from .cats_vs_dogs import load_cats_vs_dogs
from .dataset import Batches, Dataset, batches
from .digits import load_digits
from .download import obtain
from .idx import parse_idx, read_idx
from .photos import imagenet_classes, imagenet_samples, load_photo
from .registry import CLASSES, IDX_FILES, SPLITS

__all__ = ["Batches", "Dataset", "batches", "imagenet_classes", "imagenet_samples", "load", "load_photo", "names",
           "read_idx", "rotate", "rotate_by", "shift", "shift_by"]


def names():
    """List the names that `load` knows."""
    return list(CLASSES)


def load(name, split="train", root=None, download=True):
    """Load a dataset by name.

    ======================  =======================================================  ==============
    mnist, fashion-mnist    60,000 + 10,000 of 28x28, ten digits, ten garments       downloaded
    digits                  1,442 + 355 smaller digits in MNIST's form               comes along
    cats-vs-dogs            10,000 + 2,000 of 32x32 in colour, from CIFAR-10         downloaded
    ======================  =======================================================  ==============

    A file is looked for in ``root/name`` and `root`, then ``$MINIGRAD_DATA/name`` and ``$MINIGRAD_DATA``, then the
    user's cache; if it is in none of them it is downloaded, into ``root/name`` if root is given, else into the cache.
    IDX files may be plain or gzipped, and are used only if the SHA-256 of their raw bytes is right.

    Parameters
    ----------
    name : str
        One of `names`.
    split : {"train", "test"}
    root : str or Path, optional
    download : bool
        Allow the network.

    Returns
    -------
    Dataset
        Images (N, C, H, W) float32 in [0, 1].

    Raises
    ------
    ValueError
        Unknown name or split; a file that is damaged, or is another one than its name says (it is left untouched).
    FileNotFoundError
        A file is missing and `download` is False.
    ConnectionError
        No mirror delivered a file.
    """
    _check_choice("dataset", name, names())
    _check_choice("split", split, SPLITS)
    if name in IDX_FILES:
        images, labels = (parse_idx(obtain(file, name, root, download), file.name) for file in IDX_FILES[name][split])
        images = images[:, None]  # (N, 28, 28) -> (N, 1, 28, 28)
    elif name == "cats-vs-dogs":
        images, labels = load_cats_vs_dogs(split, root, download)
    else:
        images, labels = load_digits(split)
    if images.dtype == np.uint8:
        images = np.divide(images, np.float32(255), dtype=np.float32)
    return Dataset(images, labels, CLASSES[name], name)


def _check_choice(what, given, known):
    if given in known:
        return
    near = difflib.get_close_matches(str(given).lower().replace("_", "-"), known, n=1)
    guess = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"load: unknown {what} {given!r}, expected one of {', '.join(known)}{guess}")
