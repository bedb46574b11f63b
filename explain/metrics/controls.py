"""Maps that know nothing of the model, and what a metric is asked about: the map and they, in the same way.

A number alone does not say whether an attribution is good. Beside it stand a random map, the edges of the picture,
which look like an explanation to the eye and are none (Adebayo et al. 2018), and a constant map, which shows what the
tie rule and the order of the pixels do by themselves.
"""

import zlib
from dataclasses import replace

import numpy as np

from ..attribution import Attribution
from ..scoring import Scoring
from .measurement import Measurement


def random_map(x, seed=0):
    """Gaussian noise of x's shape; a sample's map depends on `seed` and that sample alone, not on its place."""
    return np.stack([np.random.default_rng([seed, zlib.crc32(row.tobytes())]).standard_normal(row.shape) for row in x])


def edge_map(x):
    """The length of the Sobel gradient of each picture's grey, (N, 1, H, W); |x| itself where x is no picture."""
    if x.ndim != 4:
        return np.abs(x).astype(np.float64)
    from scipy.ndimage import sobel

    grey = x.mean(1, dtype=np.float64)  # one by one, for sobel blurs along all other axes
    return np.stack([np.hypot(sobel(one, axis=0), sobel(one, axis=1)) for one in grey])[:, None]


def constant_map(x):
    """Ones."""
    return np.ones(x.shape)


def control_maps(x, seed=0):
    """{name: map} of the controls for samples x (N, ...)."""
    return {"random": random_map(x, seed), "edges": edge_map(x), "constant": constant_map(x)}


def control_methods(seed=0):
    """{name: method} of the controls for metrics that call a method: those maps, with new noise in every call."""
    calls = iter(range(2**62))

    def method(name, make):
        def control(model, x, target=None, **options):
            with Scoring(name, model, x, target, bounds=None) as run:
                return run.attribution(make(run.x))

        return control

    makers = {"random": lambda x: random_map(x, [seed, next(calls)]), "edges": edge_map, "constant": constant_map}
    return {name: method(name, make) for name, make in makers.items()}


class Subject:
    """What a metric is asked about: a map of known samples, explained for known targets.

    Parameters
    ----------
    metric : str
        For messages.
    attribution : Attribution, or array of x's shape (the channels may be one)
    x, target
        As in `explain.scoring.Scoring`; an Attribution knows its own.
    """

    def __init__(self, metric, attribution, x=None, target=None):
        known = isinstance(attribution, Attribution)
        self.metric, self.method = metric, attribution.method if known else "map"
        self.attribution = attribution if known else None
        if x is None and not known:
            raise TypeError(
                f"{metric}: attribution is {type(attribution).__name__}, which does not know what it explains; "
                "pass x and target"
            )
        self.x = attribution.x if x is None else np.asarray(x)
        self.target = attribution.target if target is None and known else target
        self.values = as_map(metric, attribution, self.x)

    def measure(self, measured, better, controls, rng, **fields):
        """The metric of the map and, if wanted, of the controls, all with the same random draws.

        Parameters
        ----------
        measured : callable
            ``measured(values, seed)`` gives the values (N,), or a dict of fields of Measurement.
        better : str
        controls : bool, or dict of str to array
        rng : np.random.Generator or None
        """
        seed = drawn_seed(rng)
        return judged(
            self.metric,
            self.method,
            self.values,
            lambda values: measured(values, seed),
            better,
            as_controls(self.metric, controls, self.x, seed),
            **fields,
        )


def judged(metric, method, values, measured, better, controls, **fields):
    """A Measurement of `values` that carries those of the `controls`, a dict."""

    def one(name, given):
        found = measured(given)
        found = found if isinstance(found, dict) else {"values": found}
        return Measurement(metric=metric, better=better, method=name, **(fields | found))

    own = one(method, values)
    return replace(own, controls={name: one(name, given) for name, given in controls.items()})


def as_controls(metric, controls, x, seed):
    """The maps to compare with: none, the usual ones, or those given."""
    if isinstance(controls, dict):
        return {name: as_map(metric, values, x) for name, values in controls.items()}
    return control_maps(x, seed) if controls else {}


def as_map(metric, attribution, x):
    """The map as float64; it must have x's shape, or one channel."""
    values = np.asarray(attribution, np.float64)
    if values.shape != x.shape and values.shape != (len(x), 1, *x.shape[2:]):
        raise ValueError(
            f"{metric}: the attribution has shape {values.shape}, expected that of x {x.shape}, or one channel; "
            "the map of an inner layer must be upsampled first"
        )
    if not np.isfinite(values).all():
        raise ValueError(f"{metric}: the attribution holds NaN or infinity")
    return values


def drawn_seed(rng):
    """A seed for streams of random numbers, from a Generator or, if it is None, a fresh one."""
    return int((np.random.default_rng() if rng is None else rng).integers(2**63))


def over_pixels(values):
    """One number per pixel: the sum over the channels of pictures (N, P), else every value."""
    return (values.sum(1) if values.ndim == 4 else values).reshape(len(values), -1)
