"""What a layer holds: its weights as pictures, and its outputs as pictures. Arrays to draw, with `explain.tile`.

    show.picture(tile(filters(model, "features.0")))
    show.picture(tile(activation_grid(model, x, layer="features.1")))
"""

import numpy as np

from .layers import layer_activation
from .scoring import layer_path

SCALES = ("each", "all")


def filters(model, layer, *, shape=None, scale="each"):
    """The weights of a layer as pictures in [0, 1], in which 0.5 is zero.

    Parameters
    ----------
    model : Module
    layer : Module or str
        A convolution, or a dense layer whose inputs are pixels.
    shape : (C, H, W), optional
        Of a dense layer's input: a linear classifier's weights are its templates of the classes.
    scale : 'each' or 'all'
        Whether every filter's largest magnitude is black or white, or only the layer's.

    Returns
    -------
    ndarray (outputs, inputs, kh, kw)
        With one or three input channels `tile` makes a picture of each filter; else a row of grey ones, one an input.
    """
    path = layer_path("filters", model, layer)
    weight = getattr(model.get_submodule(path), "weight", None)
    if weight is None or weight.ndim not in (2, 4):
        came = "none" if weight is None else f"of shape {weight.shape}"
        raise ValueError(f"filters: the weights of layer {path!r} are {came}, expected those of a convolution (O, I, "
                         "kh, kw) or a dense layer (O, I)")  # fmt: skip
    weight = weight.data.copy()
    if weight.ndim == 2:
        if shape is None or int(np.prod(shape)) != weight.shape[1] or len(shape) != 3:
            raise ValueError(f"filters: layer {path!r} is dense with {weight.shape[1]} inputs and shape is {shape!r}, "
                             "expected shape=(C, H, W) of as many values")  # fmt: skip
        weight = weight.reshape(len(weight), *shape)
    return 0.5 + 0.5 * _scaled("filters", weight, scale, (1, 2, 3))


def activation_grid(model, x, *, layer, scale="each", **common):
    """A layer's output, channel by channel, as grey pictures in [0, 1].

    Parameters
    ----------
    model, x, **common
        As in `explain.scoring.Scoring`.
    layer : Module or str
    scale : 'each' or 'all'
        Whether each channel's largest magnitude is white, or only that of the sample's whole layer.

    Returns
    -------
    ndarray (N, C, h, w)
        Zero is black, or 0.5 where the layer has negative values. `tile` with ``colour=False`` makes a picture of them.
    """
    values = layer_activation(model, x, layer=layer, **common).values
    if values.ndim != 4:
        raise ValueError(f"activation_grid: layer {layer!r} returned shape {values.shape}, expected maps (N, C, H, W)")
    scaled = _scaled("activation_grid", values, scale, (2, 3) if scale == "each" else (1, 2, 3))
    return 0.5 + 0.5 * scaled if values.min() < 0 else scaled


def _scaled(method, values, scale, axes):
    """The values over the largest magnitude along `axes`, or of all; zeros stay zeros."""
    if scale not in SCALES:
        raise ValueError(f"{method}: scale is {scale!r}, expected one of {', '.join(SCALES)}")
    whole = method == "filters" and scale == "all"
    largest = np.abs(values).max(axis=None if whole else axes, keepdims=True)
    return values / np.where(largest > 0, largest, 1)
