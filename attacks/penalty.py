"""What the penalty attacks share: the hinge on the logits, the constant that weighs it, and its binary search.

Carlini-Wagner and EAD minimise distance + c * hinge. The smallest c that still gives an adversarial image gives the
nearest one, and nobody knows it beforehand: so c grows tenfold until it suffices, and is then bisected, for every
sample by itself.
"""
import numpy as np

from .arguments import number
from .criteria import Confident
from .norms import as_norm


class Hinge:
    """max(0, gap + confidence): how much the logits still miss what is wanted, and a bit more.

    The gap is the label's lead over the best other class, or, if targeted, the best other's over the target.
    """

    def __init__(self, victim, confidence):
        self.victim, self.confidence = victim, number(victim.attack, "confidence", confidence)
        self.criterion = victim.criterion & Confident(victim.y, confidence, victim.targeted)

    def value(self, logits, index):
        """The hinge of the samples at `index`: (n,)."""
        return np.maximum(0, self.victim.gap(logits, index) + self.confidence)

    def weights(self, logits, index):
        """Its derivative by the logits, (n, K); where it is 0 and equal logits keep the label, that of its slope."""
        value = self.value(logits, index)
        short = (value > 0) | (value == 0) & ~self.criterion.take(index).met(logits)
        return short[:, None] * gap_weights(logits, self.victim.y[index], self.victim.targeted)


def gap_weights(logits, classes, targeted):
    """The derivative of `Victim.gap` by the logits, (n, K): 1 at the class to leave, -1 at the one to reach."""
    rows, weights = np.arange(len(logits)), np.zeros_like(logits)
    others = logits.copy()
    others[rows, classes] = -np.inf
    sign = -1 if targeted else 1
    weights[rows, classes], weights[rows, others.argmax(1)] = sign, -sign
    return weights


def search_const(minimise, count, binary_search_steps, initial_const):
    """Look for the smallest constant that suffices, for each of `count` samples.

    ``minimise(const)`` takes the constants (count,) and says where they sufficed. From the tenth search on the last
    one repeats the smallest that did.
    """
    const, low, high = np.full(count, float(initial_const)), np.zeros(count), np.full(count, np.inf)
    for search in range(binary_search_steps):
        if search == binary_search_steps - 1 and binary_search_steps >= 10:
            const = np.minimum(high, 1e10)
        found = minimise(const)
        high, low = np.where(found, const, high), np.where(found, low, const)
        const = np.where(np.isinf(high), const * 10, (low + high) / 2)


class Stalled:
    """Ends a descent where it no longer pays: at every tenth of the steps the loss must have fallen by 1e-4 of itself.

    Each sample is judged by its own loss, so that nobody ends, or goes on, on account of a neighbour.
    """

    def __init__(self, steps, abort_early):
        self.every, self.abort_early, self.previous = max(1, -(-steps // 10)), abort_early, None

    def going(self, step, loss):
        """Which of the samples that are still descending go on; their losses are (n,)."""
        if not self.abort_early or step % self.every:
            return np.ones(len(loss), bool)
        going = np.ones(len(loss), bool) if self.previous is None else loss <= 0.9999 * self.previous
        self.previous = loss[going]
        return going


def norm_among(attack, norm, allowed):
    """The norm, if it is one that the attack has."""
    found = as_norm(attack, norm)
    if found not in [as_norm(attack, name) for name in allowed]:
        raise ValueError(f"{attack}: norm is {norm!r}, expected {' or '.join(map(repr, allowed))}")
    return found
