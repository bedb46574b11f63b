"""What kind of function an op is, given which of its operands depend on what is explained.

A rule is chosen by kind, and the class of the op is not enough to tell it: ``x * 2`` is a scaling and has an obvious
rule, ``x * gate(x)`` is a product of two things that both depend on x and needs a rule of its own. So a line of a
composite may name an op class or one of the kinds below.
"""

from typing import NamedTuple

import minigrad
from minigrad import ops

ACTIVATIONS = (ops.ReLU, ops.LeakyReLU, ops.ELU, ops.Sigmoid, ops.Tanh, ops.Softplus, ops.SiLU, ops.GELU, ops.Clip)
ELEMENTWISE = (*ACTIVATIONS, ops.Erf, ops.Exp, ops.Log, ops.Sqrt, ops.Power, ops.Sin, ops.Cos, ops.Abs)
PAIRWISE = (ops.Div, ops.Pow, ops.Maximum, ops.Minimum)
EXTREMES = (ops.MaxPool2d, ops.Max, ops.Min)
WEIGHTED = (ops.Linear, ops.Conv2d, ops.Conv2dInput, ops.MatMul)
ROUTING = (ops.Reshape, ops.Permute, ops.GetItem, ops.PutItem, ops.Concat, ops.Pad, ops.BroadcastTo, ops.Cast)
SUMS = (
    ops.Add,
    ops.Sub,
    ops.Sum,
    ops.SumTo,
    ops.ChannelSum,
    ops.AvgPool2d,
    ops.AvgPool2dInput,
    ops.AdaptiveAvgPool2d,
    ops.Interpolate,
    ops.Adjoint,
    ops.Where,
)
_BILINEAR = (*WEIGHTED, ops.Mul, ops.Einsum, ops.Conv2dWeight)


class Scaling:
    """Kind: element by element a x + c with constants a and c, such as `x / std` or batch norm in evaluation."""


class Mixing:
    """Kind: linear in its one operand that depends on the input, with constants that are not the layer's weights."""


class Product:
    """Kind: linear in each of several operands that all depend on the input, as in attention or a gate."""


class Trail(NamedTuple):
    """The part of a tape between an input and a result.

    Attributes
    ----------
    live : set of Tensor
        The tensors that depend on the input, the input included, and that the result depends on.
    steps : list of Tensor
        Those made by an op, oldest first; the input is not among them.
    """

    live: set
    steps: list

    @classmethod
    def between(cls, x, y):
        """The trail from `x` to `y`."""
        tensors = minigrad.tape(y)
        forward = {x}
        for t in tensors:
            if not forward.isdisjoint(t.inputs):
                forward.add(t)
        needed = {y}
        for t in reversed(tensors):
            if t in needed and t is not x:
                needed.update(t.inputs)
        live = forward & needed
        return cls(live, [t for t in tensors if t in live and t is not x])

    def operands(self, t):
        """The places of t's inputs that depend on the start of the trail."""
        return tuple(i for i, x in enumerate(t.inputs) if x in self.live)

    def users(self):
        """{tensor: the steps that take it in}."""
        users = {t: [] for t in self.live}
        for t in self.steps:
            for x in self.live.intersection(t.inputs):
                users[x].append(t)
        return users


def kinds(t, places):
    """The classes under which a composite may list the op of `t`, whose operands at `places` depend on the input."""
    op = type(t.op)
    if op in _BILINEAR and len(places) > 1:
        return (Product,)
    if op in WEIGHTED:
        return (op,) if places == (0,) else (Mixing,)
    if op in (ops.Einsum, ops.Conv2dWeight):
        return op, Mixing
    alone = op in (ops.Add, ops.Sub, ops.Mul, ops.Neg) and len(places) == 1
    first = op in (ops.Div, ops.BatchNorm) and places == (0,)
    return (op, Scaling) if alone or first else (op,)
