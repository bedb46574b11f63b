"""The cats and dogs of CIFAR-10: a two-class problem in colour that a small network finds hard.

Kept as ``cats-vs-dogs.npz``: ``x_train`` (10000, 3, 32, 32) uint8 RGB, ``y_train`` (0 cat, 1 dog), ``x_test``,
``y_test``. Where that file is missing it is made from the binary archive of CIFAR-10 (162 MB), in which an image is a
record of 3073 bytes: its label, then 32x32 bytes of red, of green, of blue. Source: Krizhevsky, "Learning multiple
layers of features from tiny images", 2009, https://www.cs.toronto.edu/~kriz/cifar.html.
"""

import io
import tarfile
import zipfile

import numpy as np

from ..files import write_atomically
from . import download as downloads
from .registry import CIFAR10

FILE = "cats-vs-dogs.npz"
CAT, DOG = 3, 5  # their labels in CIFAR-10
BATCHES = {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]}


def load_cats_vs_dogs(split, root, download):
    """Return images (N, 3, 32, 32) uint8 and labels (N,) of a split, looked for as `minigrad.data.load` says."""
    places = downloads.folders("cats-vs-dogs", root)
    path = downloads.find((FILE,), places)
    if path is None:
        path = places[0 if root else -1] / FILE
        write_atomically(path, _npz(_archive(places, path.parent, download)), caller="load")
    return read_npz(path, split)


def read_npz(path, split):
    """Return images and labels of a split in an ``.npz``; a ValueError names the file and what is wrong with it."""
    try:
        with np.load(path, allow_pickle=False) as file:
            images, labels = file[f"x_{split}"], file[f"y_{split}"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"load: {path} cannot be read ({error}), expected an .npz with x_{split} and y_{split}; "
                         f"move it away and load again to have it made anew") from error
    if images.dtype != np.uint8 or images.shape[1:] != (3, 32, 32) or labels.shape != images.shape[:1]:
        raise ValueError(f"load: {path} holds images {images.dtype} {images.shape} and labels {labels.shape}, expected "
                         f"uint8 (N, 3, 32, 32) and (N,); move it away and load again to have it made anew")
    return images, labels


def _archive(places, destination, download):
    """Return the verified bytes of CIFAR-10's archive, the user's own or downloaded."""
    if path := downloads.find((CIFAR10.name,), places):
        return downloads.verified(path.read_bytes(), CIFAR10, path)
    if not download:
        raise FileNotFoundError(f"load: {FILE} is in none of {', '.join(map(str, places))}; allow download=True "
                                f"(162 MB), or put {CIFAR10.urls[0]} there: it is made from that")
    return downloads.fetch(CIFAR10, destination)


def _npz(archive):
    """Return the content of ``cats-vs-dogs.npz`` made from the bytes of CIFAR-10's archive; images keep their order."""
    arrays = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for split, names in BATCHES.items():
            raw = b"".join(tar.extractfile(f"cifar-10-batches-bin/{name}").read() for name in names)
            records = np.frombuffer(raw, np.uint8).reshape(-1, 3073)
            records = records[(records[:, 0] == CAT) | (records[:, 0] == DOG)]
            arrays[f"x_{split}"] = records[:, 1:].reshape(-1, 3, 32, 32)
            arrays[f"y_{split}"] = (records[:, 0] == DOG).astype(np.uint8)
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()
