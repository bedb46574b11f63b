"""Nonlinearities and softmax."""
from .. import ops
from ..ops.arguments import normal_dims, numpy_names
from .arguments import floats


def relu(x):
    """max(x, 0); its derivative at 0 is 0."""
    return ops.ReLU()(floats("relu", x))


def leaky_relu(x, negative_slope=0.01):
    """x where x > 0, else negative_slope * x."""
    return ops.LeakyReLU(negative_slope)(floats("leaky_relu", x))


def elu(x, alpha=1.0):
    """x where x > 0, else alpha * (exp(x) - 1). Clevert et al. 2016."""
    return ops.ELU(alpha)(floats("elu", x))


def gelu(x, approximate="none"):
    """x times the normal distribution function of x; approximate='tanh' for the published approximation.

    Hendrycks and Gimpel 2016.
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate is {approximate!r}, expected 'none' or 'tanh'")
    return ops.GELU(approximate)(floats("gelu", x))


def silu(x):
    """x * sigmoid(x)."""
    return ops.SiLU()(floats("silu", x))


def softplus(x, beta=1.0, threshold=20.0):
    """log(1 + exp(beta * x)) / beta; the identity where beta * x > threshold."""
    if beta <= 0:
        raise ValueError(f"softplus: beta is {beta}, expected more than 0")
    return ops.Softplus(beta, threshold)(floats("softplus", x))


def sigmoid(x):
    """1 / (1 + exp(-x))."""
    return ops.Sigmoid()(floats("sigmoid", x))


def tanh(x):
    """Hyperbolic tangent."""
    return ops.Tanh()(floats("tanh", x))


@numpy_names
def softmax(x, dim=-1):
    """exp(x) / sum(exp(x)) along `dim`: positive, and one in sum."""
    x = floats("softmax", x)
    return ops.Softmax(*_one_dim("softmax", x, dim))(x)


@numpy_names
def log_softmax(x, dim=-1):
    """log(softmax(x)), without the loss of precision of taking both in turn."""
    x = floats("log_softmax", x)
    return ops.LogSoftmax(*_one_dim("log_softmax", x, dim))(x)


def _one_dim(function, x, dim):
    dims = normal_dims(function, x, dim)
    if len(dims) != 1 or not x.ndim:
        raise ValueError(f"{function}: dim is {dim} for x of shape {x.shape}, expected one axis")
    if not x.shape[dims[0]]:
        raise ValueError(f"{function}: x of shape {x.shape} has nothing along dim {dim}, expected at least one element")
    return dims
