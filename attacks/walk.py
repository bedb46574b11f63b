"""The walk that FGSM, BIM, PGD and MI-FGSM share: uphill on the loss, and back into the ball."""
import numpy as np

import minigrad

from .arguments import count, number, radius
from .ball import Ball, as_mask
from .losses import objective
from .norms import L0, L1, as_norm, per_sample
from .path import Path
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
    victim = Victim(name, model, x, y, targeted=targeted, bounds=bounds)
    eps = radius(name, eps, len(victim.x))
    length = eps * rel_stepsize if abs_stepsize is None else number(name, "abs_stepsize", abs_stepsize, above=True)
    ball = Ball(norm, victim.x, eps, victim.bounds, as_mask(name, mask, victim.x.shape))
    climb = objective(name, loss, victim.y, targeted, victim.clean)
    walk = Walk(victim, ball, climb, steps, np.broadcast_to(length, len(victim.x)), momentum, early_stop)
    rngs = victim.generators(rng) if random_start else None
    with Path(victim, restarts * (steps + 1), callback, progress) as path:
        for restart in range(restarts):
            index = victim.todo if not restart else victim.todo[walk.gap[victim.todo] >= 0]
            if len(index):
                walk.run(ball.random(rngs, index) if random_start else victim.x[index], index, path, restart)
    settings = {"eps": eps, "norm": norm, "steps": steps, "stepsize": length, "random_start": random_start,
                "restarts": restarts, "loss": loss, "targeted": targeted, "bounds": victim.bounds}
    return victim.result(walk.best, trace=path.trace, settings=settings, interrupted=path.interrupted,
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
        What that image lacks to meet the criterion, in logits; below 0 it meets it.
    restart : ndarray of int (N,)
        The number of the walk it is from.
    """

    def __init__(self, victim, ball, climb, steps, length, momentum, early_stop):
        self.victim, self.ball, self.climb, self.steps = victim, ball, climb, steps
        self.length, self.momentum, self.early_stop = length, momentum, early_stop
        self.best, self.gap = victim.x.copy(), np.full(len(victim.x), np.inf)
        self.restart = np.zeros(len(victim.x), int)

    def run(self, x, index, path, restart):
        """Walk from the images x of the samples at `index`."""
        total = np.zeros_like(x)
        for step in range(self.steps):
            logits, loss, g = self.victim.value_and_gradient(self.climb, x, index)
            gap = self.victim.gap(logits, index)
            path.record(index, x, loss=loss, margin=gap)
            if step:
                self._keep(x, index, gap, restart)
            if self.early_stop:
                on = gap >= 0
                self._keep(x[~on], index[~on], gap[~on], restart, last=True)
                x, g, index, total = x[on], g[on], index[on], total[on]
                if not len(index):
                    return
            if self.momentum is not None:
                size = L1().distance(g)
                scale = np.divide(1, size, out=np.zeros_like(size), where=size > 0)
                g = total = self.momentum * total + g * per_sample(scale, g)
            x = self.ball.confine(x + self.ball.step(g, x, self.length[index], index), index)
        logits = self.victim.logits(x, index)
        gap = self.victim.gap(logits, index)
        path.record(index, x, loss=self.climb(minigrad.Tensor(logits), index).data, margin=gap)
        self._keep(x, index, gap, restart, last=True)

    def _keep(self, x, index, gap, restart, last=False):
        """Take the images that came closer than all before, and, of the last, also those that meet the criterion."""
        better = (gap < self.gap[index]) | (last & (gap < 0))
        at = index[better]
        self.best[at], self.gap[at], self.restart[at] = x[better], gap[better], restart

