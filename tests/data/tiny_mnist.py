"""A MNIST of sixteen pictures, and the answers of a web server that has it."""

import gzip
import hashlib

import numpy as np

from minigrad.data import registry

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx(array):
    """The bytes of an IDX file, written as its definition says."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return header + array.astype(np.uint8).tobytes()


def raw_files():
    """Raw bytes by file name: 12 images for training, 4 for testing."""
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, (12, 28, 28)), np.arange(12) % 10, rng.integers(0, 256, (4, 28, 28)), np.arange(4)]
    return dict(zip(NAMES, map(idx, arrays)))


def use_mirrors(raw, monkeypatch, *mirrors):
    """Let the registry know these files, to be had from these URLs, as mnist."""
    files = [registry.File(name, hashlib.sha256(content).hexdigest(), tuple(f"{mirror}{name}.gz" for mirror in mirrors))
             for name, content in raw.items()]
    monkeypatch.setitem(registry.IDX_FILES, "mnist", {"train": tuple(files[:2]), "test": tuple(files[2:])})


def packed(raw):
    """The answer function of a good mirror."""
    return lambda path: (200, {}, gzip.compress(raw[path.removesuffix(".gz")]))
