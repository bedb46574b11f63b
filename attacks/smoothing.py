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
from .stop import Stoppable
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
    interrupted : bool
        Whether Ctrl-C came; what was not done yet is not certified.
    """

    predicted: np.ndarray
    radius: np.ndarray
    probability: np.ndarray
    right: np.ndarray
    sigma: float
    alpha: float
    interrupted: bool = False

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
        n, batch_size = count("predict", "n", n), count("predict", "batch_size", batch_size)
        victim = Victim("predict", self.model, x, np.zeros(len(x), int), bounds=bounds)
        counts = np.stack([self._votes(victim, image, own, n, batch_size)
                           for image, own in zip(victim.x, self._streams(victim, rng), strict=True)])
        best, second = np.sort(counts, axis=1)[:, :-3:-1].T
        sure = [binomtest(int(a), int(a + b), 0.5).pvalue <= alpha for a, b in zip(best, second, strict=True)]
        return np.where(sure, counts.argmax(1), ABSTAIN)

    def certify(self, x, y, *, n0=100, n=10_000, alpha=0.001, batch_size=1000, bounds=(0, 1), rng=None,
                progress=False):
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
        progress : bool
            Show a bar. After Ctrl-C the images that are left have no certificate.

        Returns
        -------
        Certificates
        """
        from scipy.stats import binomtest, norm
        from tqdm import tqdm

        alpha = number("certify", "alpha", alpha, high=1 - 1e-9, above=True)
        n0, n, batch_size = (count("certify", k, v) for k, v in (("n0", n0), ("n", n), ("batch_size", batch_size)))
        victim, rng = Victim("certify", self.model, x, y, bounds=bounds), generator("certify", rng)
        first, second = (self._streams(victim, rng) for _ in "12")
        chosen, p, stop = np.zeros(len(victim.x), int), np.zeros(len(victim.x)), Stoppable()
        with stop:
            for i in tqdm(range(len(p)), desc="certify", leave=False, disable=not progress):
                chosen[i] = self._votes(victim, victim.x[i], first[i], n0, batch_size).argmax()
                won = int(self._votes(victim, victim.x[i], second[i], n, batch_size)[chosen[i]])
                p[i] = binomtest(won, n, alternative="greater").proportion_ci(1 - alpha, "exact").low
        holds = p > 0.5
        radius = np.where(holds, self.sigma * norm.ppf(np.where(holds, p, 0.5)), 0.0)
        predicted = np.where(holds, chosen, ABSTAIN)
        return Certificates(predicted, radius, p, predicted == victim.y, self.sigma, alpha, stop.interrupted)

    def _streams(self, victim, rng):
        """Chance for each image; it does not depend on the labels."""
        return streams(victim.attack, rng, victim.x, np.zeros(len(victim.x), int))

    def _votes(self, victim, image, own, n, batch_size):
        """How often each class wins among n noisy copies of an image: (K,)."""
        votes = np.zeros(victim.clean.shape[1], int)
        for start in range(0, n, batch_size):
            noise = own.standard_normal((min(batch_size, n - start), *image.shape), image.dtype)
            with minigrad.no_grad():
                logits = victim.ask(minigrad.Tensor(image + image.dtype.type(self.sigma) * noise))
            votes += np.bincount(logits.data.argmax(1), minlength=len(votes))
        return votes


@dataclass(frozen=True)
class Noisy:
    """Adds normal noise to every image that is learned from: ``augment=Noisy(0.25)`` of `minigrad.train.fit`."""

    sigma: float

    def __call__(self, images, *, rng):
        """Noisy copies, not cut at the bounds."""
        return images + self.sigma * rng.standard_normal(images.shape, images.dtype)
