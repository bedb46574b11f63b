"""What a method is given, checked: samples, baselines, the model, a generator. Errors name the argument and the fix."""

import numpy as np

import minigrad
from minigrad.tensor import as_array


def as_samples(method, x, bounds):
    """A copy of x as floats (N, ...), so that what is kept of it does not change with the caller's."""
    x = np.array(x.data if isinstance(x, minigrad.Tensor) else as_array(x))
    if x.dtype.kind != "f":
        bytes_of = "; for bytes: x.astype(np.float32) / 255" if x.dtype.kind in "iu" else ""
        raise TypeError(f"{method}: x has dtype {x.dtype}, expected floats in [0, 1]{bytes_of}")
    if x.ndim < 2:
        raise ValueError(f"{method}: x has shape {x.shape}, expected (N, C, H, W); one image is x[None]")
    if not len(x):
        raise ValueError(f"{method}: x has shape {x.shape}, which holds no samples")
    _within(method, "x", x, bounds)
    return x


def as_baseline(run, baselines):
    """`baselines` (None or a number, or an array of x's shape or with one row) as an array of x's shape."""
    baseline = _floats(run, baselines)
    try:
        baseline = np.broadcast_to(baseline, run.x.shape)
    except ValueError:
        raise ValueError(
            f"{run.method}: baselines has shape {baseline.shape}, expected a number or shape {run.x.shape} (or one row "
            "of it)"
        ) from None
    return baseline


def as_pool(run, baselines):
    """A set of baselines (B, ...) for all samples; a number is one row."""
    pool = _floats(run, baselines)
    if pool.ndim == 0:
        return np.full((1, *run.x.shape[1:]), pool, run.x.dtype)
    if pool.shape[1:] != run.x.shape[1:] or not len(pool):
        raise ValueError(
            f"{run.method}: baselines has shape {pool.shape}, expected a number or (B, "
            f"{', '.join(map(str, run.x.shape[1:]))})"
        )
    return pool


def as_generator(method, rng):
    """The generator given, or a new one."""
    if rng is not None and not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"{method}: rng is {type(rng).__name__}, expected a np.random.Generator, such as np.random.default_rng(0)"
        )
    return np.random.default_rng() if rng is None else rng


def check_model(method, model):
    """Refuse what cannot be called."""
    if not callable(model):
        raise TypeError(f"{method}: model is {type(model).__name__}, expected a Module or a callable")


def check_answer(method, y, count):
    """Refuse what is no Tensor of logits, a row for each of `count` samples."""
    if not isinstance(y, minigrad.Tensor):
        raise TypeError(f"{method}: the model returned {type(y).__name__}, expected a Tensor of logits (N, classes)")
    if y.ndim != 2 or len(y.data) != count:
        raise ValueError(
            f"{method}: the model returned shape {y.shape} for {count} samples, expected logits ({count}, classes)"
        )


def _floats(run, baselines):
    """Baselines as numbers that x might hold."""
    try:
        array = np.asarray(0 if baselines is None else baselines, run.x.dtype)
    except (ValueError, TypeError):
        raise TypeError(
            f"{run.method}: baselines is {baselines!r:.60}, expected a number or an array of numbers"
        ) from None
    _within(run.method, "baselines", array, run.bounds)
    return array


def _within(method, name, array, bounds):
    if not np.isfinite(array).all():
        raise ValueError(f"{method}: {name} holds NaN or infinity")
    if bounds is not None and array.size and (array.min() < bounds[0] or array.max() > bounds[1]):
        raise ValueError(
            f"{method}: {name} goes from {array.min():g} to {array.max():g}, expected {bounds[0]}..{bounds[1]}; "
            "models take pixels in [0, 1] and standardise them inside (pass bounds=None if your model differs)"
        )
