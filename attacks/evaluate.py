"""How robust is a network, and to whose examples? Curves and matrices, with intervals for what a sample cannot know.

    robustness_curve   accuracy under an attack against the size of the ball
    transfer_matrix    whom the examples made for one network turn, network by network

A rate from N images is uncertain: beside each stands the interval of Wilson (1927), which stays inside [0, 1] and is
right also where all or none succeed.
"""
from dataclasses import dataclass, field

import numpy as np

from .arguments import generator, number
from .carryover import added, shuffled
from .gradient import pgd
from .result import unbroken
from .stop import Stoppable
from .victim import Victim


@dataclass(eq=False)
class RobustnessCurve:
    """Accuracy under attack for a row of radii.

    Attributes
    ----------
    eps : ndarray (K,)
        Ascending; the first is 0, the clean accuracy.
    accuracy : ndarray (K,)
        Of the N images, the part that no attack of that size or a smaller one has turned.
    interval : ndarray (K, 2)
        Wilson's interval of each accuracy.
    smallest : ndarray (N,)
        The smallest of the radii at which each image was turned: 0 if wrong from the start, inf if never.
    attack : str
    settings : dict
    interrupted : bool
        Ctrl-C came, and larger radii were not tried.
    """

    eps: np.ndarray
    accuracy: np.ndarray
    interval: np.ndarray
    smallest: np.ndarray
    attack: str
    settings: dict = field(default_factory=dict)
    interrupted: bool = False

    def plot(self, ax=None, label=None):
        """Draw it into `ax`, with its intervals; see `charts.curve`."""
        from .charts import curve

        return curve(self, ax, label)

    def __str__(self):
        rows = [f"eps {e:<8.4g} accuracy {a:7.1%}  ({low:.1%} to {high:.1%})"
                for e, a, (low, high) in zip(self.eps, self.accuracy, self.interval, strict=True)]
        return "\n".join([f"{self.attack}, {len(self.smallest)} images", *rows])


def robustness_curve(model, x, y, *, eps=(0.05, 0.1, 0.15, 0.2, 0.25, 0.3), attack=pgd, confidence=0.95, bounds=(0, 1),
                     **options):
    """Attack with growing radii, and see how many images stand.

    What a smaller ball turned counts as turned in the larger ones, which hold it: only what still stands is attacked
    again. So the accuracy falls monotonically, also for an attack (FGSM) that overshoots when given more room.

    Parameters
    ----------
    model : Module or callable
    x, y : arrays (N, C, H, W) and (N,)
    eps : sequence of float
        Radii in the attack's norm.
    attack : callable
        ``attack(model, x, y, eps=, bounds=, **options) -> AttackResult``; the default is PGD in Linf.
    confidence : float
        Of the intervals.
    **options
        Passed on to the attack, such as ``norm=, steps=, rng=``.

    Returns
    -------
    RobustnessCurve
        After Ctrl-C, up to the last radius that was done.
    """
    name = "robustness_curve"
    radii = np.unique([number(name, "eps", e) for e in np.atleast_1d(eps).tolist()] + [0.0])
    confidence = number(name, "confidence", confidence, high=1 - 1e-9, above=True)
    victim = Victim(name, model, x, y, bounds=bounds)
    smallest, settings, stop = np.where(victim.already, 0.0, np.inf), {}, Stoppable()
    for e in radii[1:]:
        standing = np.flatnonzero(np.isinf(smallest))
        if not len(standing):
            break
        with stop:
            found = unbroken(attack(model, victim.x[standing], victim.y[standing], eps=e, bounds=bounds, **options))
            smallest[standing[found.success]] = e
            settings = found.settings
        if stop.interrupted:
            radii = radii[radii < e]
            break
    accuracy = (smallest > radii[:, None]).mean(1)
    interval = np.array([wilson(round(a * len(smallest)), len(smallest), confidence) for a in accuracy])
    settings = {k: v for k, v in settings.items() if k != "eps"}
    return RobustnessCurve(radii, accuracy, interval, smallest, getattr(attack, "__name__", str(attack)), settings,
                           stop.interrupted)


def from_results(name, results, confidence=0.95):
    """The RobustnessCurve of results of one attack at several radii, for all images each."""
    results = sorted(results, key=lambda r: float(np.max(r.settings["eps"])))
    radii = np.array([0.0, *(float(np.max(r.settings["eps"])) for r in results)])
    turned = np.array([results[0].status == "already_wrong", *(r.success for r in results)])
    turned = np.logical_or.accumulate(turned)
    count = turned.shape[1]
    smallest = np.where(turned.any(0), radii[turned.argmax(0)], np.inf)
    interval = np.array([wilson(count - t.sum(), count, confidence) for t in turned])
    settings = {k: v for k, v in results[0].settings.items() if k != "eps"}
    return RobustnessCurve(radii, 1 - turned.mean(1), interval, smallest, name, settings)


