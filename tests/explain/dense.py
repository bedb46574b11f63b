"""LRP's rules as their papers write them: loops over pairs (input i, output j) of a dense matrix. Slow and plain."""

import numpy as np

import minigrad
from minigrad import ops


def matrix(op, weight, shape):
    """W (outputs, inputs) of a layer without its bias, one column per unit vector, for one sample of `shape`."""
    size = int(np.prod(shape))
    columns = op(minigrad.Tensor(np.eye(size).reshape(size, *shape)), minigrad.Tensor(weight)).data
    return columns.reshape(size, -1).T


def reach(op, weight, shape):
    """W with its ones where an input is in reach of an output."""
    return matrix(op, np.ones_like(weight), shape)


def biases(op, b, y_shape):
    return np.repeat(b, int(np.prod(y_shape[2:]))) if isinstance(op, ops.Conv2d) else b


def away(z, eps):
    return z + eps if z >= 0 else z - eps


def epsilon(x, W, b, r, eps):
    R = np.zeros(len(x))
    for j in range(len(r)):
        z = sum(x[i] * W[j, i] for i in range(len(x))) + b[j]
        for i in range(len(x)):
            R[i] += x[i] * W[j, i] / away(z, eps) * r[j]
    return R


def gamma(x, W, b, r, eps, value):
    R = np.zeros(len(x))
    for j in range(len(r)):
        sign = np.sign(W[j] @ x + b[j])
        q = [x[i] * W[j, i] + value * sign * max(sign * x[i] * W[j, i], 0) for i in range(len(x))]
        z = sum(q) + b[j] + value * sign * max(sign * b[j], 0)
        R += np.array(q) / away(z, eps) * r[j]
    return R


def alpha_beta(x, W, b, r, eps, alpha, beta):
    R = np.zeros(len(x))
    for j in range(len(r)):
        up, down = np.maximum(W[j] * x, 0), np.minimum(W[j] * x, 0)
        R += alpha * up / away(up.sum() + max(b[j], 0), eps) * r[j]
        R -= beta * down / away(down.sum() + min(b[j], 0), eps) * r[j] if beta else 0
    return R


def box(x, W, b, r, eps, low, high):
    R = np.zeros(len(x))
    for j in range(len(r)):
        q = [x[i] * W[j, i] - low * max(W[j, i], 0) - high * min(W[j, i], 0) for i in range(len(x))]
        R += np.array(q) / away(sum(q), eps) * r[j]
    return R


def w_square(x, W, b, r, eps):
    R = np.zeros(len(x))
    for j in range(len(r)):
        R += W[j] ** 2 / away((W[j] ** 2).sum() + b[j] ** 2, eps) * r[j]
    return R
