"""One row for every Op: operands it must cope with, and what NumPy says the answer is.

A row is a function of a Generator that yields cases `(op, oracle, *operands)`. Operands are float64 where the op is
differentiated with respect to them and bool where it is not; no draw comes near a kink (`apart`). Oracles share no code
with the library: loops, plain NumPy or SciPy, and for the derivative of a linear map the transpose of its dense matrix.
"""

import itertools

import numpy as np
from scipy import special

from minigrad import ops

ROWS = {}


def row(kind):
    """Register a function as the row of an op."""

    def register(function):
        ROWS[kind] = function
        return function

    return register


def apart(rng, *shape):
    """Numbers in about (-2, 2) that keep a distance from each other and from 0, so that no kink or tie is near."""
    n = int(np.prod(shape))
    values = (np.arange(n) + 0.5 + rng.uniform(-0.1, 0.1, n)) * (4 / max(n, 4)) - 2 + 0.01
    return rng.permutation(values).reshape(shape)


def positive(rng, *shape):
    return rng.uniform(0.5, 2.0, shape)


def turned(x):
    """The same numbers in channels-last memory."""
    return np.ascontiguousarray(np.moveaxis(x, 1, -1)).transpose(0, x.ndim - 1, *range(1, x.ndim - 1))


def transposed(linear, input_shape, g):
    """What the transpose of a linear map does to g, by way of its dense matrix."""
    basis = np.eye(int(np.prod(input_shape))).reshape(-1, *input_shape)
    return np.array([(linear(e) * g).sum() for e in basis]).reshape(input_shape)


SHAPES = (), (3,), (1,), (2, 1, 3), (2, 2, 3, 3), (0, 3)


def elementwise(kind, formula, draw=apart, count=1):
    """Register a row for an op without settings that works element by element."""

    @row(kind)
    def cases(rng):
        for shape in SHAPES:
            yield kind(), formula, *(draw(rng, *shape) for _ in range(count))
        yield kind(), formula, *(turned(draw(rng, 2, 3, 2, 2)) for _ in range(count))


elementwise(ops.Add, lambda a, b: a + b, count=2)
elementwise(ops.Sub, lambda a, b: a - b, count=2)
elementwise(ops.Mul, lambda a, b: a * b, count=2)
elementwise(ops.Div, lambda a, b: a / b, positive, count=2)
elementwise(ops.Neg, lambda x: 0 - x)
elementwise(ops.Pow, lambda a, b: np.exp(b * np.log(a)), positive, count=2)
elementwise(ops.Exp, lambda x: np.e**x)
elementwise(ops.Log, lambda x: np.log2(x) / np.log2(np.e), positive)
elementwise(ops.Sqrt, lambda x: x**0.5, positive)
elementwise(ops.Sin, lambda x: np.imag(np.exp(1j * x)))
elementwise(ops.Cos, lambda x: np.real(np.exp(1j * x)))
elementwise(ops.Abs, lambda x: np.sqrt(x * x))
elementwise(
    ops.Maximum,
    lambda a, b: np.where(a > b, a, b),
    lambda rng, *shape: apart(rng, *shape) * rng.choice((1, 1.7)),
    count=2,
)
elementwise(
    ops.Minimum,
    lambda a, b: np.where(a < b, a, b),
    lambda rng, *shape: apart(rng, *shape) * rng.choice((1, 1.7)),
    count=2,
)
elementwise(ops.ReLU, lambda x: np.where(x > 0, x, 0))
elementwise(ops.Sigmoid, lambda x: special.expit(x))
elementwise(ops.Tanh, lambda x: (np.exp(2 * x) - 1) / (np.exp(2 * x) + 1))
elementwise(ops.SiLU, lambda x: x * special.expit(x))
elementwise(ops.Erf, lambda x: 2 * special.ndtr(x * 2**0.5) - 1)
elementwise(ops.Gate, lambda g, x: np.where(x > 0, g, 0), count=2)


