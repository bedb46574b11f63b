"""Fast minimum norm: DDN's idea for every norm, with a radius that starts where the boundary seems to be.

The distance to the boundary is estimated as DeepFool does, |gap| / |gradient|_q, until an adversarial image is found;
from then on the radius shrinks on success and grows on failure, by less and less. The perturbation is *projected* into
that ball: it may stay inside.
"""
import math

import numpy as np

from .arguments import count, number
from .best import Best
from .norms import L0, L2, per_sample
from .path import Path
from .penalty import gap_weights, norm_among
from .victim import Victim


def fmn(model, x, y, *, norm="l2", targeted=False, steps=100, max_stepsize=1.0, min_stepsize=None, gamma=0.05,
        bounds=(0, 1), rng=None, callback=None, progress=False):
    """The nearest adversarial image in Linf, L2, L1 or L0, by gradient steps projected into a ball that adapts.

        eps <- |d|_p + max(|gap| / |g|_q, least)     until an adversarial image was found,
        eps <- min(eps (1 - gamma_t), |best|_p)      where the image is adversarial,
        eps <- eps (1 + gamma_t)                     where it is not,
        d   <- clip(x + project(d + a_t g / |g|_2, eps)) - x

    with g the gradient of minus the gap, the lead of the class to leave over the one to reach; a_t falls from
    `max_stepsize` to `min_stepsize` and gamma_t from `gamma` to 0.001 along a cosine. In L0 eps counts pixels, and
    changes by at least one. `least` is 8 roundings (1e-6 in float32) of the distance to the farthest corner of the
    box: where two logits are equal the gap is 0, and an image on the boundary would stay there. g is zero where a
    pixel is at its bound and would have to leave it: the paper counts what the box then cuts off as progress, and on
    digits, most of whose pixels are black, a third of the walks get stuck.

    Parameters
    ----------
    model : Module or callable
        Gives logits (N, K), in evaluation mode.
    x : array of shape (N, C, H, W) in `bounds`
    y : integer array of shape (N,)
        The true classes; with `targeted` the classes wanted.
    norm : 'linf', 'l2', 'l1' or 'l0'
        What is made small.
    steps : int
    max_stepsize, min_stepsize : float
        Euclidean lengths of the first and last step; the last is a hundredth of the first if left out.
    gamma : float in (0, 1)
        The part by which eps changes at first.
    rng
        Taken, as all attacks take it; nothing here is random.
    callback, progress
        See `path.Path`; the trace holds ``loss margin l2 linf epsilon``.

    Returns
    -------
    AttackResult
        A failure holds the image that came closest to the criterion.

    References
    ----------
    Pintor, Roli, Brendel, Biggio, Fast minimum-norm adversarial attacks through adaptive norm constraints, NeurIPS
    2021, algorithm 1, with the gap of each sample by itself, and pixels at their bounds left out of g; the last image
    is looked at, too.
    """
    norm = norm_among("fmn", norm, ("linf", "l2", "l1", "l0"))
    steps, gamma = count("fmn", "steps", steps), number("fmn", "gamma", gamma, high=1, above=True)
    max_stepsize = number("fmn", "max_stepsize", max_stepsize, above=True)
    last = max_stepsize / 100 if min_stepsize is None else number("fmn", "min_stepsize", min_stepsize)
    victim = Victim("fmn", model, x, y, targeted=targeted, bounds=bounds)
    bounds = victim.bounds
    best, index = Best(victim), victim.todo
    start = victim.x[index]
    image, epsilon = start, np.ones(len(index)) if norm == L0() else np.full(len(index), np.inf)
    farthest = norm.distance(np.where(bounds[1] - start > start - bounds[0], bounds[1] - start, start - bounds[0]))
    least = 8 * np.finfo(start.dtype).eps * farthest
    with Path(victim, steps + 1, callback, progress) as path:
        for step in range(steps if len(index) else 0):
            decay = (1 + math.cos(math.pi * step / steps)) / 2
            logits, (gradient,) = victim.pull(lambda z, i: -gap_weights(z, victim.y[i], targeted)[None], image, index)
            gradient = gradient * np.where(gradient > 0, image < bounds[1], image > bounds[0])
            met = best.offer(index, image, logits, norm.distance(image - start))
            adapt = _count if norm == L0() else _radius
            epsilon = adapt(epsilon, met, 0.001 + (gamma - 0.001) * decay, best.size[index],
                            lambda g=gradient, z=logits, now=image: norm.distance(now - start) + np.maximum(
                                _to_boundary(victim, norm, index, z, g), least))
            epsilon = np.minimum(epsilon, farthest)
            path.record(index, image, logits, epsilon=epsilon)
            step_taken = L2().steepest(gradient) * per_sample(last + (max_stepsize - last) * decay, gradient)
            image = np.clip(start + norm.project(image - start + step_taken, epsilon), *bounds)
        if len(index):
            logits = victim.logits(image, index)
            best.offer(index, image, logits, norm.distance(image - start))
            path.record(index, image, logits, epsilon=epsilon)
    return victim.result(best.x, trace=path.trace, interrupted=path.interrupted, settings=dict(
        norm=norm, targeted=targeted, steps=steps, max_stepsize=max_stepsize, min_stepsize=last, gamma=gamma,
        bounds=bounds))


def _to_boundary(victim, norm, index, logits, gradient):
    """How far the boundary of the linearised model is; infinitely far where it is flat."""
    gap, slope = np.abs(victim.gap(logits, index)), norm.dual(gradient)
    return np.divide(gap, slope, out=np.full_like(gap, np.inf), where=slope > 0)


def _radius(epsilon, met, gamma, best, estimate):
    """The next radius in a norm that measures lengths."""
    grown = np.where(np.isfinite(best), epsilon * (1 + gamma), estimate())
    return np.where(met, np.minimum(epsilon * (1 - gamma), best), grown)


def _count(epsilon, met, gamma, best, _):
    """The next number of values that may change: at least one more, or one less, and never none."""
    fewer = np.minimum(np.minimum(epsilon - 1, np.floor(epsilon * (1 - gamma))), best)
    more = np.maximum(epsilon + 1, np.floor(epsilon * (1 + gamma)))
    return np.maximum(1, np.where(met, fewer, more))
