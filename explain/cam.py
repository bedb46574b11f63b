"""Class activation maps: which places of a convolutional layer the score depends on, drawn over the image.

Every method here is a weighted sum of the layer's channels A_c (N, C, h, w), rectified:  map = max(sum over c of w_c
A_c, 0). They differ in the weights. The map has the layer's resolution and is upsampled to the image: ``upsample`` says
how. Nothing is scaled to [0, 1], so maps of different images or classes can be compared; drawing does that.
"""

import numpy as np

import minigrad
from minigrad import functional as F

from .gradient import select_relu
from .rules import guided_relu
from .scoring import Scoring, layer_path

UPSAMPLING = ("bilinear", "bicubic", "nearest", None)


def grad_cam(model, x, target=None, *, layer, relu_attributions=True, upsample="bilinear", **common):
    """Channels weighted by their mean gradient: w_c = mean over places of dF/dA_c. Selvaraju et al. 2017.

    On a network that ends in global average pooling and one dense layer this is the original CAM (Zhou et al. 2016) but
    for a factor, the number of places.

    Parameters
    ----------
    model, x, target, **common
        As in `explain.scoring.Scoring`.
    layer : Module or str
        A layer, or its path, whose output has shape (N, C, h, w); usually the last one before the classifier.
    relu_attributions : bool
        Keep what speaks for the class only, as in the paper. False is Captum's default.
    upsample : 'bilinear', 'bicubic', 'nearest' or None
        How the map is brought to the size of the image; None leaves it at the layer's, as Captum does.

    Returns
    -------
    Attribution
        Values of shape (N, 1, H, W); the map before upsampling in ``extra["map"]`` (N, 1, h, w).
    """

    def weights(a, g):
        return g.mean(axis=(2, 3), keepdims=True)

    return _gradient_map("grad_cam", weights, model, x, target, layer, relu_attributions, upsample, common)


def grad_cam_plus_plus(model, x, target=None, *, layer, relu_attributions=True, upsample="bilinear", **common):
    """Channels weighted so that several small regions count as much as one large. Chattopadhay et al. 2018.

        w_c = sum over places of alpha_c max(g_c, 0),    alpha_c = g_c^2 / (2 g_c^2 + (sum over places of A_c) g_c^3)

    with g = dF/dA; alpha is 0 where g is. This is the paper's closed form for exp(F), whose common factor is left out;
    the sum over places is the paper's, some libraries take the mean. Parameters and result as in `grad_cam`.
    """

    def weights(a, g):
        total = a.sum(axis=(2, 3), keepdims=True)
        below = 2 * g**2 + total * g**3
        alpha = np.divide(g**2, below, out=np.zeros_like(g), where=below != 0)
        return (alpha * np.maximum(g, 0)).sum(axis=(2, 3), keepdims=True)

    return _gradient_map("grad_cam_plus_plus", weights, model, x, target, layer, relu_attributions, upsample, common)


def layer_cam(model, x, target=None, *, layer, relu_attributions=True, upsample="bilinear", **common):
    """Every place of every channel weighted by its own gradient where that is positive: w = max(dF/dA, 0).

    Jiang et al. 2021; made for early layers too, where a mean over places says little. Parameters and result as in
    `grad_cam`.
    """

    def weights(a, g):
        return np.maximum(g, 0)

    return _gradient_map("layer_cam", weights, model, x, target, layer, relu_attributions, upsample, common)


def score_cam(model, x, target=None, *, layer, relu_attributions=True, upsample="bilinear", **common):
    """Channels weighted by the score of the image seen through them, without a gradient. Wang et al. 2020.

    Each channel, upsampled to the image and scaled to [0, 1], masks x; the weights are the softmax over channels of the
    scores of the masked images. (The paper subtracts the score of a black image, which a softmax does not notice.) A
    channel without contrast masks everything. Costs a forward pass per channel. Parameters and result as in `grad_cam`.
    """
    with _scoring("score_cam", model, x, target, upsample, common) as run:
        maps = []
        for i in range(len(run.x)):
            one = slice(i, i + 1)
            with minigrad.no_grad():
                a = _images(run, layer, run.record_layer(run.x[one], layer, one)[2]).data
            masks = _resized(a, run.x.shape[2:], upsample or "bilinear")[0]  # (C, H, W)
            low, high = (limit(masks, axis=(1, 2), keepdims=True) for limit in (np.min, np.max))
            masks = np.divide(masks - low, high - low, out=np.zeros_like(masks), where=high > low)
            scores = run.scores(masks[:, None] * run.x[i], run.targets(one).repeat(len(masks)))
            weights = np.exp(scores - scores.max())
            maps.append(np.einsum("c,chw->hw", weights / weights.sum(), a[0])[None, None])
        return _finish(run, np.concatenate(maps), layer, relu_attributions, upsample)


def guided_grad_cam(model, x, target=None, *, layer, upsample="bilinear", **common):
    """Guided backpropagation, which is sharp, times Grad-CAM, which knows the class. Selvaraju et al. 2017.

    Parameters
    ----------
    model, x, target, layer, **common
        As in `grad_cam`; the map is rectified.
    upsample : 'bilinear', 'bicubic' or 'nearest'
        As in the paper; Captum's default is 'nearest'.

    Returns
    -------
    Attribution
        Values of x's shape.
    """
    if upsample is None:
        raise ValueError(
            "guided_grad_cam: upsample is None, expected one of 'bilinear', 'bicubic', 'nearest': "
            "the map must be as large as x"
        )
    cam = grad_cam(model, x, target, layer=layer, upsample=upsample, **common)
    with Scoring("guided_grad_cam", model, x, cam.target, **common) as run:
        values = run.gradient(run.x, rules=select_relu(guided_relu)) * cam.values
        run.forwards, run.backwards = run.forwards + cam.forwards, run.backwards + cam.backwards
        return run.attribution(values, settings=cam.settings, extra=cam.extra)


def _gradient_map(method, weights, model, x, target, layer, relu_attributions, upsample, common):
    with _scoring(method, model, x, target, upsample, common) as run:
        maps = []
        for part in run.batches(len(run.x)):
            _, scores, activation = run.record_layer(run.x[part], layer, part)
            a = _images(run, layer, activation).data
            g = run.pull(scores, activation, run.targets(part))
            maps.append((weights(a, g) * a).sum(axis=1, keepdims=True))
        return _finish(run, np.concatenate(maps), layer, relu_attributions, upsample)


def _scoring(method, model, x, target, upsample, common):
    if upsample not in UPSAMPLING:
        raise ValueError(f"{method}: upsample is {upsample!r}, expected one of {', '.join(map(repr, UPSAMPLING))}")
    return Scoring(method, model, x, target, **common)


def _images(run, layer, activation):
    if activation.ndim != 4:
        raise ValueError(
            f"{run.method}: layer {layer_path(run.method, run.model, layer)!r} gives shape {activation.shape}, "
            "expected (N, C, h, w); choose a layer before the flattening"
        )
    return activation


def _finish(run, maps, layer, relu_attributions, upsample):
    maps = np.maximum(maps, 0) if relu_attributions else maps
    values = maps if upsample is None else _resized(maps, run.x.shape[2:], upsample)
    return run.attribution(
        values,
        extra={"map": maps},
        settings={
            "layer": layer_path(run.method, run.model, layer),
            "relu_attributions": relu_attributions,
            "upsample": upsample,
        },
    )


def _resized(maps, size, mode):
    """(N, C, h, w) to (N, C, *size), between the pixels' centres (align_corners=False)."""
    return F.interpolate(maps, size=size, mode=mode).data
