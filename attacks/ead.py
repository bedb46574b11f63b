"""EAD, the elastic-net attack: Carlini-Wagner with a price on every pixel that is touched.

The L1 term wants most changes to be exactly zero, so plain gradients will not do: after each step a shrinkage sets the
small ones to zero and the others back by beta (ISTA), with a look ahead along the last move (FISTA).
"""
import math

import numpy as np

from .arguments import choice, count, number
from .best import Best
from .norms import L1, L2
from .path import Path
from .penalty import Hinge, Stalled, search_const
from .victim import Victim


def ead(model, x, y, *, targeted=False, binary_search_steps=9, steps=10000, initial_stepsize=1e-2, confidence=0.0,
        initial_const=1e-3, regularization=1e-2, decision_rule="EN", abort_early=True, bounds=(0, 1), rng=None,
        callback=None, progress=False):
    """A sparse and near adversarial image: the least beta |d|_1 + |d|_2^2.

        minimise  c max(0, gap(x') + confidence) + |x' - x|_2^2 + beta |x' - x|_1

    by FISTA: x_{k+1} = S(y_k - a_k g(y_k)), y_{k+1} = x_{k+1} + k / (k + 3) (x_{k+1} - x_k), with a_k falling as
    sqrt(1 - k / steps), S the shrinkage towards x by beta (not a_k beta: so in the paper) that stays in the bounds,
    and c found by binary search for each sample.

    Parameters
    ----------
    model : Module or callable
        Gives logits (N, K), in evaluation mode.
    x : array of shape (N, C, H, W) in `bounds`
    y : integer array of shape (N,)
        The true classes; with `targeted` the classes wanted.
    binary_search_steps, steps, confidence, initial_const, abort_early
        As in `carlini_wagner`.
    initial_stepsize : float
        a_0.
    regularization : float
        beta, in pixel values.
    decision_rule : 'EN' or 'L1'
        What the best image is chosen by: beta |d|_1 + |d|_2^2, or |d|_1.
    rng
        Taken, as all attacks take it; nothing here is random.
    callback, progress
        See `path.Path`; one note a tenth of each descent: ``l2 linf`` of x_{k+1}, ``loss margin`` of y_k, where
        the model was asked, and ``const``; the loss is the distance and what c weighs.

    Returns
    -------
    AttackResult
        A failure holds the image that came closest to the criterion.

    References
    ----------
    Chen et al., EAD: elastic-net attacks to deep neural networks via adversarial examples, AAAI 2018, algorithm 1.
    """
    steps = count("ead", "steps", steps)
    binary_search_steps = count("ead", "binary_search_steps", binary_search_steps)
    initial_stepsize = number("ead", "initial_stepsize", initial_stepsize, above=True)
    initial_const = number("ead", "initial_const", initial_const, above=True)
    regularization = number("ead", "regularization", regularization)
    choice("ead", "decision_rule", decision_rule, ("EN", "L1"))
    victim = Victim("ead", model, x, y, targeted=targeted, bounds=bounds)
    hinge = Hinge(victim, confidence)
    victim.want(hinge.criterion)
    todo = victim.todo
    best = Best(victim, hinge.criterion)

    def size(change):
        taxed = L1().distance(change)
        return taxed if decision_rule == "L1" else regularization * taxed + L2().distance(change)**2

    with Path(victim, 10 * binary_search_steps, callback, progress) as path:
        if len(todo):
            search_const(lambda const: _descend(victim, hinge, best, path, todo, const, steps, initial_stepsize,
                                                regularization, abort_early, size),
                         len(todo), binary_search_steps, initial_const)
    return victim.result(best.x, trace=path.trace, interrupted=path.interrupted, settings=dict(
        targeted=targeted, binary_search_steps=binary_search_steps, steps=steps, initial_stepsize=initial_stepsize,
        confidence=confidence, initial_const=initial_const, regularization=regularization,
        decision_rule=decision_rule, abort_early=abort_early, bounds=bounds))


def _descend(victim, hinge, best, path, todo, const, steps, initial_stepsize, beta, abort_early, size):
    """One descent from the clean images; says which of them became adversarial on the way."""
    found, stalled = np.zeros(len(todo), bool), Stalled(steps, abort_early)
    const = const.astype(victim.x.dtype)
    active = np.arange(len(todo))
    home = now = ahead = victim.x[todo]
    for step in range(steps):
        index = todo[active]
        logits, (gradient,) = victim.pull(
            lambda z, i: (hinge.weights(z, i) * const[np.searchsorted(todo, i)][:, None])[None], ahead, index)
        change = ahead - home
        loss = const[active] * hinge.value(logits, index) + L2().distance(change)**2
        stepsize = initial_stepsize * math.sqrt(1 - step / steps)
        before, now = now, shrink(ahead - stepsize * (gradient + 2 * change), home, beta, victim.bounds)
        ahead = now + step / (step + 3) * (now - before)
        if step % stalled.every == 0:
            path.record(index, now, logits, loss=loss, const=const[active])
        going = stalled.going(step, loss)
        if not going.any():
            break
        if not going.all():
            active, home, now, ahead = active[going], home[going], now[going], ahead[going]
            index = todo[active]
        found[active] |= best.offer(index, now, victim.logits(now, index), size(now - home))
    return found


def shrink(z, x, beta, bounds):
    """z moved towards x by beta, and x where they are not farther apart than that; inside the bounds."""
    change = z - x
    moved = np.clip(z - np.sign(change) * beta, *bounds)
    return np.where(np.abs(change) > beta, moved, x)
