"""One perturbation, or one sticker, for all images.

`universal_perturbation` pushes image after image over its nearest boundary and keeps the sum of the pushes small;
`adversarial_patch` is small in extent instead, may be glaring, and works wherever and however it is stuck on.
"""
import numpy as np

import minigrad

from .arguments import choice, count, generator, number
from .ball import SharedBall
from .carryover import CarryOver, universal_result
from .deepfool import deepfool
from .losses import objective
from .norms import as_norm
from .path import Path
from .result import unbroken
from .victim import Victim, check_pictures
from .warp import places, read, spread


def universal_perturbation(model, x, y, *, eps, norm="linf", delta=0.2, epochs=10, steps=10, overshoot=0.02,
                           others=None, controls=10, bounds=(0, 1), rng=None, callback=None, progress=False):
    """Add up the smallest pushes over the boundary, image by image, inside a ball.

        while fewer than 1 - delta of the images are turned:
            for each image x_i not turned by v:   v <- P(v + DeepFool(x_i + v))

    Parameters
    ----------
    model : Module or callable
    x, y : arrays of shape (N, C, H, W) and (N,)
        The images to learn on and their true classes.
    eps : float
        Size of the perturbation in the norm.
    norm : 'linf' or 'l2'
    delta : float in [0, 1]
        The part of the images that may be left.
    epochs : int
        Passes over the images, at most.
    steps, overshoot : int, float
        Of DeepFool.
    others, controls : as in `noise_matrix`

    Returns
    -------
    AttackResult
        ``extra["noise"]``, ``extra["learned"]`` and ``extra["carried"]`` as of `noise_matrix`; the noise of the best
        epoch: the one that turned most, and of equals the one that came closest. ``trace`` has an entry an epoch.

    References
    ----------
    Moosavi-Dezfooli et al., Universal adversarial perturbations, CVPR 2017, algorithm 1, with true classes in place
    of the network's own.
    """
    name = "universal_perturbation"
    rng = generator(name, rng)
    eps, delta = number(name, "eps", eps), number(name, "delta", delta, high=1)
    epochs, norm = count(name, "epochs", epochs), as_norm(name, choice(name, "norm", norm, ("linf", "l2")))
    victim = Victim(name, model, x, y, bounds=bounds)
    ball, everyone = SharedBall(norm, victim.x, eps, victim.bounds), np.arange(len(victim.x))
    v = np.zeros_like(victim.x[:1])
    best, score = None, (-1, np.nan)
    with Path(victim, epochs, callback, progress) as path:
        for _ in range(epochs if len(victim.todo) else 0):
            for i in rng.permutation(victim.todo):
                start, label = ball.added(v, [i]), victim.y[i:i + 1]
                found = unbroken(deepfool(model, start, label, steps=steps, overshoot=overshoot, bounds=victim.bounds))
                victim.queries[i] += found.queries[0]
                victim.gradients[i] += found.gradients[0]
                if found.status[0] == "success":
                    v = ball.confine(v + found.x_adv - start)
            image = ball.added(v)
            logits = victim.logits(image)
            lacks = victim.gap(logits)
            path.record(everyone, image, logits, margin=lacks)
            met, gap = victim.criterion.met(logits)[victim.todo], lacks[victim.todo]
            best, score = max((v, (met.sum(), -gap.mean())), (best, score), key=lambda epoch: epoch[1])
            if met.mean() >= 1 - delta:
                break
    best = v if best is None else best  # Ctrl-C in the first epoch
    settings = {"eps": eps, "norm": norm, "delta": delta, "epochs": epochs, "steps": steps, "overshoot": overshoot}
    return universal_result(victim, ball, best, path, others, controls, rng, settings)


