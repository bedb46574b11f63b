"""The layers of a network, read off the tape of one forward pass: what the kernels are asked for, and their shapes."""
from dataclasses import dataclass

import numpy as np

INPUTS = {"mnist_cnn": (1, 28, 28), "lenet5": (1, 28, 28), "squeezenet1_0": (3, 227, 227), "vgg16": (3, 224, 224)}
DEEPEST = {"vgg16": "features.9"}  # of a deep network only its first blocks, up to here


@dataclass(frozen=True)
class Layer:
    """An op of a network with the shapes of its inputs and of its output."""

    path: str
    op: object
    inputs: tuple
    output: tuple

    def arrays(self, rng):
        """Random numbers of the inputs' shapes, images in the memory that kernels give each other."""
        return [images(rng, shape) if len(shape) == 4 and not i else rng.standard_normal(shape, np.float32)
                for i, shape in enumerate(self.inputs)]


def images(rng, shape):
    """Random numbers (N, C, H, W), the channels of a pixel side by side."""
    n, c, h, w = shape
    return rng.standard_normal((n, h, w, c), np.float32).transpose(0, 3, 1, 2)


def layers(network, batch, **options):
    """The layers of a network in order, those of equal settings and shapes once."""
    import minigrad

    model = minigrad.models.create(network, rng=np.random.default_rng(0), **options).eval()
    x = minigrad.Tensor(np.zeros((batch, *INPUTS[network]), np.float32), requires_grad=True)
    found = {}
    for t in minigrad.tape(model(x)):
        if t.op is None:
            continue
        key = type(t.op).__name__, str(vars(t.op)), tuple(x.shape for x in t.inputs)
        found.setdefault(key, Layer(t.scope, t.op, key[2], t.shape))
        if t.scope == DEEPEST.get(network):
            break
    return list(found.values())
