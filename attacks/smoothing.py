"""Randomised smoothing: a classifier that is certified, because it asks another one about noisy copies and votes.

    g(x) = the class that f gives most often to x + noise,   noise normal with standard deviation sigma

If the winner has probability at least p > 1/2, then no change smaller in L2 than

    R = sigma * Phi^-1(p)

can alter the vote, whatever f is. p is not known but estimated from n copies, so R holds with probability 1 - alpha
(the bound of Clopper and Pearson). f must cope with noise: train it with `Noisy`.
Source: Cohen, Rosenfeld, Kolter, Certified adversarial robustness via randomized smoothing, ICML 2019.
"""
from dataclasses import dataclass

import numpy as np

import minigrad

from .arguments import count, generator, number
from .streams import streams
from .victim import Victim

ABSTAIN = -1


@dataclass(eq=False)
class Certificates:
    """What `Smoothed.certify` can promise.

    Attributes
    ----------
    predicted : ndarray of int (N,)
        The class of the vote, -1 where it was too close to promise anything.
    radius : ndarray (N,)
        No change of smaller L2 norm alters it; 0 where predicted is -1.
    probability : ndarray (N,)
        The lower bound of the winner's probability.
    right : ndarray of bool (N,)
        Whether the class is the label.
    sigma, alpha : float
    """

    predicted: np.ndarray
    radius: np.ndarray
    probability: np.ndarray
    right: np.ndarray
    sigma: float
    alpha: float

    def accuracy(self, radii):
        """Certified accuracy: the part that is right and stays so within each radius. (K,)"""
        return np.array([(self.right & (self.radius > r) | self.right & (r == 0)).mean() for r in np.atleast_1d(radii)])

    def plot(self, ax=None, label=None):
        """Draw certified accuracy over the radius; see `charts.certified`."""
        from .charts import certified

        return certified(self, ax, label)


@dataclass(frozen=True)
class Smoothed:
    """The vote of a model over noisy copies.

    Parameters
    ----------
    model : Module or callable
        The base classifier, in evaluation mode.
    sigma : float
        Of the noise, in pixel values; the noise is not cut at the bounds.
    """

    model: object
    sigma: float

    def __post_init__(self):
        number("Smoothed", "sigma", self.sigma, above=True)

    def predict(self, x, *, n=1000, alpha=0.001, batch_size=1000, bounds=(0, 1), rng=None):
        """The class of the vote (N,), -1 where with confidence 1 - alpha the two leading ones cannot be told apart."""
        from scipy.stats import binomtest

        alpha = number("predict", "alpha", alpha, high=1 - 1e-9, above=True)
        counts = self._votes("predict", x, count("predict", "n", n), batch_size, bounds, rng)
        best, second = np.sort(counts, axis=1)[:, :-3:-1].T
        sure = [binomtest(int(a), int(a + b), 0.5).pvalue <= alpha for a, b in zip(best, second, strict=True)]
        return np.where(sure, counts.argmax(1), ABSTAIN)

    def certify(self, x, y, *, n0=100, n=10_000, alpha=0.001, batch_size=1000, bounds=(0, 1), rng=None):
        """The class of the vote and the radius within which it holds, each with confidence 1 - alpha.

        Parameters
        ----------
        x, y : arrays (N, C, H, W) and (N,)
        n0, n : int
            Copies to choose the class, and to bound its probability: fresh ones, or the bound would be too good.
        alpha : float
            Part of the certificates that may be wrong.
        batch_size : int
            Noisy copies that go through the model at once.
        rng : numpy Generator, optional
            Every image draws from a stream of its own.

        Returns
        -------
        Certificates
        """
        from scipy.stats import binomtest, norm

        alpha, y = number("certify", "alpha", alpha, high=1 - 1e-9, above=True), np.asarray(y)
        if y.dtype.kind not in "iu" or y.shape != (len(x),):
            raise ValueError(f"certify: y is {y.dtype} of shape {y.shape}, expected {len(x)} integer labels, one for "
                             "each image of x")
        rng = generator("certify", rng)
        chosen = self._votes("certify", x, count("certify", "n0", n0), batch_size, bounds, rng).argmax(1)
        counts = self._votes("certify", x, count("certify", "n", n), batch_size, bounds, rng)
        classes = counts.shape[1]
        if not 0 <= y.min() <= y.max() < classes:
            raise ValueError(f"certify: y goes from {y.min()} to {y.max()}, the model has classes 0..{classes - 1}")
        won = counts[np.arange(len(chosen)), chosen].tolist()
        p = np.array([binomtest(k, n, alternative="greater").proportion_ci(1 - alpha, "exact").low for k in won])
        holds = p > 0.5
        radius = np.where(holds, self.sigma * norm.ppf(np.where(holds, p, 0.5)), 0.0)
        predicted = np.where(holds, chosen, ABSTAIN)
        return Certificates(predicted, radius, p, predicted == y, self.sigma, alpha)

    def _votes(self, name, x, n, batch_size, bounds, rng):
        """How often each class wins among n noisy copies of each image: (N, K)."""
        x, batch_size = np.asarray(x), count(name, "batch_size", batch_size)
        victim = Victim(name, self.model, x, np.zeros(len(x), int), bounds=bounds)
        votes = np.zeros((len(x), victim.clean.shape[1]), int)
        for image, tally, own in zip(victim.x, votes, streams(rng, victim.x, victim.y), strict=True):
            for start in range(0, n, batch_size):
                noise = own.standard_normal((min(batch_size, n - start), *image.shape), image.dtype)
                noisy = image + image.dtype.type(self.sigma) * noise
                with minigrad.no_grad():
                    winners = self.model(minigrad.Tensor(noisy)).data.argmax(1)
                tally += np.bincount(winners, minlength=len(tally))
        return votes


@dataclass(frozen=True)
class Noisy:
    """Adds normal noise to every image that is learned from: ``augment=Noisy(0.25)`` of `minigrad.train.fit`."""

    sigma: float

    def __call__(self, images, *, rng):
        """Noisy copies, not cut at the bounds."""
        return images + self.sigma * rng.standard_normal(images.shape, images.dtype)
