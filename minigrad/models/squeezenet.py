"""SqueezeNet: AlexNet's accuracy on photographs with a fiftieth of its parameters. Iandola et al. 2016.

A Fire module squeezes the channels with 1x1 convolutions, then expands them with 1x1 and 3x3 ones side by side; there
are no dense layers. State dicts are torchvision's: ``features.3.squeeze.weight``, ``classifier.1.weight``.
"""
from .. import nn, torch_pickle
from ..data.download import find, folders
from ..functional import cat
from .registry import register
from .start import IMAGENET_MEAN, IMAGENET_STD, channels, for_relu

# Files that `pretrained_squeezenet` knows, with the options under which their weights were trained.
PRETRAINED = {
    "model.safetensors": {"mean": (123 / 255, 117 / 255, 104 / 255), "std": (1 / 255,) * 3, "classifier_padding": 1},
    "squeezenet1_0-b66bff10.pth": {},
}
URL = "https://download.pytorch.org/models/squeezenet1_0-b66bff10.pth"


class Fire(nn.Module):
    """1x1 convolutions to `squeezed` channels, then 1x1 and 3x3 ones to `expanded` channels each."""

    def __init__(self, before, squeezed, expanded, rng):
        self.squeeze = nn.Conv2d(before, squeezed, 1, rng=rng)
        self.squeeze_activation = nn.ReLU()
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1, rng=rng)
        self.expand1x1_activation = nn.ReLU()
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1, rng=rng)
        self.expand3x3_activation = nn.ReLU()

    def forward(self, x):
        """(N, before, H, W) to (N, 2 expanded, H, W)."""
        x = self.squeeze_activation(self.squeeze(x))
        return cat([self.expand1x1_activation(self.expand1x1(x)), self.expand3x3_activation(self.expand3x3(x))], 1)


class SqueezeNet(nn.Module):
    """A convolution, Fire modules among max-pools, and a 1x1 convolution whose maps, one a class, are averaged."""

    def __init__(self, first, plan, num_classes, mean, std, classifier_padding, dropout, rng):
        self.standardize = nn.Standardize(mean, std)
        layers, before = [first, nn.ReLU()], first.weight.shape[0]
        for entry in plan:
            if entry == "pool":
                layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
            else:
                layers.append(Fire(before, *entry, rng))
                before = 2 * entry[1]
        self.features = nn.Sequential(*layers)
        last = nn.Conv2d(before, num_classes, 1, padding=classifier_padding, rng=rng)
        self.classifier = nn.Sequential(nn.Dropout(dropout, rng=rng), last, nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        for_relu(self, rng)
        nn.init.normal(last.weight, 0, 0.01, rng)

    def forward(self, x):
        """Images (N, 3, H, W) in [0, 1], of 21x21 or larger, to logits (N, num_classes), none of them negative."""
        return self.classifier(self.features(self.standardize(x))).flatten(1)


@register
def squeezenet1_0(num_classes=1000, mean=IMAGENET_MEAN, std=IMAGENET_STD, classifier_padding=0, dropout=0.5, rng=None):
    """SqueezeNet as published: 1,248,424 parameters for 1000 classes.

    Parameters
    ----------
    num_classes : int
    mean, std : sequence of float
        Of the pixels in [0, 1], one number a channel.
    classifier_padding : int
        Zeros around what the last convolution sees: 0 in torchvision, 1 in the authors' release.
    dropout : float
        Probability with which, in training, the last convolution's inputs are dropped.
    rng : np.random.Generator, optional
        For the first weights and dropout.
    """
    plan = ("pool", (16, 64), (16, 64), (32, 128), "pool", (32, 128), (48, 192), (48, 192), (64, 256), "pool",
            (64, 256))
    first = nn.Conv2d(channels(mean, std), 96, 7, 2, rng=rng)
    return SqueezeNet(first, plan, num_classes, mean, std, classifier_padding, dropout, rng)


@register
def squeezenet1_1(num_classes=1000, mean=IMAGENET_MEAN, std=IMAGENET_STD, classifier_padding=0, dropout=0.5, rng=None):
    """SqueezeNet 1.1: as accurate at 2.4 times less work, since it pools earlier; 1,235,496 parameters.

    Options as in `squeezenet1_0`.
    """
    plan = ("pool", (16, 64), (16, 64), "pool", (32, 128), (32, 128), "pool", (48, 192), (48, 192), (64, 256),
            (64, 256))
    first = nn.Conv2d(channels(mean, std), 64, 3, 2, rng=rng)
    return SqueezeNet(first, plan, num_classes, mean, std, classifier_padding, dropout, rng)


def pretrained_squeezenet(root=None):
    """SqueezeNet 1.0 trained on ImageNet's 1000 classes, in eval mode; photographs of 227x227 suit it best.

    Two files will do: ``model.safetensors``, the authors' weights (Caffe's pixel statistics and padding), and
    torchvision's ``squeezenet1_0-b66bff10.pth``. They are looked for in ``root/squeezenet1_0`` and `root`, then in
    ``$MINIGRAD_DATA`` likewise, then in the folder squeezenet1_0 of minigrad's cache. Nothing is downloaded.

    Parameters
    ----------
    root : str or Path, optional

    Returns
    -------
    SqueezeNet

    Raises
    ------
    FileNotFoundError
        Neither file is in any of the folders; the message says which to put where.
    ValueError
        A file is damaged or holds another model's weights.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    places = folders("squeezenet1_0", root)
    path = find(PRETRAINED, places)
    if path is None:
        raise FileNotFoundError(f"pretrained_squeezenet: neither {' nor '.join(PRETRAINED)} is in any of "
                                f"{', '.join(map(str, places))}; download {URL} into the last of these folders, "
                                f"or name the folder that has it: root=...")
    model = squeezenet1_0(**PRETRAINED[path.name])
    try:
        model.load_state_dict(torch_pickle.read(path) if path.suffix == ".pth" else load_file(path))
    except (ValueError, SafetensorError) as error:
        raise ValueError(f"pretrained_squeezenet: {path} holds no weights of SqueezeNet 1.0: {error}") from error
    return model.eval()
