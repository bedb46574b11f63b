"""Pictures from gradients: what a network takes for a class.

    fooling_image    a little change, and the picture of a dog is a ship: the difference is magnified to be seen
    rubbish_image    noise that becomes what the network thinks a class is; not a picture of anything
    image_to_image   as near to a picture as possible, and as much of another class as possible

`carryover.noise_matrix` is the fourth: one change for all pictures.
"""
import numpy as np

import minigrad

from .arguments import choice, count, generator, limits, number
from .criteria import Confident
from .norms import L2
from .path import Path
from .streams import streams
from .victim import Victim


def fooling_image(model, x, y, *, steps=100, abs_stepsize=0.2, confidence=0.0, bounds=(0, 1), rng=None, callback=None,
                  progress=False):
    """Change images by steps up the slope of another class's score until the network gives them that class.

        x <- clip(x + abs_stepsize g / |g|_2),   g = gradient of the logit z_y

    Parameters
    ----------
    model : Module or callable
        Gives logits (N, K), in evaluation mode.
    x : array of shape (N, C, H, W) in `bounds`
    y : integer array of shape (N,)
        The classes wanted.
    steps : int
        At most.
    abs_stepsize : float
        Length of a step, in units of a pixel value. CS231n takes 1 for ImageNet; a digit is about 9 long.
    confidence : float
        Go on until the logit of y leads by so much.
    rng
        Taken, as all attacks take it; nothing here is random.

    Returns
    -------
    AttackResult
        The first image that is wanted enough, or the one that came closest. `show.compare` shows the difference,
        magnified. ``trace``: ``loss`` (the logit), ``margin``, ``probability``, ``l2``, ``linf``.

    References
    ----------
    Szegedy et al., Intriguing properties of neural networks, 2014; Stanford CS231n, assignment 3.
    """
    steps, confidence = count("fooling_image", "steps", steps), number("fooling_image", "confidence", confidence)
    abs_stepsize = number("fooling_image", "abs_stepsize", abs_stepsize, above=True)
    victim = Victim("fooling_image", model, x, y, targeted=True, bounds=bounds)
    victim.want(victim.criterion & Confident(victim.y, confidence, targeted=True))
    best, gap = victim.x.copy(), np.full(len(victim.x), np.inf)
    index, image = victim.todo, victim.x[victim.todo]
    with Path(victim, steps + 1, callback, progress) as path:
        for step in range(steps + 1):
            logits, score, g = victim.value_and_gradient(_logit(victim), image, index)
            lacks = _record(path, victim, index, image, logits, score)
            better = lacks < gap[index]
            best[index[better]], gap[index[better]] = image[better], lacks[better]
            on = ~victim.criterion.take(index).met(logits)
            index, image, g = index[on], image[on], g[on]
            if step == steps or not len(index):
                break
            image = np.clip(image + abs_stepsize * L2().steepest(g), *map(image.dtype.type, victim.bounds))
    return victim.result(best, trace=path.trace, interrupted=path.interrupted, settings={
        "steps": steps, "abs_stepsize": abs_stepsize, "confidence": confidence, "bounds": victim.bounds})


def rubbish_image(model, y, *, shape=(1, 28, 28), start="noise", steps=200, lr=0.05, l2=0.0, tv=0.0, jitter=0,
                  blur=0.0, bounds=(0, 1), rng=None, callback=None, progress=False):
    """Climb the logit of a class from noise: an image that means nothing, of which the network is sure.

        maximise  z_y(x) - l2 |x - low|^2 - tv sum |x_p - x_q|^2   (p, q neighbours)      with Adam

    The regularisers ask for something more like a picture: few bright pixels (`l2`), smooth (`tv`, `blur`), the same
    after a shift (`jitter`).

    Parameters
    ----------
    model : Module or callable
    y : integer array of shape (N,)
        The classes; a class that stands in it several times gets several starts.
    shape : (C, H, W)
    start : 'noise' (even in the bounds), 'grey' (their middle), or array (N, C, H, W)
    steps, lr : int, float
        Of Adam.
    l2, tv : float
        Weights of the penalties.
    jitter : int
        Before every step the image is shifted (in a ring) by up to so many pixels each way, and back after it.
    blur : float
        Standard deviation, in pixels, of the Gaussian that smooths the image after every step; 0 is none.

    Returns
    -------
    AttackResult
        ``trace`` is the cost curve: ``cost`` (what is minimised), ``loss`` (the logit), ``margin``, ``probability``.

    References
    ----------
    Simonyan, Vedaldi, Zisserman, Deep inside convolutional networks, 2014; Goodfellow et al. 2015 (rubbish class
    examples); Nguyen, Yosinski, Clune, Deep neural networks are easily fooled, 2015.
    """
    name = "rubbish_image"
    jitter, blur = count(name, "jitter", jitter, low=0), number(name, "blur", blur)
    l2, tv = number(name, "l2", l2), number(name, "tv", tv)
    x, rngs = _start(name, start, y, shape, bounds, rng)
    victim = Victim(name, model, x, y, targeted=True, bounds=bounds)
    victim.already[:] = False  # noise that the network takes for the class by chance is not yet the image wanted
    low = victim.bounds[0]

    def penalty(image, index):
        rough = (image[:, :, 1:] - image[:, :, :-1]), (image[:, :, :, 1:] - image[:, :, :, :-1])
        return l2 * ((image - low) ** 2).sum((1, 2, 3)) + tv * sum((d**2).sum((1, 2, 3)) for d in rough)

    def around(image, step):
        shifts = [tuple(r.integers(-jitter, jitter + 1, 2)) if jitter else (0, 0) for r in rngs]
        shifted = np.stack([np.roll(i, s, (1, 2)) for i, s in zip(image, shifts, strict=True)])
        *seen, g = victim.value_and_gradient(_logit(victim), shifted, penalty=penalty)
        back = [np.roll(i, (-s[0], -s[1]), (1, 2)) for i, s in zip(g, shifts, strict=True)]
        return *seen, np.stack(back)

    return _ascend(victim, x, around, steps, lr, callback, progress, blur=blur, settings={
        "start": start if isinstance(start, str) else "array", "l2": l2, "tv": tv, "jitter": jitter})


