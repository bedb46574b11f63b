"""Attacks that change where things are, or a part of the image, or everything a little: no gradient is asked for.

    occlude            paint over a region, given or explained
    spatial            turn and shift the image
    noise_baselines    noise, blur, contrast, inversion: what any attack should be better than
"""
from itertools import product

import numpy as np

from .arguments import choice, count, generator, limits, number
from .ball import as_mask
from .path import Path
from .streams import streams
from .victim import Victim, check_pictures, checked_images
from .warp import places, read


def occlude(model, x, y, *, mask, value=0.0, targeted=False, bounds=(0, 1), rng=None):
    """Paint over a region of the images, and see who changes the answer.

    Parameters
    ----------
    model : Module or callable
        Gives logits (N, K), in evaluation mode.
    x : array of shape (N, C, H, W) in `bounds`
    y : integer array of shape (N,)
    mask : boolean array that broadcasts to x's shape
        True is painted. Of a heat map: `top_region(heat, 0.1)`.
    value : float or array that broadcasts to x's shape, in `bounds`
        What it is painted with: 0, a colour (C, 1, 1), another image.
    rng
        Taken, as all attacks take it; nothing here is random.

    Returns
    -------
    AttackResult
    """
    victim = Victim("occlude", model, x, y, targeted=targeted, bounds=bounds)
    if mask is None:
        raise ValueError("occlude: mask is None, expected booleans that say what to paint over")
    mask = as_mask("occlude", mask, victim.x.shape)
    value, (low, high) = np.asarray(value, victim.x.dtype), victim.bounds
    if not (value >= low).all() or not (value <= high).all():
        raise ValueError(f"occlude: value goes from {value.min():g} to {value.max():g}, outside bounds {victim.bounds}")
    try:
        painted = np.where(mask, value, victim.x)
    except ValueError:
        painted = None
    if painted is None or painted.shape != victim.x.shape:
        raise ValueError(f"occlude: value has shape {value.shape}, which does not broadcast to x's {victim.x.shape}")
    return victim.result(painted, settings={"bounds": victim.bounds, "targeted": targeted})


def spatial(model, x, y, *, max_rotation=30.0, max_translation=3.0, num_rotations=5, num_translations=5,
            targeted=False, bounds=(0, 1), rng=None, callback=None, progress=False):
    """Try all turns and shifts of a grid, from the smallest to the largest, and stop at the first that fools.

    Parameters
    ----------
    model, x, y, targeted, bounds : as in `occlude`
    max_rotation : float
        Degrees, each way.
    max_translation : float
        Pixels, each way and along each axis.
    num_rotations, num_translations : int
        Values of the grid per parameter, from -max to max, both included; odd numbers contain 0.
    rng
        Taken, as all attacks take it; nothing here is random.

    Returns
    -------
    AttackResult
        ``extra["rotation"]`` in degrees counterclockwise, and ``extra["translation"]`` (N, 2) in pixels down and
        right, are those of the image returned; of a failure, those that came closest. What moves in from outside is
        the lower bound. An image so attacked is in no ball: its distances are large, and are not seen.

    References
    ----------
    Engstrom et al., Exploring the landscape of spatial robustness, ICML 2019. Foolbox's SpatialAttack takes the last
    that fools, this one the first of an order by size.
    """
    name = "spatial"
    max_rotation, max_translation = (number(name, *pair) for pair in (("max_rotation", max_rotation),
                                                                     ("max_translation", max_translation)))
    angles = _grid(max_rotation, count(name, "num_rotations", num_rotations))
    shifts = _grid(max_translation, count(name, "num_translations", num_translations))
    victim = Victim(name, model, x, y, targeted=targeted, bounds=bounds)
    check_pictures(name, victim.x, "it turns and shifts them")

    def size(move):
        return sum((v / limit) ** 2 for v, limit in zip(move, (max_rotation, max_translation, max_translation),
                                                        strict=True) if limit)

    best, gap = victim.x.copy(), np.full(len(victim.x), np.inf)
    found, index = np.zeros((len(victim.x), 3)), victim.todo
    moves = sorted(product(angles, shifts, shifts), key=size)
    with Path(victim, len(moves), callback, progress) as path:
        for move in moves:
            if not len(index):
                break
            image = moved(victim.x[index], *move, fill=victim.bounds[0])
            logits = victim.logits(image, index)
            lacks = victim.gap(logits, index)
            path.record(index, image, logits, margin=lacks)
            met = victim.criterion.take(index).met(logits)
            better = met | (lacks < gap[index])
            at = index[better]
            best[at], gap[at], found[at] = image[better], lacks[better], move
            index = index[~met]
    return victim.result(best, trace=path.trace, interrupted=path.interrupted, rotation=found[:, 0],
                         translation=found[:, 1:], settings={
        "max_rotation": max_rotation, "max_translation": max_translation, "num_rotations": num_rotations,
        "num_translations": num_translations, "targeted": targeted, "bounds": victim.bounds})


