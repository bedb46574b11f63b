"""DeepLIFT: the gradient's walk with differences from a reference in place of derivatives. Shrikumar et al. 2017.

The network runs twice, on x and on a reference x', and leaves two tapes of the same program, paired here tensor by
tensor. The walk carries multipliers, (change of the score due to a unit) / (u - u'), by the rules of
`explain.differences`. So the pixels' contributions m (x - x') add up to score(x) - score(x'), sample by sample.
"""

import numpy as np

import minigrad
from minigrad import ops
from minigrad.autodiff import place

from . import differences
from .composite import Composite, Line
from .inputs import as_baseline, as_pool
from .kinds import ELEMENTWISE, EXTREMES, PAIRWISE, ROUTING, SUMS, WEIGHTED, Mixing, Product, Scaling, Trail
from .lrp import recorded
from .rules import gradient, pass_through
from .scoring import Scoring

RULES = ("rescale", "reveal_cancel", "genomics")
KNOWN = ("gradient", "rescale", "winners", "middle", "in_turn", "softmax", "layer_norm", "reveal_cancel")


def deep_lift(model, x, target=None, *, baselines=0.0, rule="rescale", eps=differences.EPSILON, layer=None, **common):
    """How much each pixel's difference from a baseline contributes to the score's difference.

    Complete: the values add up to score(x) - score(baseline), for every sample. Shrikumar et al. 2017.

    Parameters
    ----------
    model, x, target, **common
        As in `explain.scoring.Scoring`.
    baselines : number or array of x's shape (or one row of it)
        The reference.
    rule : 'rescale', 'reveal_cancel' or 'genomics'
        For an elementwise op right after a layer with weights; 'genomics' means Rescale after convolutions and
        RevealCancel after dense layers. All other ops are as in `explain.differences`.
    eps : float
        Differences below it count as none.
    layer : Module or str, optional
        A layer (or its path) whose units' differences are to be given the contributions, in place of the pixels'.

    Returns
    -------
    Attribution
        `delta` is the sum of the values less the difference of the scores: zero but for rounding.

    Raises
    ------
    ValueError
        For an op without a rule, a baseline of another shape, or a model that takes another way for it.
    """
    _check("deep_lift", rule, eps)
    with Scoring("deep_lift", model, x, target, **common) as run:
        baseline = as_baseline(run, baselines)
        single = np.ndim(baselines) < run.x.ndim or len(baselines) == 1
        found = []
        for part in run.batches(len(run.x)):
            tape = recorded(run, run.x[part], layer, part)
            found.append(_contributions(run, tape, part, baseline[:1] if single else baseline[part], layer, rule, eps))
        values, delta = map(np.concatenate, zip(*found))
        return run.attribution(values, baseline=baseline, delta=delta, settings={"rule": rule, "eps": eps})


def deep_lift_shap(model, x, target=None, *, baselines, rule="rescale", eps=differences.EPSILON, layer=None, **common):
    """The mean of `deep_lift` over several baselines: approximate Shapley values. Lundberg and Lee 2017.

    Complete: the values add up to the score less its mean over the baselines.

    Parameters
    ----------
    model, x, target, rule, eps, layer, **common
        As in `deep_lift`.
    baselines : array of shape (B, C, H, W), or a number
        Rows that every sample is compared with.

    Returns
    -------
    Attribution
        With ``extra["deltas"]``, the completeness residual per sample and baseline: (N, B).
    """
    _check("deep_lift_shap", rule, eps)
    with Scoring("deep_lift_shap", model, x, target, **common) as run:
        rows, found = as_pool(run, baselines), []
        for part in run.batches(len(run.x)):
            tape = recorded(run, run.x[part], layer, part)
            each = [_contributions(run, tape, part, rows[b : b + 1], layer, rule, eps) for b in range(len(rows))]
            found.append((sum(values for values, _ in each) / len(rows), np.stack([delta for _, delta in each], 1)))
        values, deltas = map(np.concatenate, zip(*found))
        return run.attribution(
            values,
            baseline=rows,
            pool=True,
            delta=deltas.mean(1),
            settings={"rule": rule, "eps": eps},
            extra={"deltas": deltas},
        )


