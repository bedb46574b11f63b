"""Chance that belongs to the sample: the same numbers for an image wherever it stands in whatever batch.

An attack that drew its noise for a whole batch would give an image another result when its neighbours change. Here
`rng` gives one number a call, and each image's own generator grows from that number and the image's bytes: the same
`rng` gives the same bytes, a batch gives what its images give one by one, and a shuffled batch shuffled results.
"""
import hashlib

import numpy as np

from .arguments import generator


def streams(attack, rng, x, y):
    """One generator for each sample of x (N, ...) with labels y (N,), as a list.

    Parameters
    ----------
    attack : str
        For the message where `rng` is no generator.
    rng : numpy.random.Generator or None
        Advanced by one draw, whatever N; None takes a fresh one.
    """
    call = int(generator(attack, rng).integers(2**63))
    return [np.random.default_rng([call, int(label), _fingerprint(image)]) for image, label in zip(x, y, strict=True)]


def _fingerprint(image):
    return int.from_bytes(hashlib.blake2b(np.ascontiguousarray(image).tobytes(), digest_size=16).digest(), "big")
