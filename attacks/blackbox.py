"""Attacks that see the logits and no gradient: random search in squares, and evolution of single pixels."""
import math

import numpy as np

from .arguments import count, number, radius
from .ball import Ball
from .best import Best
from .losses import cross_entropies
from .norms import L0, Linf
from .path import Path
from .penalty import norm_among
from .streams import streams
from .victim import Victim, check_pictures

HALVED = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # of 10,000 queries: from there on squares are half as large


def square(model, x, y, *, eps, norm="linf", n_queries=5000, p_init=0.8, rescale_schedule=True, targeted=False,
           bounds=(0, 1), rng=None, callback=None, progress=False):
    """Random search: change one square, keep the change if it helps, with squares that become smaller.

    Linf starts with vertical stripes of +-eps and sets a random square to +-eps, one sign a channel. L2 starts with a
    tiling of bumps and moves the mass of one window, with what is left of eps, into another. The side of the squares
    is sqrt(p h w); p is halved after 10, 50, 200, 500, 1000, 2000, 4000, 6000 and 8000 of 10,000 queries.

    Parameters
    ----------
    model : Module or callable
        Gives logits (N, K), in evaluation mode.
    x : array of shape (N, C, H, W) in `bounds`
    y : integer array of shape (N,)
        The true classes; with `targeted` the classes wanted.
    eps : float, or one for each image
    norm : 'linf' or 'l2'
    n_queries : int
        Squares tried at most, for each image; an image that succeeds stops asking.
    p_init : float in (0, 1]
        The part of the image that the first squares cover.
    rescale_schedule : bool
        Fit the schedule of p to `n_queries`; otherwise it is that of 10,000.
    rng : numpy.random.Generator, optional
        Every image draws from a stream of its own: see `streams`.
    callback, progress
        See `path.Path`; the trace holds ``loss margin l2 linf`` of the images kept, one entry a query.

    Returns
    -------
    AttackResult
        A failure holds the image with the lowest loss: the gap to success, or, if targeted, the cross-entropy.

    References
    ----------
    Andriushchenko et al., Square attack: a query-efficient black-box adversarial attack via random search, ECCV 2020,
    algorithms 1-3. The authors' program never lets a square touch the last row and column; this one does.
    """
    norm = norm_among("square", norm, ("linf", "l2"))
    n_queries, p_init = count("square", "n_queries", n_queries), number("square", "p_init", p_init, high=1, above=True)
    victim = Victim("square", model, x, y, targeted=targeted, bounds=bounds)
    check_pictures("square", victim.x, "it changes squares")
    eps = np.broadcast_to(radius("square", eps, len(victim.x)), len(victim.x))
    chance, ball = streams(victim.attack, rng, victim.x, victim.y), Ball(norm, victim.x, eps, victim.bounds)
    first, change = (_stripes, _one_square) if isinstance(norm, Linf) else (_tiles, _moved_mass)
    image, said, active = victim.x.copy(), victim.clean.copy(), victim.todo
    loss = np.full(len(victim.x), np.inf)
    with Path(victim, n_queries, callback, progress) as path:
        for query in range(n_queries):
            if not len(active):
                break
            part = p_init / 2**sum(query > at for at in (
                h * (n_queries / 10000 if rescale_schedule else 1) for h in HALVED))
            trial = np.stack([first(victim.x[i], eps[i], chance[i]) if query == 0 else
                              change(victim.x[i], image[i], eps[i], part, chance[i]) for i in active])
            trial = ball.confine(trial.astype(victim.x.dtype), active)
            logits = victim.logits(trial, active)
            met, value = victim.criterion.take(active).met(logits), _loss(victim, logits, active)
            better = met | (value < loss[active])
            at = active[better]
            image[at], said[at], loss[at] = trial[better], logits[better], value[better]
            path.record(active, image[active], said[active], loss=loss[active])
            active = active[~met]
    return victim.result(image, trace=path.trace, interrupted=path.interrupted, settings=dict(
        eps=eps, norm=norm, n_queries=n_queries, p_init=p_init, rescale_schedule=rescale_schedule, targeted=targeted,
        bounds=bounds))


def _loss(victim, logits, index):
    """The gap; for targets the cross-entropy, which all other classes take part in."""
    return cross_entropies(logits.astype(float), victim.y[index]) if victim.targeted else victim.gap(logits, index)


def _place(shape, side, rng):
    """A random window of the image, wherever it fits."""
    top, left = (int(rng.integers(length - side + 1)) for length in shape[1:])
    return slice(None), slice(top, top + side), slice(left, left + side)


def _signs(rng, *shape):
    return rng.choice([-1.0, 1.0], shape)


def _stripes(x, eps, rng):
    return x + eps * _signs(rng, x.shape[0], 1, x.shape[2])


def _one_square(x, image, eps, part, rng):
    side = min(max(round(math.sqrt(part * x[0].size)), 1), *x.shape[1:])
    window = _place(x.shape, side, rng)
    trial = image.copy()
    trial[window] = x[window] + eps * _signs(rng, x.shape[0], 1, 1)
    return trial


