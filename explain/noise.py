"""Attributions of many noisy or mixed inputs, averaged: a gradient flickers from pixel to pixel, its mean does not.

All random numbers are drawn before anything is computed, and every sample of a batch gets the same ones: a sample's
result depends neither on its neighbours nor on its place among them.
"""

from functools import partial
from inspect import signature

import numpy as np

from .gradient import saliency
from .inputs import as_generator, as_pool
from .scoring import Scoring

SIGNED = partial(saliency, absolute=False)
KINDS = ("smoothgrad", "smoothgrad_sq", "vargrad")
_PER_SAMPLE = ("baselines", "feature_mask")  # options of methods that may have one row per sample


def smooth_grad(
    model,
    x,
    target=None,
    *,
    method=SIGNED,
    n_samples=50,
    stdev=0.15,
    kind="smoothgrad",
    noise=None,
    rng=None,
    **options,
):
    """The mean of a method's maps over noisy copies of the input. Smilkov et al. 2017.

    With a_k the map of x + noise_k: 'smoothgrad' is the mean of a_k, 'smoothgrad_sq' the mean of a_k^2 (Hooker et al.
    2019), 'vargrad' their variance, the mean of (a_k - mean)^2 (Adebayo et al. 2018). It is the gradient of the score
    blurred by the noise, and not complete.

    Parameters
    ----------
    model, x, target
        As in `explain.scoring.Scoring`; the target is that of the clean input.
    method : callable
        Any method of this package, called with batches of noisy inputs. Signed gradients by default, as in the paper;
        `saliency` itself averages magnitudes, as Captum does.
    n_samples : int
    stdev : float
        Of the Gaussian noise, in the units of x. The paper advises 0.1 to 0.2 of its range. Noisy inputs are not
        clipped.
    kind : 'smoothgrad', 'smoothgrad_sq' or 'vargrad'
    noise : array broadcastable to (n_samples, N, C, H, W), optional
        To use instead of drawing any; ``stdev`` is then not applied.
    rng : np.random.Generator, optional
        The noise, of shape (n_samples, 1, C, H, W), is drawn from it, and then whatever `method` draws.
    **options
        Of `method`; `baselines` and `feature_mask` may have one row per sample.

    Returns
    -------
    Attribution
        ``extra["standard_error"]``, of the values' shape, where kind is 'smoothgrad' and there are two samples or more.
    """
    if kind not in KINDS:
        raise ValueError(f"smooth_grad: kind is {kind!r}, expected one of {', '.join(KINDS)}")
    common = {name: options.pop(name) for name in ("bounds",) if name in options}
    shared = {name: options[name] for name in ("score", "batch_size") if name in options}
    with Scoring("smooth_grad", model, x, target, **shared, **common) as run:
        rng = as_generator(run.method, rng)
        noise, moments = _noise(run.method, run.x, n_samples, stdev, noise, rng), _Moments()
        random = "rng" in signature(method).parameters  # then each draw is a call, which may not depend on the others
        seed = int(rng.integers(2**63)) if random else None
        for draws, rows in _blocks(len(noise), len(run.x), 1 if random else run.batch_size):
            noisy = (run.x + noise[draws]).reshape(-1, *run.x.shape[1:])
            own = {"rng": np.random.default_rng([seed, draws.start])} if random else {}
            given = _repeated(options, rows, run.x)
            found = method(model, noisy, run.target[rows], bounds=None, **own, **given)
            run.forwards, run.backwards = run.forwards + found.forwards, run.backwards + found.backwards
            moments.add(found.values.reshape(-1, len(run.x), *found.shape[1:]))
        return run.attribution(
            moments.value(kind).astype(found.dtype),
            extra=moments.extra(kind, found.dtype),
            settings={"method": found.method, "n_samples": len(noise), "stdev": stdev, "kind": kind},
        )


def gradient_shap(model, x, target=None, *, baselines, n_samples=50, stdev=0.0, draws=None, rng=None, **common):
    """Integrated gradients averaged over a set of baselines, by random points of random paths. Lundberg and Lee 2017.

        values = mean over k of (x + noise_k - b_k) * gradient at b_k + u_k (x + noise_k - b_k)

    with b_k a random row of `baselines` and u_k uniform in [0, 1]. Its expectation (also called expected gradients,
    Erion et al. 2021) adds up to F(x) less the mean score of the baselines; so `delta` is an error of sampling and
    shrinks as 1 / sqrt(n_samples).

    Parameters
    ----------
    model, x, target, **common
        As in `explain.scoring.Scoring`.
    baselines : array of shape (B, C, H, W), or a number
        Samples of what the input is compared with.
    n_samples : int
    stdev : float
        Of Gaussian noise added to x, in its units.
    draws : (choices, u, noise), optional
        To use instead of drawing: integers below B and numbers in [0, 1], of shape (n_samples,) or (n_samples, N), and
        an array broadcastable to (n_samples, N, C, H, W).
    rng : np.random.Generator, optional

    Returns
    -------
    Attribution
        Complete on average: see above. ``extra["standard_error"]`` has the values' shape.
    """
    with Scoring("gradient_shap", model, x, target, **common) as run:
        pool = as_pool(run, baselines)
        choices, u, noise = _draws(run, len(pool), n_samples, stdev, draws, rng)
        moments = _Moments()
        for part, rows in _blocks(len(noise), len(run.x), run.batch_size):
            noisy, base = run.x + noise[part], pool[choices[part]]
            way = noisy - base
            points = base + _as_column(u[part], way) * way
            gradient = run.gradient(points.reshape(-1, *run.x.shape[1:]), run.target[rows])
            moments.add(gradient.reshape(way.shape) * way)
        values = moments.value("smoothgrad").astype(run.x.dtype)
        return run.attribution(
            values,
            baseline=pool,
            pool=True,
            delta=_sampled_residual(run, values, pool),
            extra=moments.extra("smoothgrad", run.x.dtype),
            settings={"n_samples": len(noise), "stdev": stdev},
        )


