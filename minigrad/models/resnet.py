"""Residual networks: every block adds a correction to what it was given. He et al. 2016.

y = relu(x + F(x)), so the gradient reaches the first layers through the sums, past all the convolutions. Where a block
changes the size, a 1x1 convolution (`downsample`) brings x to it. State dicts are torchvision's: ``conv1``, ``bn1``,
``layer1.0.conv1``, ``layer2.0.downsample.0``, ``fc``.
"""
from .. import nn
from .registry import register
from .start import IMAGENET_MEAN, IMAGENET_STD, channels, for_relu


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, before, width, stride, rng):
        self.conv1 = nn.Conv2d(before, width, 3, stride, padding=1, bias=False, rng=rng)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False, rng=rng)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = nn.Identity() if stride == 1 and before == width else nn.Sequential(
            nn.Conv2d(before, width, 1, stride, bias=False, rng=rng), nn.BatchNorm2d(width))

    def forward(self, x):
        """(N, before, H, W) to (N, width, H / stride, W / stride)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu(y + self.downsample(x))


class ResNet(nn.Module):
    """A first convolution, stages of blocks, each but the first of which halves the image, a mean, a dense layer."""

    def __init__(self, first, pool, widths, depth, num_classes, mean, std, rng):
        self.standardize = nn.Standardize(mean, std)
        self.conv1, self.bn1, self.relu, self.maxpool = first, nn.BatchNorm2d(widths[0]), nn.ReLU(), pool
        self.stages = [f"layer{i + 1}" for i in range(len(widths))]
        before, stride = widths[0], 1
        for stage, width in zip(self.stages, widths, strict=True):
            blocks = [BasicBlock(before, width, stride, rng)]
            blocks += [BasicBlock(width, width, 1, rng) for _ in range(1, depth)]
            setattr(self, stage, nn.Sequential(*blocks))
            before, stride = width, 2
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(before, num_classes, rng=rng)
        for_relu(self, rng)

    def forward(self, x):
        """Images (N, C, H, W) in [0, 1] to logits (N, num_classes)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(self.standardize(x)))))
        for stage in self.stages:
            x = getattr(self, stage)(x)
        return self.fc(self.avgpool(x).flatten(1))


@register
def resnet18(num_classes=1000, mean=IMAGENET_MEAN, std=IMAGENET_STD, rng=None):
    """The residual network of 18 layers for photographs: 11,689,512 parameters for 1000 classes.

    Parameters
    ----------
    num_classes : int
    mean, std : sequence of float
        Of the pixels in [0, 1], one number a channel.
    rng : np.random.Generator, optional
        For the first weights.
    """
    first = nn.Conv2d(channels(mean, std), 64, 7, 2, padding=3, bias=False, rng=rng)
    return ResNet(first, nn.MaxPool2d(3, 2, padding=1), (64, 128, 256, 512), 2, num_classes, mean, std, rng)


@register
def resnet20(num_classes=10, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), rng=None):
    """The residual network of 20 layers for small images: 272,474 parameters for three channels and 10 classes.

    Its shortcuts have 1x1 convolutions where the size changes (the paper's option B); options as in `resnet18`. For
    grey images give ``mean=(0.5,), std=(0.25,)``.
    """
    first = nn.Conv2d(channels(mean, std), 16, 3, padding=1, bias=False, rng=rng)
    return ResNet(first, nn.Identity(), (16, 32, 64), 3, num_classes, mean, std, rng)
