"""What every detector checks before it starts: the model, and the images."""
import numpy as np

from ..victim import Victim, checked_images


def subject(function, model, x):
    """Images as an array (N, C, H, W) in [0, 1], and how many classes the model tells apart."""
    x = checked_images(function, x, (0, 1))
    return x, Victim(function, model, x[:1], np.zeros(1, int)).clean.shape[1]
