"""A network for small colour images, such as the cats and dogs of CIFAR-10.

VGG's idea at a scale a laptop trains in minutes: pairs of 3x3 convolutions, and whenever a max-pool halves the image
the channels double. Batch norm allows large steps; dropout keeps 10,000 pictures from being learnt by heart.
"""
from .. import nn
from .digits import CNN
from .registry import register
from .start import channels, for_relu


@register
def cifar_cnn(num_classes=2, batch_norm=True, dropout=0.3, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), rng=None):
    """Six 3x3 convolutions (32, 32, 64, 64, 128, 128 channels), three max-pools, then 128 units; for images of 32x32.

    Parameters
    ----------
    num_classes : int
    batch_norm : bool
        A BatchNorm2d after each convolution.
    dropout : float
        Probability with which, in training, what enters the dense layers is dropped.
    mean, std : sequence of float
        Of the pixels in [0, 1], one number a channel; their count is the number of channels.
    rng : np.random.Generator, optional
        For the first weights and dropout.
    """
    features, before = [nn.Standardize(mean, std)], channels(mean, std)
    for width in (32, 64, 128):
        for inputs in (before, width):
            features += [nn.Conv2d(inputs, width, 3, padding=1, bias=not batch_norm, rng=rng)]
            features += [nn.BatchNorm2d(width)] * batch_norm + [nn.ReLU()]
        features.append(nn.MaxPool2d(2))
        before = width
    classifier = nn.Sequential(nn.Dropout(dropout, rng=rng), nn.Linear(128 * 4 * 4, 128, rng=rng), nn.ReLU(),
                               nn.Dropout(dropout, rng=rng), nn.Linear(128, num_classes, rng=rng))
    return for_relu(CNN(nn.Sequential(*features), classifier), rng)
