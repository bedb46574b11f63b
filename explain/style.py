"""Paint one picture's content in another's style: both are statistics of what a network sees in them.

    loss = content_weight * |F - P|^2 + sum over layers of weight_l * |G_l - A_l|^2 + tv_weight * total variation

F and P are a layer's output for the painting and for the content picture; G_l and A_l are Gram matrices of a layer's
output, for the painting and the style picture: which channels fire together, wherever they do, which is what a brush
stroke is to a network. Gatys, Ecker and Bethge 2016; the Gram matrix is divided by C H W, as in Johnson, Alahi and
Fei-Fei 2016 and in Stanford's CS231n.
"""

import numpy as np

import minigrad

from .canvas import Pixels
from .images import make
from .inputs import as_generator
from .regularisers import total_variation
from .scoring import activation_at, evaluating, layer_path

DEFINITIONS = ("relative", "cs231n", "johnson")
STARTS = ("content", "noise")
_AXES = (1, 2, 3)


def style_transfer(
    model,
    content,
    style,
    *,
    content_layer,
    style_layers,
    content_weight=0.3,
    tv_weight=3.0,
    definition="relative",
    start="content",
    steps=200,
    rate=0.05,
    optimizer="adam",
    canvas=None,
    rng=None,
    progress=False,
):
    """A picture with the content of one and the style of another. Gatys et al. 2016.

    Parameters
    ----------
    model : Module
        Any network of images that may have the sizes of both pictures; the deeper and the better trained, the better.
    content : ndarray (N, C, H, W) in [0, 1]
        The result has its size.
    style : ndarray (1 or N, C, H', W') in [0, 1]
        Its strokes keep their size in pixels: resize it to have them finer or coarser.
    content_layer : Module or str
        In the middle: low layers copy pixels, high ones only say what is where.
    style_layers : dict of (Module or str) to float
        The layers, from low to high, and their weights.
    content_weight, tv_weight : float
    definition : 'relative', 'cs231n' or 'johnson'
        What the weights multiply. 'cs231n': the sums of squares above. 'johnson': the content's is divided by C H W.
        'relative': content and Gram terms are divided by |P|^2 and |A_l|^2 and total variation by the number of values
        C H W, so that each is 0 for a perfect match and about 1 for none at all, and weights of about 1 suit any
        network; those of the others depend on the sizes of its activations.
    start : 'content', 'noise', or ndarray of content's shape in [0, 1]
    steps, rate, optimizer, canvas
        As in `explain.images.make`; the rate is in pixels' units.
    rng : np.random.Generator, optional
        For a start from noise.
    progress : bool

    Returns
    -------
    Images
        `trace` holds ``"content"``, ``"style"``, ``"total variation"`` and their sum, ``"loss"``. Interrupted by Ctrl-C
        it holds what was painted so far.

    Raises
    ------
    ValueError, TypeError
        For layers that the model does not have, or pictures that do not fit.
    """
    method = "style_transfer"
    content, style = (_checked(method, name, image) for name, image in (("content", content), ("style", style)))
    if len(style) not in (1, len(content)) or style.shape[1] != content.shape[1]:
        raise ValueError(f"{method}: style has shape {style.shape} and content {content.shape}, expected as many "
                         "channels, and one style or one per picture")  # fmt: skip
    if definition not in DEFINITIONS:
        raise ValueError(f"{method}: definition is {definition!r}, expected one of {', '.join(DEFINITIONS)}")
    if not isinstance(style_layers, dict) or not style_layers:
        raise TypeError(f"{method}: style_layers is {style_layers!r}, expected a dict of layers and their weights, "
                        "such as {'features.1': 1.0, 'features.4': 1.0}")  # fmt: skip
    at = layer_path(method, model, content_layer)
    weights = {layer_path(method, model, layer): float(weight) for layer, weight in style_layers.items()}
    canvas = Pixels() if canvas is None else canvas

    def seen(image):
        activations = model.named_activations(image)[1]
        features = [_features(method, activations, path) for path in (at, *weights)]
        return features[0], features[1:]

    with evaluating(model):
        with minigrad.no_grad():
            goal = seen(minigrad.Tensor(content))[0]
            grams = [gram(features) for features in seen(minigrad.Tensor(style))[1]]
        norms = _norms(definition, goal, grams, content)
        scaled = [weight / norm for weight, norm in zip(weights.values(), norms["style"], strict=True)]

        def loss(image):
            features, strokes = seen(image)
            return {
                "content": content_loss(features, goal, content_weight / norms["content"]),
                "style": style_loss(strokes, grams, scaled),
                "total variation": tv_weight / norms["tv"] * total_variation(image),
            }

        numbers = _start(method, start, content, canvas, rng)
        return make(method, numbers, loss, canvas=canvas, steps=steps, rate=rate, optimizer=optimizer, rng=rng,
                    progress=progress, settings={
                        "content_layer": at, "style_layers": weights, "content_weight": content_weight,
                        "tv_weight": tv_weight, "definition": definition,
                        "start": start if isinstance(start, str) else "given"})  # fmt: skip


