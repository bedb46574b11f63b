"""What the last layer sees: the activations in which poisoned samples stand apart from the class they pose as."""
import numpy as np

import minigrad
from minigrad import ops

from .subject import subject


def activations(function, model, x, layer=None, batch_size=256):
    """The activations (N, D), flattened, that a model's last dense layer takes in, or that `layer` puts out.

    Parameters
    ----------
    function : str
        Who asks, for messages.
    model : Module or callable
        In evaluation mode.
    x : array of shape (N, C, H, W)
    layer : str, optional
        Path of a module, such as ``classifier.1``. If left out, the input of the last `Linear` on the tape.
    """
    x, parts = subject(function, model, x)[0], []
    for i in range(0, len(x), batch_size):
        images = minigrad.Tensor(x[i:i + batch_size], requires_grad=True)  # so that there is a tape to read
        parts.append(_read(function, model, images, layer).reshape(len(images), -1))
    return np.concatenate(parts)


def _read(function, model, images, layer):
    if layer is not None:
        _, found = model.named_activations(images)
        if layer not in found:
            raise ValueError(f"{function}: the model has no layer {layer!r} that puts something out; expected one of "
                             f"{', '.join(map(repr, found))}")
        return found[layer].data
    dense = [t for t in minigrad.tape(model(images)) if isinstance(t.op, ops.Linear)]
    if not dense:
        raise ValueError(f"{function}: the model has no dense layer whose input could be read; name one: layer='...'")
    return dense[-1].inputs[0].data
