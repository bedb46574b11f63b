"""A training step copies no image and no weight that lies in memory as the kernels want it."""
import numpy as np

from minigrad import functional as F
from minigrad import models, optim
from minigrad.kernels import layout


def test_the_only_copy_is_the_one_that_flattening_asks_for(monkeypatch):
    """Flattening channels-last features into rows is a change of order; its cotangent is turned back. No other copy."""
    rng = np.random.default_rng(0)
    model = models.mnist_cnn(rng=rng)
    adam = optim.Adam(model.parameters(), lr=1e-3)
    images, labels = rng.random((8, 1, 28, 28), np.float32), rng.integers(0, 10, 8)
    copied, turned, real, turn = [], [], np.ascontiguousarray, layout.turned

    def spy(array, *arguments):
        result = real(array, *arguments)
        if not np.shares_memory(array, result):
            copied.append(array.shape)
        return result

    monkeypatch.setattr(np, "ascontiguousarray", spy)
    monkeypatch.setattr(layout, "turned", lambda x: turned.append(x.shape) or turn(x))
    F.cross_entropy(model(images), labels).backward()
    adam.step()
    assert copied == []
    assert turned == [(8, 49, 32), (8, 32, 49)]


def test_gradients_lie_in_memory_as_their_weights_do():
    """So the optimizer walks all four arrays of a parameter straight through."""
    rng = np.random.default_rng(0)
    model = models.mnist_cnn(rng=rng)
    F.cross_entropy(model(rng.random((8, 1, 28, 28), np.float32)), rng.integers(0, 10, 8)).backward()
    for name, parameter in model.named_parameters():
        axes = [i for i, n in enumerate(parameter.shape) if n > 1]
        strides = [[t.data.strides[i] for i in axes] for t in (parameter, parameter.grad)]
        assert strides[0] == strides[1], name
