"""The model as an attack sees it: checked, counted, and answering sample by sample.

Everything an attack may ask is here: logits, and the gradient of a loss with respect to the images. Losses are per
sample and never averaged over the batch, so what happens to one image does not depend on who shares its batch.
"""
import time

import numpy as np

import minigrad

from .arguments import count, limits
from .criteria import Misclassified, Targeted, margin
from .result import AttackResult, distances
from .stop import Stoppable


class Victim:
    """One call of an attack: the checked model, inputs and labels, the costs, and the criterion.

    Parameters
    ----------
    attack : str
        For messages and the result.
    model : Module or callable
        Takes a Tensor (N, C, H, W) in `bounds` and returns logits (N, K). A Module must be in evaluation mode.
    x : ndarray or Tensor of shape (N, C, H, W)
    y : integer array of shape (N,)
        True classes; with `targeted` the classes wanted.
    targeted : bool
    bounds : (low, high)
    batch_size : int
        How many samples go through the model at once; the results do not depend on it.
    climb : callable, optional
        A loss of logits (N, K) and classes (N,), for attacks that start at x: its values and gradients there,
        `first`, then come with the clean logits, in the same pass.
    """

    def __init__(self, attack, model, x, y, *, targeted=False, bounds=(0, 1), batch_size=256, climb=None):
        self.start = time.perf_counter()
        self.attack, self.model, self.bounds = attack, model, limits(attack, bounds)
        self.targeted, self.batch_size = targeted, count(attack, "batch_size", batch_size)
        if not callable(model):
            raise TypeError(f"{attack}: model is {type(model).__name__}, expected a Module or a callable")
        self.x = checked_images(attack, x, self.bounds)
        _check_mode(attack, model)
        self.queries, self.gradients = np.zeros(len(self.x), int), np.zeros(len(self.x), int)
        self.y = _checked_labels(attack, y, len(self.x), targeted)
        if climb is None:
            self.clean = self.logits(self.x)
            self._check_logits(self.clean)
        else:
            self.clean, *self.first = self.value_and_gradient(self._checked(climb), self.x)
        self.criterion = Targeted(self.y) if targeted else Misclassified(self.y)
        self.already = self.criterion.met(self.clean)

    def want(self, criterion):
        """Have another criterion than that the label is left, or the target reached."""
        self.criterion, self.already = criterion, criterion.met(self.clean)

    @property
    def todo(self):
        """The places of the samples that are not wrong from the start."""
        return np.flatnonzero(~self.already)

    def ask(self, images):
        """The model's logits, a Tensor (n, K), for a Tensor of n images."""
        logits = self.model(images)
        if not isinstance(logits, minigrad.Tensor):
            raise TypeError(f"{self.attack}: the model returned {type(logits).__name__}, expected a Tensor of logits "
                            "(N, classes)")
        if logits.ndim != 2 or len(logits.data) != len(images.data):
            raise ValueError(f"{self.attack}: the model returned shape {logits.shape} for {len(images.data)} images, "
                             f"expected logits ({len(images.data)}, classes)")
        return logits

    def logits(self, x, index=None):
        """Logits of images x without a tape; `index` says which samples they are (all, in order, if None)."""
        np.add.at(self.queries, np.arange(len(x)) if index is None else index, 1)  # a sample may be asked several times
        with minigrad.no_grad():
            parts = [self.ask(minigrad.Tensor(x[i:i + self.batch_size])).data
                     for i in range(0, len(x), self.batch_size)]
        return np.concatenate(parts)

    def value_and_gradient(self, loss, x, index=None, penalty=None):
        """Logits, per-sample losses and their gradients at x.

        ``loss(logits, index)`` takes a Tensor (n, K) and the samples' places, and returns a Tensor (n,) of losses;
        ``penalty(images, index)``, if given, takes the images as a Tensor, and what it returns is subtracted. A
        gradient with a NaN or an infinity is taken for zero: that sample stands still, the others go on.
        """
        index = np.arange(len(x)) if index is None else index
        if not len(x):
            return self.clean[:0], self.clean[:0, 0], np.empty_like(x)
        self.queries[index] += 1
        self.gradients[index] += 1
        logits, losses, gradient = [], [], np.empty_like(x)
        for i in range(0, len(x), self.batch_size):
            part = slice(i, i + self.batch_size)
            leaf = minigrad.Tensor(x[part], requires_grad=True)
            output = self.ask(leaf)
            value = loss(output, index[part])
            value = value if penalty is None else value - penalty(leaf, index[part])
            gradient[part] = minigrad.grad(value, leaf).data
            logits.append(output.data)
            losses.append(value.data)
        if not np.isfinite(gradient.sum()):
            gradient[~np.isfinite(gradient).reshape(len(x), -1).all(1)] = 0
        return np.concatenate(logits), np.concatenate(losses), gradient

    def pull(self, weights, x, index=None):
        """Logits at x and gradients of weighted sums of them: m gradients cost one forward pass and m backward.

        ``weights(logits, index)`` takes arrays, the logits (n, K) and the samples' places, and returns (m, n, K). Of
        the gradients (m, n, ...) the j-th is that of ``(weights[j] * logits).sum()``.
        """
        index = np.arange(len(x)) if index is None else index
        logits, gradients = [], []
        for i in range(0, len(x), self.batch_size):
            part = slice(i, i + self.batch_size)
            leaf = minigrad.Tensor(x[part], requires_grad=True)
            output = self.ask(leaf)
            seeds = weights(output.data, index[part]).astype(x.dtype, copy=False)
            gradients.append(np.stack([minigrad.grad(output, leaf, seed).data for seed in seeds]))
            logits.append(output.data)
        self.queries[index] += 1
        self.gradients[index] += len(gradients[0])
        return np.concatenate(logits), np.concatenate(gradients, axis=1)

    def gap(self, logits, index=slice(None)):
        """How far the logits of the samples at `index` are from success: (n,), below zero where they have it."""
        return margin(logits, self.y[index]) * (-1 if self.targeted else 1)

    def result(self, x_adv, *, trace=(), settings=None, met=None, **extra):
        """The account: images that were wrong untouched stay untouched, and success is what the returned image does.

        `met` says it where the attack has seen the logits of these very images; left out, they are asked for.
        """
        x_adv = np.where(self.already.reshape(-1, *(1,) * (self.x.ndim - 1)), self.x, x_adv)
        spent = self.queries.copy()
        if met is None:
            stop = Stoppable()
            met = self.criterion.met(stop.finish(lambda: self.logits(x_adv)))
            extra |= {"interrupted": True} if stop.interrupted else {}
        status = np.where(self.already, "already_wrong", np.where(met, "success", "failed"))
        return AttackResult(x_adv, self.attack, status, distances(x_adv, self.x), spent, self.gradients, list(trace),
                            dict(settings or {}), time.perf_counter() - self.start, extra, self.x)

    def _checked(self, climb):
        def loss(logits, index):
            self._check_logits(logits.data)
            return climb(logits, self.y[index])
        return loss

    def _check_logits(self, logits):
        if logits.shape[1] < 2:
            raise ValueError(f"{self.attack}: the model returned shape {logits.shape}, expected two classes or more")
        if not np.isfinite(logits).all():
            raise ValueError(f"{self.attack}: the model returned NaN or infinity")
        if (logits >= 0).all() and np.allclose(logits.sum(1), 1, atol=1e-4):
            raise ValueError(f"{self.attack}: the model returns probabilities (they add up to 1), expected logits: "
                             "a softmax's gradient vanishes where the model is sure, which looks like robustness; "
                             "leave out its last softmax")
        if not 0 <= self.y.min() <= self.y.max() < logits.shape[1]:
            raise ValueError(f"{self.attack}: y goes from {self.y.min()} to {self.y.max()}, the model has classes "
                             f"0..{logits.shape[1] - 1}")


