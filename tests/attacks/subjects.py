"""Small models to attack: one that is linear, whose answers have closed forms, and a small network."""

import numba
import numpy as np

import minigrad
from minigrad import nn

CLASSES = 4


def linear(weight, bias=None):
    """Logits W x + b of flattened images, W (classes, features), float64."""
    weight = np.asarray(weight, np.float64)
    model = nn.Sequential(nn.Flatten(), nn.Linear(weight.shape[1], len(weight))).to(weight.dtype)
    model.load_state_dict({"1.weight": weight, "1.bias": np.zeros(len(weight)) if bias is None else np.asarray(bias)})
    return model.eval()


def cnn(dtype=np.float32, seed=1):
    """A convolution, a pool and two dense layers on images (N, 1, 8, 8); of random ones every class gets its share."""
    rng = np.random.default_rng(seed)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 12),
                          nn.ReLU(), nn.Linear(12, CLASSES))  # fmt: skip
    state = {k: rng.normal(0, 2 / np.sqrt(max(1, a[0].size)), a.shape) for k, a in model.state_dict().items()}
    model.to(np.float64).eval().load_state_dict(state)
    with minigrad.no_grad():
        state["6.bias"] = state["6.bias"] - model(minigrad.Tensor(rng.random((50, 1, 8, 8)))).data.mean(0)
    model.to(dtype).load_state_dict(state)
    return model


def images(count=6, dtype=np.float32, seed=1):
    """Images with pixels at both bounds and in between, and their classes to `cnn`, so that none is wrong."""
    x = np.clip(np.random.default_rng(seed).uniform(-0.3, 1.3, (count, 1, 8, 8)), 0, 1).astype(dtype)
    return x, predicted(cnn(dtype), x)


def predicted(model, x):
    with minigrad.no_grad():
        return model(minigrad.Tensor(x)).data.argmax(1)


def same(one, other):
    """Equal to the last bit; without compiled kernels NumPy multiplies one row otherwise than many."""
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 if numba.config.DISABLE_JIT else 0)


class Stops:
    """A model, and Ctrl-C in its k-th call."""

    def __init__(self, model, k):
        self.model, self.calls, self.k = model, 0, k

    def __call__(self, x):
        self.calls += 1
        if self.calls == self.k:
            raise KeyboardInterrupt
        return self.model(x)