class _Moments:
    """Mean and spread of maps that come one after the other, without the cancellation of E[a^2] - E[a]^2 (Welford
    1962).
    """

    def __init__(self):
        self.count, self.mean, self.spread, self.squares = 0, 0.0, 0.0, 0.0

    def add(self, maps):
        """Maps along the first axis."""
        for a in np.asarray(maps, np.float64):
            self.count += 1
            before = a - self.mean
            self.mean = self.mean + before / self.count
            self.spread = self.spread + before * (a - self.mean)
            self.squares = self.squares + a * a

    def value(self, kind):
        """What `smooth_grad` calls by that name."""
        return {
            "smoothgrad": self.mean,
            "smoothgrad_sq": self.squares / self.count,
            "vargrad": self.spread / self.count,
        }[kind]

    def extra(self, kind, dtype):
        """The standard error of the mean, where that is the value."""
        if kind != "smoothgrad" or self.count < 2:
            return {}
        return {"standard_error": np.sqrt(self.spread / (self.count * (self.count - 1))).astype(dtype)}


def _noise(function, x, n_samples, stdev, noise, rng):
    """Noise that broadcasts to (n_samples, N, ...), of x's dtype."""
    if noise is not None:
        return _as_draws(function, "noise", noise, x)
    if not isinstance(n_samples, (int, np.integer)) or n_samples < 1:
        raise ValueError(f"{function}: n_samples is {n_samples!r}, expected an integer of at least 1")
    if not (np.isscalar(stdev) and 0 <= stdev < np.inf):
        raise ValueError(f"{function}: stdev is {stdev!r}, expected a number of at least 0, in the units of x")
    shape = (n_samples, 1, *x.shape[1:])
    if stdev == 0:
        return np.zeros(shape, x.dtype)
    return (stdev * as_generator(function, rng).standard_normal(shape)).astype(x.dtype)


def _as_draws(function, name, noise, x):
    noise = np.asarray(noise, x.dtype)
    try:
        return np.broadcast_to(noise, (len(noise), *x.shape))
    except (ValueError, TypeError):
        raise ValueError(f"{function}: {name} has shape {noise.shape}, expected (n_samples, *{x.shape})") from None


def _draws(run, pool, n_samples, stdev, draws, rng):
    """Which baseline, how far along the path, and what noise: (n, N or 1), (n, N or 1) and (n, N or 1, ...)."""
    if draws is None:
        rng = as_generator(run.method, rng)
        noise = _noise(run.method, run.x, n_samples, stdev, None, rng)
        return rng.integers(pool, size=(n_samples, 1)), rng.random((n_samples, 1)), noise
    choices, u, noise = draws
    noise = _as_draws(run.method, "noise of draws", noise, run.x)
    choices, u = (np.asarray(a).reshape(len(a), -1) for a in (choices, u))
    for name, a in (("choices", choices), ("u", u)):
        if len(a) != len(noise) or a.shape[1] not in (1, len(run.x)):
            raise ValueError(
                f"{run.method}: {name} of draws has shape {a.shape}, "
                f"expected ({len(noise)},) or ({len(noise)}, {len(run.x)})"
            )
    if choices.dtype.kind not in "iu" or choices.min() < 0 or choices.max() >= pool:
        raise ValueError(
            f"{run.method}: choices of draws go from {choices.min()} to {choices.max()}, "
            f"expected integers in 0..{pool - 1}"
        )
    return choices, u, noise


def _as_column(u, like):
    """(draws, N) against (draws, N, ...), in the dtype of `like`."""
    return u.astype(like.dtype).reshape(*u.shape, *[1] * (like.ndim - 2))


def _blocks(draws, samples, batch_size):
    """Draws that go through the model together, and the sample that each row of (draws, N) belongs to."""
    size = max(1, batch_size // samples)
    for i in range(0, draws, size):
        part = slice(i, min(i + size, draws))
        yield part, np.tile(np.arange(samples), part.stop - part.start)


def _repeated(options, rows, x):
    """The options of the wrapped method, with those that have a row per sample in the order of `rows`."""
    return {
        name: np.asarray(value)[rows]
        if name in _PER_SAMPLE and np.ndim(value) == x.ndim and len(value) == len(x)
        else value
        for name, value in options.items()
    }


def _sampled_residual(run, values, pool):
    start = run.outputs(pool)[:, run.target].mean(0)  # (N,): the baselines' mean score of each sample's class
    return values.sum(axis=tuple(range(1, values.ndim)), dtype=np.float64) - (run.own_scores() - start)