def moved(x, rotation, down, right, *, fill=0.0):
    """Images (N, C, H, W) turned by degrees counterclockwise about their centre, then shifted by pixels; bilinear."""
    height, width = x.shape[2:]
    centre = (height - 1) / 2, (width - 1) / 2
    at = places((height, width), [rotation], [1.0], [centre[0] + down], [centre[1] + right], centre)
    return read(x, np.repeat(at, len(x), axis=1), fill)


BASELINES = ("gaussian_noise", "uniform_noise", "salt_and_pepper", "blur", "contrast", "brightness", "inversion")


def noise_baselines(model, x, y, *, kinds=BASELINES, strengths=20, max_blur=0.25, targeted=False, bounds=(0, 1),
                    rng=None, progress=False):
    """Common corruptions, each at growing strength until the answer changes: what an attack should be better than.

    With t from 0 to 1 in `strengths` steps, low and high the bounds, and one draw per image and kind:

        gaussian_noise    x + t (high - low) N(0, 1)                uniform_noise  x + t (high - low) U(-1, 1)
        salt_and_pepper   the part t of the pixels to low or high   blur           sigma = t max_blur max(H, W) pixels
        contrast          toward the middle grey, all there at 1    brightness     toward high
        inversion         toward low + high - x

    Parameters
    ----------
    model, x, y, targeted, bounds : as in `occlude`
        x may also be vectors (N, features), but for the blur.
    kinds : names of the above
    strengths : int
    max_blur : float
        As a part of the longer side.
    rng : numpy Generator, optional

    Returns
    -------
    dict of str to AttackResult
        One for each kind, after Ctrl-C up to the one it came in; ``extra["strength"]`` is the first t that changed the
        answer, NaN where none did. A failure holds the image that came closest.
    """
    name = "noise_baselines"
    kinds = [choice(name, "kinds", kind, BASELINES) for kind in ([kinds] if isinstance(kinds, str) else kinds)]
    strengths, max_blur = count(name, "strengths", strengths), number(name, "max_blur", max_blur)
    x, rng = checked_images(name, x, limits(name, bounds)), generator(name, rng)
    if "blur" in kinds:
        check_pictures(name, x, "'blur' mixes neighbours (kinds without it take any shape)")
    found = {}
    for kind in kinds:
        found[kind] = _baseline(kind, model, x, y, strengths, max_blur, targeted, bounds, rng, progress)
        if found[kind].extra["interrupted"]:
            break
    return found


def _baseline(kind, model, x, y, strengths, max_blur, targeted, bounds, rng, progress):
    victim = Victim(kind, model, x, y, targeted=targeted, bounds=bounds)
    low, high = map(victim.x.dtype.type, victim.bounds)
    draws = _drawn(kind, victim, rng)
    best, gap = victim.x.copy(), np.full(len(victim.x), np.inf)
    strength, index = np.full(len(victim.x), np.nan), victim.todo
    with Path(victim, strengths, None, progress) as path:
        for t in np.linspace(0, 1, strengths + 1)[1:]:
            if not len(index):
                break
            image = _corrupted(kind, victim.x[index], draws[index], t, low, high, max_blur)
            logits = victim.logits(image, index)
            lacks, met = victim.gap(logits, index), victim.criterion.take(index).met(logits)
            path.record(index, image, logits, margin=lacks)
            better = met | (lacks < gap[index])
            best[index[better]], gap[index[better]] = image[better], lacks[better]
            strength[index[met]] = t
            index = index[~met]
    return victim.result(best, trace=path.trace, interrupted=path.interrupted, strength=strength,
                         settings={"strengths": strengths, "targeted": targeted, "bounds": victim.bounds})


def _drawn(kind, victim, rng):
    """The random numbers of a kind, from each sample's own generator."""
    draw = {"gaussian_noise": lambda r, s: r.standard_normal(s), "uniform_noise": lambda r, s: r.uniform(-1, 1, s),
            "salt_and_pepper": lambda r, s: r.uniform(-1, 1, (1, *s[1:]) if len(s) == 3 else s)}.get(kind)  # fmt: skip
    if draw is None:
        return np.zeros(len(victim.x))
    return np.stack([draw(r, victim.x.shape[1:]) for r in streams(victim.attack, rng, victim.x, victim.y)])


def _corrupted(kind, x, draws, t, low, high, max_blur):
    """x at strength t. Salt and pepper: |draw| < t says whether a pixel is hit, the draw's sign with what."""
    if kind in ("gaussian_noise", "uniform_noise"):
        y = x + t * (high - low) * draws
    elif kind == "salt_and_pepper":
        y = np.where(np.abs(draws) < t, np.where(draws > 0, high, low), x)
    elif kind == "blur":
        from scipy.ndimage import gaussian_filter

        sigma = t * max_blur * max(x.shape[2:])
        y = gaussian_filter(x, (0, 0, sigma, sigma))
    else:
        y = (1 - t) * x + t * {"contrast": (low + high) / 2, "brightness": high, "inversion": low + high - x}[kind]
    return np.clip(y, low, high).astype(x.dtype)


def _grid(limit, points):
    return np.linspace(-limit, limit, points) if points > 1 else np.zeros(1)
