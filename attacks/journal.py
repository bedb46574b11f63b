"""An attack's books: what happened at every step, what was found best, and a way to stop it.

    best = Best(victim)
    with Journal(victim, steps, callback, progress) as journal:
        for step in range(steps):
            ...
            best.offer(index, x, met, size, gap)
            journal.note(index, x, logits, stepsize=...)
    return victim.result(best.x, trace=journal.trace, interrupted=journal.interrupted)

Ctrl-C inside the block ends the block and nothing else: what was found until then is returned.
"""
import numpy as np

from .norms import NORMS


class Journal:
    """The trace, the callback, the progress bar and Ctrl-C of one attack.

    Parameters
    ----------
    victim : Victim
    total : int
        How many notes are expected, for the bar.
    callback : callable or None
        ``callback(entry, x)`` after every note: the entry of the trace, and the images (N, ...) as they stand.
    progress : bool
        Show a bar.

    Attributes
    ----------
    trace : list of dict
        ``step``, and of shape (N,), NaN for samples that were done: ``margin`` (how far the logits are from success,
        below zero after it), ``l2``, ``linf``, and what else the attack noted.
    interrupted : bool
        Whether Ctrl-C ended it.
    """

    def __init__(self, victim, total, callback=None, progress=False):
        self.victim, self.total, self.callback, self.progress = victim, total, callback, progress
        self.trace, self.interrupted, self.x, self._bar = [], False, victim.x.copy(), None

    def __enter__(self):
        if self.progress:
            from tqdm.auto import tqdm
            self._bar = tqdm(total=self.total, desc=self.victim.attack)
        return self

    def __exit__(self, kind, *_):
        if self._bar is not None:
            self._bar.close()
        self.interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
        return self.interrupted

    def note(self, index, x, logits=None, **values):
        """Write down the samples at `index`: their images x, their logits, and further numbers, (n,) each or one."""
        change = x - self.victim.x[index]
        values |= {name: NORMS[name].distance(change) for name in ("l2", "linf")}
        if logits is not None:
            values["margin"] = self.victim.gap(logits, index)
        entry = {"step": len(self.trace)} | {name: self._spread(index, value) for name, value in values.items()}
        self.trace.append(entry)
        if self.callback is not None:
            self.x[index] = x
            self.callback(entry, self.x.copy())
        if self._bar is not None:
            self._bar.update()

    def _spread(self, index, value):
        full = np.full(len(self.x), np.nan)
        full[index] = value
        return full


class Best:
    """Of each sample, the nearest image that met the criterion; until one did, the one that came closest to meeting it.

    Attributes
    ----------
    x : ndarray (N, ...)
    size : ndarray (N,)
        Distance of the nearest that met it; infinite until one did.
    gap : ndarray (N,)
        How far from meeting it the best of the others was.
    """

    def __init__(self, victim):
        self.x, self.size, self.gap = victim.x.copy(), np.full(len(victim.x), np.inf), np.full(len(victim.x), np.inf)

    @property
    def found(self):
        """Whether an image met the criterion, (N,)."""
        return np.isfinite(self.size)

    def offer(self, index, x, met, size, gap):
        """Consider images x of the samples at `index`; returns whether each is the nearest so far that met it."""
        nearer = met & (size < self.size[index])
        closer = ~met & ~self.found[index] & (gap < self.gap[index])
        taken = nearer | closer
        self.x[index[taken]] = x[taken]
        self.size[index[nearer]] = size[nearer]
        self.gap[index[closer]] = gap[closer]
        return nearer
