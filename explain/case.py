"""What the theorems of `explain.identities` ask about a network: its kind, and networks that are made from it."""

import copy

import numpy as np

import minigrad
from minigrad import ops

from .gradient import saliency
from .kinds import Trail, kinds
from .methods import last_convolution


class NotApplicable(Exception):
    """The network is not of the kind that a theorem is about; the message says in what."""


class Case:
    """A network in float64 and evaluation mode, inputs, targets, and what the theorems ask about them."""

    def __init__(self, model, x, target, layer, rng, bounds):
        self.model, self.x, self.target, self.given_layer, self.bounds = model, x, target, layer, bounds
        self.baseline = rng.random(x.shape)
        leaf = minigrad.Tensor(x[:1], requires_grad=True)
        self.trail = Trail.between(leaf, model(leaf))

    def call(self, explain, model=None, /, **options):
        """A method's result for the inputs, or with the options' `x` for others."""
        x = options.pop("x", self.x)
        return explain(model or self.model, x, self.target, bounds=options.pop("bounds", self.bounds), **options)

    @property
    def layer(self):
        """The layer asked about, or the last convolution."""
        try:
            return self.given_layer or last_convolution(self.model, self.x[:1])
        except ValueError:
            raise NotApplicable("the network has no convolution; name a layer") from None

    def other(self, allowed):
        """An op on the way from the input to the scores that is of none of the kinds `allowed`, or None."""
        for t in self.trail.steps:
            found = kinds(t, self.trail.operands(t))
            if not any(issubclass(kind, allowed) for kind in found):
                return f"{type(t.op).__name__} in {t.scope!r}"
        return None

    def needs(self, allowed, why):
        """Go on only if every op is of one of the kinds."""
        if other := self.other(allowed):
            raise NotApplicable(f"{why}; this has {other}")


def differ(*maps):
    """The largest difference of maps from the first, as a part of the largest value in any."""
    arrays = [np.asarray(m, np.float64) for m in maps]
    scale = max(np.abs(a).max() for a in arrays)
    return max(np.abs(a - arrays[0]).max() for a in arrays[1:]) / (scale or 1)


def incomplete(attribution, residual=None):
    """The largest completeness residual of a sample, as a part of the largest value of its map."""
    scale = np.abs(attribution.values).reshape(len(attribution), -1).max(1)
    residual = attribution.delta if residual is None else residual
    return (np.abs(residual) / np.where(scale > 0, scale, 1)).max()


def falls_in_max_pool(case, model):
    """Whether a max-pool gives a negative value that matters.

    At the baseline of zeros all values of its window are equal, so that DeepLIFT's way down from there has no winner.
    """
    leaf = minigrad.Tensor(case.x, requires_grad=True)
    scores = model(leaf)
    pools = [t for t in minigrad.autodiff.tape(scores) if isinstance(t.op, minigrad.ops.MaxPool2d)]
    score = scores[np.arange(len(case.x)), case.target].sum()
    gradients = minigrad.grad(score, pools, allow_unused=True) if pools else []
    return any(g is not None and ((t.data < 0) & (g.data != 0)).any() for t, g in zip(pools, gradients, strict=True))


def without_biases(model):
    """A copy in which nothing is added: no biases, no means."""
    bare = copy.deepcopy(model)
    for module in bare.modules():
        if isinstance(module, minigrad.nn.Standardize):
            module.mean = [0.0] * len(module.mean)
    for name, tensor in (*bare.named_parameters(), *bare.named_buffers()):
        if name.rpartition(".")[2] in ("bias", "running_mean"):
            tensor.data[...] = 0
            tensor.bump()
    return bare


class _Tangent(minigrad.nn.Module):
    """The linear function that touches a network at a point; classes that are not asked about are zero."""

    def __init__(self, weight, bias):
        self.weight, self.bias = minigrad.nn.Parameter(weight), minigrad.nn.Parameter(bias)

    def forward(self, x):
        return minigrad.functional.linear(x.flatten(1), self.weight, self.bias)


def tangent(case):
    """The network's tangent at the first sample, a `_Tangent`."""
    x, classes = case.x[:1], np.unique(case.target)
    with minigrad.no_grad():
        y = case.model(minigrad.Tensor(x)).data[0]
    weight, bias = np.zeros((len(y), x.size)), np.zeros(len(y))
    for k in classes:
        weight[k] = saliency(case.model, x, int(k), absolute=False, bounds=None).values.ravel()
        bias[k] = y[k] - weight[k] @ x.ravel()
    return _Tangent(weight, bias).eval()


def cell_size(x):
    """1 for small pictures; for photographs so much that there are about 200 cells."""
    side = max(x.shape[2:])
    return 1 if side <= 32 else -(-side // 14)


def averaged(case):
    """The path of the layer that is averaged over all its places, and the dense layer's weight, None without one."""
    t, weight = case.trail.steps[-1], None
    while isinstance(t.op, (ops.Linear, ops.Reshape)):
        if isinstance(t.op, ops.Linear):
            if weight is not None or case.trail.operands(t) != (0,):
                raise NotApplicable("the network does not end in global averaging and one dense layer")
            weight = t.inputs[1].data
        t = t.inputs[0]
    whole = isinstance(t.op, (ops.AdaptiveAvgPool2d, ops.AvgPool2d, ops.Sum)) and t.size == np.prod(
        t.inputs[0].shape[:2]
    )
    if not whole and isinstance(t.op, (ops.Mul, ops.Div)):  # a mean is a sum and a scaling
        t = t.inputs[0]
        whole = isinstance(t.op, ops.Sum) and t.inputs[0].ndim == 4 and t.size == np.prod(t.inputs[0].shape[:2])
    if not whole:
        raise NotApplicable("the network does not end in global averaging and one dense layer")
    with minigrad.no_grad():
        activations = case.model.named_activations(minigrad.Tensor(case.x[:1]))[1]
    same = [
        path
        for path, a in activations.items()
        if a.shape == t.inputs[0].shape and np.array_equal(a.data, t.inputs[0].data)
    ]
    if not same:
        raise NotApplicable("what is averaged is no layer's output")
    return same[0], weight