def settings(kind, formula, *choices, draw=apart):
    """Register a row for an elementwise op of one operand, once for every choice of settings."""

    @row(kind)
    def cases(rng):
        for choice, shape in itertools.product(choices, ((), (7,), (2, 3, 2, 2))):
            yield kind(*choice), lambda x, choice=choice: formula(x, *choice), draw(rng, *shape)


settings(ops.Power, lambda x, p: np.exp(p * np.log(x)), (2.0,), (3,), (-1.5,), (0.5,), (0.0,), (1.0,), draw=positive)
settings(ops.LeakyReLU, lambda x, slope: np.where(x > 0, 1, slope) * x, (0.01,), (0.3,), (-0.2,))
settings(ops.ELU, lambda x, alpha: np.where(x > 0, x, alpha * (np.exp(x) - 1)), (1.0,), (0.5,))
settings(
    ops.Softplus,
    lambda x, beta, top: np.where(beta * x > top, x, np.log(1 + np.exp(beta * x)) / beta),
    (1.0, 20.0),
    (3.0, 2.345),
)
settings(
    ops.Clip,
    lambda x, low, high: (
        np.where(x < low, low, np.where(x > high, high, x))
        if None not in (low, high)
        else np.where(x < low, low, x)
        if high is None
        else np.where(x > high, high, x)
    ),
    (-1.0123, 0.5123),
    (None, 0.3123),
    (-0.7123, None),
)
settings(
    ops.GELU,
    lambda x, kind: (
        x * special.ndtr(x) if kind == "none" else 0.5 * x * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3)))
    ),
    ("none",),
    ("tanh",),
)


@row(ops.Cast)
def cast(rng):
    yield ops.Cast("float64"), lambda x: x, apart(rng, 2, 3)


@row(ops.Where)
def where(rng):
    for shape in SHAPES:
        yield (
            ops.Where(),
            lambda c, a, b: c * a + ~c * b,
            rng.random(shape) > 0.5,
            apart(rng, *shape),
            apart(rng, *shape),
        )


@row(ops.BroadcastTo)
def broadcast_to(rng):
    for shape, wide in [
        ((), (2, 3)),
        ((3,), (2, 3)),
        ((1, 3), (2, 3)),
        ((2, 1, 1), (4, 2, 1, 3)),
        ((1, 1), (1, 1)),
        ((1, 3), (0, 3)),
    ]:
        yield ops.BroadcastTo(wide), lambda x, wide=wide: x + np.zeros(wide), apart(rng, *shape)


@row(ops.SumTo)
def sum_to(rng):
    for shape, wide in [
        ((), (2, 3)),
        ((3,), (2, 3)),
        ((1, 3), (2, 3)),
        ((2, 1, 1), (4, 2, 1, 3)),
        ((1, 1), (1, 1)),
        ((1, 3), (0, 3)),
    ]:
        yield (
            ops.SumTo(shape),
            lambda g, shape=shape: transposed(lambda x: x + np.zeros(g.shape), shape, g),
            apart(rng, *wide),
        )


@row(ops.Reshape)
def reshape(rng):
    for shape, new in [((2, 3), (3, 2)), ((), (1, 1)), ((1,), ()), ((2, 1, 3), (6,)), ((0, 2), (4, 0))]:
        yield (
            ops.Reshape(new),
            lambda x, new=new: np.array(x.ravel().tolist(), x.dtype).reshape(new),
            apart(rng, *shape),
        )
    yield ops.Reshape((2, 12)), lambda x: np.stack([image.ravel() for image in x]), turned(apart(rng, 2, 3, 2, 2))


@row(ops.Permute)
def permute(rng):
    yield ops.Permute((2, 0, 1)), lambda x: np.einsum("abc->cab", x), apart(rng, 2, 3, 4)
    yield ops.Permute((0, 3, 1, 2)), lambda x: np.einsum("abcd->adbc", x), apart(rng, 1, 2, 1, 3)
    yield ops.Permute(()), lambda x: x, apart(rng)


