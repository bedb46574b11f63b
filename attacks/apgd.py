"""APGD: projected gradient descent that finds its own step length.

PGD must be told a step length, and a wrong one makes a model look robust. APGD starts with steps of 2 eps, looks back
at checkpoints that come closer and closer, and halves the step of a sample whose loss rose too seldom since the last
one, or did not get better at all; the sample then goes on from the best image it has met.
"""
import numpy as np

from .arguments import count, number, radius
from .ball import Ball, as_mask
from .losses import objective
from .norms import L1, Linf, per_sample
from .path import Path
from .streams import streams
from .victim import Victim
from .walk import walkable


def apgd(model, x, y, *, eps, norm="linf", steps=100, loss="ce", restarts=1, rho=0.75, momentum=0.75, targeted=False,
         mask=None, early_stop=True, bounds=(0, 1), rng=None, callback=None, progress=False):
    """Auto-PGD, without a step length to choose.

        z = P(x_t + a s(g_t)),   x_{t+1} = P(x_t + momentum (z - x_t) + (1 - momentum) (x_t - x_{t-1}))

    a is 2 eps at first. At the checkpoints (after 0.22 of the steps, then after 0.03 less each time, down to 0.06) it
    is halved, and the walk goes on from the best image, where the loss rose in at most rho of the steps since, or where
    neither a nor the best loss has changed since.

    Parameters
    ----------
    eps, norm, mask, targeted, bounds, rng, callback, progress : as in `pgd`
    steps : int
    loss : 'ce' or 'dlr' or 'margin'
        See `attacks.losses`; the targeted 'dlr' needs four classes.
    restarts : int
        Walks from so many random places of the ball's surface; what has met the criterion does not walk again.
    rho, momentum : float in [0, 1]
    early_stop : bool
        Leave a sample once it meets the criterion, since nothing is gained by a higher loss.

    Returns
    -------
    AttackResult
        The image that met the criterion; else the one that came closest. ``trace`` also holds ``stepsize``.

    References
    ----------
    Croce and Hein, Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks,
    ICML 2020, algorithm 1. The authors' program compares the first loss of a walk with 0; the paper, and this file,
    with the loss at the start. In L1 the step, `L1.steepest_in_box`, and the projection are those of `pgd`.
    """
    steps, restarts = count("apgd", "steps", steps), count("apgd", "restarts", restarts)
    rho, momentum = number("apgd", "rho", rho, high=1), number("apgd", "momentum", momentum, high=1)
    norm = walkable("apgd", norm)
    victim = Victim("apgd", model, x, y, targeted=targeted, bounds=bounds)
    eps = radius("apgd", eps, len(victim.x))
    ball = Ball(norm, victim.x, eps, victim.bounds, as_mask("apgd", mask, victim.x.shape))
    climb = objective("apgd", loss, targeted)
    run = _Run(victim, ball, lambda logits, at: climb(logits, victim.y[at]), steps, rho, momentum, early_stop)
    rngs = streams(victim.attack, rng, victim.x, victim.y)
    with Path(victim, restarts * (steps + 1), callback, progress) as path:
        for _ in range(restarts):
            index = victim.todo[run.gap[victim.todo] >= 0]
            if len(index):
                run.walk(_surface(ball, rngs, index), index, path)
    settings = {"eps": eps, "norm": norm, "steps": steps, "loss": loss, "restarts": restarts, "rho": rho,
                "momentum": momentum, "targeted": targeted, "bounds": victim.bounds}
    return victim.result(run.best, trace=path.trace, settings=settings, interrupted=path.interrupted)


def checkpoints(steps):
    """The steps after which APGD looks back: 0.22 of them, then intervals that shrink by 0.03 down to 0.06."""
    interval, shrink, least = (max(1, int(part * steps)) for part in (0.22, 0.03, 0.06))
    at, found = interval, []
    while at <= steps:
        found.append(at)
        interval = max(interval - shrink, least)
        at += interval
    return found


