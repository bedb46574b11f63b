"""The networks of `minigrad.models` as torchvision defines them, for pixels in [0, 1]; torchvision is not needed."""

from collections import OrderedDict

import torch
from torch import nn

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
VGG = {"vgg11": (1, 1, 2, 2, 2), "vgg13": (2, 2, 2, 2, 2), "vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}


class Pixels(nn.Module):
    """Base of the networks: pixels in [0, 1] are standardised first."""

    statistics = IMAGENET

    def standard(self, x):
        mean, std = (torch.tensor(numbers, dtype=x.dtype).reshape(-1, 1, 1) for numbers in self.statistics)
        return (x - mean) / std


class Fire(nn.Module):
    """A fire module: few channels, then 1x1 and 3x3 filters side by side."""

    def __init__(self, before, squeezed, expanded):
        super().__init__()
        self.squeeze = nn.Conv2d(before, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x):
        x = self.squeeze(x).relu()
        return torch.cat([self.expand1x1(x).relu(), self.expand3x3(x).relu()], 1)


class SqueezeNet(Pixels):
    """SqueezeNet 1.0 or 1.1."""

    def __init__(self, version, num_classes=1000, padding=0):
        super().__init__()

        def pool():
            return nn.MaxPool2d(3, 2, ceil_mode=True)

        if version == "1_0":
            layers = [nn.Conv2d(3, 96, 7, 2), nn.ReLU(), pool(), Fire(96, 16, 64), Fire(128, 16, 64),
                      Fire(128, 32, 128), pool(), Fire(256, 32, 128), Fire(256, 48, 192), Fire(384, 48, 192),
                      Fire(384, 64, 256), pool(), Fire(512, 64, 256)]  # fmt: skip
        else:
            layers = [nn.Conv2d(3, 64, 3, 2), nn.ReLU(), pool(), Fire(64, 16, 64), Fire(128, 16, 64), pool(),
                      Fire(128, 32, 128), Fire(256, 32, 128), pool(), Fire(256, 48, 192), Fire(384, 48, 192),
                      Fire(384, 64, 256), Fire(512, 64, 256)]  # fmt: skip
        self.features = nn.Sequential(*layers)
        last = nn.Conv2d(512, num_classes, 1, padding=padding)
        self.classifier = nn.Sequential(nn.Dropout(0.5), last, nn.ReLU(), nn.AdaptiveAvgPool2d(1))

    def forward(self, x):
        return self.classifier(self.features(self.standard(x))).flatten(1)


class Vgg(Pixels):
    """VGG with 11 to 19 layers."""

    def __init__(self, name, num_classes=1000, batch_norm=False, hidden=4096):
        super().__init__()
        layers, before = [], 3
        for depth, width in zip(VGG[name], (64, 128, 256, 512, 512), strict=True):
            for _ in range(depth):
                layers += [nn.Conv2d(before, width, 3, padding=1)]
                layers += [nn.BatchNorm2d(width)] * batch_norm + [nn.ReLU()]
                before = width
            layers += [nn.MaxPool2d(2, 2)]
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 49, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(),
            nn.Linear(hidden, num_classes))  # fmt: skip

    def forward(self, x):
        return self.classifier(self.avgpool(self.features(self.standard(x))).flatten(1))


class BasicBlock(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, before, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = None
        if stride != 1 or before != width:
            self.downsample = nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (y + (x if self.downsample is None else self.downsample(x))).relu()


class ResNet(Pixels):
    """ResNet-18, or a small one for 32x32 pixels."""

    def __init__(self, small, num_classes):
        super().__init__()
        self.statistics = HALF if small else IMAGENET
        widths, depth = ((16, 32, 64), 3) if small else ((64, 128, 256, 512), 2)
        self.conv1 = nn.Conv2d(3, widths[0], *((3, 1, 1) if small else (7, 2, 3)), bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, 2, 1)
        self.layers, before = [], widths[0]
        for i, width in enumerate(widths):
            blocks = [BasicBlock(before if j == 0 else width, width, 2 if j == 0 < i else 1) for j in range(depth)]
            self.add_module(f"layer{i + 1}", nn.Sequential(*blocks))
            self.layers.append(f"layer{i + 1}")
            before = width
        self.fc = nn.Linear(before, num_classes)

    def forward(self, x):
        x = self.maxpool(self.bn1(self.conv1(self.standard(x))).relu())
        for layer in self.layers:
            x = self.get_submodule(layer)(x)
        return self.fc(x.mean((2, 3)))


class EncoderBlock(nn.Module):
    """Attention and a perceptron, each with a way around it."""

    def __init__(self, hidden, heads, mlp):
        super().__init__()
        self.ln_1 = nn.LayerNorm(hidden, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(hidden, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(hidden, eps=1e-6)
        self.mlp = nn.Sequential(nn.Linear(hidden, mlp), nn.GELU(), nn.Identity(), nn.Linear(mlp, hidden))

    def forward(self, x):
        z = self.ln_1(x)
        x = x + self.self_attention(z, z, z, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    """Positions, blocks, a last norm."""

    def __init__(self, length, depth, hidden, heads, mlp):
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.empty(1, length, hidden).normal_(std=0.02))
        blocks = [(f"encoder_layer_{i}", EncoderBlock(hidden, heads, mlp)) for i in range(depth)]
        self.layers = nn.Sequential(OrderedDict(blocks))
        self.ln = nn.LayerNorm(hidden, eps=1e-6)

    def forward(self, x):
        return self.ln(self.layers(x + self.pos_embedding))


class ViT(Pixels):
    """A vision transformer."""

    def __init__(self, image_size=224, patch_size=16, depth=12, hidden=768, heads=12, mlp=3072, num_classes=1000,
                 statistics=IMAGENET):  # fmt: skip
        super().__init__()
        self.statistics = statistics
        self.class_token = nn.Parameter(torch.zeros(1, 1, hidden))
        self.conv_proj = nn.Conv2d(len(statistics[0]), hidden, patch_size, patch_size)
        self.encoder = Encoder((image_size // patch_size) ** 2 + 1, depth, hidden, heads, mlp)
        self.heads = nn.Sequential(OrderedDict(head=nn.Linear(hidden, num_classes)))

    def forward(self, x):
        x = self.conv_proj(self.standard(x)).flatten(2).permute(0, 2, 1)
        x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], 1)
        return self.heads(self.encoder(x)[:, 0])
