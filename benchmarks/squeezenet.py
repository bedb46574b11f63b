"""Workload: answers of SqueezeNet 1.0, and the gradient of their sum with respect to the photograph; equal weights.

PyTorch's network is written out here, for torchvision is no requirement; the names of its weights are torchvision's.
"""
import numpy as np

from .layers import INPUTS

NETWORK = "squeezenet1_0"


def _setting(batch):
    import minigrad

    rng = np.random.default_rng(0)
    return minigrad.models.create(NETWORK, rng=rng).eval(), rng.random((batch, *INPUTS[NETWORK]), np.float32)


def minigrad(batch):
    """SqueezeNet in minigrad."""
    import minigrad

    model, images = _setting(batch)

    def forward():
        with minigrad.no_grad():
            return model(images).data

    def gradient():
        x = minigrad.Tensor(images, requires_grad=True)
        return minigrad.grad(model(x), x).data

    return {"forward": forward, "input gradient": gradient}


def torch(batch):
    """SqueezeNet in PyTorch, channel after channel in memory."""
    return _torch(batch, channels_last=False)


def torch_channels_last(batch):
    """SqueezeNet in PyTorch with channels-last memory."""
    return _torch(batch, channels_last=True)


def _torch(batch, channels_last):
    import torch

    from .training import threads

    torch.set_num_threads(threads())
    model, images = _setting(batch)
    net, images = twin(model), torch.from_numpy(images)
    if channels_last:
        net, images = net.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)

    def forward():
        with torch.inference_mode():
            return net(images).numpy()

    def gradient():
        x = images.detach().requires_grad_()
        return torch.autograd.grad(net(x).sum(), x)[0].numpy()

    return {"forward": forward, "input gradient": gradient}


def twin(model):
    """The same SqueezeNet in PyTorch, whose weights need no gradient."""
    import torch
    from torch import nn

    class Fire(nn.Module):
        def __init__(self, before, squeezed, expanded):
            super().__init__()
            self.squeeze = nn.Conv2d(before, squeezed, 1)
            self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
            self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

        def forward(self, x):
            x = self.squeeze(x).relu()
            return torch.cat([self.expand1x1(x).relu(), self.expand3x3(x).relu()], 1)

    class SqueezeNet(nn.Module):
        def __init__(self):
            super().__init__()
            mean, std = (torch.tensor(n).reshape(-1, 1, 1) for n in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
            self.register_buffer("mean", mean, persistent=False)
            self.register_buffer("std", std, persistent=False)
            pools = [nn.MaxPool2d(3, 2, ceil_mode=True) for _ in range(3)]
            self.features = nn.Sequential(
                nn.Conv2d(3, 96, 7, 2), nn.ReLU(), pools[0], Fire(96, 16, 64), Fire(128, 16, 64), Fire(128, 32, 128),
                pools[1], Fire(256, 32, 128), Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), pools[2],
                Fire(512, 64, 256))
            self.classifier = nn.Sequential(nn.Dropout(), nn.Conv2d(512, 1000, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1))

        def forward(self, x):
            return self.classifier(self.features((x - self.mean) / self.std)).flatten(1)

    net = SqueezeNet().eval().requires_grad_(False)
    net.load_state_dict({k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in model.state_dict().items()})
    return net
