"""Small networks of every kind, written once for minigrad and for PyTorch: the names of the layers are the same."""

import numpy as np

SHAPE = (2, 12, 12)  # of the inputs
CLASSES = 5


def cnn(lib):
    nn = lib.nn
    return nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3), nn.ReLU(),
                         nn.Flatten(), nn.Linear(96, 8), nn.ReLU(), nn.Linear(8, CLASSES))  # fmt: skip


def strided(lib):
    nn = lib.nn
    return nn.Sequential(nn.Conv2d(2, 4, 3, stride=2), nn.ReLU(), nn.Conv2d(4, 6, 3, dilation=2, groups=2, padding=1),
                         nn.ReLU(), nn.AvgPool2d(2, 1), nn.Flatten(), nn.Linear(24, CLASSES))  # fmt: skip


def normed(lib):
    nn = lib.nn
    return nn.Sequential(nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(3, 2),
                         nn.BatchNorm2d(4), nn.Conv2d(4, 6, 2), nn.LeakyReLU(0.1), nn.AdaptiveAvgPool2d(1),
                         nn.Flatten(), nn.Linear(6, CLASSES))  # fmt: skip


def smooth(lib):
    nn = lib.nn
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.Sigmoid(), nn.AvgPool2d(2), nn.Conv2d(4, 4, 2), nn.Tanh(), nn.Flatten(),
                         nn.Linear(64, 8), nn.Softplus(), nn.Linear(8, CLASSES))  # fmt: skip


def branched(lib):
    """A skip connection, a concatenation, one ReLU used twice and one that is a function."""
    nn = lib.nn

    class Branched(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second, self.third = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 3, 1)
            self.relu, self.head = nn.ReLU(), nn.Linear(7, CLASSES)

        def forward(self, x):
            x = self.relu(self.first(x))
            y = self.relu(self.second(x) + x)
            z = lib.cat([y, self.third(x).relu()], 1)
            return self.head(z.mean((2, 3)))

    return Branched()


ALL = {f.__name__: f for f in (cnn, strided, normed, smooth, branched)}
PIECEWISE_LINEAR = ("cnn", "strided", "normed", "branched")


def build(name, seed=0, dtype=np.float64):
    """A network of minigrad with random weights, biases and running statistics."""
    import minigrad

    model, rng = ALL[name](minigrad), np.random.default_rng(seed)
    state = {k: _random(k, a, rng) for k, a in model.state_dict().items()}
    model.to(dtype).load_state_dict(state)
    return model.eval()


def images(count=3, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).random((count, *SHAPE)).astype(dtype)


def _random(name, array, rng):
    if array.dtype.kind != "f":
        return array
    if name.endswith("running_var"):
        return rng.uniform(0.5, 2, array.shape)
    if name.endswith("bias") or name.endswith("running_mean"):
        return rng.normal(0, 0.3, array.shape)
    return rng.normal(0, 1.5, array.shape) / np.sqrt(max(1, array[0].size))
