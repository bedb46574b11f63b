"""What every detector checks before it starts: the model, the images, and where chance comes from."""
import numpy as np

from ..victim import Victim, checked_images


def subject(function, model, x):
    """Images as an array (N, C, H, W) in [0, 1], and how many classes the model tells apart."""
    x = checked_images(function, x, (0, 1))
    return x, Victim(function, model, x[:1], np.zeros(1, int)).clean.shape[1]


def chance(function, rng):
    """The generator, or a fresh one for None."""
    if rng is not None and not isinstance(rng, np.random.Generator):
        raise TypeError(f"{function}: rng is {type(rng).__name__}, expected a numpy.random.Generator: "
                        "np.random.default_rng(0)")
    return np.random.default_rng() if rng is None else rng
