"""The walk that FGSM, BIM, PGD and MI-FGSM share: uphill on the loss, and back into the ball."""
import numpy as np

import minigrad

from .arguments import count, number, radius
from .ball import Ball, as_mask
from .losses import objective
from .norms import L0, L1, as_norm, per_sample
from .path import Path
from .streams import streams
from .victim import Victim


def attack(name, model, x, y, *, eps, norm, targeted, mask, loss, bounds, callback, progress, steps, rel_stepsize,
           abs_stepsize=None, random_start=False, restarts=1, rng=None, momentum=None, early_stop=False):
    """Check the settings, walk `restarts` times, and report; for the meaning of the settings see `pgd`."""
    steps, restarts = count(name, "steps", steps), count(name, "restarts", restarts)
    rel_stepsize = number(name, "rel_stepsize", rel_stepsize, above=True)
    if restarts > 1 and not random_start:
        raise ValueError(f"{name}: {restarts} restarts without a random start would all walk the same way; pass "
                         "random_start=True")
    norm = walkable(name, norm)
    climb = objective(name, loss, targeted)
    victim = Victim(name, model, x, y, targeted=targeted, bounds=bounds, climb=None if random_start else climb)
    eps = radius(name, eps, len(victim.x))
    length = eps * rel_stepsize if abs_stepsize is None else number(name, "abs_stepsize", abs_stepsize, above=True)
    ball = Ball(norm, victim.x, eps, victim.bounds, as_mask(name, mask, victim.x.shape))
    walk = Walk(victim, ball, climb, steps, np.broadcast_to(length, len(victim.x)), momentum, early_stop,
                random_start)
    rngs = streams(victim.attack, rng, victim.x, victim.y) if random_start else None
    with Path(victim, restarts * (steps + 1), callback, progress) as path:
        for restart in range(restarts):
            index = victim.todo[~walk.met[victim.todo]]
            if len(index):
                walk.run(ball.random(rngs, index) if random_start else victim.x[index], index, path, restart)
    settings = {"eps": eps, "norm": norm, "steps": steps, "stepsize": length, "random_start": random_start,
                "restarts": restarts, "loss": loss, "targeted": targeted, "bounds": victim.bounds}
    return victim.result(walk.best, trace=path.trace, settings=settings, met=walk.met, interrupted=path.interrupted,
                         restart=walk.restart)


def walkable(name, norm):
    """The norm, if a gradient can be followed in it."""
    norm = as_norm(name, norm)
    if isinstance(norm, L0):
        raise ValueError(f"{name}: norm 'l0' has no steps of any length, expected 'linf', 'l2' or 'l1'; for few pixels "
                         "use jsma, or a mask")
    return norm


class Walk:
    """One walk after the other, and of each sample the image to return.

    Attributes
    ----------
    best : ndarray (N, ...)
        The end of a walk that ended in success; until one did, the image that came closest.
    gap : ndarray (N,)
        What that image lacks to meet the criterion, in logits.
    met : ndarray of bool (N,)
        Whether it meets it.
    restart : ndarray of int (N,)
        The number of the walk it is from.
    """

    def __init__(self, victim, ball, climb, steps, length, momentum, early_stop, random_start):
        self.victim, self.ball, self.climb, self.steps = victim, ball, climb, steps
        self.length, self.momentum, self.early_stop, self.random_start = length, momentum, early_stop, random_start
        self.best, self.gap = victim.x.copy(), np.full(len(victim.x), np.inf)
        self.met = np.zeros(len(victim.x), bool)
        self.restart = np.zeros(len(victim.x), int)

    def run(self, x, index, path, restart):
        """Walk from the images x of the samples at `index`."""
        total = np.zeros_like(x)
        for step in range(self.steps):
            logits, loss, g = self._look(x, index, step)
            gap = self.victim.gap(logits, index)
            path.record(index, x, logits, loss=loss, margin=gap)
            if step:
                self._keep(x, index, logits, gap, restart)
            if self.early_stop:
                on = ~self.met[index]
                x, g, index, total = x[on], g[on], index[on], total[on]
                if not len(index):
                    return
            if self.momentum is not None:
                size = L1().distance(g)
                scale = np.divide(1, size, out=np.zeros_like(size), where=size > 0)
                g = total = self.momentum * total + g * per_sample(scale, g)
            x = self.ball.confine(x + self.ball.step(g, x, self.length[index], index), index)
        logits = self.victim.logits(x, index)
        loss = self.climb(minigrad.Tensor(logits), self.victim.y[index]).data
        gap = self.victim.gap(logits, index)
        path.record(index, x, logits, loss=loss, margin=gap)
        self._keep(x, index, logits, gap, restart, last=True)

    def _look(self, x, index, step):
        """Logits, losses and gradients; those of the clean images are known."""
        if step == 0 and not self.random_start:
            loss, g = self.victim.first
            return self.victim.clean[index], loss[index], g[index]
        return self.victim.value_and_gradient(lambda logits, at: self.climb(logits, self.victim.y[at]), x, index)

    def _keep(self, x, index, logits, gap, restart, last=False):
        """Take the images that came closer than all before, and, of the last, also those that meet the criterion."""
        met = self.victim.criterion.take(index).met(logits)
        better = (gap < self.gap[index]) | (met & (last | ~self.met[index]))
        at = index[better]
        self.best[at], self.gap[at], self.met[at], self.restart[at] = x[better], gap[better], met[better], restart
