"""Derivatives as functions: `vjp jvp hvp jacobian hessian`, with the signatures of `torch.autograd.functional`.

All come from reverse mode alone. A vjp is linear in its cotangent u, and the derivative of <vjp(u), v> with respect to
u is the jvp along v: forward mode as the reverse of the reverse. They record their tapes under `no_grad` too.
"""
import numpy as np

from .autodiff import grad
from .ops.arrange import stack
from .tensor import Tensor, enable_grad


@enable_grad()
def vjp(func, inputs, v=None, create_graph=False):
    """The value of `func` and the product of v with its Jacobian.

    Parameters
    ----------
    func : callable of Tensors giving one Tensor
    inputs : Tensor or tuple of Tensor
    v : array_like of the output's shape, optional
        Ones if left out.
    create_graph : bool
        Record the result, so that it can be differentiated again.

    Returns
    -------
    (Tensor, Tensor or tuple of Tensor)
        ``func(*inputs)`` and v^T J, of the inputs' shapes.
    """
    xs, single = _leaves(inputs, create_graph)
    y = func(*xs)
    found = _grad(y, xs, v, create_graph)
    return y, found[0] if single else tuple(found)


@enable_grad()
def jvp(func, inputs, v=None, create_graph=False):
    """The value of `func` and its derivative along `v` (of the inputs' shapes; ones if left out): J v."""
    xs, single = _leaves(inputs, create_graph)
    along = [Tensor(np.ones_like(x.data)) for x in xs] if v is None else _like(xs, v, "jvp")
    y = func(*xs)
    u = Tensor(np.zeros_like(y.data), requires_grad=True)
    pulled = _grad(y, xs, u, True)
    return y, _grad(_inner(pulled, along), [u], None, create_graph)[0]


@enable_grad()
def hvp(func, inputs, v=None, create_graph=False):
    """The value of a scalar `func` and the product of its Hessian with `v`, at the cost of a few gradients."""
    xs, single = _leaves(inputs, create_graph)
    along = [Tensor(np.ones_like(x.data)) for x in xs] if v is None else _like(xs, v, "hvp")
    y = func(*xs)
    _check_scalar("hvp", y)
    found = _grad(_inner(_grad(y, xs, None, True), along), xs, None, create_graph)
    return y, found[0] if single else tuple(found)


@enable_grad()
def jacobian(func, inputs, create_graph=False):
    """All derivatives of all outputs, shape (*output, *input) for each input, at one walk per output element."""
    xs, single = _leaves(inputs, create_graph)
    y = func(*xs)
    rows = []
    for i in range(y.size):
        seed = np.zeros(y.size, y.dtype)
        seed[i] = 1
        rows.append(_grad(y, xs, seed.reshape(y.shape), create_graph))
    if not rows:
        rows = [[Tensor(np.zeros((0, *x.shape), x.dtype)) for x in xs]]
    found = [stack([row[k] for row in rows]).reshape(*y.shape, *x.shape) for k, x in enumerate(xs)]
    return found[0] if single else tuple(found)


@enable_grad()
def hessian(func, inputs, create_graph=False):
    """All second derivatives of a scalar `func` of one tensor: shape (*input, *input)."""
    def gradient(x):
        y = func(x)
        _check_scalar("hessian", y)
        return _grad(y, [x], None, True)[0]

    return jacobian(gradient, inputs, create_graph)


def _leaves(inputs, create_graph):
    """The inputs as fresh leaves, or as they are where their own past shall be differentiated through."""
    single = isinstance(inputs, (Tensor, np.ndarray))
    xs = [x if isinstance(x, Tensor) else Tensor(np.asarray(x)) for x in ([inputs] if single else inputs)]
    return [x if create_graph and x.requires_grad else Tensor(x.data, requires_grad=True) for x in xs], single


def _like(xs, v, function):
    vs = [v] if isinstance(v, (Tensor, np.ndarray)) else list(v)
    if [np.shape(t) for t in vs] != [x.shape for x in xs]:
        raise ValueError(
            f"{function}: v has shapes {[np.shape(t) for t in vs]}, expected those of the inputs, "
            f"{[x.shape for x in xs]}"
        )
    return [t if isinstance(t, Tensor) else Tensor(np.asarray(t, x.dtype)) for t, x in zip(vs, xs, strict=True)]


def _grad(y, xs, seed, create_graph):
    """`grad`, with zeros for what y does not depend on: a constant function has a derivative too."""
    if not y.requires_grad:
        return [Tensor(np.zeros_like(x.data)) for x in xs]
    found = grad(y, xs, seed, create_graph=create_graph, allow_unused=True)
    return [Tensor(np.zeros_like(x.data)) if g is None else g for g, x in zip(found, xs, strict=True)]


def _inner(us, vs):
    total = (us[0] * vs[0]).sum()
    for u, v in zip(us[1:], vs[1:], strict=True):
        total = total + (u * v).sum()
    return total


def _check_scalar(function, y):
    if y.size != 1:
        raise ValueError(f"{function}: func gave shape {y.shape}, expected a scalar; sum it, or use jacobian")
