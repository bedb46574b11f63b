"""What Neural Cleanse found, and which class it finds suspicious."""
from dataclasses import dataclass, field

import numpy as np

from .anomaly import SUSPICIOUS, anomaly_index
from .triggers import Overlay


@dataclass(eq=False)
class Cleansed:
    """A trigger for each class.

    Attributes
    ----------
    masks : ndarray (K, H, W) in [0, 1]
        How much of each pixel is replaced.
    patterns : ndarray (K, C, H, W)
        By what.
    works : ndarray of bool (K,)
        Whether the trigger reached the threshold; where not, norm and index of the class mean little.
    trace : list of dict
        An entry a pass: ``loss`` (cross-entropy), ``norm``, ``success`` and ``cost``, (restarts, K) each; NaN
        where the search has ended.
    seconds : float
    interrupted : bool
        Ctrl-C ended the search.
    """

    masks: np.ndarray
    patterns: np.ndarray
    works: np.ndarray
    trace: list = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False

    def __post_init__(self):
        self.works = np.asarray(self.works, bool)

    @property
    def norms(self):
        """The L1 norm of each mask (K,): in pixels."""
        return self.masks.sum((1, 2), dtype=np.float64)

    @property
    def index(self):
        """The anomaly index of each class (K,): above 2 is suspicious, below 0 larger than usual."""
        return anomaly_index(self.norms)

    @property
    def flagged(self):
        """Classes whose index is above 2, most suspicious first. Of two classes none ever is; see `ratio`."""
        found = np.flatnonzero(self.index > SUSPICIOUS)
        return found[np.argsort(self.norms[found], kind="stable")].tolist()

    @property
    def ratio(self):
        """The smallest norm over the median of the others: a plain number that also means something for two classes.

        There is no published threshold for it; compare with a model that is known to be clean.
        """
        norms = np.sort(self.norms)
        return float(norms[0] / np.median(norms[1:]))

    def trigger(self, k):
        """The trigger found for class k, to be applied, or to be compared with another."""
        return Overlay(self.masks[k], self.patterns[k])

    def plot(self, figure=None):
        """Draw patterns, masks and norms of all classes; returns the figure."""
        from .show import cleansed

        return cleansed(self, figure)

    def __repr__(self):
        smallest = int(self.norms.argmin())
        index = f", index {self.index[smallest]:.2f}" if len(self.norms) > 2 else ""
        return (f"Cleansed({len(self.norms)} classes, flagged {self.flagged}, smallest mask {self.norms[smallest]:.1f} "
                f"pixels for class {smallest}{index}, {self.ratio:.2f} of the others' median, {self.seconds:.0f} s)")