class _Run:
    """The walks, and of each sample the image to return and what it lacks."""

    def __init__(self, victim, ball, climb, steps, rho, momentum, early_stop):
        self.victim, self.ball, self.climb, self.steps = victim, ball, climb, steps
        self.rho, self.momentum, self.early_stop = rho, momentum, early_stop
        self.best, self.gap = victim.x.copy(), np.full(len(victim.x), np.inf)

    def walk(self, x, index, path):
        """One walk of the samples at `index` from their images x."""
        state, checks, since = None, checkpoints(self.steps), 0
        for step in range(self.steps + 1):
            logits, loss, g = self.victim.value_and_gradient(self.climb, x, index)
            state = _State(x, g, loss, 2 * self.ball.eps[index]) if state is None else state.moved(x, g, loss)
            gap = self._keep(x, logits, index)
            if step in checks:
                state.look_back(self.rho * (step - since))
                since = step
            path.record(index, x, logits, loss=loss, margin=gap, stepsize=state.length)
            if self.early_stop:
                index, state = index[gap >= 0], state.take(gap >= 0)
            if not len(index) or step == self.steps:
                return
            x = self._step(state, index, self.momentum if step else 1.0)

    def _step(self, state, index, weight):
        x, previous = state.x, state.previous
        z = self.ball.confine(x + self.ball.step(state.g, x, state.length, index), index)
        if weight == 1:
            return z
        dtype = x.dtype.type
        return self.ball.confine(x + dtype(weight) * (z - x) + dtype(1 - weight) * (x - previous), index)

    def _keep(self, x, logits, index):
        gap = self.victim.gap(logits, index)
        better = gap < self.gap[index]
        self.best[index[better]], self.gap[index[better]] = x[better], gap[better]
        return gap


class _State:
    """Where each sample stands, where it stood before, the best place it has met, and how its loss has gone since."""

    def __init__(self, x, g, loss, length):
        self.x, self.previous, self.g, self.loss, self.length = x, x, g, loss, length.copy()
        self.best_x, self.best_g, self.best_loss = x.copy(), g.copy(), loss.copy()
        self.rises, self.halved, self.checked_loss = np.zeros(len(x), int), np.ones(len(x), bool), loss.copy()

    def moved(self, x, g, loss):
        """The state after a step to x."""
        self.rises += loss > self.loss
        self.previous, self.x, self.g, self.loss = self.x, x, g, loss
        better = loss > self.best_loss
        self.best_x[better], self.best_g[better], self.best_loss[better] = x[better], g[better], loss[better]
        return self

    def look_back(self, enough):
        """A checkpoint: halve the steps of the samples whose loss rose in at most `enough` steps, or stood still."""
        halve = (self.rises <= enough) | (~self.halved & (self.checked_loss >= self.best_loss))
        self.length = np.where(halve, self.length / 2, self.length)
        self.x = np.where(per_sample(halve, self.x) > 0, self.best_x, self.x)
        self.g = np.where(per_sample(halve, self.g) > 0, self.best_g, self.g)
        self.halved, self.checked_loss, self.rises = halve, self.best_loss.copy(), np.zeros_like(self.rises)

    def take(self, chosen):
        """The state of some of the samples."""
        for name, value in vars(self).items():
            setattr(self, name, value[chosen])
        return self


def _surface(ball, rngs, index):
    """Random images on the surface of the balls: as large as eps allows before the bounds cut them."""
    shape = (1, *ball.x.shape[1:])
    draw = {Linf: lambda rng: rng.uniform(-1, 1, shape)}.get(type(ball.norm), lambda rng: rng.standard_normal(shape))
    d = np.concatenate([draw(rngs[i]) for i in index])
    if isinstance(ball.norm, L1):
        d = ball.norm.project(d, ball.eps[index])
    else:
        size = ball.norm.distance(d)
        d *= per_sample(ball.eps[index] / size, d)
    return ball.confine((ball.x[index] + d).astype(ball.x.dtype), index)
