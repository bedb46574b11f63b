"""Spectral signatures: poisoned samples pull a class's activations in one direction of their own."""
import numpy as np

from ..arguments import number
from .activations import activations
from .suspicion import Suspicion, checked_labels


def spectral_signatures(model, x, labels, *, eps=0.05, layer=None):
    """Score samples by their part in the strongest direction of their class's activations; flag the top of each class.

        R = activations of the class, their mean taken off;  v = its first right singular vector;  score = (R v)^2

    Parameters
    ----------
    model : Module or callable
        Trained on the samples, in evaluation mode.
    x, labels : arrays of shape (N, C, H, W) and (N,)
        The training samples with the labels they were trained with.
    eps : float in (0, 2/3]
        The largest part of a class that is expected to be poisoned. The top 1.5 eps of *every* class are flagged, since
        nobody knows which class is the target: where nothing was planted they are false positives.
    layer : str, optional
        Whose output to use; the input of the last dense layer if left out.

    Returns
    -------
    Suspicion
        ``details["strength"]`` (K,): the part of each class's variance that lies in its direction v.

    References
    ----------
    Tran, Li and Madry, Spectral signatures in backdoor attacks, NeurIPS 2018, algorithm 1.
    """
    name = "spectral_signatures"
    eps, labels = number(name, "eps", eps, high=2 / 3, above=True), checked_labels(name, labels, len(x))
    inner = activations(name, model, x, layer)
    scores, flagged = np.zeros(len(labels)), np.zeros(len(labels), bool)
    strength = np.full(labels.max() + 1, np.nan)
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        scores[of_class], strength[label] = signature(inner[of_class])
        top = np.argsort(-scores[of_class], kind="stable")[:int(1.5 * eps * len(of_class))]
        flagged[of_class[top]] = True
    return Suspicion(name, scores, flagged, {"strength": strength})


def signature(inner):
    """Scores (n,) of the activations (n, D) of one class, and the part of their variance in the first direction."""
    centred = inner - inner.mean(0, dtype=np.float64)
    values, vectors = np.linalg.eigh(centred.T @ centred)  # right singular vectors; D is smaller than n
    return (centred @ vectors[:, -1]) ** 2, float(values[-1] / max(values.sum(), np.finfo(float).tiny))