def checked_images(attack, x, bounds):
    """x as an array (N, C, H, W) of finite floats inside the bounds."""
    x = x.numpy() if isinstance(x, minigrad.Tensor) else np.asarray(x)
    low, high = bounds
    if x.dtype not in (np.float32, np.float64):
        raise TypeError(f"{attack}: x has dtype {x.dtype}, expected float32 or float64 in {bounds}; for bytes: "
                        "x.astype(np.float32) / 255")
    if x.ndim < 2 or not len(x):
        raise ValueError(f"{attack}: x has shape {x.shape}, expected (N, C, H, W) with at least one image; one "
                         "image is x[None]")
    if not np.isfinite(x).all():
        raise ValueError(f"{attack}: x holds NaN or infinity")
    if x.min() < low or x.max() > high:
        likely = "it looks like 0..255: divide by 255" if x.min() >= 0 and x.max() > 2 else (
            "it looks normalised: attack the pixels, and let minigrad.nn.Standardize be the model's first layer")
        raise ValueError(f"{attack}: x goes from {x.min():g} to {x.max():g}, outside bounds {bounds}; {likely}")
    return x


def check_pictures(attack, x, why):
    """That x has rows and columns, (N, C, H, W), which most attacks do not need; `why` says what this one does."""
    if x.ndim != 4:
        fix = "x[:, None] adds a channel" if x.ndim == 3 else "reshape x, and let the model begin with nn.Flatten()"
        raise ValueError(f"{attack}: x has shape {x.shape}, expected images (N, C, H, W), since {why}; {fix}")


def _check_mode(attack, model):
    if isinstance(model, minigrad.nn.Module) and any(module.training for module in model.modules()):
        raise ValueError(f"{attack}: the model is in training mode, where batch norm and dropout make every answer "
                         "depend on chance and on the batch; call model.eval() first")


def _checked_labels(attack, y, count, targeted):
    what = "targets" if targeted else "labels"
    if y is None:
        raise ValueError(f"{attack}: y is None, expected {count} {what}" + (": a targeted attack needs the classes "
                                                                            "wanted" if targeted else ""))
    y = np.asarray(y)
    if y.dtype.kind not in "iu" or y.shape != (count,):
        raise ValueError(f"{attack}: y is {y.dtype} of shape {y.shape}, expected {count} integer {what}, one for "
                         "each image of x")
    return y.astype(np.int64)
