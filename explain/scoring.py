"""The model as every method sees it: inputs to scores, and scores back to inputs, in batches, counted.

What is differentiated is called the *score*: the logit of the target class unless `score` says otherwise. Each sample's
score depends on that sample alone, so the gradient of the sum of all scores holds every sample's own gradient.
"""

import difflib
import time
from contextlib import nullcontext

import numpy as np

import minigrad
from minigrad import functional as F
from minigrad.train import evaluation_mode

from .attribution import Attribution
from .inputs import as_samples, check_answer, check_model

SCORES = {
    "logit": lambda z: z,
    "probability": lambda z: F.softmax(z, 1),
    "log_probability": lambda z: F.log_softmax(z, 1),
}
FEATURES_AT_ONCE = 2**20  # input values that are recorded on one tape, unless batch_size says otherwise: bounds memory
SAMPLES_AT_ONCE = 64  # and no more than this many samples: the activations of more fall out of the cache


class Scoring:
    """One call of a method: the checked input and target, the model in evaluation mode, the costs.

    Use it as a context: ``with Scoring("saliency", model, x, target, **common) as run``; the model's training flags are
    put back at the end, also after an error.

    Parameters
    ----------
    method : str
        For messages and the result.
    model : Module or callable
        Takes a Tensor (N, C, H, W) and returns logits (N, K).
    x : ndarray or Tensor of shape (N, C, H, W) in [0, 1]
    target : int, integer array of shape (N,), or None for the predicted class
    score : 'logit', 'probability' or 'log_probability'
        What is explained.
    batch_size : int, optional
        How many samples are on one tape; the numbers do not depend on it.
    bounds : (low, high) or None
        The range x must lie in, None for any.
    """

    def __init__(self, method, model, x, target=None, *, score="logit", batch_size=None, bounds=(0, 1), **unknown):
        for name in unknown:
            raise TypeError(f"{method}: there is no option {name!r}; all methods have score, batch_size, bounds")
        check_model(method, model)
        self.method, self.model, self.x, self.bounds = method, model, as_samples(method, x, bounds), bounds
        if np.ndim(target) == 1 and len(target) != len(self.x):
            raise ValueError(f"{method}: target has {len(target)} classes for {len(self.x)} samples, expected one each")
        if score not in SCORES:
            raise ValueError(f"{method}: score is {score!r}, expected one of {', '.join(SCORES)}")
        if batch_size is not None and (not isinstance(batch_size, (int, np.integer)) or batch_size < 1):
            raise ValueError(f"{method}: batch_size is {batch_size!r}, expected an integer of at least 1")
        self.score, self.wanted = score, target
        self.asked_batch_size = batch_size
        self.batch_size = batch_size or int(np.clip(FEATURES_AT_ONCE // max(1, self.x[:1].size), 1, SAMPLES_AT_ONCE))
        self.forwards = self.backwards = 0
        self._logits, self._known = None, np.zeros(len(self.x), bool)

    def __enter__(self):
        self.start = time.perf_counter()
        self._mode = evaluating(self.model)
        self._mode.__enter__()
        return self

    def __exit__(self, *error):
        self._mode.__exit__(*error)

    @property
    def logits(self):
        """The model's outputs (N, K) at the original samples; what no tape has shown yet is computed."""
        for part in self.batches(len(self.x)):
            if not self._known[part].all():
                with minigrad.no_grad():
                    self._learn(part, self._ask(minigrad.Tensor(self.x[part])).data)
                self.forwards += len(self.x[part])
        return self._logits

    @property
    def target(self):
        """The class explained, per sample: an int64 array (N,)."""
        return self._checked_target(self.logits, self.wanted)

    @property
    def clean(self):
        """The target's score (N,) of the original samples; the model need not run again for it."""
        return SCORES[self.score](minigrad.Tensor(self.logits)).data[np.arange(len(self.x)), self.target]

    def batches(self, count):
        """Slices that cut `count` samples into batches."""
        return [slice(i, min(i + self.batch_size, count)) for i in range(0, count, self.batch_size)]

    def outputs(self, x, score=None):
        """All classes' scores (N, K) of the samples x, without a tape."""
        with minigrad.no_grad():
            parts = [
                SCORES[score or self.score](self._ask(minigrad.Tensor(x[part]))).data for part in self.batches(len(x))
            ]
        self.forwards += len(x)
        return np.concatenate(parts) if parts else np.zeros((0, 0), x.dtype)

    def scores(self, x, target=None):
        """The target's score (N,) of the samples x; `target` (N,) where they are not the original samples in order."""
        target = self.target if target is None else target
        return self.outputs(x)[np.arange(len(x)), target]

    def own_scores(self):
        """The target's score (N,) of the original samples, from logits already known."""
        return SCORES[self.score](minigrad.Tensor(self.logits)).data[np.arange(len(self.x)), self.target]

    def record(self, x, part=None):
        """A tape: the leaf that holds x, and all classes' scores (N, K) computed from it.

        `part` says that x is ``self.x[part]``, so that the logits need not be computed again to find the target.
        """
        leaf = minigrad.Tensor(x, requires_grad=True)
        logits = self._ask(leaf)
        self.forwards += len(x)
        if part is not None:
            self._learn(part, logits.data)
        return leaf, SCORES[self.score](logits)

    def record_layer(self, x, layer, part=None):
        """A tape with a layer's output on it: (leaf, scores, activation); `part` as in `record`."""
        path = layer_path(self.method, self.model, layer)
        leaf = minigrad.Tensor(x, requires_grad=True)
        logits, activations = self.model.named_activations(leaf)
        check_answer(self.method, logits, len(x))
        self.forwards += len(x)
        if part is not None:
            self._learn(part, logits.data)
        return leaf, SCORES[self.score](logits), activation_at(self.method, activations, path)

    def pull(self, scores, wrt, target, *, rules=None):
        """The gradient of the targets' scores with respect to `wrt`, or what `rules` make of it, as an ndarray."""
        seed = np.zeros(scores.shape, scores.dtype)
        seed[np.arange(len(seed)), target] = 1
        self.backwards += len(seed)
        return minigrad.grad(scores, wrt, seed, rules=rules).data

    def gradient(self, x, target=None, *, rules=None):
        """The gradient of the target's score at the samples x (or what `rules` make of it), batch by batch."""
        found = np.empty(x.shape, x.dtype)
        for part in self.batches(len(x)):
            leaf, scores = self.record(x[part], part if x is self.x else None)
            found[part] = self.pull(scores, leaf, self.targets(part) if target is None else target[part], rules=rules)
        return found

    def targets(self, part):
        """The target of the original samples `part`, from the logits that their tape has shown."""
        if not self._known[part].all():
            return self.target[part]
        wanted = self.wanted if np.ndim(self.wanted) != 1 else np.asarray(self.wanted)[part]
        return self._checked_target(self._logits[part], wanted)

    def attribution(self, values, **fields):
        """The result, with what it cost."""
        return Attribution(
            values,
            self.method,
            self.target,
            self.x,
            forwards=self.forwards,
            backwards=self.backwards,
            seconds=time.perf_counter() - self.start,
            **fields,
        )

    def _ask(self, x):
        """The model's logits, a Tensor (n, K), for a Tensor of samples."""
        logits = self.model(x)
        check_answer(self.method, logits, len(x.data))
        return logits

    def _learn(self, part, logits):
        self._check_logits(logits, part.start)
        if self._logits is None:
            self._logits = np.empty((len(self.x), logits.shape[1]), logits.dtype)
        self._logits[part], self._known[part] = logits, True

    def _check_logits(self, logits, first):
        if not np.isfinite(logits).all():
            sample = first + int(np.argmin(np.isfinite(logits).all(1)))
            raise ValueError(f"{self.method}: the model returned NaN or infinity for sample {sample}")
        if logits.shape[1] > 1 and (logits >= 0).all() and np.allclose(logits.sum(1), 1, atol=1e-4):
            raise ValueError(
                f"{self.method}: the model returns probabilities (they add up to 1), expected logits; "
                "leave out its last softmax, and pass score='probability' if that is what you want explained"
            )

    def _checked_target(self, logits, wanted):
        count, classes = logits.shape
        target = logits.argmax(1) if wanted is None else np.asarray(wanted)
        if target.dtype.kind not in "iu" or target.shape not in ((), (count,)):
            raise ValueError(
                f"{self.method}: target is {target.dtype} of shape {target.shape}, "
                f"expected an integer, {count} integers, or None"
            )
        if target.size and not 0 <= target.min() <= target.max() < classes:
            wrong = target.max() if target.max() >= classes else target.min()
            raise ValueError(f"{self.method}: target {wrong} is out of range, the model has classes 0..{classes - 1}")
        return np.broadcast_to(target, (count,)).astype(np.int64)


def evaluating(model):
    """Run a block with the model, or the one whose method it is, in evaluation mode; other functions have no modes."""
    model = getattr(model, "__self__", model)
    return evaluation_mode(model) if isinstance(model, minigrad.nn.Module) else nullcontext()


def layer_path(method, model, layer):
    """The path of a layer given as a Module or as a path; ``path#2`` is the second call of a module in one run."""
    if not isinstance(model, minigrad.nn.Module):
        raise TypeError(
            f"{method}: model is {type(model).__name__}, expected a Module: a plain function has no layers to name"
        )
    if layer == "":
        raise ValueError(f"{method}: layer '' is the model itself; name a part of it, such as {_some(model)}")
    if isinstance(layer, str):
        try:
            model.get_submodule(layer.split("#")[0])
        except ValueError as error:
            raise ValueError(f"{method}: {str(error).removeprefix('get_submodule: ')}") from None
        return layer
    for path, module in model.named_modules():
        if module is layer:
            return path
    raise ValueError(
        f"{method}: layer {type(layer).__name__} is not part of the model; give a path such as {_some(model)}"
    )


def _some(model):
    """A few paths of a model's parts."""
    return ", ".join(repr(path) for path, _ in model.named_modules()[1:4])


def activation_at(method, activations, path):
    """The output of the layer at `path` among those of `Module.named_activations`."""
    if path not in activations:
        ran = ", ".join(map(repr, difflib.get_close_matches(path, activations, 3, 0)))
        raise ValueError(f"{method}: layer {path!r} did not run in the forward pass; nearest that did: {ran}")
    if not isinstance(activations[path], minigrad.Tensor):
        raise TypeError(
            f"{method}: layer {path!r} returned {type(activations[path]).__name__}, expected one Tensor; "
            "choose a layer in it"
        )
    return activations[path]
