"""The rules of DeepLIFT, each shaped as a vjp: how a multiplier passes an op that is not affine. Shrikumar et al. 2017.

A multiplier is a change of the score per change of a unit between two runs of the network. An affine op hands it on
as it hands on a gradient. The others must see to it that nothing is lost: multipliers times changes, summed over the
inputs, are the output's multiplier times its change.

    elementwise f       (f(x) - f(x')) / (x - x')                            Rescale
    max                 the rise of the maximum goes to the new winner, its fall to the old one
    a * b               the derivative in the middle: (b + b') / 2 for a
    f(a, b)             the mean over the two orders in which a and b can change (Shapley)
    softmax             exp(x - logsumexp(x)), each of the three functions by Rescale
    layer norm          its centring is affine, its scale by Rescale, their product as a product
    layer, then f       what raised the sum and what lowered it, each with a multiplier of its own: RevealCancel

Every rule is made for one `reference`: ``reference[t]`` is what the other run made where this one made `t`. A
difference too small to divide by has no effect of its own to share, and takes the derivative for its multiplier.
"""

import numpy as np

import minigrad
from minigrad import ops

from .rules import minus, named, plus

EPSILON = 1e-10


def rescale(reference, eps=EPSILON):
    """Elementwise f: the slope of the chord from x' to x."""

    def rule(op, g, y, x):
        def pull():
            change, near = _difference(x, reference[x], eps)
            slope = (y - reference[y]) / change
            if not near.any():
                return g * slope
            return ops.Where()(minigrad.Tensor(near), op.vjp(g, y, x)[0](), g * slope)

        return (pull,)

    return named("rescale", rule)


def winners(reference, eps=EPSILON):
    """Maximum over a window or an axis: a rise is the present winner's, a fall the former winner's."""

    def rule(op, g, y, x):
        def pull():
            x0, y0 = reference[x], reference[y]
            top = ops.Minimum()(y, y0) if isinstance(op, ops.Min) else ops.Maximum()(y, y0)
            change, near = _difference(x, x0, eps)
            effect = op.vjp(g * (top - y0), y, x)[0]() + op.vjp(g * (y - top), y0, x0)[0]()
            if not near.any():
                return effect / change
            return ops.Where()(minigrad.Tensor(near), op.vjp(g, y, x)[0](), effect / change)

        return (pull,)

    return named("winners", rule)


def middle(reference):
    """A product, linear in each operand: the derivative where all operands are half-way between the two runs."""

    def rule(op, g, y, *xs):
        return op.vjp(g, y, *((x + reference[x]) / 2 for x in xs))

    return named("middle", rule)


def in_turn(reference, eps=EPSILON):
    """f(a, b), element by element: each operand's effect, averaged over which of the two changes first."""

    def rule(op, g, y, a, b):
        a0, b0 = reference[a], reference[b]

        def pull(place, x, x0, first, last):
            change, near = _difference(x, x0, eps)
            slope = (first() + last()) / 2 / change
            if not near.any():
                return g * slope
            ends = [op.vjp(g, op(u, v), u, v)[place]() for u, v in ((a, b), (a, b0) if place == 0 else (a0, b))]
            return ops.Where()(minigrad.Tensor(near), (ends[0] + ends[1]) / 2, g * slope)

        return (
            lambda: pull(0, a, a0, lambda: op(a, b0) - op(a0, b0), lambda: op(a, b) - op(a0, b)),
            lambda: pull(1, b, b0, lambda: op(a0, b) - op(a0, b0), lambda: op(a, b) - op(a, b0)),
        )

    return named("in_turn", rule)


