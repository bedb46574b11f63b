"""What networks for photographs share: the statistics of their pixels, and the weights they start from."""
import numpy as np

from .. import nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of red, green, blue in [0, 1]; torchvision's weights expect them
IMAGENET_STD = (0.229, 0.224, 0.225)


def channels(mean, std):
    """Count a model's colour channels by the statistics of its pixels, and check that they are lists of numbers."""
    if not np.ndim(mean) == np.ndim(std) == 1 or len(mean) != len(std):
        raise ValueError(f"models: mean is {mean!r}, std {std!r}, expected as many numbers in both as an image has "
                         f"channels; for grey images (0.5,) and (0.25,)")
    return len(mean)


def for_relu(model, rng):
    """Give every convolution of a model weights that keep the size of its signal through ReLUs, and no bias.

    PyTorch's default weights are smaller by a factor of sqrt(6), which ten layers make 8000: a deep network without
    batch norm would not learn from there. Source: He et al. 2015, eq. 10.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_uniform(layer.weight, rng)
            if layer.bias is not None:
                nn.init.constant(layer.bias, 0)
    return model
