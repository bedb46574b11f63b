"""Checks of settings that every attack shares: one message, one wording."""
import numpy as np

ENDLESS = 1e15  # a larger radius holds no more of any box of pixels, and the square of one overflows in float32


def number(attack, name, value, *, low=0.0, high=np.inf, above=False):
    """A finite number in [low, high], or in (low, high] with `above`."""
    real = isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and np.isfinite(value)
    if not real or not low <= value <= high or (above and value == low):
        limits = f"{'more than' if above else 'at least'} {low:g}" + (f", at most {high:g}" if high < np.inf else "")
        raise ValueError(f"{attack}: {name} is {value!r}, expected a number of {limits}")
    return float(value)


def count(attack, name, value, *, low=1):
    """An integer of at least `low`."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < low:
        raise ValueError(f"{attack}: {name} is {value!r}, expected an integer of at least {low}")
    return int(value)


def radius(attack, eps, samples):
    """eps as one number or one per sample, none below 0."""
    try:
        values = np.asarray(eps, np.float64)
    except (TypeError, ValueError):
        values = np.array(np.nan)
    if values.shape not in ((), (samples,)) or not np.isfinite(values).all() or (values < 0).any():
        raise ValueError(f"{attack}: eps is {eps!r:.60}, expected a number of at least 0, or one for each of the "
                         f"{samples} images")
    return np.minimum(values, ENDLESS)


def generator(attack, rng):
    """The generator given, or a new one."""
    if rng is not None and not isinstance(rng, np.random.Generator):
        raise TypeError(f"{attack}: rng is {type(rng).__name__}, expected a numpy.random.Generator: "
                        "np.random.default_rng(0)")
    return np.random.default_rng() if rng is None else rng


def choice(attack, name, value, options):
    """One of the options."""
    if value not in options:
        raise ValueError(f"{attack}: {name} is {value!r}, expected one of {', '.join(map(repr, options))}")
    return value


def limits(attack, bounds):
    """The bounds of the pixels as two floats, the lower first."""
    try:
        low, high = map(float, bounds)
    except (TypeError, ValueError):
        low, high = 0.0, 0.0
    if not -np.inf < low < high < np.inf:
        raise ValueError(f"{attack}: bounds are {bounds!r}, expected two numbers (low, high), low below high")
    return low, high