def softmax(reference, eps=EPSILON):
    """exp(x - logsumexp(x)), or without the exp: the chain of the three functions' chords."""

    def rule(op, g, y, x):
        def pull():
            x0, y0 = reference[x], reference[y]
            top = minigrad.Tensor(np.maximum(x.data, x0.data).max(op.dim, keepdims=True))
            e, e0 = (x - top).exp(), (x0 - top).exp()
            log, log0 = x.logsumexp(op.dim, True), x0.logsumexp(op.dim, True)
            total, near_total = _difference(e.sum(op.dim, True), e0.sum(op.dim, True), eps)
            change, near = _difference(x, x0, eps)
            share = _chord((e - e0) / change, near, e)
            share = share * _chord((log - log0) / total, near_total, 1 / e.sum(op.dim, True))
            h = g
            if isinstance(op, ops.Softmax):
                gap, near = _difference(x - log, x0 - log0, eps)
                h = g * _chord((y - y0) / gap, near, y)
            return h - share * h.sum(op.dim, True)

        return (pull,)

    return named("softmax", rule)


def layer_norm(reference, eps=EPSILON):
    """z * s with z = x - mean(x) and s = 1 / sqrt(mean(z^2) + eps): a product of something affine and a chord."""

    def rule(op, g, y, x, *affine):
        def pull():
            axes = tuple(range(x.ndim - op.ndim, x.ndim))
            (z, variance), (z0, variance0) = (_centred(t, axes) for t in (x, reference[x]))
            s, s0 = ((v + op.eps) ** -0.5 for v in (variance, variance0))
            change, near = _difference(variance, variance0, eps)
            h = g * affine[0] if affine else g
            slope = _chord((s - s0) / change, near, -0.5 * s / (variance + op.eps))
            through_scale = (
                (h * (z + z0) / 2).sum(axes, True) * slope * (z + z0) / int(np.prod([x.shape[i] for i in axes]))
            )
            m = h * (s + s0) / 2 + through_scale
            return m - m.mean(axes, True)

        return pull, *(None for _ in affine)

    return named("layer_norm", rule)


def reveal_cancel(reference, after, eps=EPSILON):
    """A layer and the elementwise op after it, in one: a multiplier for what raised the sum, one for what lowered it.

    With the changes d+ and d- of the sum z = z' + d+ + d-, the effect of d+ is the mean of f(z' + d+) - f(z') and
    f(z' + d+ + d-) - f(z' + d-), that of d- the same with the two exchanged: neither can hide the other's effect.
    Shrikumar et al. 2017, section 3.5.3. `after` is the tensor made by the elementwise op, whose own rule must pass g
    through.
    """
    f = after.op

    def rule(op, g, y, x, w, *b):
        def pull():
            z0, change = reference[y], x - reference[x]
            up, down, w_up, w_down = plus(change), minus(change), plus(w), minus(w)
            raised, lowered = op(up, w_up) + op(down, w_down), op(up, w_down) + op(down, w_up)
            start, end, high, low = (f(z) for z in (z0, z0 + raised + lowered, z0 + raised, z0 + lowered))
            m_up, m_down = (
                g * _quotient((a - start + end - c) / 2, d, eps)
                for a, c, d in ((high, low, raised), (low, high, lowered))
            )

            def back(m, v):
                return op.vjp(m, y, x, v)[0]()

            if_up, if_down = back(m_up, w_up) + back(m_down, w_down), back(m_up, w_down) + back(m_down, w_up)
            still = back((m_up + m_down) / 2, w)
            return ops.Where()(
                minigrad.Tensor(change.data > 0), if_up, ops.Where()(minigrad.Tensor(change.data < 0), if_down, still)
            )

        return pull, None, *(None for _ in b)

    return named(f"reveal_cancel({type(f).__name__})", rule)


def _difference(x, x0, eps):
    """x - x' with ones where it is too small to divide by, and where that is, an array of bool."""
    change = x - x0
    near = np.abs(change.data) < eps
    return (
        ops.Where()(minigrad.Tensor(near), minigrad.Tensor(np.ones_like(change.data)), change) if near.any() else change
    ), near


def _chord(slope, near, derivative):
    return ops.Where()(minigrad.Tensor(near), derivative, slope) if near.any() else slope


def _quotient(effect, change, eps):
    near = minigrad.Tensor(np.abs(change.data) < eps)
    one = minigrad.Tensor(np.ones_like(change.data))
    return ops.Where()(near, one * 0, effect / ops.Where()(near, one, change))


def _centred(x, axes):
    z = x - x.mean(axes, True)
    return z, (z * z).mean(axes, True)
