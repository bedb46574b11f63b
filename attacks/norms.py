"""How far is far: the four geometries of an attack, as small objects.

Each norm answers four questions about a batch of perturbations d (N, ...), sample by sample: how large is it
(`distance`), what is the nearest perturbation of size at most eps (`project`), which step of length 1 raises a linear
function the most (`steepest`), and what does a random perturbation of size at most eps look like (`random`). An attack
is one loop that asks them; it need not know which norm it is.

The steepest step of a norm is the maximiser of <g, d> over its unit ball, and the value there is the dual norm of g:

    norm    ball            steepest step            dual
    Linf    box             sign(g)                  L1
    L2      sphere          g / |g|_2                L2
    L1      cross-polytope  all on the largest |g|   Linf
"""
from dataclasses import dataclass
from math import prod

import numpy as np


def flat(d):
    """(N, ...) as (N, features), a view where memory allows."""
    return d.reshape(len(d), prod(d.shape[1:]))


def in_float64(y, x):
    """y - x without rounding to float32: the difference that a ball is about."""
    return np.subtract(y, x, dtype=np.float64)


def toward(x, d):
    """x + d in x's dtype, rounded toward x, so that no value moves farther than d says."""
    wide = x.astype(np.float64)
    y = np.ascontiguousarray(wide + d, x.dtype)
    wide -= y
    over = np.flatnonzero(np.abs(wide, out=wide) > np.abs(d))  # few, and nextafter is slow
    values = y.reshape(-1)
    values[over] = np.nextafter(values[over], x.reshape(-1)[over])
    return y


def per_sample(values, like):
    """(N,) numbers, or one number, with the axes to multiply a batch (N, ...)."""
    values = np.asarray(values, like.dtype)
    return values.reshape(-1, *(1,) * (like.ndim - 1)) if values.ndim else values


@dataclass(frozen=True)
class Norm:
    """Base of the norms; `eps` may be one number or one per sample."""

    def distance(self, d):
        """The norm of each perturbation: (N,)."""
        raise NotImplementedError

    def project(self, d, eps):
        """The nearest perturbation, in the Euclidean sense, of norm at most eps."""
        raise NotImplementedError

    def project_in_box(self, d, eps, low, high):
        """A perturbation of norm at most eps between `low` and `high` (arrays, low <= 0 <= high): ball, then box."""
        return np.clip(self.project(d, eps), low, high)

    def steepest(self, g):
        """The step of norm 1 that raises <g, d> the most; zeros where g is zero."""
        raise NotImplementedError

    def steepest_in_box(self, g, size, y, low, high):
        """A step of norm `size` uphill from y; norms that can make use of it stay between the limits low and high."""
        return self.steepest(g) * per_sample(size, g)

    def dual(self, g):
        """How much the steepest step of norm 1 raises <g, d>: (N,)."""
        raise NotImplementedError

    def random(self, shape, eps, rng):
        """Perturbations drawn uniformly from the ball of radius eps, in float64."""
        raise NotImplementedError


@dataclass(frozen=True)
class Linf(Norm):
    """The largest change of any value."""

    def distance(self, d):
        """max |d_i|."""
        return np.abs(flat(d)).max(1, initial=0)

    def project(self, d, eps):
        """Clip every value to [-eps, eps]."""
        eps = per_sample(eps, d)
        return np.clip(d, -eps, eps)

    def steepest(self, g):
        """sign(g)."""
        return np.sign(g)

    def dual(self, g):
        """Sum of |g_i|."""
        return np.abs(flat(g)).sum(1)

    def random(self, shape, eps, rng):
        """Every value uniform in [-eps, eps]."""
        return rng.uniform(-1, 1, shape) * per_sample(eps, np.empty((1,) * len(shape)))


@dataclass(frozen=True)
class L2(Norm):
    """The Euclidean length of the change."""

    def distance(self, d):
        """sqrt(sum of d_i^2)."""
        return np.sqrt(np.einsum("ni,ni->n", flat(d), flat(d)))

    def project(self, d, eps):
        """Shorten what is longer than eps; never lengthen."""
        length = self.distance(d)
        eps = np.broadcast_to(eps, length.shape)
        factor = np.minimum(1, np.divide(eps, length, out=np.ones_like(length), where=length > 0))
        return d * per_sample(factor, d)

    def steepest(self, g):
        """g / |g|_2."""
        length = self.distance(g)
        return g * per_sample(np.divide(1, length, out=np.zeros_like(length), where=length > 0), g)

    def dual(self, g):
        """The Euclidean length of g."""
        return self.distance(g)

    def random(self, shape, eps, rng):
        """A uniform direction, and a radius whose power of the dimension is uniform."""
        d = rng.standard_normal(shape)
        radius = rng.random(shape[0]) ** (1 / max(1, d[:1].size))
        return self.steepest(d) * per_sample(radius * eps, d)