def _tiles(x, eps, rng):
    side = max(min(x.shape[1:]) // 5, 1)
    change = np.zeros(x.shape)
    for top in range(x.shape[1] % side // 2, x.shape[1] - side + 1, side):
        for left in range(x.shape[2] % side // 2, x.shape[2] - side + 1, side):
            change[:, top:top + side, left:left + side] = _bump(side, rng) * _signs(rng, x.shape[0], 1, 1)
    return x + eps * change / np.linalg.norm(change)


def _moved_mass(x, image, eps, part, rng):
    """L2: empty one window, and put its mass and the unused rest of eps into another, as a bump on what is there."""
    channels, largest = x.shape[0], min(x.shape[1:])
    side = min(max(round(math.sqrt(part * x[0].size)), 3) | 1, largest - 1 + largest % 2)
    change = (image - x).astype(np.float64)
    into, out_of = _place(x.shape, side, rng), _place(x.shape, side, rng)
    either = np.zeros(x.shape[1:], bool)
    either[into[1:]] = either[out_of[1:]] = True
    mass = (change[:, either]**2).sum(1)[:, None, None]
    unused = max(eps**2 - (change**2).sum(), 0) / channels
    old = change[into]
    bump = _bump(side, rng) * _signs(rng, channels, 1, 1) + old / (1e-12 + np.sqrt((old**2).sum((1, 2), keepdims=True)))
    bump *= np.sqrt(mass + unused) / (1e-12 + np.sqrt((bump**2).sum((1, 2), keepdims=True)))
    change[out_of] = 0
    change[into] = bump
    return x + eps * change / max(np.linalg.norm(change), 1e-12)


def _bump(side, rng):
    """Two pyramids of opposite sign, one above or beside the other, of length 1 together."""
    half = side // 2
    bump = np.concatenate([_pyramid(half, side), -_pyramid(side - half, side)])
    bump /= np.linalg.norm(bump)
    return bump.T if rng.random() > 0.5 else bump


def _pyramid(height, width):
    """Rings around the middle that weigh 1 + 1/4 + 1/9 + ... the nearer they are to it, of length 1."""
    pyramid = np.zeros((height, width))
    row, column = height // 2, width // 2
    for ring in range(max(row, column) + 1):
        pyramid[max(row - ring, 0):row + ring + 1, max(column - ring, 0):column + ring + 1] += 1 / (ring + 1)**2
    return pyramid / max(np.linalg.norm(pyramid), 1e-12)


def one_pixel(model, x, y, *, pixels=1, steps=100, population=400, targeted=False, bounds=(0, 1), rng=None,
              callback=None, progress=False):
    """Change one pixel, or a few, to anything: differential evolution over where and into what.

    A candidate is (row, column, C values) for each pixel. A child is a + (b - c) / 2 of three random candidates, with
    no crossover; it takes its parent's place if the probability of the true class is lower (of the target: higher).

    Parameters
    ----------
    model : Module or callable
        Gives logits (N, K), in evaluation mode.
    x : array of shape (N, C, H, W) in `bounds`
    y : integer array of shape (N,)
        The true classes; with `targeted` the classes wanted.
    pixels : int
    steps : int
        Generations at most; the first candidate that meets the criterion ends the search for its image.
    population : int, at least 5
    rng : numpy.random.Generator, optional
        Every image draws from a stream of its own: see `streams`.
    callback, progress
        See `path.Path`; the trace holds ``loss margin l2 linf``, one entry an image.

    Returns
    -------
    AttackResult
        A failure holds the candidate that came closest to the criterion. At most `pixels` pixels differ.

    References
    ----------
    Su, Vargas, Sakurai, One pixel attack for fooling deep neural networks, IEEE TEVC 2019, with scipy's evolution.
    """
    pixels, steps = count("one_pixel", "pixels", pixels), count("one_pixel", "steps", steps)
    population = count("one_pixel", "population", population, low=5)
    victim = Victim("one_pixel", model, x, y, targeted=targeted, bounds=bounds)
    check_pictures("one_pixel", victim.x, "it changes whole pixels")
    chance, best = streams(victim.attack, rng, victim.x, victim.y), Best(victim)
    with Path(victim, len(victim.todo), callback, progress) as path:
        for i in victim.todo:
            _evolve(victim, best, i, pixels, steps, population, chance[i])
            path.record(np.array([i]), best.x[[i]], best.logits[[i]])
    return victim.result(best.x, trace=path.trace, interrupted=path.interrupted, settings=dict(
        pixels=pixels, steps=steps, population=population, targeted=targeted, bounds=bounds))


def _evolve(victim, best, i, pixels, steps, population, rng):
    from scipy.optimize import differential_evolution

    channels, height, width = victim.x.shape[1:]
    low, high = victim.bounds
    limits = ([(0, height), (0, width)] + [(low, high)] * channels) * pixels
    first = rng.random((population, len(limits))) * np.ptp(limits, axis=1) + np.min(limits, axis=1)

    def lost(candidates):
        """Log-probability of the true class, or minus the target's: lower is better. (parameters, n) -> (n,)"""
        images = paint(victim.x[i], candidates.T.reshape(-1, pixels, 2 + channels))
        index = np.full(len(images), i)
        logits = victim.logits(images, index)
        met = victim.criterion.take(index).met(logits)
        order = np.argsort(np.where(met, -np.inf, victim.gap(logits, index)), kind="stable")[:1]
        best.offer(index[order], images[order], logits[order], L0().distance(images[order] - victim.x[i]))
        return cross_entropies(logits.astype(float), victim.y[index]) * (1 if victim.targeted else -1)

    differential_evolution(lost, limits, strategy="rand1bin", maxiter=steps, init=first, mutation=0.5, recombination=1,
                           tol=0, seed=rng, polish=False, updating="deferred", vectorized=True,
                           callback=lambda *_: bool(np.isfinite(best.size[i])))


def paint(x, points):
    """Copies of image x (C, H, W), one for each candidate of `points` (n, pixels, 2 + C): row, column, C values."""
    images = np.repeat(x[None], len(points), axis=0)
    rows = np.minimum(points[..., 0].astype(int), x.shape[1] - 1)
    columns = np.minimum(points[..., 1].astype(int), x.shape[2] - 1)
    images[np.arange(len(points))[:, None], :, rows, columns] = points[..., 2:]
    return images
