"""How good a model is on images it did not learn from."""

from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from .. import functional as F
from ..data import batches
from ..tensor import no_grad


@dataclass(frozen=True, eq=False)
class Metrics:
    """What `evaluate` found.

    Attributes
    ----------
    loss : float
        Mean cross-entropy, in nats.
    accuracy : float
        Fraction of right predictions, in [0, 1].
    predictions : ndarray (N,), int64
        The class of the largest probability.
    probabilities : ndarray (N, C)
        Softmax of the logits.
    """

    loss: float
    accuracy: float
    predictions: np.ndarray
    probabilities: np.ndarray


def evaluate(model, dataset, batch_size=64):
    """Run a model over a dataset in evaluation mode, without recording a tape; the model's modes are put back.

    Parameters
    ----------
    model : Module
        Images (B, C, H, W) in [0, 1] to logits (B, classes).
    dataset : Dataset
    batch_size : int
        Changes speed and memory only (and the last bits of a float).

    Returns
    -------
    Metrics

    Raises
    ------
    ValueError
        No images, or logits of another shape than the dataset's classes ask for.
    """
    logits = []
    with evaluation_mode(model), no_grad():
        for images, _ in batches(dataset, batch_size):
            logits.append(model(images).data)
            check_logits(logits[-1], len(images), dataset, "evaluate")
        log_p = F.log_softmax(np.concatenate(logits), 1).data
    predictions = log_p.argmax(1)
    return Metrics(
        loss=float(-log_p[np.arange(len(dataset)), dataset.labels].mean(dtype=np.float64)),
        accuracy=float((predictions == dataset.labels).mean()),
        predictions=predictions,
        probabilities=np.exp(log_p),
    )


@contextmanager
def evaluation_mode(model):
    """Put a model into evaluation mode for the length of a `with` block, then every module back into its own."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in modes:
            module.training = False
        yield
    finally:
        for module, training in modes:
            module.training = training


def check_logits(logits, count, dataset, caller):
    """Raise ValueError unless `logits` are (count, number of the dataset's classes)."""
    expected = (count, len(dataset.classes))
    if logits.shape != expected:
        raise ValueError(f"{caller}: the model gives logits of shape {logits.shape} for {count} images, expected "
                         f"{expected}, one for each class of {dataset.name}; check the model's last layer")
