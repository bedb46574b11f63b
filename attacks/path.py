"""The path of an attack: what happened at every step, a progress bar, a callback, and a clean end on Ctrl-C.

    with Path(victim, steps, callback, progress) as path:
        for _ in range(steps):
            ...
            path.record(index, x, logits, stepsize=stepsizes)
    return victim.result(best, trace=path.trace, interrupted=path.interrupted)
"""
import numpy as np

from .losses import cross_entropies
from .norms import L2, Linf
from .stop import Stoppable


class Path(Stoppable):
    """Collects one light entry a step.

    Parameters
    ----------
    victim : Victim
    total : int
        Steps to expect, for the bar.
    callback : callable, optional
        ``callback(step, x, entry)`` after every step: the step's number, all images as they are now (N, ...), and the
        step's entry of the trace. x is overwritten by the next step: copy what is to be kept.
    progress : bool
        Show a bar.

    Attributes
    ----------
    trace : list of dict of str to ndarray of shape (N,)
        ``loss margin l2 linf``, and what the attack adds; NaN for samples that no longer took part.
    interrupted : bool
        Whether Ctrl-C ended the attack; what was found until then stands.
    """

    def __init__(self, victim, total, callback=None, progress=False):
        self.victim, self.callback = victim, callback
        self.trace = []
        self.now = victim.x.copy() if callback else None
        self.bar = _bar(victim.attack, total) if progress else None

    def __exit__(self, kind, error, traceback):
        if self.bar is not None:
            self.bar.close()
        return super().__exit__(kind, error, traceback)

    def record(self, index, x, logits, **values):
        """One step of the samples at `index`, whose images are x now.

        Parameters
        ----------
        index : integer array (n,)
        x : ndarray (n, ...)
        logits : ndarray (n, K)
            What the model said of x: nothing is asked here.
        **values : arrays (n,)
            More to note. A `loss` is the attack's own, if it has one; otherwise it is the cross-entropy, with its sign
            turned if `targeted`, so that it rises as the criterion comes nearer. A `margin` need not be given: it is
            what the criterion lacks, `Victim.gap`.
        """
        victim, d = self.victim, x - self.victim.x[index]
        if "loss" not in values:
            values["loss"] = cross_entropies(logits, victim.y[index]) * (-1 if victim.targeted else 1)
        if "margin" not in values:
            values["margin"] = victim.gap(logits, index)
        values.update(l2=L2().distance(d), linf=Linf().distance(d))
        entry = {name: np.full(len(self.victim.x), np.nan) for name in values}
        for name, value in values.items():
            entry[name][index] = value
        self.trace.append(entry)
        if self.bar is not None:
            self.bar.update()
        if self.callback is not None:
            self.now[index] = x
            self.callback(len(self.trace) - 1, self.now, entry)


def _bar(attack, total):
    from tqdm import tqdm

    return tqdm(total=total, desc=attack, leave=False)
