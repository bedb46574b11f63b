"""Two networks for 28x28 grey images: the course's CNN and its ancestor, LeNet-5."""
import numpy as np

from .. import nn
from .registry import register


class CNN(nn.Module):
    """Convolutions that look for local patterns, then dense layers that vote."""

    def __init__(self, features, classifier):
        self.features, self.classifier = features, classifier

    def forward(self, x):
        """Images (N, C, H, W) in [0, 1] to logits (N, classes)."""
        return self.classifier(self.features(x).flatten(1))


@register
def mnist_cnn(batch_norm=False, dropout=0.0, rng=None):
    """The CNN of 799,078 parameters: twice (3x3 convolution to 32 channels, ReLU, 2x2 max-pool), then 500 and 10 units.

    Parameters
    ----------
    batch_norm : bool
        Add a BatchNorm2d after each max-pool (799,206 parameters).
    dropout : float
        Probability with which the 500 hidden units are dropped in training.
    rng : np.random.Generator, optional
        For the first weights (and dropout).

    Notes
    -----
    Weights start as Xavier's and biases at zero, as in Keras, where the network was first published; but what reaches
    the dense layer starts small: convolutions at 0.7 of their size, or the scale of batch norm at 0.1. Adam moves
    each of its 1,568 weights a unit by the same step whatever its input is, so large inputs make the last epochs
    at a constant rate jump about: on MNIST that costs 0.1 to 0.2 % of accuracy.
    """
    rng = np.random.default_rng() if rng is None else rng
    features = []
    for channels in (1, 32):
        features += [nn.Conv2d(channels, 32, 3, padding=1, rng=rng), nn.ReLU(), nn.MaxPool2d(2)]
        features += [nn.BatchNorm2d(32)] * batch_norm
    classifier = [nn.Linear(32 * 7 * 7, 500, rng=rng), nn.ReLU(), *[nn.Dropout(dropout, rng=rng)] * (dropout > 0),
                  nn.Linear(500, 10, rng=rng)]
    for layer in (*features, *classifier):
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            small = isinstance(layer, nn.Conv2d) and not batch_norm
            nn.init.xavier_uniform(layer.weight, rng, gain=0.7 if small else 1.0)
            nn.init.constant(layer.bias, 0)
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.constant(layer.weight, 0.1)
    return CNN(nn.Sequential(*features), nn.Sequential(*classifier))


@register
def lenet5(rng=None):
    """LeNet-5 as it is built today: ReLU and max-pool in place of tanh and subsampling. LeCun et al. 1998."""
    features = [nn.Conv2d(1, 6, 5, padding=2, rng=rng), nn.ReLU(), nn.MaxPool2d(2),
                nn.Conv2d(6, 16, 5, rng=rng), nn.ReLU(), nn.MaxPool2d(2)]
    classifier = [nn.Linear(16 * 5 * 5, 120, rng=rng), nn.ReLU(), nn.Linear(120, 84, rng=rng), nn.ReLU(),
                  nn.Linear(84, 10, rng=rng)]
    return CNN(nn.Sequential(*features), nn.Sequential(*classifier))
