"""Attributions from one backward walk: what a small change of each pixel would do to the score."""

import numpy as np

from minigrad import ops

from .rules import deconvolution_relu, guided_relu
from .scoring import Scoring


def saliency(model, x, target=None, *, absolute=True, **common):
    """How strongly each pixel moves the score: the magnitude of the gradient. Simonyan et al. 2014.

    Parameters
    ----------
    model, x, target, **common
        As in `explain.scoring.Scoring`.
    absolute : bool
        The magnitude (the paper's map, and Captum's); False keeps the sign.

    Returns
    -------
    Attribution
    """
    with Scoring("saliency", model, x, target, **common) as run:
        gradient = run.gradient(run.x)
        return run.attribution(np.abs(gradient) if absolute else gradient, settings={"absolute": absolute})


def input_x_gradient(model, x, target=None, **common):
    """Each pixel times its gradient: its share of the score, if the model were linear. Shrikumar et al. 2016.

    Complete (the shares add up to the score) exactly where the model is piecewise linear without biases.
    """
    with Scoring("input_x_gradient", model, x, target, **common) as run:
        return run.attribution(run.x * run.gradient(run.x))


def deconvolution(model, x, target=None, **common):
    """The gradient with every ReLU replaced by one of the cotangent: only evidence for the class travels back.

    Zeiler and Fergus 2014. Max-pools send to their winners, as in the gradient. Not complete, and hardly dependent on
    the class or the upper layers (Adebayo et al. 2018): a picture of what the lower layers see.
    """
    return _with_relu_rule("deconvolution", deconvolution_relu, model, x, target, common)


def guided_backprop(model, x, target=None, **common):
    """The gradient along paths whose every ReLU is on and brings back something positive. Springenberg et al. 2015.

    Not complete, and with the weakness of `deconvolution`. A ReLU counts wherever it stands on the tape, as a module,
    as a function, used once or twice; other nonlinearities keep their derivatives.
    """
    return _with_relu_rule("guided_backprop", guided_relu, model, x, target, common)


def select_relu(rule):
    """The `rules` of `minigrad.grad` that use `rule` for every ReLU and the derivative elsewhere."""
    return lambda t: rule if isinstance(t.op, ops.ReLU) else None


def _with_relu_rule(method, rule, model, x, target, common):
    with Scoring(method, model, x, target, **common) as run:
        return run.attribution(run.gradient(run.x, rules=select_relu(rule)))
