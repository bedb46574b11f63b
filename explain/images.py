"""Images that are made, not explained: walk down the gradient of a loss with respect to the pixels, the model fixed.

Everything here is the training loop of `minigrad.train` with the roles changed: the weights stand still and the image
learns. What it is to look like is said by a loss, and by regularisers (`explain.regularisers`), without which the
result is a pattern that excites the network and means nothing to us.
"""

import time
from dataclasses import dataclass, field

import numpy as np

import minigrad

from .game import checked_count
from .game import steps as shown_steps
from .gradient import select_relu
from .inputs import as_generator

OPTIMIZERS = ("normalised", "adam")


@dataclass(eq=False)
class Images:
    """Images that a method made; behaves like the array `images` (``np.asarray(a)``, ``a[0]``).

    Attributes
    ----------
    images : ndarray (N, C, H, W) in [0, 1]
    method : str
    trace : dict of str to ndarray (steps, N)
        Each part of the loss before every step, per image, and ``"loss"``, their sum.
    settings : dict
        The options the method ran with.
    steps : int
        How many were taken.
    seconds : float
    interrupted : bool
        Whether Ctrl-C ended it early; the images are then those of the last whole step.
    """

    images: np.ndarray
    method: str
    trace: dict
    settings: dict = field(default_factory=dict)
    steps: int = 0
    seconds: float = 0.0
    interrupted: bool = False

    shape = property(lambda self: self.images.shape, doc="Of `images`.")

    def __array__(self, dtype=None, copy=None):
        return np.array(self.images, dtype=dtype, copy=copy)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index]

    def __repr__(self):
        loss = self.trace["loss"]
        ends = f", loss {loss[0].mean():.4g} to {loss[-1].mean():.4g}" if len(loss) else ""
        early = " (interrupted)" if self.interrupted else ""
        return f"Images({self.method}, {self.shape}, {self.steps} steps{early}{ends}, {self.seconds:.1f} s)"

    def plot(self, ax=None, columns=None, title=None):
        """Draw all the images, side by side. Returns the axes."""
        from .show import picture

        return picture(tile(self.images, columns), ax=ax, title=title)


