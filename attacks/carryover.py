"""One change for all images, and the question whether it carries over to images it was not made from.

A rate alone says little: any noise of that size turns some images. So `carry_over` puts beside it the control, random
noise of equal norm: the very same values, put in random places with random signs.
"""
from dataclasses import dataclass

import numpy as np

import minigrad

from .arguments import count, generator, limits, number
from .ball import SharedBall
from .losses import objective
from .norms import Linf
from .path import Path
from .victim import Victim


@dataclass(frozen=True)
class CarryOver:
    """How many images one change turns.

    Attributes
    ----------
    rate : float
        Of the images that were right from the start (if targeted: not yet taken for the target), the part turned.
    control : float
        The same for the change's values in disorder (random noise of equal norm), mean over the draws; `controls`
        holds each of them.
    success : ndarray of bool (N,)
        Whether the change turns the image; False for those wrong from the start.
    tried : int
        How many images were right from the start.
    """

    rate: float
    control: float
    controls: np.ndarray
    success: np.ndarray
    tried: int

    def __repr__(self):
        return f"CarryOver({self.rate:.1%} of {self.tried} images, control {self.control:.1%})"


def carry_over(model, noise, x, y, *, targeted=False, controls=10, bounds=(0, 1), rng=None):
    """Add one change to images and count whom it turns, beside random noise of equal norm.

    Parameters
    ----------
    model : Module or callable
        Any, also another than the one the change was made for.
    noise : array of shape (C, H, W)
    x : array of shape (N, C, H, W) in `bounds`
    y : integer array of shape (N,)
        True classes, or targets.
    controls : int
        Draws of random noise: the values of `noise` in random order with random signs, so that all norms are equal.
    rng : numpy Generator, optional

    Returns
    -------
    CarryOver
    """
    controls, rng = count("carry_over", "controls", controls, low=0), generator("carry_over", rng)
    victim = Victim("carry_over", model, x, y, targeted=targeted, bounds=bounds)
    noise = np.asarray(noise, victim.x.dtype)
    if noise.shape != victim.x.shape[1:]:
        raise ValueError(f"carry_over: noise has shape {noise.shape}, expected one image's, {victim.x.shape[1:]}")
    todo = victim.todo

    def turned(change):
        return victim.criterion.take(todo).met(victim.logits(added(victim.x[todo], change, victim.bounds), todo))

    if not len(todo):
        return CarryOver(np.nan, np.nan, np.full(controls, np.nan), np.zeros(len(victim.x), bool), 0)
    success = np.zeros(len(victim.x), bool)
    success[todo] = turned(noise)
    rates = np.array([turned(shuffled(noise, rng)).mean() for _ in range(controls)])
    control = float(rates.mean()) if controls else np.nan
    return CarryOver(float(success[todo].mean()), control, rates, success, len(todo))


def noise_matrix(model, x, y, *, eps=0.35, targeted=False, loss="margin", l2=0.02, steps=200, lr=0.01, others=None,
                 controls=10, bounds=(0, 1), rng=None, callback=None, progress=False):
    """Learn one additive matrix on one or more images, for all of them, and see whom else it turns.

        maximise  mean over i of loss(clip(x_i + n), y_i) - l2 |n|^2 / 2,   |n|_inf <= eps      with Adam from n = 0

    Parameters
    ----------
    model : Module or callable
    x, y : arrays of shape (N, C, H, W) and (N,)
        The images to learn on, their classes or targets.
    eps : float
        No value of the matrix is larger.
    loss : 'margin', 'ce' or 'dlr'
        The margin pulls at all images alike. The cross-entropy does not pull at images of whose true class the network
        is sure, so that nothing moves if it is sure of all.
    l2 : float
        Weight of its squared length.
    steps, lr : int, float
        Of Adam; every step uses all images.
    others : (x, y), optional
        Images to carry over to.
    controls : int
        Draws of random noise for the control.

    Returns
    -------
    AttackResult
        For the learning images. ``extra["noise"]`` is the matrix (C, H, W), ``extra["learned"]`` its `CarryOver` on
        them, and ``extra["carried"]`` on `others`. Whether an image is turned depends on all of x here.

    References
    ----------
    M. E. H. Pedersen, TensorFlow tutorial 12, Adversarial noise for MNIST, 2016.
    """
    name = "noise_matrix"
    rng = generator(name, rng)
    eps, l2, lr = number(name, "eps", eps), number(name, "l2", l2), number(name, "lr", lr, above=True)
    steps, climb = count(name, "steps", steps), objective(name, loss, targeted)
    victim = Victim(name, model, x, y, targeted=targeted, bounds=bounds)
    everyone = np.arange(len(victim.x))
    ball = SharedBall(Linf(), victim.x, eps, victim.bounds)
    noise = minigrad.Tensor(np.zeros((1, *victim.x.shape[1:]), victim.x.dtype))
    adam = minigrad.optim.Adam([noise], lr=lr)
    with Path(victim, steps, callback, progress) as path:
        for _ in range(steps):
            image = ball.added(noise.data)
            logits, value, g = victim.value_and_gradient(lambda z, at: climb(z, victim.y[at]), image)
            path.record(everyone, image, logits, loss=value)
            uphill = _reaching(g, victim.x + noise.data, victim.bounds).mean(0, keepdims=True)
            noise.grad = minigrad.Tensor(l2 * noise.data - uphill)
            adam.step()
            noise.data = ball.confine(noise.data)
    return universal_result(victim, ball, noise.data, path, others, controls, rng,
                            {"eps": eps, "loss": loss, "l2": l2, "steps": steps, "lr": lr, "targeted": targeted})


def universal_result(victim, ball, change, path, others, controls, rng, settings):
    """The account of one change (1, C, H, W) for all images of a victim, and for `others`."""
    noise = change[0]
    options = {"targeted": victim.targeted, "controls": controls, "bounds": victim.bounds, "rng": rng}
    extra = {"noise": noise, "learned": path.finish(lambda: carry_over(victim.model, noise, victim.x, victim.y,
                                                                       **options))}
    if others is not None:
        extra["carried"] = path.finish(lambda: carry_over(victim.model, noise, *others, **options))
    return victim.result(ball.added(change), trace=path.trace, interrupted=path.interrupted,
                         settings=settings | {"bounds": victim.bounds}, **extra)


def added(x, noise, bounds):
    """x + noise, cut at the bounds."""
    low, high = map(x.dtype.type, limits("added", bounds))
    return np.clip(x + noise, low, high)


def _reaching(g, image, bounds):
    """The gradient through the cut at the bounds: none for values beyond them, but for those on the way back."""
    low, high = bounds
    return np.where((image < low) & (g < 0) | (image > high) & (g > 0), 0, g)


def shuffled(noise, rng):
    """The same values in random order with random signs: a change of equal norms that aims at nothing."""
    return (rng.permutation(noise.ravel()) * rng.choice([-1, 1], noise.size)).reshape(noise.shape).astype(noise.dtype)
