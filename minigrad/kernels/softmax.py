"""The loss of classification and its gradient: each row of scores read once or twice, while it is in the cache.

NumPy needs ten passes and as many temporary arrays for either; for the few scores of a classifier, the calls are what
takes the time.
"""

import numpy as np

from minigrad.kernels._jit import ordered_kernel
from minigrad.kernels.weights import read_only


def cross_entropy(x, q):
    """Give ``-sum(q * log(softmax(x)))`` for each row; what has no odds adds nothing, even to a log of zero.

    Parameters
    ----------
    x, q : ndarray
        ``(N, C)``: scores, and what the log-probability of each class is multiplied by.

    Returns
    -------
    ndarray
        ``(N,)``
    """
    losses = np.empty(len(x), _precision(x))
    _losses(*(_lines(a, losses.dtype) for a in (x, q)), losses)
    return losses.astype(x.dtype, copy=False)


def cross_entropy_grad(g, x, q):
    """Send back the cotangents of the losses to the scores: ``g * (sum(q) * softmax(x) - q)``.

    Parameters
    ----------
    g : ndarray
        ``(N,)``
    x, q : ndarray
        ``(N, C)``, as in `cross_entropy`.

    Returns
    -------
    ndarray
        ``(N, C)``
    """
    dx = np.empty(x.shape, _precision(x))
    _grads(*(_lines(a, dx.dtype) for a in (g, x, q)), dx)
    return dx.astype(x.dtype, copy=False)


def _precision(x):
    return x.dtype if x.dtype in (np.float32, np.float64) else np.float64  # what a kernel can be compiled for


def _lines(x, dtype):
    return read_only(np.ascontiguousarray(x, dtype))


@ordered_kernel
def _exponents(row, out):
    """Write exp(row - max(row)); gives the maximum, and their sum."""
    top, total = row.dtype.type(-np.inf), row.dtype.type(0)
    for c in range(row.size):
        top = row[c] if row[c] > top else top
    for c in range(row.size):
        out[c] = np.exp(row[c] - top)
        total += out[c]
    return top, total


@ordered_kernel
def _losses(x, q, losses):
    exponents = np.empty(x.shape[1], x.dtype)
    for n in range(len(x)):
        top, total = _exponents(x[n], exponents)
        offset, loss = np.log(total), x.dtype.type(0)
        for c in range(x.shape[1]):
            if q[n, c] != 0:
                loss -= q[n, c] * ((x[n, c] - top) - offset)
        losses[n] = loss


@ordered_kernel
def _grads(g, x, q, dx):
    for n in range(len(x)):
        _, total = _exponents(x[n], dx[n])
        odds = x.dtype.type(0)
        for c in range(x.shape[1]):
            odds += q[n, c]
        for c in range(x.shape[1]):
            dx[n, c] = g[n] * (dx[n, c] / total * odds - q[n, c])
