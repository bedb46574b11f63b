"""VGG: nothing but 3x3 convolutions and max-pools, deep. Simonyan and Zisserman 2015.

Two 3x3 convolutions see as much as one of 5x5, three as much as one of 7x7, with fewer weights and more ReLUs. Nine
tenths of the parameters are in the dense layers. State dicts are torchvision's: ``features.N`` and ``classifier.N``.
"""
from .. import nn
from .registry import register
from .start import IMAGENET_MEAN, IMAGENET_STD, channels, for_relu

WIDTHS = (64, 128, 256, 512, 512)
DEPTHS = {"vgg11": (1, 1, 2, 2, 2), "vgg13": (2, 2, 2, 2, 2), "vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}


class VGG(nn.Module):
    """Convolutions and max-pools, a mean that brings any image to 7x7, and three dense layers."""

    def __init__(self, depths, num_classes, batch_norm, dropout, hidden, mean, std, rng):
        self.standardize = nn.Standardize(mean, std)
        layers, before = [], channels(mean, std)
        for depth, width in zip(depths, WIDTHS, strict=True):
            for _ in range(depth):
                layers += [nn.Conv2d(before, width, 3, padding=1, rng=rng)]
                layers += [nn.BatchNorm2d(width)] * batch_norm + [nn.ReLU()]
                before = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, hidden, rng=rng), nn.ReLU(), nn.Dropout(dropout, rng=rng),
            nn.Linear(hidden, hidden, rng=rng), nn.ReLU(), nn.Dropout(dropout, rng=rng),
            nn.Linear(hidden, num_classes, rng=rng))
        for_relu(self.features, rng)

    def forward(self, x):
        """Images (N, 3, H, W) in [0, 1], of 32x32 or larger, to logits (N, num_classes)."""
        return self.classifier(self.avgpool(self.features(self.standardize(x))).flatten(1))


@register
def vgg11(num_classes=1000, batch_norm=False, dropout=0.5, hidden=4096, mean=IMAGENET_MEAN, std=IMAGENET_STD, rng=None):
    """VGG with 8 convolutions and 3 dense layers: 132,863,336 parameters for 1000 classes.

    Parameters
    ----------
    num_classes : int
    batch_norm : bool
        A BatchNorm2d after each convolution (torchvision's vgg11_bn).
    dropout : float
        Probability with which hidden units are dropped in training.
    hidden : int
        Units of the two hidden dense layers; far fewer than 4096 do for small images.
    mean, std : sequence of float
        Of the pixels in [0, 1], one number a channel.
    rng : np.random.Generator, optional
        For the first weights and dropout.
    """
    return VGG(DEPTHS["vgg11"], num_classes, batch_norm, dropout, hidden, mean, std, rng)


@register
def vgg13(num_classes=1000, batch_norm=False, dropout=0.5, hidden=4096, mean=IMAGENET_MEAN, std=IMAGENET_STD, rng=None):
    """VGG with 10 convolutions and 3 dense layers: 133,047,848 parameters; options as in `vgg11`."""
    return VGG(DEPTHS["vgg13"], num_classes, batch_norm, dropout, hidden, mean, std, rng)


@register
def vgg16(num_classes=1000, batch_norm=False, dropout=0.5, hidden=4096, mean=IMAGENET_MEAN, std=IMAGENET_STD, rng=None):
    """VGG with 13 convolutions and 3 dense layers: 138,357,544 parameters; options as in `vgg11`."""
    return VGG(DEPTHS["vgg16"], num_classes, batch_norm, dropout, hidden, mean, std, rng)


@register
def vgg19(num_classes=1000, batch_norm=False, dropout=0.5, hidden=4096, mean=IMAGENET_MEAN, std=IMAGENET_STD, rng=None):
    """VGG with 16 convolutions and 3 dense layers: 143,667,240 parameters; options as in `vgg11`."""
    return VGG(DEPTHS["vgg19"], num_classes, batch_norm, dropout, hidden, mean, std, rng)
