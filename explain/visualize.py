"""What would a class, a unit or a channel like best? The image that maximises it, by gradient ascent on the pixels.

    minimise  -score(image) + penalties,   Simonyan, Vedaldi and Zisserman 2014

Without regularisers the score is driven up by patterns no one can see; what is shown is as much theirs as the model's.
`PRESETS` holds combinations that work; every setting of one may be given on its own.
"""

import numpy as np

import minigrad

from .canvas import Fourier, Pixels
from .images import make
from .inputs import as_generator
from .neurons import chosen_unit
from .regularisers import L2, Blur, Jitter, Regulariser, TotalVariation
from .scoring import SCORES, Scoring, activation_at, layer_path

PRESETS = {
    "course": {"canvas": Pixels(), "regularisers": (L2(1e-3), Jitter(16), Blur(0.5, every=10)), "rate": 5.0,
               "steps": 200, "optimizer": "normalised"},
    "smooth": {"canvas": Pixels(), "regularisers": (TotalVariation(1e-2), Jitter(16), Blur(0.5, every=4)), "rate": 5.0,
               "steps": 200, "optimizer": "normalised"},
    "fourier": {"canvas": Fourier(), "regularisers": (Jitter(16),), "rate": 0.05, "steps": 200, "optimizer": "adam"},
    "small": {"canvas": Pixels(), "regularisers": (L2(1e-1), Jitter(2), Blur(0.5, every=5)), "rate": 0.5,
              "steps": 100, "optimizer": "normalised"},
}  # fmt: skip


def class_visualization(model, x=None, target=None, *, shape=None, score="logit", **options):
    """An image that the model takes for a class as firmly as it can. Simonyan et al. 2014; Yosinski et al. 2015.

    Parameters
    ----------
    model : Module or callable
        Takes a Tensor (N, C, H, W) in [0, 1] and returns logits (N, K).
    x : ndarray (N, C, H, W) in [0, 1], optional
        To start from photographs. If left out, the start is noise.
    target : int or sequence of int
        The class, or one class per image; with `x`, None is each photograph's predicted class.
    shape : (C, H, W)
        Of the image, where there is no `x`.
    score : 'logit', 'probability' or 'log_probability'
        What is maximised. A logit may grow with those of other classes.
    preset : str
        'course' (the default: L2 of 1e-3, jitter of 16 pixels, a blur every 10 steps, 200 normalised steps of length 5
        in the units of pixels in [0, 1]), 'smooth' (total variation instead of L2, more blur), 'fourier' (see
        `explain.canvas`), or 'small', for images as small as digits.
    canvas : Pixels or Fourier, optional
        ``Fourier(photos)`` has the colours of the user's data.
    regularisers, steps, rate, optimizer : optional
        In place of the preset's; see `explain.regularisers` and `explain.images.make`.
    rng : np.random.Generator, optional
        For the noise and the jitter, which all images of a call share: an image does not depend on the others.
    progress : bool

    Returns
    -------
    Images
        ``trace["score"]`` rises. Interrupted by Ctrl-C it holds what was done so far.

    Raises
    ------
    ValueError, TypeError
        For classes or shapes the model does not have, and options that do not fit.
    """
    method = "class_visualization"
    settings, canvas, rng, progress = _options(method, options)
    count = 1 if np.ndim(target) == 0 else len(target)
    if x is None and target is None:
        raise ValueError(f"{method}: got neither x nor target, expected a target: a class, or one per image")
    start, numbers = _start(method, model, x, shape, count, canvas, rng)
    with Scoring(method, model, start, target, score=score) as run:
        wanted = run.target
        numbers = canvas.encode(run.x) if numbers is None else numbers

        def loss(image):
            scores = SCORES[score](model(image))
            return {"score": -scores[np.arange(len(wanted)), wanted]}

        made = make(method, numbers, loss, rng=rng, progress=progress, **settings)
        return _finished(made, target=wanted.tolist(), score=score)