@dataclass(eq=False)
class TransferMatrix:
    """Whom the examples of each network turn.

    Attributes
    ----------
    rate : ndarray (S, S)
        ``rate[i, j]``: of the examples made for network i, the part that network j gets wrong. Counted over the images
        that *all* networks got right untouched, so that the cells compare; NaN if there is none, and for what Ctrl-C
        left undone.
    interval : ndarray (S, S, 2)
        Wilson's interval of each rate.
    control : ndarray (S,)
        What network j gets wrong when each change is replaced by its own values in random order with random signs: a
        change of equal norms that aims at nothing.
    clean : ndarray (S,)
        Accuracy of each network on all images.
    counted : int
        How many images the rates are of.
    names : list of str
    interrupted : bool
        Whether Ctrl-C came.
    """

    rate: np.ndarray
    interval: np.ndarray
    control: np.ndarray
    clean: np.ndarray
    counted: int
    names: list
    interrupted: bool = False

    def plot(self, ax=None):
        """Draw it with its numbers; see `charts.matrix`."""
        from .charts import matrix

        return matrix(self, ax)

    def __str__(self):
        lines = [["made for", *self.names], *([n, *map("{:.1%}".format, row)]
                 for n, row in zip([*self.names, "control"], [*self.rate, self.control], strict=True))]
        widths = [max(map(len, column)) + 2 for column in zip(*lines, strict=True)]
        text = ["".join(f"{cell:>{w}}" for cell, w in zip(line, widths, strict=True)) for line in lines]
        return "\n".join([f"examples made for the row's network, tried on the column's ({self.counted} images)", *text])


def transfer_matrix(models, x, y, *, attack=pgd, confidence=0.95, bounds=(0, 1), rng=None, **options):
    """Make examples for each network and try them on all.

    Parameters
    ----------
    models : dict of str to Module, or sequence of Modules
    x, y : arrays (N, C, H, W) and (N,)
    attack : callable
        ``attack(model, x, y, bounds=, rng=, **options) -> AttackResult``. PGD needs its ``eps=``.
    confidence : float
    rng : numpy Generator, optional
        For the attack, where it takes one, and the control.
    **options
        Passed on to the attack.

    Returns
    -------
    TransferMatrix
        After Ctrl-C in an attack, without the examples of that network and of those after it; after another while the
        examples are tried, without what was not tried yet.

    References
    ----------
    Papernot, McDaniel, Goodfellow, Transferability in machine learning, 2016.
    """
    name = "transfer_matrix"
    models = models if isinstance(models, dict) else {f"net {i}": m for i, m in enumerate(models)}
    if not models:
        raise ValueError(f"{name}: models is empty, expected at least one network")
    confidence = number(name, "confidence", confidence, high=1 - 1e-9, above=True)
    rng = generator(name, rng)
    victims = [Victim(name, model, x, y, bounds=bounds) for model in models.values()]
    right = ~np.any([v.already for v in victims], axis=0)
    x, y = victims[0].x[right], victims[0].y[right]
    size = len(models)
    rate, control = np.full((size, size), np.nan), np.full(size, np.nan)
    interval = np.full((size, size, 2), np.nan)
    options |= {"rng": rng} if "rng" in _parameters(attack) else {}
    made, stop = [], Stoppable()
    with stop:
        for model in models.values() if len(y) else ():
            made.append(unbroken(attack(model, x, y, bounds=bounds, **options)).x_adv)
    with stop:
        for j, model in enumerate(models.values()):
            for i, x_adv in enumerate(made):
                wrong = Victim(name, model, x_adv, y, bounds=bounds).already
                rate[i, j], interval[i, j] = wrong.mean(), wilson(wrong.sum(), len(y), confidence)
            if j < len(made):
                noise = np.stack([shuffled(d, rng) for d in made[j] - x])
                control[j] = Victim(name, model, added(x, noise, bounds), y, bounds=bounds).already.mean()
    clean = np.array([1 - v.already.mean() for v in victims])
    return TransferMatrix(rate, interval, control, clean, len(y), list(models), stop.interrupted)


def wilson(successes, trials, confidence=0.95):
    """The interval of a rate, Wilson 1927: (low, high); (0, 1) if nothing was tried."""
    from scipy.stats import binomtest

    if not trials:
        return 0.0, 1.0
    return tuple(binomtest(int(successes), int(trials)).proportion_ci(confidence, "wilson"))


def _parameters(attack):
    import inspect

    return inspect.signature(attack).parameters
