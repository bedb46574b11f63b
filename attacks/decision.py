"""Attacks that see the label and nothing else: from an image that fools the model, walk along the boundary towards x.

Both begin far away, at noise that the model takes for something else, blended with x as far as the label allows.
"""
import math

import numpy as np

from .arguments import count, number
from .norms import L2, Linf, flat, per_sample
from .path import Path
from .penalty import norm_among
from .streams import streams
from .victim import Victim


def boundary(model, x, y, *, targeted=False, steps=25000, spherical_step=1e-2, source_step=1e-2,
             source_step_convergence=1e-7, step_adaptation=1.5, update_stats_every_k=10, starting_points=None,
             bounds=(0, 1), rng=None, callback=None, progress=False):
    """A random walk along the boundary in L2: a step on the sphere around x, then one towards x; keep what still fools.

    Both lengths, relative to the distance, follow the rate of success: longer (by `step_adaptation`) where more than
    half of 100 steps on the sphere fool, shorter below a fifth; the step towards x as well by 25 % and 10 % of 30.

    Parameters
    ----------
    model : Module or callable
        Gives logits (N, K), of which only the largest is looked at.
    x : array of shape (N, C, H, W) in `bounds`
    y : integer array of shape (N,)
        The true classes; with `targeted` the classes wanted.
    steps : int
    spherical_step, source_step : float
        First lengths of the two steps, in units of the distance.
    source_step_convergence : float
        A sample whose step towards x is shorter than this is done.
    update_stats_every_k : int
        The rates are measured in every k-th step.
    starting_points : array of x's shape, optional
        Images that meet the criterion; noise is tried otherwise (1000 times).
    rng : numpy.random.Generator, optional
        Every image draws from a stream of its own: see `streams`.
    callback, progress
        See `path.Path`; one entry every `update_stats_every_k` steps: ``loss margin l2 linf spherical_step
        source_step``. Loss and margin are for the reader; the walk itself sees labels only.

    Returns
    -------
    AttackResult
        Where no starting point was found: x itself, failed; the others go on.

    References
    ----------
    Brendel, Rauber, Bethge, Decision-based adversarial attacks, ICLR 2018, in the form of Foolbox 3, with a random
    direction for each sample instead of one for all.
    """
    steps, every = count("boundary", "steps", steps), count("boundary", "update_stats_every_k", update_stats_every_k)
    for name, value in (("spherical_step", spherical_step), ("source_step", source_step)):
        number("boundary", name, value, above=True)
    number("boundary", "step_adaptation", step_adaptation, low=1, above=True)
    victim = Victim("boundary", model, x, y, targeted=targeted, bounds=bounds)
    chance = streams(victim.attack, rng, victim.x, victim.y)
    image, said, active = victim.x.copy(), victim.clean.copy(), victim.todo
    around, inward = np.full(len(image), float(spherical_step)), np.full(len(image), float(source_step))
    on_sphere, stepped = _Rate(len(image), 100), _Rate(len(image), 30)
    with Path(victim, steps // every, callback, progress) as path:
        active = active[_start(victim, chance, image, said, active, starting_points)]
        for step in range(1, steps + 1):
            active = active[inward[active] >= source_step_convergence]
            if not len(active):
                break
            sphere, closer = _propose(victim, image, active, around[active], inward[active], chance)
            logits = victim.logits(closer, active)
            met = victim.criterion.take(active).met(logits)
            nearer = met & (_far(victim, closer, active) < _far(victim, image[active], active))
            image[active[nearer]], said[active[nearer]] = closer[nearer], logits[nearer]
            if step % every == 0:
                on_sphere.add(active, _fools(victim, sphere, active))
                stepped.add(active, met)
                longer, shorter = on_sphere.beyond(active, 0.5, 0.2)
                around[longer], around[shorter] = around[longer] * step_adaptation, around[shorter] / step_adaptation
                inward[longer], inward[shorter] = inward[longer] * step_adaptation, inward[shorter] / step_adaptation
                longer, shorter = stepped.beyond(active, 0.25, 0.1)
                inward[longer], inward[shorter] = inward[longer] * step_adaptation, inward[shorter] / step_adaptation
                path.record(active, image[active], said[active], spherical_step=around[active],
                            source_step=inward[active])
    return victim.result(image, trace=path.trace, interrupted=path.interrupted, settings=dict(
        targeted=targeted, steps=steps, spherical_step=spherical_step, source_step=source_step,
        source_step_convergence=source_step_convergence, step_adaptation=step_adaptation,
        update_stats_every_k=every, bounds=bounds))


class _Rate:
    """The part of the last `length` trials of each sample that succeeded, once there were so many."""

    def __init__(self, samples, length):
        self.trials, self.seen, self.length = np.zeros((samples, length)), np.zeros(samples, int), length

    def add(self, index, success):
        self.trials[index, self.seen[index] % self.length] = success
        self.seen[index] += 1

    def beyond(self, index, high, low):
        """The samples whose rate is above `high`, and those below `low`; both start counting again."""
        full = index[self.seen[index] >= self.length]
        rate = self.trials[full].mean(1)
        above, below = full[rate > high], full[rate < low]
        self.seen[above] = self.seen[below] = 0
        return above, below


def _propose(victim, image, index, around, inward, chance):
    """A random point on the sphere around x through the image, and the point that lies from there towards x."""
    x, now = victim.x[index], image[index]
    towards = x - now
    far = L2().distance(towards)
    unit = towards / per_sample(far, x)
    eta = np.stack([chance[i].standard_normal(x.shape[1:]) for i in index]).astype(x.dtype)
    eta -= per_sample(np.einsum("ni,ni->n", flat(eta), flat(unit)), x) * unit
    eta = L2().steepest(eta) * per_sample(around * far, x)
    sphere = np.clip(x + (eta - towards) / per_sample(np.sqrt(around**2 + 1), x), *victim.bounds)
    left = L2().distance(x - sphere)
    length = np.maximum(inward * far + left - far, 0) / np.maximum(left, 1e-12)
    return sphere, np.clip(sphere + per_sample(length, x) * (x - sphere), *victim.bounds)


def hop_skip_jump(model, x, y, *, norm="l2", targeted=False, steps=64, initial_gradient_eval_steps=100,
                  max_gradient_eval_steps=10000, gamma=1.0, starting_points=None, bounds=(0, 1), rng=None,
                  callback=None, progress=False):
    """Estimate the boundary's normal from labels, step along it, and return to the boundary by bisection.

        B_t = min(100 sqrt(t), 10000) random directions u_b, phi_b = +1 where x_t + delta_t u_b fools and -1 where not,
        v = mean of (phi_b - mean phi) u_b;   x_t + xi_t v / |v|_2 (L2) or sign v (Linf), xi_t = |x_t - x| / sqrt(t),
        halved until it fools; then bisection towards x to within theta = gamma / d^1.5 (L2) or gamma / d^2 (Linf).

    Parameters
    ----------
    model : Module or callable
        Gives logits (N, K), of which only the largest is looked at.
    x : array of shape (N, C, H, W) in `bounds`
    y : integer array of shape (N,)
        The true classes; with `targeted` the classes wanted.
    norm : 'l2' or 'linf'
    steps : int
    initial_gradient_eval_steps, max_gradient_eval_steps : int
        Labels asked for the first normal, and at most for one.
    gamma : float
        Width of the bisection and of the probes.
    starting_points, rng : as in `boundary`
    callback, progress
        See `path.Path`; the trace holds ``loss margin l2 linf`` of the nearest image so far, loss and margin for
        the reader only.

    Returns
    -------
    AttackResult
        The nearest image on the way that met the criterion. Where no starting point was found: x, failed.

    References
    ----------
    Chen, Jordan, Wainwright, HopSkipJumpAttack: a query-efficient decision-based attack, IEEE S&P 2020, algorithm 2.
    """
    norm, steps = norm_among("hop_skip_jump", norm, ("l2", "linf")), count("hop_skip_jump", "steps", steps)
    first = count("hop_skip_jump", "initial_gradient_eval_steps", initial_gradient_eval_steps)
    most = count("hop_skip_jump", "max_gradient_eval_steps", max_gradient_eval_steps)
    gamma = number("hop_skip_jump", "gamma", gamma, above=True)
    victim = Victim("hop_skip_jump", model, x, y, targeted=targeted, bounds=bounds)
    chance, size = streams(victim.attack, rng, victim.x, victim.y), victim.x[0].size
    theta = gamma / (size**2 if isinstance(norm, Linf) else size**1.5)
    best, image, active = victim.x.copy(), victim.x.copy(), victim.todo
    nearest, said, of_best = np.full(len(best), np.inf), victim.clean.copy(), victim.clean.copy()
    with Path(victim, steps + 1, callback, progress) as path:
        active = active[_start(victim, chance, image, said, active, starting_points)]
        for step in range(steps + 1 if len(active) else 0):
            image[active] = _bisect(victim, norm, image[active], said, active, theta)
            far = norm.distance(image[active] - victim.x[active])
            better = far < nearest[active]
            at = active[better]
            best[at], of_best[at], nearest[at] = image[at], said[at], far[better]
            path.record(active, best[active], of_best[active])
            if step == steps:
                break
            probe = far * theta * (size if isinstance(norm, Linf) else math.sqrt(size))
            probe = np.full_like(far, 0.1 * (victim.bounds[1] - victim.bounds[0])) if step == 0 else probe
            trials = min(int(first * math.sqrt(step + 1)), most)
            normal = np.stack([_normal(victim, norm, image[i], i, trials, width, chance[i])
                               for i, width in zip(active, probe, strict=True)])
            image[active] = _leap(victim, image[active], said, active, norm.steepest(normal),
                                  far / math.sqrt(step + 1))
    return victim.result(best, trace=path.trace, interrupted=path.interrupted, settings=dict(
        norm=norm, targeted=targeted, steps=steps, initial_gradient_eval_steps=first, max_gradient_eval_steps=most,
        gamma=gamma, bounds=bounds))


def _normal(victim, norm, image, i, trials, width, rng):
    """The direction in which random probes of one image fool more often."""
    fooled, signed, plain = 0, np.zeros(image.shape), np.zeros(image.shape)
    for start in range(0, trials, victim.batch_size):
        shape = (min(victim.batch_size, trials - start), *image.shape)
        noise = rng.uniform(-1, 1, shape) if isinstance(norm, Linf) else rng.standard_normal(shape)
        probes = np.clip(image + width * L2().steepest(noise), *victim.bounds).astype(image.dtype)
        moved = (probes.astype(np.float64) - image) / width
        phi = np.where(_fools(victim, probes, np.full(len(probes), i)), 1.0, -1.0)
        fooled, signed, plain = fooled + phi.sum(), signed + np.tensordot(phi, moved, 1), plain + moved.sum(0)
    mean = fooled / trials
    return ((signed if abs(mean) == 1 else signed - mean * plain) / trials).astype(image.dtype)


def _leap(victim, image, said, index, direction, length, halvings=40):
    """The longest of the steps `length`, half of it, a quarter ... that fools; no step where none does."""
    landed, todo = image.copy(), np.arange(len(index))
    for _ in range(halvings):
        if not len(todo):
            break
        trial = np.clip(image[todo] + direction[todo] * per_sample(length[todo], image), *victim.bounds)
        met = _fools(victim, trial, index[todo], said)
        landed[todo[met]] = trial[met]
        todo = todo[~met]
        length = length / 2
    return landed


def _bisect(victim, norm, image, said, index, theta):
    """The nearest image between x and one that fools, to within theta: in L2 a blend, in Linf x clipped around."""
    x = victim.x[index]
    high = norm.distance(image - x).astype(np.float64) if isinstance(norm, Linf) else np.ones(len(index))
    low, found, todo = np.zeros(len(index)), image.copy(), np.arange(len(index))
    width = theta * (np.minimum(high, 1) if isinstance(norm, Linf) else high)
    while len(todo):
        middle = (low[todo] + high[todo]) / 2
        change, at = image[todo] - x[todo], per_sample(middle, x)
        trial = np.clip(x[todo] + (np.clip(change, -at, at) if isinstance(norm, Linf) else at * change),
                        *victim.bounds)
        met = _fools(victim, trial, index[todo], said)
        found[todo[met]], high[todo[met]], low[todo[~met]] = trial[met], middle[met], middle[~met]
        between = (low + high) / 2
        todo = todo[((high - low) > width)[todo] & (between > low)[todo] & (between < high)[todo]]
    return found


def _start(victim, chance, image, said, index, starting_points, directions=1000, blends=50):
    """Write a first image that fools into `image`, and its logits into `said`; says for which samples there is one."""
    if starting_points is not None:
        points = np.asarray(starting_points, victim.x.dtype)
        low, high = victim.bounds
        if points.shape != victim.x.shape or not ((points >= low) & (points <= high)).all():
            raise ValueError(f"{victim.attack}: starting_points have shape {points.shape}, expected images of x's "
                             f"shape {victim.x.shape} in {victim.bounds}")
        image[index] = points[index]
        met = _fools(victim, points[index], index, said) if len(index) else np.zeros(0, bool)
        image[index[~met]] = victim.x[index[~met]]
        return met
    found, noise = np.zeros(len(image), bool), image.copy()
    for _ in range(directions):
        todo = index[~found[index]]
        if not len(todo):
            break
        noise[todo] = np.stack([chance[i].uniform(*victim.bounds, image.shape[1:]) for i in todo])
        found[todo] = _fools(victim, noise[todo], todo, said)
    todo = index[found[index]]
    for share in np.linspace(0, 1, blends + 1)[1:]:
        if not len(todo):
            break
        trial = np.clip((1 - share) * victim.x[todo] + share * noise[todo], *victim.bounds).astype(image.dtype)
        met = _fools(victim, trial, todo, said) if share < 1 else np.ones(len(todo), bool)
        image[todo[met]] = trial[met]
        todo = todo[~met]
    return found[index]


def _fools(victim, x, index, said=None):
    """Whether images of the samples at `index` meet the criterion: all that these attacks learn of the model.

    The logits of those that do are written into `said` (N, K), for the trace.
    """
    logits = victim.logits(x, index)
    met = victim.criterion.take(index).met(logits)
    if said is not None:
        said[index[met]] = logits[met]
    return met


def _far(victim, x, index):
    return L2().distance(x - victim.x[index])