def image_to_image(model, x, y, *, beta=1.0, start="image", steps=200, lr=0.02, bounds=(0, 1), rng=None,
                   callback=None, progress=False):
    """Make something that looks like x and is taken for y, from x itself or out of noise.

        maximise  z_y(x') - beta |x' - x|^2      with Adam

    Parameters
    ----------
    model : Module or callable
    x : array of shape (N, C, H, W) in `bounds`
        What it should look like.
    y : integer array of shape (N,)
        What it should be taken for.
    beta : float
        What a squared distance of 1 costs, in logits. Large: a near picture; small: a sure one.
    start : 'image' or 'noise'
        From x, or from noise in which both, picture and class, must be found.
    steps, lr : int, float
        Of Adam.

    Returns
    -------
    AttackResult
        Of the images taken for y the one with the lowest cost; else the one that came closest. ``trace``: ``cost``,
        ``loss`` (the logit), ``margin``, ``probability``, ``l2``, ``linf``.

    References
    ----------
    D. Geng and R. Veerapaneni, Tricking neural networks: create your own adversarial examples, 2018, whose cost is
    the squared error of the output instead of the logit.
    """
    name = "image_to_image"
    beta = number(name, "beta", beta)
    choice(name, "start", start, ("image", "noise"))
    victim = Victim(name, model, x, y, targeted=True, bounds=bounds)
    rngs, (low, high) = streams(victim.attack, rng, victim.x, victim.y), victim.bounds
    begin = victim.x if start == "image" else np.stack([r.uniform(low, high, victim.x.shape[1:]) for r in rngs])

    def penalty(image, index):
        return beta * ((image - victim.x[index]) ** 2).sum(tuple(range(1, image.ndim)))

    def around(image, step):
        return victim.value_and_gradient(_logit(victim), image, penalty=penalty)

    return _ascend(victim, begin.astype(victim.x.dtype), around, steps, lr, callback, progress,
                   settings={"beta": beta, "start": start})


def _ascend(victim, x, around, steps, lr, callback, progress, *, settings, blur=0.0):
    """Adam on the pixels; keeps the image of the lowest cost among those that are taken for the class."""
    steps, lr = count(victim.attack, "steps", steps), number(victim.attack, "lr", lr, above=True)
    everyone, limits = np.arange(len(x)), tuple(map(x.dtype.type, victim.bounds))
    picture = minigrad.Tensor(x.copy())
    adam = minigrad.optim.Adam([picture], lr=lr)
    best, rank = x.copy(), np.full((2, len(x)), np.inf)
    with Path(victim, steps + 1, callback, progress) as path:
        for step in range(steps + 1):
            image = picture.data
            logits, value, g = around(image, step)
            score = logits[everyone, victim.y]
            lacks = _record(path, victim, everyone, image, logits, score, cost=-value)
            met = victim.criterion.met(logits)
            now = np.where(met, [np.zeros(len(x)), -value], [np.ones(len(x)), lacks])  # met first, then by cost
            better = (now[0] < rank[0]) | ((now[0] == rank[0]) & (now[1] < rank[1]))
            best[better], rank[:, better] = image[better], now[:, better]
            picture.grad = minigrad.Tensor(-g)
            adam.step()
            picture.data = np.clip(_blurred(picture.data, blur), *limits)
    return victim.result(best, trace=path.trace, interrupted=path.interrupted,
                         settings={"steps": steps, "lr": lr, "blur": blur, "bounds": victim.bounds} | settings)


def _logit(victim):
    return lambda logits, index: logits.gather(1, victim.y[index][:, None]).squeeze(1)


def _record(path, victim, index, image, logits, score, **values):
    gap = victim.gap(logits, index)
    odds = np.exp(logits - logits.max(1, keepdims=True))
    probability = (odds / odds.sum(1, keepdims=True))[np.arange(len(index)), victim.y[index]]
    path.record(index, image, logits, loss=score, margin=gap, probability=probability, **values)
    return gap


def _blurred(image, sigma):
    if not sigma:
        return image
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(image, (0, 0, sigma, sigma))


def _start(name, start, y, shape, bounds, rng):
    """First images for classes y, and a generator for each: the same for a class wherever it stands in y."""
    low, high = limits(name, bounds)
    y = np.asarray(y)
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise ValueError(f"{name}: y is {y.dtype} of shape {y.shape}, expected integer classes of shape (N,)")
    if not (len(shape) == 3 and all(isinstance(n, (int, np.integer)) and n > 0 for n in shape)):
        raise ValueError(f"{name}: shape is {shape!r}, expected (C, H, W)")
    seed = int(generator(name, rng).integers(2**63))
    earlier = [int((y[:i] == c).sum()) for i, c in enumerate(y)]
    rngs = [np.random.default_rng([seed, abs(int(c)), k]) for c, k in zip(y, earlier, strict=True)]
    if isinstance(start, str):
        choice(name, "start", start, ("noise", "grey"))
        x = [r.uniform(low, high, shape) if start == "noise" else np.full(shape, (low + high) / 2) for r in rngs]
        return np.array(x, np.float32), rngs
    return np.array(start), rngs