def tile(pictures, columns=None, *, colour=None, gap=1, fill=1.0):
    """Put pictures side by side in one: ``show.picture(tile(...))`` draws them all.

    Parameters
    ----------
    pictures : ndarray (N, C, H, W) in [0, 1]
        With one or three channels, N pictures; with any other number, a row of C grey pictures for each of the N.
    columns : int, optional
        Pictures in a row. If left out: what makes the whole about square, or C where each channel is a picture and N
        is more than 1.
    colour : bool, optional
        Whether channels are the colours of one picture; if left out, as above.
    gap : int
        Pixels between pictures.
    fill : float
        Their shade.

    Returns
    -------
    ndarray (1 or 3, H', W')
    """
    pictures = np.asarray(pictures)
    if pictures.ndim != 4 or not pictures.size:
        raise ValueError(f"tile: got shape {pictures.shape}, expected (N, C, H, W); one picture is x[None]")
    n, c, height, width = pictures.shape
    if not (c in (1, 3) if colour is None else colour):
        columns = columns or (c if n > 1 else None)
        pictures = pictures.reshape(n * c, 1, height, width)
    count, channels = pictures.shape[:2]
    square = int(np.ceil(np.sqrt(count * height / width)))
    columns = min(count, checked_count("tile", "columns", columns or square, 1, "pictures in a row"))
    rows = -(-count // columns)
    whole = np.full((channels, rows * (height + gap) - gap, columns * (width + gap) - gap), fill, pictures.dtype)
    for i, picture in enumerate(pictures):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        whole[:, top:top + height, left:left + width] = picture
    return whole


def make(method, start, loss, *, canvas, steps, rate, optimizer, regularisers=(), rng=None, progress=False,
         settings=None):  # fmt: skip
    """Take `steps` steps down the gradient of a loss with respect to an image; what all makers of images share.

    Each step: the image as the regularisers transform it goes into `loss`; the penalties are added; one step of the
    optimizer on the canvas's numbers; the regularisers' projections; into [0, 1].

    Parameters
    ----------
    method : str
        For messages and the result.
    start : ndarray (N, ...)
        The numbers that stand for the images in the beginning.
    loss : callable
        Takes a Tensor (N, C, H, W) and returns {name: Tensor (N,)}, each image's loss in parts.
    canvas : Pixels or Fourier
        Which numbers stand for an image; see `explain.canvas`.
    steps : int
    rate : float
    optimizer : 'normalised' or 'adam'
        'normalised': each image's gradient is scaled to length 1, so `rate` is the length of a step. 'adam': Adam, with
        a rate that falls to zero as half a cosine.
    regularisers : sequence of Regulariser
    rng : np.random.Generator, optional
        For their draws; all images get the same ones.
    progress : bool

    Returns
    -------
    Images
        Also when interrupted by Ctrl-C: with the images of the last whole step.
    """
    steps = checked_count(method, "steps", steps, 0, "steps to take")
    if not (isinstance(rate, (int, float, np.number)) and rate > 0):
        raise ValueError(f"{method}: rate is {rate!r}, expected a positive number")
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"{method}: optimizer is {optimizer!r}, expected one of {', '.join(OPTIMIZERS)}")
    rng = as_generator(method, rng)
    begun = time.perf_counter()
    leaf = minigrad.Tensor(np.ascontiguousarray(start), requires_grad=True)
    step = _stepper(leaf, optimizer, rate, steps)
    done, trace, interrupted = _pixels(canvas, leaf), [], False
    try:
        for number in shown_steps(range(1, steps + 1), progress, method):
            image = canvas.decode(leaf)
            parts = {r.name: r.penalty(image) for r in regularisers}
            for r in regularisers:
                image = r.transform(image, rng)
            parts = {**loss(image), **{name: part for name, part in parts.items() if part is not None}}
            total = sum(parts.values())
            _check(method, total, number)
            step(_downhill(total, leaf))
            before = new = _pixels(canvas, leaf)
            for r in regularisers:
                new = r.project(new, number)
            if new is not before:
                leaf.data = canvas.encode(new).astype(leaf.dtype)
            trace.append({"loss": total.data, **{name: part.data for name, part in parts.items()}})
            done = new
    except KeyboardInterrupt:
        interrupted = True
    traced = {name: np.array([entry[name] for entry in trace]) for name in (trace[0] if trace else ("loss",))}
    return Images(done, method, traced, {**(settings or {}), "steps": steps, "rate": rate, "optimizer": optimizer,
                                         "canvas": canvas, "regularisers": tuple(regularisers)},
                  len(trace), time.perf_counter() - begun, interrupted)  # fmt: skip


def _downhill(total, leaf):
    """The gradient; of an image that has none, the one that passes ReLUs as if they were on.

    A unit that is off everywhere cannot say what it wants. To ask it all the same is Lucid's "redirected ReLU".
    """
    gradient = minigrad.grad(total.sum(), leaf)
    stuck = ~gradient.data.any(axis=tuple(range(1, leaf.ndim)))
    if stuck.any():
        redirected = minigrad.grad(total.sum(), leaf, rules=select_relu(lambda op, g, y, x: (lambda: g,)))
        gradient = minigrad.Tensor(np.where(stuck.reshape(-1, *[1] * (leaf.ndim - 1)), redirected.data, gradient.data))
    return gradient


def _stepper(leaf, optimizer, rate, steps):
    if optimizer == "adam":
        adam = minigrad.optim.Adam([leaf], lr=rate)
        schedule = minigrad.optim.CosineAnnealingLR(adam, T_max=max(steps, 1))

        def step(gradient):
            leaf.grad = gradient
            adam.step()
            schedule.step()

    else:

        def step(gradient):
            g = gradient.data
            length = np.sqrt((g.astype(np.float64) ** 2).sum(axis=tuple(range(1, g.ndim)), keepdims=True))
            leaf.data = leaf.data - (rate * g / np.maximum(length, np.finfo(g.dtype).tiny)).astype(g.dtype)

    return step


def _pixels(canvas, leaf):
    """The image in [0, 1] that the numbers of `leaf` stand for, and the numbers brought back to what is possible."""
    leaf.data = canvas.confine(leaf.data)
    with minigrad.no_grad():
        return canvas.decode(leaf).data.copy()


def _check(method, total, number):
    if not np.isfinite(total.data).all():
        raise FloatingPointError(f"{method}: the loss is {total.data.tolist()} at step {number}; try a smaller rate")