def adversarial_patch(model, x, y, *, size=9, shape="circle", rotation=22.5, scale=(0.8, 1.2), placement="random",
                      steps=200, lr=0.05, loss="margin", targeted=False, others=None, controls=3, bounds=(0, 1),
                      rng=None, callback=None, progress=False):
    """Learn a sticker that turns images wherever it is put, however it is turned, near or far.

        maximise  mean over images and over places t of loss(stuck(x_i, patch, t), y_i)     with Adam on the patch

    Every step draws another place, angle and scale for every image (expectation over transformations).

    Parameters
    ----------
    model : Module or callable
    x, y : arrays of shape (N, C, H, W) and (N,)
        The images to learn on, and their true classes or targets.
    size : int
        Pixels across.
    shape : 'circle' or 'square'
    rotation : float
        Degrees, each way.
    scale : (smallest, largest)
        Of the size.
    placement : 'random' or (row, column)
        Where the sticker's centre is put: anywhere where all of it is on the image, or there.
    steps, lr : int, float
        Of Adam.
    loss : 'margin', 'ce' or 'dlr'
    others : (x, y), optional
        Images to carry over to.
    controls : int
        Draws of a control sticker: the same pixels in random order.

    Returns
    -------
    AttackResult
        The learning images with the sticker at random places. ``extra["patch"]`` is the sticker (C, size, size),
        ``extra["opaque"]`` (size, size) where it covers, ``extra["learned"]`` and ``extra["carried"]`` as of
        `noise_matrix`.

    References
    ----------
    Brown et al., Adversarial patch, 2017; Athalye et al., Synthesizing robust adversarial examples, ICML 2018.
    """
    name = "adversarial_patch"
    rng = generator(name, rng)
    size, steps = count(name, "size", size), count(name, "steps", steps)
    lr, controls = number(name, "lr", lr, above=True), count(name, "controls", controls, low=0)
    climb = objective(name, loss, targeted)
    victim = Victim(name, model, x, y, targeted=targeted, bounds=bounds)
    check_pictures(name, victim.x, "a sticker has a place on them")
    sticker = Sticker(name, victim.x.shape[2:], size, shape, rotation, scale, placement)
    channels, (low, high) = victim.x.shape[1], map(victim.x.dtype.type, victim.bounds)
    patch = minigrad.Tensor(np.full((channels, size, size), (low + high) / 2, victim.x.dtype))
    adam = minigrad.optim.Adam([patch], lr=lr)
    everyone = np.arange(len(victim.x))
    with Path(victim, steps, callback, progress) as path:
        for _ in range(steps):
            at = sticker.draw(len(victim.x), rng)
            image = sticker.stuck(victim.x, patch.data, at)
            logits, value, g = victim.value_and_gradient(lambda z, i: climb(z, victim.y[i]), image)
            path.record(everyone, image, logits, loss=value)
            patch.grad = minigrad.Tensor(-sticker.pulled(g, at, patch.shape) / len(g))
            adam.step()
            patch.data = np.clip(patch.data, low, high)
    image = sticker.stuck(victim.x, patch.data, sticker.draw(len(victim.x), rng))
    options = {"targeted": targeted, "bounds": victim.bounds, "controls": controls, "rng": rng}
    extra = {"patch": patch.data, "opaque": sticker.opaque, "learned": path.finish(
        lambda: _stuck_over(model, sticker, patch.data, victim.x, victim.y, **options))}
    if others is not None:
        extra["carried"] = path.finish(lambda: _stuck_over(model, sticker, patch.data, *others, **options))
    return victim.result(image, trace=path.trace, interrupted=path.interrupted, settings={
        "size": size, "shape": shape, "rotation": rotation, "scale": scale, "placement": placement, "steps": steps,
        "lr": lr, "loss": loss, "targeted": targeted, "bounds": victim.bounds}, **extra)


class Sticker:
    """How a patch is put on images: its outline, and the places, angles and scales it may have."""

    def __init__(self, attack, canvas, size, shape, rotation, scale, placement):
        self.canvas, self.size, self.rotation = canvas, size, number(attack, "rotation", rotation, high=180)
        try:
            smallest, largest = map(float, scale)
        except (TypeError, ValueError):
            smallest, largest = 0.0, 0.0
        if not 0 < smallest <= largest < np.inf:
            raise ValueError(f"{attack}: scale is {scale!r}, expected (smallest, largest), both above 0")
        if size * largest > min(canvas):
            raise ValueError(f"{attack}: a sticker of {size} pixels at scale {largest:g} does not fit on images of "
                             f"{canvas[0]} x {canvas[1]}")
        random = isinstance(placement, str) and placement == "random"
        if not random and not (np.shape(placement) == (2,) and np.isfinite(np.asarray(placement, float)).all()):
            raise ValueError(f"{attack}: placement is {placement!r}, expected 'random' or (row, column)")
        self.scale, self.placement = (smallest, largest), None if random else placement
        choice(attack, "shape", shape, ("circle", "square"))
        off = np.arange(size) - (size - 1) / 2
        inside = off[:, None] ** 2 + off**2 <= (size / 2) ** 2
        self.opaque = inside if shape == "circle" else np.ones((size, size), bool)

    def draw(self, samples, rng):
        """Where to read the patch for every pixel of `samples` images: (2, N, H, W)."""
        angle = rng.uniform(-self.rotation, self.rotation, samples)
        scale = rng.uniform(*self.scale, samples)
        if self.placement is None:
            reach = self.size * scale / 2
            row, column = (reach - 0.5 + rng.random(samples) * (length - 2 * reach) for length in self.canvas)
        else:
            row, column = (np.full(samples, float(p)) for p in self.placement)
        middle = (self.size - 1) / 2
        return places(self.canvas, angle, scale, row, column, (middle, middle))

    def stuck(self, x, patch, at):
        """The images with the patch on them."""
        cover = self._cover(at, x.dtype)
        return ((1 - cover) * x + read((patch * self.opaque)[None], at)).astype(x.dtype)

    def pulled(self, g, at, shape):
        """The gradient for the patch, from that of the images."""
        return (spread(g, at, shape) * self.opaque).astype(g.dtype)

    def _cover(self, at, dtype):
        return read(self.opaque[None, None].astype(dtype), at)


def _stuck_over(model, sticker, patch, x, y, *, targeted, bounds, controls, rng):
    """Of images that are right from the start, how many a sticker turns, and how many the same pixels in disorder."""
    victim = Victim("adversarial_patch", model, x, y, targeted=targeted, bounds=bounds)
    todo = victim.todo

    def turned(pixels):
        image = sticker.stuck(victim.x[todo], pixels, sticker.draw(len(todo), rng))
        return victim.criterion.take(todo).met(victim.logits(image, todo))

    success = np.zeros(len(victim.x), bool)
    if not len(todo):
        return CarryOver(np.nan, np.nan, np.full(controls, np.nan), success, 0)
    success[todo] = turned(patch)
    rates = np.array([turned(_disordered(patch, sticker.opaque, rng)).mean() for _ in range(controls)])
    return CarryOver(float(success[todo].mean()), float(rates.mean()) if controls else np.nan, rates, success,
                     len(todo))


def _disordered(patch, opaque, rng):
    mixed = patch.copy()
    mixed[:, opaque] = rng.permutation(patch[:, opaque], axis=1)
    return mixed
