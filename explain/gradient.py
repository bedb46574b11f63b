"""Attributions from gradients: what a small change of each pixel would do to the score."""
import numpy as np

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
