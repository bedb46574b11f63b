"""Is a derivative right? Ask finite differences, along random directions.

For f with output y, a random cotangent u and a random direction v, the number <u, J v> can be had in two ways: from the
tape as <J^T u, v>, and from f alone as the slope of t -> <u, f(x + t v)> at 0. One direction tests all inputs at once.
The slope is taken with central differences at two step sizes and Richardson's extrapolation, whose error falls with
the fourth power of the step, so that float64 leaves ten digits or so.

At a kink (ReLU at 0, two pixels tied in a max-pool) no two-sided slope exists. Beside one, the two step sizes disagree;
on one, the slopes to the left and to the right stay apart however small the step. The check then says so instead of
calling a right derivative wrong.
"""
from itertools import pairwise

import numpy as np

from .autodiff import grad
from .tensor import Tensor, enable_grad

STEP = 1e-3


class KinkError(ValueError):
    """The function has no derivative so near the given point, so there is nothing to compare with."""


@enable_grad()
def check_grads(f, *xs, order=2, rtol=1e-6, directions=3, rng=None):
    """Check the derivatives of `f` at `xs` against finite differences, up to second order.

    Parameters
    ----------
    f : callable of Tensors giving a Tensor or a sequence of Tensors
    xs : array_like
        The point, converted to float64. Every one is differentiated: close over what is constant.
    order : 1 or 2 (or more)
        With 2 the gradient is itself checked as a function, of the inputs and of the cotangent.
    rtol : float
        Allowed error, relative to the size of the slope's terms.
    directions : int
        How many random directions are tried.
    rng : np.random.Generator, optional
        Fixed by default, so that a check gives the same verdict each time.

    Raises
    ------
    AssertionError
        If a derivative is wrong; the message names the order and both numbers.
    KinkError
        If the function is not differentiable near the point: move the point.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    xs = [np.array(x, np.float64) for x in xs]
    _check(lambda *ts: _tuple(f(*ts)), xs, order, rtol, directions, rng, 1)


def _check(f, xs, order, rtol, directions, rng, level):
    for _ in range(directions):
        leaves = [Tensor(x, requires_grad=True) for x in xs]
        ys = f(*leaves)
        us = [rng.standard_normal(y.shape) for y in ys]
        vs = [rng.standard_normal(x.shape) for x in xs]
        analytic = sum((g.data * v).sum() for g, v in zip(_pull(ys, leaves, us), vs, strict=True))
        _compare(analytic, *_slope(f, xs, us, vs), rtol, level)
    if level < order:
        count = len(xs)

        def gradient(*both):
            leaves, us = both[:count], both[count:]
            return _pull(f(*leaves), leaves, us, create_graph=True)

        us = [rng.standard_normal(y.shape) for y in f(*(Tensor(x, requires_grad=True) for x in xs))]
        _check(gradient, [*xs, *us], order, rtol, directions, rng, level + 1)


def _pull(ys, leaves, us, create_graph=False):
    """J^T u for a function of several outputs, with zeros for an input that none depends on."""
    total = None
    for y, u in zip(ys, us, strict=True):
        term = (y * u).sum()
        total = term if total is None else total + term
    if not total.requires_grad:
        return [x * 0 for x in leaves]
    found = grad(total, leaves, create_graph=create_graph, allow_unused=True)
    return [x * 0 if g is None else g for g, x in zip(found, leaves, strict=True)]


def _slope(f, xs, us, vs):
    """The slope along v by extrapolation, by how much there is none, and the size of the terms."""
    def along(t):
        ys = f(*(Tensor(x + t * v, requires_grad=True) for x, v in zip(xs, vs, strict=True)))
        return np.array([(y.data * u).sum() for y, u in zip(ys, us, strict=True)])

    here, slopes, bends = along(0), [], []
    for h in (STEP, STEP / 2, STEP / 4):
        ahead, behind = along(h), along(-h)
        slopes.append((ahead - behind) / (2 * h))
        bends.append((ahead - 2 * here + behind) / h)  # slope to the right less slope to the left
    first, second = ((4 * fine - coarse) / 3 for coarse, fine in pairwise(slopes))
    early, late = (2 * fine - coarse for coarse, fine in pairwise(bends))
    jump = (8 * late - early) / 7  # what is left of the bend where the step goes to 0
    return second.sum(), (abs(second - first) + abs(jump)).sum(), abs(second).sum()


def _compare(analytic, numeric, spread, size, rtol, level):
    scale = max(abs(analytic), size, 1e-3)
    if not np.isfinite(analytic) or not np.isfinite(numeric):
        raise AssertionError(f"check_grads: order {level}: the tape says {analytic}, finite differences {numeric}; "
                             "both must be finite")
    if spread > rtol * scale:
        raise KinkError(f"check_grads: order {level}: finite differences do not settle (they move by {spread:.1e} of "
                        f"{scale:.1e}): a kink, a tie or a pole is near; move the point away from it")
    if abs(analytic - numeric) > rtol * scale:
        raise AssertionError(
            f"check_grads: order {level}: the tape says {analytic:.12g}, finite differences "
            f"{numeric:.12g} (relative error {abs(analytic - numeric) / scale:.1e}, allowed "
            f"{rtol:.0e})"
        )


def _tuple(ys):
    return (ys,) if isinstance(ys, Tensor) else tuple(ys)