INDICES = {
    "slices": (slice(1, None), slice(None, None, 2)),
    "reversed": (slice(None, None, -1),),
    "integer": 1,
    "negative": (-1, 2),
    "new axis": (None, Ellipsis, 0),
    "array": (np.array([0, 2, 2, -1]),),
    "bool": (np.array([True, False, True]),),
    "mixed": (slice(None), np.array([1, 1, 0])),
    "pairs": (np.array([[0, 1], [2, 0]]), np.array([3, 3])),
    "empty": (slice(2, 2),),
}


@row(ops.GetItem)
def getitem(rng):
    for index in INDICES.values():
        places = np.arange(12).reshape(3, 4)[index]
        yield (
            ops.GetItem(index),
            lambda x, places=places: np.array(x.ravel().tolist(), x.dtype)[places],
            apart(rng, 3, 4),
        )


@row(ops.PutItem)
def putitem(rng):
    for index in INDICES.values():
        yield (
            ops.PutItem(index, (3, 4)),
            lambda g, index=index: transposed(lambda x: x[index], (3, 4), g),
            apart(rng, *np.zeros((3, 4))[index].shape),
        )


@row(ops.Concat)
def concat(rng):
    yield ops.Concat(0), lambda a: a, apart(rng, 2, 3)
    yield (
        ops.Concat(1),
        lambda a, b, c: np.array([[*p, *q, *r] for p, q, r in zip(a, b, c)]),
        apart(rng, 2, 3),
        apart(rng, 2, 1),
        apart(rng, 2, 0),
    )
    yield (
        ops.Concat(1),
        lambda a, b: np.moveaxis(np.array([*np.moveaxis(a, 1, 0), *np.moveaxis(b, 1, 0)]), 0, 1),
        turned(apart(rng, 1, 2, 2, 2)),
        apart(rng, 1, 3, 2, 2),
    )


@row(ops.Pad)
def pad(rng):
    def oracle(x, widths, value):
        y = np.full([n + a + b for n, (a, b) in zip(x.shape, widths)], value, x.dtype)
        y[tuple(slice(a, a + n) for n, (a, _) in zip(x.shape, widths))] = x
        return y

    for widths, value in [(((0, 0), (1, 2)), 0.0), (((2, 0), (0, 0)), 1.5), (((0, 0), (0, 0)), 0.0)]:
        yield ops.Pad(widths, value), lambda x, widths=widths, value=value: oracle(x, widths, value), apart(rng, 2, 3)


REDUCTIONS = [((), ()), ((4,), (0,)), ((2, 3), (1,)), ((2, 3), (0, 1)), ((2, 3, 2), (0, 2)), ((2, 1, 3), (1,))]


def reduction(kind, formula, *more):
    """Register a row for an op that shrinks axes."""

    @row(kind)
    def cases(rng):
        for (shape, dims), keepdim in itertools.product([*REDUCTIONS, *more], (False, True)):
            yield (
                kind(dims, keepdim),
                lambda x, dims=dims, keepdim=keepdim: reduced(x, dims, keepdim, formula),
                apart(rng, *shape),
            )
        yield kind((2, 3)), lambda x: reduced(x, (2, 3), False, formula), turned(apart(rng, 2, 3, 2, 2))


def reduced(x, dims, keepdim, formula):
    kept = [i for i in range(x.ndim) if i not in dims]
    columns = x.transpose(*kept, *dims).reshape([x.shape[i] for i in kept] + [-1 if x.size else 0])
    y = np.array([formula(columns[at].tolist()) for at in np.ndindex(columns.shape[:-1])], x.dtype)
    return y.reshape([1 if i in dims else n for i, n in enumerate(x.shape)] if keepdim else [x.shape[i] for i in kept])


reduction(ops.Sum, sum, ((0, 3), (0,)), ((3, 0), (1,)))
reduction(ops.Max, lambda values: sorted(values)[-1])
reduction(ops.Min, lambda values: sorted(values)[0])


