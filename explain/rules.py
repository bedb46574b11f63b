"""Every rule, each a function with the signature of a vjp: ``rule(op, r, y, *xs) -> one thunk (or None) per input``.

`minigrad.grad(y, x, rules=...)` walks the tape once, newest op first, and asks a rule how much of what arrived at an
op's output goes to each input. With each op's own vjp that is the gradient. With the functions here it is another
explanation.

The first rules change the gradient at a ReLU. The others redistribute *relevance* (layer-wise relevance propagation,
Bach et al. 2015): of the relevance r_j that neuron j received, input i gets its share in the sum that made j,

    R_i = sum_j  q_ij / (sum_i q_ij + bias_j)  r_j        (+ epsilon in the denominator, away from zero)

and the rules differ in what counts as a contribution q_ij to z_j = sum_i x_i w_ij + b_j. With u+ for max(u, 0) and
u- for min(u, 0):

    epsilon      q = x w                                  as it was summed; epsilon = 0 is LRP-0
    gamma        q = x w + gamma (x w)+                   positive contributions count more
    alpha_beta   alpha times q = (x w)+, less beta times q = (x w)-
    zplus        q = (x w)+
    box          q = x w - low w+ - high w-               pixels, which lie in [low, high]
    w_square     q = w^2                                  inputs of any range: x is not looked at
    flat         q = 1                                    all inputs alike

What is not given to an input went somewhere: to the bias, or to the stabilizer in the denominator. A rule tells by
its attribute ``sinks`` (see `explain.ledger`). All rules are written in tensors and ops, so a map can itself be
differentiated.
"""

from typing import NamedTuple

import numpy as np

import minigrad
from minigrad import ops

EPSILON = 1e-6


def gradient(op, g, y, *xs):
    """The derivative."""
    return op.vjp(g, y, *xs)


def deconvolution_relu(op, g, y, x):
    """ReLU: what is positive on the way back passes, whatever the way forward was. Zeiler and Fergus 2014."""
    return (lambda: g.relu(),)


def guided_relu(op, g, y, x):
    """ReLU: what is positive on the way back passes where x was positive. Springenberg et al. 2015."""
    return (lambda: ops.Gate()(g.relu(), x),)


def smooth_relu(beta=10.0):
    """ReLU: the derivative of softplus, g sigmoid(beta x), so that second derivatives exist. Dombrowski et al. 2019."""

    def rule(op, g, y, x):
        return (lambda: g * (beta * x).sigmoid(),)

    return named(f"smooth_relu({beta:g})", rule)


def pass_through(op, r, y, *xs):
    """Element by element from one input, the others being constants: it gets everything."""
    return tuple(lambda: r for _ in xs)


def route(op, r, y, *xs):
    """Ops that move elements, or choose one: relevance goes where the element came from."""
    return op.vjp(r, y, *xs)


def epsilon(value=EPSILON):
    """q = x w: relevance is shared as the inputs built the sum. Bach et al. 2015, eq. 58; value 0 is LRP-0.

    It serves every op that is linear in its inputs: sums, means and skip connections too.
    """

    def rule(op, r, y, *xs):
        pulls = op.vjp(r / stabilized(y, value), y, *xs)
        return tuple(pull and (lambda x=x, pull=pull: x * pull()) for x, pull in zip(xs, pulls))

    def sinks(op, r, y, *xs, places):
        at_zero = [x * 0 if i in places else x for i, x in enumerate(xs)]
        return taken(r, y, value, applied(op, *at_zero))

    return named(f"epsilon({value:g})" if value else "zero", rule, sinks)


def gamma(value=0.25, *, bias=True, stabilizer=EPSILON):
    """q = x w + value (x w)+ where z > 0, and x w + value (x w)- where z < 0.

    For x >= 0 and z > 0 these are the weights w + value w+ of Montavon et al. 2019; in general, Andéol et al. 2021.
    """

    def split(op, y, x, w, b):
        up, down = w + value * plus(w), w + value * minus(w)
        return [
            Share(y.data > 0, [(plus(x), up), (minus(x), down)], b + value * plus(b)),
            Share(y.data < 0, [(plus(x), down), (minus(x), up)], b + value * minus(b)),
        ]

    return sharing(f"gamma({value:g})", split, bias, stabilizer)


def alpha_beta(alpha=2.0, beta=1.0, *, bias=True, stabilizer=EPSILON):
    """alpha times the shares in the positive part of the sum, less beta times those in its negative part.

    Bach et al. 2015, eq. 60; alpha - beta is 1.
    """

    if alpha < 0 or beta < 0 or not np.isclose(alpha - beta, 1):
        raise ValueError(
            f"alpha_beta: alpha is {alpha:g} and beta {beta:g}, expected alpha - beta = 1 with both at least 0: "
            "else relevance is not conserved"
        )

    def split(op, y, x, w, b):
        positive = Share(alpha, [(plus(x), plus(w)), (minus(x), minus(w))], plus(b))
        negative = Share(-beta, [(plus(x), minus(w)), (minus(x), plus(w))], minus(b))
        return [positive, negative] if beta else [positive]

    return sharing(f"alpha_beta({alpha:g}, {beta:g})", split, bias, stabilizer)


