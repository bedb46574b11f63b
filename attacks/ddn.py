"""Decoupled direction and norm: the gradient says where to go, success or failure says how far.

The penalty of Carlini-Wagner needs a constant that nobody knows. DDN keeps the perturbation on a sphere instead, and
shrinks the sphere while the image fools the model and grows it while it does not: the radius swings around the
boundary and closes in on it.
"""
import math

import numpy as np

from .arguments import count, number
from .best import Best
from .losses import cross_entropy
from .norms import L2, per_sample
from .path import Path
from .streams import streams
from .victim import Victim


def ddn(model, x, y, *, targeted=False, steps=100, init_epsilon=1.0, gamma=0.05, bounds=(0, 1), rng=None,
        callback=None, progress=False):
    """The nearest adversarial image in L2, by normalised gradient steps on a sphere that shrinks and grows.

        d <- d + a_t g / |g|_2,   eps <- eps (1 - gamma) if adversarial else eps (1 + gamma),
        d <- clip(x + eps d / |d|_2) - x

    with g the gradient of the cross-entropy and a_t falling from 1 to 0.01 along a cosine. eps never exceeds the
    distance to the farthest corner of the box.

    Parameters
    ----------
    model : Module or callable
        Gives logits (N, K), in evaluation mode.
    x : array of shape (N, C, H, W) in `bounds`
    y : integer array of shape (N,)
        The true classes; with `targeted` the classes wanted.
    steps : int
    init_epsilon : float
        The first radius.
    gamma : float in (0, 1)
        How fast the radius changes.
    rng : numpy.random.Generator, optional
        Only for directions where a gradient is zero.
    callback, progress
        See `path.Path`; the trace holds ``loss margin l2 linf epsilon``.

    Returns
    -------
    AttackResult
        A failure holds the image that came closest to the criterion.

    References
    ----------
    Rony et al., Decoupling direction and norm for efficient gradient-based L2 adversarial attacks and defenses, CVPR
    2019, algorithm 1, without its rounding to 256 levels; the last image is looked at, too.
    """
    steps, gamma = count("ddn", "steps", steps), number("ddn", "gamma", gamma, high=1, above=True)
    init_epsilon = number("ddn", "init_epsilon", init_epsilon, above=True)
    victim = Victim("ddn", model, x, y, targeted=targeted, bounds=bounds)
    bounds = victim.bounds
    chance = streams(victim.attack, rng, victim.x, victim.y)
    best, index, norm = Best(victim), victim.todo, L2()
    start = victim.x[index]
    image, epsilon = start, np.full(len(index), init_epsilon)
    farthest = norm.distance(np.maximum(start - bounds[0], bounds[1] - start))
    sign = -1 if targeted else 1

    def loss(logits, part):
        return cross_entropy(logits, victim.y[part]) * sign

    with Path(victim, steps + 1, callback, progress) as path:
        for step in range(steps if len(index) else 0):
            logits, value, gradient = victim.value_and_gradient(loss, image, index)
            met = best.offer(index, image, logits, norm.distance(image - start))
            path.record(index, image, logits, loss=value, epsilon=epsilon)
            stepsize = 0.01 + 0.99 * (1 + math.cos(math.pi * step / steps)) / 2
            change = image - start + stepsize * _direction(gradient, chance, index)
            epsilon = np.minimum(epsilon * np.where(met, 1 - gamma, 1 + gamma), farthest)
            image = np.clip(start + norm.steepest(change) * per_sample(epsilon, change), *bounds)
        if len(index):
            logits = victim.logits(image, index)
            best.offer(index, image, logits, norm.distance(image - start))
            path.record(index, image, logits, epsilon=epsilon)
    return victim.result(best.x, trace=path.trace, interrupted=path.interrupted, settings=dict(
        targeted=targeted, steps=steps, init_epsilon=init_epsilon, gamma=gamma, bounds=bounds))


def _direction(gradient, chance, index):
    """The gradient at length 1; where it is zero, a random direction."""
    flat = L2().distance(gradient) == 0
    for i in np.flatnonzero(flat):
        gradient[i] = chance[index[i]].standard_normal(gradient[i].shape)
    return L2().steepest(gradient)