class Reference:
    """The tensors of one tape beside those of another run of the same program.

    ``reference[t]`` is the tensor that the other run made where this one made `t`, broadcast to t's shape.

    Parameters
    ----------
    y, y_reference : Tensor
        The two results.
    trail : Trail
        Of the first tape: on it, whatever does not depend on the input must be the same in both runs.
    method : str
        For messages.

    Raises
    ------
    ValueError
        If the program took another way for the reference.
    """

    def __init__(self, y, y_reference, trail, method="deep_lift"):
        ours, theirs = ([t for t in minigrad.tape(result) if t.op] for result in (y, y_reference))
        if [type(t.op) for t in ours] != [type(t.op) for t in theirs]:
            raise ValueError(
                f"{method}: the model ran {len(ours)} ops for x and {len(theirs)} for the baseline, "
                "or others: expected the same program for both; its forward must not branch on its input"
            )
        self.pairs = dict(zip(ours, theirs))
        for t, other in zip(ours, theirs):
            self.pairs |= {x: x0 for x, x0 in zip(t.inputs, other.inputs) if x not in self.pairs}
        if not all(map(_comparable, self.pairs.keys(), self.pairs.values())):
            raise ValueError(
                f"{method}: the model made tensors of other shapes for x than for the baseline, or indexed them "
                "elsewhere: expected the same program for both; its forward must not depend on the values of its input"
            )
        for t in trail.steps:
            for x in t.inputs:
                if x not in trail.live and not _same(x, self.pairs[x]):
                    raise ValueError(
                        f"{method}: {place(t)} has another constant (shape {x.shape}) for x than for the baseline: "
                        "what does not depend on x through the tape must be the same for both"
                    )

    def __getitem__(self, t):
        other = self.pairs[t]
        return other if other.shape == t.shape else other.expand(*t.shape)


def composite(reference, rule="rescale", eps=differences.EPSILON):
    """The rules of DeepLIFT as a composite, for one pair of tapes."""
    affine = (*WEIGHTED, *SUMS, *ROUTING, Scaling, Mixing)
    return Composite(
        Line(affine, gradient),
        Line(ELEMENTWISE, differences.rescale(reference, eps)),
        Line(EXTREMES, differences.winners(reference, eps)),
        Line(Product, differences.middle(reference)),
        Line(PAIRWISE, differences.in_turn(reference, eps)),
        Line((ops.Softmax, ops.LogSoftmax), differences.softmax(reference, eps)),
        Line(ops.LayerNorm, differences.layer_norm(reference, eps)),
        name=rule,
        fold=False,
        known=KNOWN,
    )


def bind(y, x, reference, rule, eps, method="deep_lift"):
    """The rules for the tape between `x` and `y`, as `minigrad.grad` takes them."""
    chosen = composite(reference, rule, eps).bind(y, x, method)
    if rule == "rescale":
        return chosen
    layers = ops.Linear if rule == "genomics" else (ops.Linear, ops.Conv2d)
    users, revealed = chosen.trail.users(), {}
    for t in chosen.trail.steps:
        after = users[t][0] if len(users[t]) == 1 else t
        if isinstance(t.op, layers) and isinstance(after.op, ELEMENTWISE) and chosen.trail.operands(t) == (0,):
            revealed |= {t: differences.reveal_cancel(reference, after, eps), after: pass_through}
    return lambda t: revealed.get(t) or chosen(t)


def _contributions(run, tape, part, baseline, layer, rule, eps):
    """Values and residuals of the samples `part`, whose `tape` is compared with one of `baseline`."""
    leaf, scores, end = tape
    trail = Trail.between(leaf, scores)
    try:
        scores0 = recorded(run, baseline, layer)[1]
        reference = Reference(scores, scores0, trail, run.method)
    except ValueError:  # one row cannot stand for many where the program moves samples to other axes
        scores0 = recorded(run, np.broadcast_to(baseline, (len(scores), *baseline.shape[1:])), layer)[1]
        reference = Reference(scores, scores0, trail, run.method)
    target = run.targets(part)
    multipliers = run.pull(scores, end, target, rules=bind(scores, leaf, reference, rule, eps, run.method))
    values = multipliers * (end.data - reference[end].data)
    rows = np.arange(len(values))
    rise = scores.data[rows, target] - scores0.data[rows if len(scores0) > 1 else 0, target]
    return values, values.reshape(len(values), -1).sum(1) - rise


def _check(method, rule, eps):
    if rule not in RULES:
        raise ValueError(f"{method}: rule is {rule!r}, expected one of {', '.join(map(repr, RULES))}")
    if not eps > 0:
        raise ValueError(f"{method}: eps is {eps!r}, expected a positive number: differences below it count as none")


def _comparable(t, other):
    """Whether `other` broadcasts to `t` and both were read at the same index."""
    if t.ndim != other.ndim or any(m not in (1, n) for n, m in zip(t.shape, other.shape)):
        return False
    return not isinstance(t.op, ops.GetItem) or _same_index(t.op.index, other.op.index)


def _same(a, b):
    return a is b or a.data.dtype == b.data.dtype and np.array_equal(*np.broadcast_arrays(a.data, b.data))


def _same_index(a, b):
    a, b = (i if isinstance(i, tuple) else (i,) for i in (a, b))
    return len(a) == len(b) and all(np.array_equal(i, j) if isinstance(i, np.ndarray) else i == j for i, j in zip(a, b))