@row(ops.MatMul)
def matmul(rng):
    for left, right in [
        ((2, 3), (3, 4)),
        ((1, 1), (1, 1)),
        ((2, 2, 3), (2, 3, 1)),
        ((2, 1, 2, 3), (2, 1, 3, 2)),
        ((0, 3), (3, 2)),
    ]:
        yield (
            ops.MatMul(),
            lambda a, b: (a[..., :, :, None] * b[..., None, :, :]).sum(-2),
            apart(rng, *left),
            apart(rng, *right),
        )
    yield ops.MatMul(), lambda a, b: (a[:, :, None] * b[None]).sum(1), apart(rng, 3, 2).T, apart(rng, 6, 4)[::2, ::2]


@row(ops.Linear)
def linear(rng):
    def oracle(x, weight, *bias):
        return np.array(
            [[sum(a * b for a, b in zip(p, q)) + (bias[0][o] if bias else 0) for o, q in enumerate(weight)] for p in x]
        ).reshape(len(x), len(weight))

    for n, inputs, outputs in [(2, 3, 4), (1, 1, 1), (5, 2, 1), (0, 3, 2)]:
        x, weight, bias = apart(rng, n, inputs), apart(rng, outputs, inputs), apart(rng, outputs)
        yield ops.Linear(), oracle, x, weight, bias
        yield ops.Linear(), oracle, np.asfortranarray(x), weight


@row(ops.Einsum)
def einsum(rng):
    def oracle(subscripts, *xs):
        terms, output = subscripts.split("->")
        sizes = {c: n for t, x in zip(terms.split(","), xs) for c, n in zip(t, x.shape)}
        y = np.zeros([sizes[c] for c in output])
        for at in itertools.product(*(range(n) for n in sizes.values())):
            place = dict(zip(sizes, at))
            y[tuple(place[c] for c in output)] += np.prod(
                [x[tuple(place[c] for c in t)] for t, x in zip(terms.split(","), xs)]
            )
        return y

    for subscripts, *shapes in [
        ("ij,jk->ik", (2, 3), (3, 2)),
        ("ij->ji", (2, 3)),
        ("ij->", (2, 3)),
        ("ij,ij->i", (2, 3), (2, 3)),
        ("i,j,k->kji", (2,), (3,), (2,)),
        ("bij,bjk->bik", (2, 1, 2), (2, 2, 3)),
        ("ab,c->a", (2, 2), (3,)),
        (",i->i", (), (3,)),
    ]:
        yield (
            ops.Einsum(subscripts),
            lambda *xs, subscripts=subscripts: oracle(subscripts, *xs),
            *(apart(rng, *s) for s in shapes),
        )


@row(ops.Softmax)
def softmax(rng):
    for shape, dim in [((4,), 0), ((2, 3), 1), ((2, 3), 0), ((2, 3, 2, 1), 1), ((2, 1), 1)]:
        yield ops.Softmax(dim), lambda x, dim=dim: special.softmax(x, dim), apart(rng, *shape)


@row(ops.LogSoftmax)
def log_softmax(rng):
    for shape, dim in [((4,), 0), ((2, 3), 1), ((2, 3), 0), ((2, 3, 2, 1), 1), ((2, 1), 1)]:
        yield ops.LogSoftmax(dim), lambda x, dim=dim: np.log(special.softmax(x, dim)), apart(rng, *shape)


@row(ops.CrossEntropy)
def cross_entropy(rng):
    for shape in [(2, 3), (2, 1), (2, 3, 2, 1)]:
        for total in (False, True):
            def formula(x, q, total=total):
                losses = -(q * np.log(special.softmax(x, 1))).sum(1)
                return losses.sum() if total else losses

            yield ops.CrossEntropy(total), formula, apart(rng, *shape), apart(rng, *shape)


@row(ops.CrossEntropyInput)
def cross_entropy_input(rng):
    for shape in [(2, 3), (2, 1), (2, 3, 2, 1)]:
        for of_g in [(shape[0], *shape[2:]), ()]:
            yield (
                ops.CrossEntropyInput(),
                lambda g, x, q: (np.expand_dims(g, 1) if g.ndim else g)
                * (special.softmax(x, 1) * q.sum(1, keepdims=True) - q),
                apart(rng, *of_g),
                apart(rng, *shape),
                apart(rng, *shape),
            )
