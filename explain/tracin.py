"""Which training images taught the model this? Influence on a loss, along the path that training took.

A step of gradient descent on the image z changes the loss of another, z', by -rate * <gradient at z, gradient at z'>,
to first order. TracIn adds that up over checkpoints (Pruthi, Liu, Kale and Sundararajan 2020):

    influence(z, z') = sum over checkpoints of rate_i * <grad loss(w_i, z), grad loss(w_i, z')>

A positive one has lowered the loss of z' (a proponent), a negative one raised it (an opponent); an image's influence on
itself is large where it had to be learned by heart, as wrong labels must.

What it estimates can be had exactly, on small nets: train again without z, and see by how much the loss of z' grows
(`leave_one_out`). TracIn knows nothing of curvature, by which training forgets: after a few steps the two agree nearly
in rank, after many they drift apart. Nobody should believe one without a look at the other.
"""

import copy
import time
from dataclasses import dataclass, field

import numpy as np

import minigrad
from minigrad import functional as F

from .game import steps as shown_steps
from .scoring import Scoring, evaluating


@dataclass(eq=False)
class Influence:
    """How each training image changed the loss of each image; behaves like the array `values`.

    Attributes
    ----------
    values : ndarray float64 (N, T)
        Positive where training image t lowers the loss of image n.
    method : str
    target : ndarray of int (N,)
        The class whose loss it is.
    settings : dict
    seconds : float
    """

    values: np.ndarray
    method: str
    target: np.ndarray
    settings: dict = field(default_factory=dict)
    seconds: float = 0.0

    shape = property(lambda self: self.values.shape, doc="Of `values`.")

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype, copy=copy)

    def __getitem__(self, index):
        return self.values[index]

    def __repr__(self):
        return f"Influence({self.method}, {self.shape[1]} training images on {self.shape[0]}, {self.seconds:.2f} s)"

    def proponents(self, index=0, count=5):
        """The training images that lowered the loss of image `index` the most, the strongest first."""
        return np.argsort(-self.values[index], kind="stable")[:count]

    def opponents(self, index=0, count=5):
        """The training images that raised it the most, the strongest first."""
        return np.argsort(self.values[index], kind="stable")[:count]

    def rank_correlation(self, other):
        """Spearman's, per image, with other influences (N, T): such as those of `leave_one_out`."""
        from scipy.stats import spearmanr

        other = np.asarray(other)
        if other.shape != self.shape:
            raise ValueError(f"rank_correlation: the influences have shapes {self.shape} and {other.shape}, expected "
                             "equal ones")  # fmt: skip
        return np.array([spearmanr(a, b).statistic for a, b in zip(self.values, other, strict=True)])


def tracin(model, x, target=None, *, images, labels, checkpoints, progress=False, **common):
    """The influence of training images on the loss of other images, over checkpoints. Pruthi et al. 2020.

    The products of gradients are not made from two gradients per pair: <grad loss(z), v> is the derivative of the loss
    along v, and one walk gives it for a whole batch of training images.

    Parameters
    ----------
    model : Module
        Of the architecture that was trained; a copy of it takes each checkpoint's weights.
    x, target, **common
        As in `explain.scoring.Scoring`: `target` is the true class of each image; None is the predicted one.
    images, labels : ndarray (T, C, H, W), ndarray of int (T,)
        The training set, or part of it.
    checkpoints : sequence of (state, rate)
        State dicts (or the paths of saved models), and the learning rate there, times the steps since the last
        checkpoint, over the number of images that share a step: the constant does not matter, its course does.
    progress : bool

    Returns
    -------
    Influence
    """
    method, begun = "tracin", time.perf_counter()
    images, labels = np.asarray(images), np.asarray(labels)
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        raise ValueError(f"{method}: labels are {labels.dtype} {labels.shape}, expected {len(images)} integers")
    checkpoints = list(checkpoints)
    if not checkpoints or any(not isinstance(entry, tuple) or len(entry) != 2 for entry in checkpoints):
        raise ValueError(f"{method}: checkpoints is {type(checkpoints[0]).__name__ if checkpoints else 'empty'}"
                         f"{' first' if checkpoints else ''}, expected pairs (state, rate)")  # fmt: skip
    with Scoring(method, model, x, target, **common) as run:
        wanted = run.target
        values = np.zeros((len(run.x), len(images)))
        student = copy.deepcopy(model)
        with evaluating(student):
            for state, rate in shown_steps(checkpoints, progress, method):
                student.load_state_dict(state if isinstance(state, dict) else minigrad.load_state(state))
                values += rate * _products(student, run.x, wanted, images, labels, run.batch_size)
    return Influence(values, method, wanted, {"checkpoints": len(checkpoints)}, time.perf_counter() - begun)


def leave_one_out(fit, images, labels, x, target, *, indices=None, progress=False):
    """The influence of training images by definition: how much the loss grows when one is left out of training.

    Parameters
    ----------
    fit : callable
        ``fit(images, labels) -> model``, the whole training from the same start. What it draws at random must not
        depend on the images, or the draws are what is measured.
    images, labels : ndarray (T, C, H, W), ndarray of int (T,)
    x, target : ndarray (N, C, H, W), ndarray of int (N,)
    indices : sequence of int, optional
        The images to leave out, one at a time; all of them if left out.
    progress : bool

    Returns
    -------
    Influence
        Values (N, len(indices)): the loss of each x after training without the image, less that with all.
    """
    begun, target = time.perf_counter(), np.asarray(target)
    images, labels = np.asarray(images), np.asarray(labels)
    indices = np.arange(len(images)) if indices is None else np.asarray(indices)
    whole = _losses(fit(images, labels), x, target)
    values = np.empty((len(whole), len(indices)))
    for column, i in enumerate(shown_steps(indices, progress, "leave_one_out")):
        values[:, column] = _losses(fit(np.delete(images, i, 0), np.delete(labels, i)), x, target) - whole
    return Influence(values, "leave_one_out", target, {}, time.perf_counter() - begun)


def _products(model, x, target, images, labels, batch_size):
    """<gradient of x_n's loss, gradient of image t's loss> for all n and t: (N, T)."""
    parameters = model.parameters()
    directions = [_gradient(model, x[n : n + 1], target[n : n + 1], parameters) for n in range(len(x))]
    found = np.empty((len(x), len(images)))
    for first in range(0, len(images), batch_size):
        part = slice(first, first + batch_size)
        losses = F.cross_entropy(model(minigrad.Tensor(images[part])), labels[part], reduction="none")
        u = minigrad.Tensor(np.zeros(losses.shape, losses.dtype), requires_grad=True)
        pulled = minigrad.grad(losses, parameters, u, create_graph=True)
        for n, direction in enumerate(directions):
            along = sum((g * minigrad.Tensor(d)).sum() for g, d in zip(pulled, direction, strict=True))
            found[n, part] = minigrad.grad(along, u).data
    return found


def _gradient(model, x, target, parameters):
    loss = F.cross_entropy(model(minigrad.Tensor(x)), target, reduction="none").sum()
    return [g.data for g in minigrad.grad(loss, parameters)]


def _losses(model, x, target):
    with evaluating(model), minigrad.no_grad():
        return F.cross_entropy(model(minigrad.Tensor(np.asarray(x))), target, reduction="none").data.astype(np.float64)
