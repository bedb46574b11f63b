"""When has an attack succeeded? A criterion looks at logits and says so, sample by sample.

Criteria compose with `&` and `|`. What an attack pushes is the `margin` by which a class leads all others.
"""
from dataclasses import dataclass

import numpy as np


class Criterion:
    """Base: `met(logits)` gives booleans (N,); `take(index)` the criterion of some of the samples."""

    def met(self, logits):
        """Whether each sample's logits (N, K) satisfy the criterion."""
        raise NotImplementedError

    def take(self, index):
        """The criterion for the samples at `index`."""
        raise NotImplementedError

    def __and__(self, other):
        return Both(self, other)

    def __or__(self, other):
        return Either(self, other)


@dataclass(frozen=True, eq=False)
class Misclassified(Criterion):
    """Any class but the true one."""

    labels: np.ndarray

    def met(self, logits):
        """The largest logit is not the label's."""
        return answered(logits) & (logits.argmax(1) != self.labels)

    def take(self, index):
        """For some of the samples."""
        return Misclassified(self.labels[index])


@dataclass(frozen=True, eq=False)
class Targeted(Criterion):
    """One wanted class."""

    targets: np.ndarray

    def met(self, logits):
        """The largest logit is the target's."""
        return answered(logits) & (logits.argmax(1) == self.targets)

    def take(self, index):
        """For some of the samples."""
        return Targeted(self.targets[index])


@dataclass(frozen=True, eq=False)
class Confident(Criterion):
    """Some class other than the label (or the target, if `targeted`) leads by at least `kappa` logits."""

    classes: np.ndarray
    kappa: float
    targeted: bool = False

    def met(self, logits):
        """The margin is at least kappa."""
        return answered(logits) & (margin(logits, self.classes) * (1 if self.targeted else -1) >= self.kappa)

    def take(self, index):
        """For some of the samples."""
        return Confident(self.classes[index], self.kappa, self.targeted)


@dataclass(frozen=True, eq=False)
class Both(Criterion):
    """Two criteria at once."""

    first: Criterion
    second: Criterion

    def met(self, logits):
        """Both are met."""
        return self.first.met(logits) & self.second.met(logits)

    def take(self, index):
        """For some of the samples."""
        return Both(self.first.take(index), self.second.take(index))


@dataclass(frozen=True, eq=False)
class Either(Criterion):
    """At least one of two criteria."""

    first: Criterion
    second: Criterion

    def met(self, logits):
        """One of them is met."""
        return self.first.met(logits) | self.second.met(logits)

    def take(self, index):
        """For some of the samples."""
        return Either(self.first.take(index), self.second.take(index))


def answered(logits):
    """Which samples got an answer (N,): where a logit is NaN or infinite, the largest says nothing."""
    return np.isfinite(logits).all(1)


def margin(logits, classes):
    """By how much the logit of each sample's class leads all others: (N,), negative where it does not."""
    rows = np.arange(len(logits))
    others = logits.copy()
    others[rows, classes] = -np.inf
    return logits[rows, classes] - others.max(1)
