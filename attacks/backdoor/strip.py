"""STRIP: a picture with a trigger stays what it is, whatever is laid over it; that gives it away while it is in use."""
import numpy as np

from minigrad import Tensor, no_grad
from minigrad import functional as F

from ..arguments import count, number
from ..stop import Stoppable
from ..streams import streams
from ..victim import checked_images
from .subject import subject
from .suspicion import Suspicion


def strip(model, x, clean, *, n_samples=100, weights=(1.0, 1.0), frr=0.01, rng=None,
          progress=False):
    """Lay clean images over each input and flag it if the model's answers are too sure to be true.

        score = -1/N sum over n of H(softmax f(a x + b clean_n)),  H in bits
        flagged: the mean entropy is below the `frr` quantile of a normal distribution fitted to clean images' ones

    Parameters
    ----------
    model : Module or callable
        In evaluation mode.
    x : array of shape (N, C, H, W)
        Inputs as they come in.
    clean : array of shape (M, C, H, W)
        Images that are known to be clean: they are laid over the inputs, and over one another to learn what is usual.
    n_samples : int
        Images laid over each input.
    weights : (a, b)
        Of the input and of what is laid over it; the sum is cut at 1. The authors add both at full weight.
    frr : float in (0, 1)
        The part of clean inputs that may be rejected.
    rng : numpy.random.Generator, optional
        Each image draws what is laid over it by itself, so its score does not depend on the others.
    progress : bool
        Show a bar. The clean images come first; after Ctrl-C what is left has no score and no flag.

    Returns
    -------
    Suspicion
        ``details``: ``entropy`` (N,), ``clean_entropy`` (M,) and ``threshold``, in bits; NaN for what Ctrl-C left
        undone, and for a threshold that would be of fewer than two clean images.

    References
    ----------
    Gao et al., STRIP: a defence against trojan attacks on deep neural networks, ACSAC 2019, eq. 4 and section 4.
    """
    from tqdm import tqdm

    n_samples, (a, b) = count("strip", "n_samples", n_samples), _pair(weights)
    frr = number("strip", "frr", frr, high=1, above=True)
    x, clean = subject("strip", model, x)[0], checked_images("strip", clean, (0, 1))
    if clean.shape[1:] != x.shape[1:] or len(clean) < 2:
        raise ValueError(f"strip: clean has shape {clean.shape}, expected at least 2 images like those of x, "
                         f"(M, {', '.join(map(str, x.shape[1:]))})")
    of_x, of_clean = _chances(rng, x), _chances(rng, clean)
    entropy, usual = np.full(len(x), np.nan), np.full(len(clean), np.nan)
    stop, bar = Stoppable(), tqdm(total=len(x) + len(clean), desc="strip", leave=False, disable=not progress)
    with stop, bar:
        for images, chances, into in ((clean, of_clean, usual), (x, of_x, entropy)):
            for i, (image, chance) in enumerate(zip(images, chances, strict=True)):
                over = clean[chance.integers(len(clean), size=n_samples)]
                into[i] = _entropy(model, np.clip(a * image + b * over, 0, 1))
                bar.update()
    threshold = _threshold(usual[~np.isnan(usual)], frr)
    return Suspicion("strip", -entropy, entropy < threshold,
                     {"entropy": entropy, "clean_entropy": usual, "threshold": threshold}, stop.interrupted)


def _threshold(usual, frr):
    """The `frr` quantile of a normal distribution fitted to clean images' entropies."""
    from scipy.stats import norm

    if len(usual) < 2:
        return np.nan
    middle, spread = usual.mean(), usual.std()
    return float(norm.ppf(frr, middle, spread)) if spread > 0 else float(middle)


def _entropy(model, images):
    """The mean entropy of the model's answers, in bits."""
    with no_grad():
        log_p = F.log_softmax(model(Tensor(images)), 1).data.astype(np.float64)
    return -(np.exp(log_p) * log_p).sum(1).mean() / np.log(2)


def _chances(rng, images):
    return streams("strip", rng, images, np.zeros(len(images), int))


def _pair(weights):
    if np.shape(weights) != (2,):
        raise ValueError(f"strip: weights are {weights!r}, expected two numbers, of the input and of what is laid over")
    return (number("strip", "weights", w, above=True) for w in weights)