def gram(features, normalize=True):
    """The Gram matrix of features, a Tensor (N, C, H, W): G[n, i, j] = sum over pixels of F_i F_j, a Tensor (N, C, C).

    Divided by C H W where `normalize`, as in Johnson et al. 2016.
    """
    n, c, height, width = features.shape
    flat = features.reshape(n, c, height * width)
    product = flat @ flat.transpose(1, 2)
    return product / (c * height * width) if normalize else product


def content_loss(features, target, weight=1.0):
    """weight * sum of (features - target)^2, for Tensors (N, C, H, W): a Tensor (N,)."""
    return weight * ((features - target) ** 2).sum(_AXES)


def style_loss(features, grams, weights):
    """The sum over layers of weight * |gram(features) - gram of the style|^2: a Tensor (N,)."""
    terms = [weight * ((gram(f) - a) ** 2).sum((1, 2)) for f, a, weight in zip(features, grams, weights, strict=True)]
    return sum(terms)


def _norms(definition, goal, grams, content):
    """What each term is divided by: arrays that broadcast to (N,)."""
    per_image = content[0].size
    if definition == "relative":
        return {"content": _squared(goal), "style": [_squared(a) for a in grams], "tv": per_image}
    return {"content": goal.size / len(content) if definition == "johnson" else 1, "style": [1] * len(grams), "tv": 1}


def _squared(t):
    """The squared length of each sample's part, an array; 1 where it is 0."""
    length = (t.data**2).sum(axis=tuple(range(1, t.ndim)))
    return np.where(length > 0, length, 1).astype(t.dtype)


def _features(method, activations, path):
    features = activation_at(method, activations, path)
    if features.ndim != 4:
        raise ValueError(f"{method}: layer {path!r} returned shape {features.shape}, expected maps (N, C, H, W); "
                         "choose a convolution, or a layer right after one")  # fmt: skip
    return features


def _checked(method, name, image):
    image = np.asarray(image)
    if image.ndim != 4 or image.dtype.kind != "f" or not image.size or image.min() < 0 or image.max() > 1:
        raise ValueError(f"{method}: {name} is {image.dtype} {image.shape}, expected floats (N, C, H, W) in [0, 1], as "
                         "minigrad.data.load_photo returns")  # fmt: skip
    return image


def _start(method, start, content, canvas, rng):
    if isinstance(start, str):
        if start not in STARTS:
            raise ValueError(f"{method}: start is {start!r}, expected an array or one of {', '.join(STARTS)}")
        rng = as_generator(method, rng)
        return canvas.encode(content) if start == "content" else canvas.noise(content.shape, rng).astype(content.dtype)
    start = _checked(method, "start", start)
    if start.shape != content.shape:
        raise ValueError(f"{method}: start has shape {start.shape}, expected that of content, {content.shape}")
    return canvas.encode(start.astype(content.dtype))
