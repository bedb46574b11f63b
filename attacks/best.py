"""What a minimum-norm attack keeps while it walks: of each sample the best image so far."""
import numpy as np


class Best:
    """The nearest image that met the criterion; until one did, the one that came closest to meeting it.

    Parameters
    ----------
    victim : Victim
    criterion : Criterion, optional
        The victim's if left out.

    Attributes
    ----------
    x : ndarray (N, ...)
    size : ndarray (N,)
        How far the nearest that met it is; infinite until one did.
    gap : ndarray (N,)
        How much the best of the others missed: `Victim.gap`.
    logits : ndarray (N, K)
        What the model said of x.
    """

    def __init__(self, victim, criterion=None):
        self.victim, self.criterion = victim, criterion or victim.criterion
        self.x, self.logits = victim.x.copy(), victim.clean.copy()
        self.size, self.gap = np.full(len(victim.x), np.inf), np.full(len(victim.x), np.inf)

    def offer(self, index, x, logits, size):
        """Consider images of the samples at `index`, `size` far from theirs; returns which met the criterion."""
        met, gap = self.criterion.take(index).met(logits), self.victim.gap(logits, index)
        nearer = met & (size < self.size[index])
        closer = ~met & ~np.isfinite(self.size[index]) & (gap < self.gap[index])
        taken = nearer | closer
        self.x[index[taken]], self.logits[index[taken]] = x[taken], logits[taken]
        self.size[index[nearer]] = size[nearer]
        self.gap[index[closer]] = gap[closer]
        return met