@dataclass(frozen=True)
class L1(Norm):
    """The sum of all changes."""

    def distance(self, d):
        """Sum of |d_i|."""
        return np.abs(flat(d)).sum(1)

    def project(self, d, eps):
        """Soft-threshold at the level that leaves eps in sum. Duchi et al. 2008."""
        size = np.abs(flat(d)).astype(np.float64)
        eps = np.broadcast_to(np.asarray(eps, np.float64), len(size))
        ordered = -np.sort(-size, axis=1)
        excess = (np.cumsum(ordered, axis=1) - eps[:, None]) / np.arange(1, size.shape[1] + 1)
        last = np.maximum((ordered > excess).sum(1) - 1, 0)
        level = np.where(size.sum(1) > eps, np.maximum(excess[np.arange(len(size)), last], 0), 0)
        shrunk = np.sign(flat(d)) * np.maximum(size - level[:, None], 0)
        return shrunk.astype(d.dtype).reshape(d.shape)

    def project_in_box(self, d, eps, low, high):
        """The nearest perturbation that is in the ball and in the box: soft-threshold and cut, at one common level.

        What is left of |d_i| at level t is clip(|d_i| - t, 0, room_i). The sum of that over i falls along straight
        lines that bend at |d_i| - room_i and at |d_i|; sorting the bends finds the piece where it is eps. Ball first
        and box afterwards would waste what the box cuts off, which in L1 is most of it (Croce and Hein 2021).
        """
        size = np.abs(flat(d)).astype(np.float64)
        room = np.minimum(size, np.where(flat(d) > 0, flat(high), -flat(low)))
        eps = np.broadcast_to(np.asarray(eps, np.float64), len(size))
        bends = np.concatenate([size - room, size], axis=1)
        order = np.argsort(bends, axis=1)
        bends = np.take_along_axis(bends, order, 1)
        slope = np.cumsum(np.where(order < size.shape[1], -1.0, 1.0), axis=1)
        falls = np.zeros_like(bends)
        falls[:, 1:] = np.cumsum(slope[:, :-1] * np.diff(bends, axis=1), axis=1)
        total = room.sum(1)
        left = total[:, None] + falls
        piece = np.maximum((left > eps[:, None]).sum(1) - 1, 0)
        rows = np.arange(len(size))
        steepness = np.minimum(slope[rows, piece], -1)
        level = bends[rows, piece] + (eps - left[rows, piece]) / steepness
        level = np.where(total > eps, level, 0)[:, None]
        cut = np.clip(size - level, 0, room)
        return (np.sign(flat(d)) * cut).astype(d.dtype).reshape(d.shape)

    def steepest_in_box(self, g, size, y, low, high):
        """Push the values with the largest |g| to their limits, one after the other, until `size` is spent."""
        g, steep = flat(g), np.abs(flat(g))
        room = np.where(g == 0, 0, np.where(g > 0, flat(high - y), flat(y - low))).astype(np.float64)
        order = np.argsort(-steep, axis=1, kind="stable")
        ordered = np.take_along_axis(room, order, 1)
        before = np.cumsum(ordered, axis=1) - ordered
        spent = np.clip(np.broadcast_to(size, len(g))[:, None] - before, 0, ordered)
        step = np.empty_like(room)
        np.put_along_axis(step, order, spent, 1)
        return (np.sign(g) * step).astype(g.dtype).reshape(low.shape)

    def steepest(self, g):
        """All on the value with the largest |g| (the first of equals)."""
        step, size = np.zeros_like(flat(g)), np.abs(flat(g))
        largest = size.argmax(1)
        rows = np.arange(len(step))
        step[rows, largest] = np.sign(flat(g)[rows, largest])
        return step.reshape(g.shape)

    def dual(self, g):
        """max |g_i|."""
        return np.abs(flat(g)).max(1, initial=0)

    def random(self, shape, eps, rng):
        """Uniform in the cross-polytope: exponential magnitudes, one share left over for the inside, random signs."""
        count = int(np.prod(shape[1:]))
        shares = rng.exponential(size=(shape[0], count + 1))
        size = shares[:, :count] / shares.sum(1, keepdims=True)
        d = size * rng.choice([-1.0, 1.0], size.shape)
        return d.reshape(shape) * per_sample(eps, np.empty((1,) * len(shape)))


@dataclass(frozen=True)
class L0(Norm):
    """How many values change."""

    def distance(self, d):
        """The number of values that are not zero."""
        return np.count_nonzero(flat(d), axis=1)

    def project(self, d, eps):
        """Keep the floor(eps) largest changes (the first of equals)."""
        size = np.abs(flat(d))
        keep = np.broadcast_to(np.floor(eps).astype(int) if np.ndim(eps) else int(eps), len(size))
        rank = np.argsort(np.argsort(-size, axis=1, kind="stable"), axis=1)
        return np.where(rank < keep[:, None], flat(d), 0).reshape(d.shape).astype(d.dtype, copy=False)

    def steepest(self, g):
        """As for L1: one value at a time."""
        return L1().steepest(g)

    def dual(self, g):
        """As for L1."""
        return L1().dual(g)

    def random(self, shape, eps, rng):
        """floor(eps) values, chosen evenly, uniform in [-1, 1]."""
        return self.project(rng.uniform(-1, 1, shape), eps)


NORMS = {"linf": Linf(), "l2": L2(), "l1": L1(), "l0": L0()}


def as_norm(attack, norm):
    """A Norm, given as one, as its name ('linf', 'l2', 'l1', 'l0'), or as the number np.inf, 2, 1 or 0."""
    if isinstance(norm, Norm):
        return norm
    if isinstance(norm, (int, float)) and norm in (np.inf, 2, 1, 0):
        return NORMS["linf" if norm == np.inf else f"l{int(norm)}"]
    if isinstance(norm, str) and norm.lower() in NORMS:
        return NORMS[norm.lower()]
    raise ValueError(f"{attack}: norm is {norm!r}, expected 'linf', 'l2', 'l1' or 'l0'")
