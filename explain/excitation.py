"""Excitation backprop: a winner walks from the output down, drawn at every neuron among the inputs that excited it.

The probability that it came from input i to neuron j is x_i w_ij+ / sum_i x_i w_ij+. That is relevance by z+ without
biases, so the map is one walk with that rule: the chance that the walk ends at each pixel.
"""

import numpy as np

from . import rules
from .composite import Composite, Line, rest
from .kinds import WEIGHTED
from .lrp import propagate
from .scoring import Scoring

STABILIZER = 1e-12


def excitation_backprop(model, x, target=None, *, contrastive=False, layer=None, **common):
    """The probability that a random walk against the excitations, begun at the target, ends at each pixel.

    P_i = sum_j (x_i w_ij+ / sum_i x_i w_ij+) P_j, meant for activations of at least 0. Zhang et al. 2016.

    Parameters
    ----------
    model, x, target, **common
        As in `explain.scoring.Scoring`.
    contrastive : bool
        Subtract the map of the opposite class, whose last layer has the weights -w: what speaks for this class alone
        remains, and the values add up to 0.
    layer : Module or str, optional
        A layer (or its path) to stop at, in place of the input; the paper's maps are of middle layers.

    Returns
    -------
    Attribution
        `delta` is the sum of the values less 1 (or 0): what was lost at neurons that nothing excited.
    """
    excited = rules.zplus(bias=False, stabilizer=STABILIZER)
    lines = [Line(WEIGHTED, contrast(excited), place="last")] * contrastive + [Line(WEIGHTED, excited), *rest()]
    with Scoring("excitation_backprop", model, x, target, **common) as run:
        values, _, _ = propagate(run, Composite(*lines, name="excitation"), np.ones_like, layer)
        delta = values.reshape(len(values), -1).sum(1) - (0 if contrastive else 1)
        return run.attribution(values, delta=delta, settings={"contrastive": contrastive})


def contrast(inner):
    """The rule `inner` less the same rule for the weights -w."""

    def rule(op, r, y, x, w, *b):
        pull, opposite = inner(op, r, y, x, w, *b)[0], inner(op, r, y, x, -w, *b)[0]
        return lambda: pull() - opposite(), None, *(None for _ in b)

    return rules.named(f"contrast({inner.__qualname__})", rule)
