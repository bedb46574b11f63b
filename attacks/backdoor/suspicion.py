"""What a detector says of each sample, and how right it is where the planted samples are known."""
from dataclasses import dataclass, field

import numpy as np


@dataclass(eq=False)
class Suspicion:
    """A score and a verdict for each sample.

    Attributes
    ----------
    detector : str
    scores : ndarray (N,)
        The higher the more suspicious; NaN where Ctrl-C came first.
    flagged : ndarray of bool (N,)
    details : dict
        What the detector says besides, as it documents.
    interrupted : bool
        Whether Ctrl-C came. Rates and pictures are then of the samples that have a score.
    """

    detector: str
    scores: np.ndarray
    flagged: np.ndarray
    details: dict = field(default_factory=dict)
    interrupted: bool = False

    @property
    def scored(self):
        """Which samples have a score: booleans (N,)."""
        return ~np.isnan(self.scores)

    def auroc(self, planted):
        """The chance that a planted sample scores above another one, ties half: 1 separates, 0.5 guesses."""
        planted = _known(self.scores, planted)
        return auroc(self.scores[self.scored], planted[self.scored])

    def recall(self, planted):
        """The part of the planted samples that is flagged."""
        return float(self.flagged[_known(self.flagged, planted) & self.scored].mean())

    def false_positives(self, planted):
        """The part of the other samples that is flagged."""
        return float(self.flagged[~_known(self.flagged, planted) & self.scored].mean())

    def plot(self, planted=None, ax=None):
        """Draw the distribution of the scores, planted samples apart if they are known; returns the axes."""
        from .show import suspicion

        return suspicion(self, planted, ax)

    def __len__(self):
        return len(self.scores)

    def __repr__(self):
        return f"Suspicion({self.detector}, {self.flagged.sum()} of {len(self)} samples flagged)"


def auroc(scores, planted):
    """Area under the ROC curve, by ranks: (mean rank of the planted - (n + 1) / 2) / others (Mann-Whitney).

    Parameters
    ----------
    scores : array (N,)
    planted : array of bool (N,)
        At least one True and one False.
    """
    from scipy.stats import rankdata

    planted = _known(scores, planted)
    n = planted.sum()
    return float((rankdata(scores)[planted].mean() - (n + 1) / 2) / (len(planted) - n))


def _known(scores, planted):
    planted = np.asarray(planted)
    if planted.shape != np.shape(scores) or planted.dtype != bool or planted.all() or not planted.any():
        raise ValueError(f"auroc: planted is {planted.dtype} of shape {planted.shape} with "
                         f"{np.count_nonzero(planted)} True, expected booleans of shape {np.shape(scores)}, some of "
                         "them True and some False")
    return planted


def checked_labels(function, labels, samples):
    """Labels as int64, one for each sample."""
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu" or labels.shape != (samples,) or not samples:
        raise ValueError(f"{function}: labels are {labels.dtype} of shape {labels.shape}, expected {samples} integers, "
                         "the labels the model was trained with, one for each image")
    return labels.astype(np.int64)