def zplus(*, bias=True, stabilizer=EPSILON):
    """q = (x w)+: only what raised the sum takes part; alpha 1, beta 0. Montavon et al. 2017."""
    return named("zplus", alpha_beta(1, 0, bias=bias, stabilizer=stabilizer))


def box(low=0.0, high=1.0, *, stabilizer=EPSILON):
    """q = x w - low w+ - high w-, which is at least 0 for every x in [low, high]. Montavon et al. 2017, z^B."""

    def split(op, y, x, w, b):
        lowest, highest = (minigrad.Tensor(np.broadcast_to(np.asarray(-v, x.dtype), x.shape)) for v in (low, high))
        return [Share(1, [(x, w), (lowest, plus(w)), (highest, minus(w))], b)]

    return sharing(f"box({np.min(low):g}, {np.max(high):g})", split, False, stabilizer)


def w_square(*, bias=True, stabilizer=EPSILON):
    """q = w^2, whatever x is. Montavon et al. 2017."""

    def split(op, y, x, w, b):
        return [Share(1, [(ones(x), w * w)], b * b)]

    return sharing("w_square", split, bias, stabilizer)


def flat(*, stabilizer=EPSILON):
    """q = 1: every input in reach gets the same. Lapuschkin et al. 2019."""

    def split(op, y, x, w, b):
        return [Share(1, [(ones(x), ones(w))], b)]

    return sharing("flat", split, False, stabilizer)


class Share(NamedTuple):
    """`amount` of the relevance, shared among parts of a sum: op(x, w) for each (x, w) in `parts`, and a bias."""

    amount: object
    parts: list
    bias: object


def sharing(name, split, bias, stabilizer):
    """The rule that shares relevance as `split(op, y, x, w, b)` says, a list of `Share`."""

    def shares(op, r, y, x, w, b):
        b = per_output(op, *b) if b and bias else minigrad.Tensor(np.zeros(1, x.dtype))
        for share in split(op, y, x, w, b):
            parts = [(v, u) for v, u in share.parts if v.data.any()] or share.parts[:1]  # for x >= 0 there is no x-
            z = sum((op(v, u) for v, u in parts[1:]), op(*parts[0]))
            z = z + share.bias if share.bias.data.any() else z
            yield share, parts, z, r * share.amount

    def rule(op, r, y, x, w, *b):
        def pull():
            got = [
                v * op.vjp(part / stabilized(z, stabilizer), z, v, u)[0]()
                for _, parts, z, part in shares(op, r, y, x, w, b)
                for v, u in parts
            ]
            return sum(got[1:], got[0])

        return pull, None, *(None for _ in b)

    def sinks(op, r, y, x, w, *b, places):
        total = {}
        for share, _, z, part in shares(op, r, y, x, w, b):
            for sink, amount in taken(part, z, stabilizer, share.bias).items():
                total[sink] = total.get(sink, 0) + amount
        return total

    return named(name, rule, sinks)


def named(name, rule, sinks=None):
    """Give a rule the name by which messages and drawings call it, and the function that tells of its sinks."""
    rule.__qualname__ = rule.__name__ = name
    if sinks:
        rule.sinks = sinks
    return rule


def taken(r, z, value, bias):
    """What of r the inputs do not get, per element of z: for the bias, the stabilizer, or want of any taker."""
    denominator = stabilized(z, value)
    s = r.data / denominator.data
    lost = (denominator.data - z.data) * s
    return {"bias": bias.data * s, "epsilon": np.where(z.data == 0, 0, lost), "clamp": np.where(z.data == 0, lost, 0)}


def stabilized(z, value):
    """z moved away from zero by `value`, a zero upwards; with value 0 a zero becomes 1: there is nothing to share."""
    away = np.where(z.data < 0, -value, value) if value else z.data == 0
    return z + minigrad.Tensor(away.astype(z.dtype))


def applied(op, x, *constants):
    """op(x, *constants), where a folded bias may have one value per output instead of one per channel."""
    if len(constants) == 2 and constants[1].ndim > 1:
        return op(x, constants[0]) + constants[1]
    return op(x, *constants)


def per_output(op, b):
    """A bias (C,) in the shape that broadcasts against the op's output; one that was folded has it already."""
    return b.reshape(-1, 1, 1) if isinstance(op, ops.Conv2d) and b.ndim == 1 else b


def plus(t):
    """max(t, 0)."""
    return t.relu()


def minus(t):
    """min(t, 0)."""
    return -(-t).relu()


def ones(t):
    """As many ones."""
    return minigrad.Tensor(np.ones_like(t.data))
