"""Carlini and Wagner: the smallest change in L2, as an unconstrained optimisation problem.

The box is built into the variable: x' = tanh(w) scaled to the bounds can never leave them, so Adam may walk w freely.
"""
import numpy as np

from .arguments import count, number
from .best import Best
from .norms import L2
from .path import Path
from .penalty import Hinge, Stalled, search_const
from .victim import Victim

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def carlini_wagner(model, x, y, *, targeted=False, binary_search_steps=9, steps=10000, stepsize=1e-2, confidence=0.0,
                   initial_const=1e-3, abort_early=True, bounds=(0, 1), rng=None, callback=None, progress=False):
    """The nearest adversarial image in L2, by Adam on distance plus c times what is missing to success.

        minimise over w   |x' - x|_2^2 + c max(0, gap(x') + confidence),   x' = bounds(tanh(w))

    starting at w = artanh(0.999999 x), with c found by binary search for each sample, everything reset in between.

    Parameters
    ----------
    model : Module or callable
        Gives logits (N, K), in evaluation mode.
    x : array of shape (N, C, H, W) in `bounds`
    y : integer array of shape (N,)
        The true classes; with `targeted` the classes wanted.
    binary_search_steps : int
        How many constants are tried.
    steps : int
        Steps of Adam for each; 1000 find nearly the same as the paper's 10,000.
    stepsize : float
        Adam's learning rate.
    confidence : float
        By how many logits the new class has to lead; an image that does not reach it is a failure.
    initial_const : float
        The first constant.
    abort_early : bool
        End a sample's descent where a tenth of the steps did not lower its loss by 1e-4 of itself.
    rng
        Taken, as all attacks take it; nothing here is random.
    callback, progress
        See `path.Path`; one note a tenth of each descent: ``loss margin l2 linf const``; the loss is what is minimised.

    Returns
    -------
    AttackResult
        A failure holds the image that came closest to the criterion.

    References
    ----------
    Carlini, Wagner, Towards evaluating the robustness of neural networks, IEEE S&P 2017, section VI.
    """
    steps = count("carlini_wagner", "steps", steps)
    binary_search_steps = count("carlini_wagner", "binary_search_steps", binary_search_steps)
    stepsize = number("carlini_wagner", "stepsize", stepsize, above=True)
    initial_const = number("carlini_wagner", "initial_const", initial_const, above=True)
    victim = Victim("carlini_wagner", model, x, y, targeted=targeted, bounds=bounds)
    bounds = victim.bounds
    hinge = Hinge(victim, confidence)
    victim.want(hinge.criterion)
    todo = victim.todo
    best = Best(victim, hinge.criterion)
    anchor = _to_free(victim.x[todo], bounds)
    with Path(victim, 10 * binary_search_steps, callback, progress) as path:
        if len(todo):
            search_const(lambda const: _descend(victim, hinge, best, path, todo, anchor, const, steps, stepsize,
                                                abort_early), len(todo), binary_search_steps, initial_const)
    return victim.result(best.x, trace=path.trace, interrupted=path.interrupted, settings=dict(
        targeted=targeted, binary_search_steps=binary_search_steps, steps=steps, stepsize=stepsize,
        confidence=confidence, initial_const=initial_const, abort_early=abort_early, bounds=bounds))


def _descend(victim, hinge, best, path, todo, anchor, const, steps, stepsize, abort_early):
    """One descent from the clean images; says which of them became adversarial on the way."""
    const = const.astype(anchor.dtype)
    half = (victim.bounds[1] - victim.bounds[0]) / 2
    home = _to_pixels(anchor, victim.bounds)[0]
    found, stalled = np.zeros(len(todo), bool), Stalled(steps, abort_early)
    active = np.arange(len(todo))
    w, m, v = anchor, np.zeros_like(anchor), np.zeros_like(anchor)
    for step in range(steps):
        index = todo[active]
        x, squashed = _to_pixels(w, victim.bounds)
        logits, (gradient,) = victim.pull(
            lambda z, i: (hinge.weights(z, i) * const[np.searchsorted(todo, i)][:, None])[None], x, index)
        change = x - home[active]
        loss = const[active] * hinge.value(logits, index) + (change**2).reshape(len(x), -1).sum(1)
        gradient = (gradient + 2 * change) * (half * (1 - squashed**2))
        m = BETA1 * m + (1 - BETA1) * gradient
        v = BETA2 * v + (1 - BETA2) * gradient**2
        w = w - stepsize * (m / (1 - BETA1**(step + 1))) / (np.sqrt(v / (1 - BETA2**(step + 1))) + EPSILON)
        if step % stalled.every == 0:
            path.record(index, x, logits, loss=loss, const=const[active])
        going = stalled.going(step, loss)
        if not going.any():
            break
        if not going.all():
            active, w, m, v, x, logits = active[going], w[going], m[going], v[going], x[going], logits[going]
            index = todo[active]
        found[active] |= best.offer(index, x, logits, L2().distance(x - victim.x[index]))
    return found


def _to_free(x, bounds):
    """Pixels to the free variable w, kept a millionth away from infinity."""
    low, high = bounds
    return np.arctanh((x - (low + high) / 2) / ((high - low) / 2) * 0.999999)


def _to_pixels(w, bounds):
    """The free variable to pixels, and tanh(w)."""
    low, high = bounds
    squashed = np.tanh(w)
    return np.clip(squashed * ((high - low) / 2) + (low + high) / 2, low, high), squashed