def activation_maximization(model, x=None, *, layer, neuron, shape=None, **options):
    """An image that excites a unit, or a whole channel, of a layer. Erhan et al. 2009; Olah et al. 2017.

    Parameters
    ----------
    model, x, shape, **options
        As in `class_visualization`.
    layer : Module or str
        ``path#2`` is the second call of a module.
    neuron : int, tuple, callable, or list of these
        An integer is a channel, of which the mean is maximised; a tuple such as ``(channel, row, column)`` may be one
        unit (see `explain.neurons`); a callable takes the layer's output (N, ...) and returns a Tensor (N,). A list
        makes one image for each.

    Returns
    -------
    Images
        ``trace["score"]`` is the mean activation of what was chosen.
    """
    method = "activation_maximization"
    settings, canvas, rng, progress = _options(method, options)
    neurons = neuron if isinstance(neuron, list) else [neuron] * (1 if x is None else len(x))
    start, numbers = _start(method, model, x, shape, len(neurons), canvas, rng)
    if len(neurons) != len(start):
        raise ValueError(f"{method}: got {len(neurons)} neurons for {len(start)} images, expected one for each")
    with Scoring(method, model, start) as run:
        path = layer_path(method, model, layer)
        numbers = canvas.encode(run.x) if numbers is None else numbers

        def loss(image):
            activation = activation_at(method, model.named_activations(image)[1], path)
            return {"score": -minigrad.stack([_mean(run, activation[i : i + 1], n) for i, n in enumerate(neurons)])}

        made = make(method, numbers, loss, rng=rng, progress=progress, **settings)
        return _finished(made, layer=path, neuron=neuron)


def _mean(run, activation, neuron):
    """The mean of what `neuron` chooses, a Tensor of shape ()."""
    total = chosen_unit(run, activation, neuron)
    index = neuron if isinstance(neuron, tuple) else (neuron,)
    count = 1 if callable(neuron) else np.empty(activation.shape[1:], np.int8)[index].size
    return (total / count).sum()


def _options(method, options):
    """The settings of a preset, with those given in place of its own; and the canvas, the generator and progress."""
    name = options.pop("preset", "course")
    if name not in PRESETS:
        raise ValueError(f"{method}: preset is {name!r}, expected one of {', '.join(PRESETS)}")
    rng, progress = options.pop("rng", None), options.pop("progress", False)
    unknown = [k for k in options if k not in PRESETS[name]]
    if unknown:
        raise TypeError(f"{method}: got {', '.join(unknown)}, expected options among preset, rng, progress, "
                        f"{', '.join(PRESETS[name])}")  # fmt: skip
    settings = {**PRESETS[name], **{k: v for k, v in options.items() if v is not None}, "settings": {"preset": name}}
    wrong = [r for r in settings["regularisers"] if not isinstance(r, Regulariser)]
    if wrong:
        raise TypeError(f"{method}: regularisers holds {wrong[0]!r}, expected a Regulariser such as L2(1e-3)")
    canvas = settings["canvas"]
    return settings, canvas, as_generator(method, rng), progress


def _start(method, model, x, shape, count, canvas, rng):
    """The images to begin with, and the numbers of the canvas where these were drawn first."""
    if (x is None) == (shape is None):
        raise ValueError(f"{method}: got {'neither' if x is None else 'both'} x and shape, expected one of them: x to "
                         "start from photographs, shape=(C, H, W) to start from noise")
    if x is not None:
        x = np.asarray(x)
        images = np.repeat(x, count, 0) if len(x) == 1 and x.ndim == 4 else x
        return images, None
    if len(shape) != 3:
        raise ValueError(f"{method}: shape is {shape!r}, expected (C, H, W)")
    parameters = model.parameters() if isinstance(model, minigrad.nn.Module) else ()
    dtype = next((p.dtype for p in parameters), np.float32)
    numbers = canvas.noise((count, *shape), rng).astype(dtype)
    with minigrad.no_grad():
        return canvas.decode(minigrad.Tensor(numbers)).data, numbers


def _finished(made, **settings):
    """The result, whose trace tells the score itself."""
    if "score" in made.trace:
        made.trace["score"] = -made.trace["score"]
    made.settings |= settings
    return made
