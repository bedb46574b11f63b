"""Workload: one training step of `mnist_cnn` (forward, cross-entropy, backward, Adam) on random images."""
import numpy as np


def _batch(size):
    rng = np.random.default_rng(0)
    return rng.random((size, 1, 28, 28), np.float32), rng.integers(0, 10, size)


def minigrad(size):
    """The step in minigrad."""
    import minigrad
    from minigrad import functional as F

    images, labels = _batch(size)
    model = minigrad.models.mnist_cnn(rng=np.random.default_rng(0))
    optimizer = minigrad.optim.Adam(model.parameters(), lr=1e-3)

    def step():
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()

    return step


def torch(size):
    """The step in PyTorch eager as most people write it."""
    return _torch(size, channels_last=False, fused=False)


def torch_channels_last(size):
    """PyTorch with channels-last memory."""
    return _torch(size, channels_last=True, fused=False)


def torch_fused(size):
    """PyTorch with its fused Adam."""
    return _torch(size, channels_last=False, fused=True)


def torch_channels_last_fused(size):
    """PyTorch with channels-last memory and its fused Adam."""
    return _torch(size, channels_last=True, fused=True)


def _torch(size, channels_last, fused):
    import torch
    from torch import nn

    torch.set_num_threads(threads())
    images, labels = (torch.from_numpy(a) for a in _batch(size))
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1568, 500), nn.ReLU(), nn.Linear(500, 10))
    if channels_last:
        model, images = model.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=fused)

    def step():
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()

    return step


def threads():
    """How many threads minigrad uses, so that its peers use as many."""
    import numba

    return numba.get_num_threads()
