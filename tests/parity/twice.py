"""Run the same function in minigrad and in PyTorch and compare values, first and second derivatives."""

import numpy as np
import pytest

import minigrad
from minigrad import Tensor

torch = pytest.importorskip("torch")

TOLERANCE = {np.float64: {"rtol": 1e-10, "atol": 1e-12}, np.float32: {"rtol": 2e-4, "atol": 2e-5}}


def agree(ours, theirs, *arrays, order=2, dtypes=(np.float64, np.float32)):
    """Fail unless `ours(*minigrad tensors)` and `theirs(*torch tensors)` agree, with derivatives up to `order`.

    `arrays` are what to differentiate with respect to; everything else is closed over. The second derivative is that of
    the gradient's product with a random direction, with respect to the inputs and to the cotangent of the output.
    """
    for dtype in dtypes:
        got, expected = _minigrad(ours, arrays, dtype, order), _torch(theirs, arrays, dtype, order)
        for level, (a, b) in enumerate(zip(got, expected, strict=True)):
            for x, y in zip(a, b, strict=True):
                assert x.dtype == y.dtype, f"order {level}: minigrad gives {x.dtype}, torch {y.dtype}"
                np.testing.assert_allclose(x, y, **TOLERANCE[dtype], err_msg=f"order {level}, {np.dtype(dtype)}")


def directions(shapes, dtype, seed):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def _minigrad(f, arrays, dtype, order):
    xs = [Tensor(a.astype(dtype), requires_grad=True) for a in arrays]
    y = f(*xs)
    levels = [[y.data]]
    if order:
        u = Tensor(directions([y.shape], dtype, 1)[0], requires_grad=True)
        first = minigrad.grad(y, xs, u, create_graph=True, allow_unused=True)
        first = [Tensor(np.zeros_like(x.data)) if g is None else g for g, x in zip(first, xs, strict=True)]
        levels.append([g.data for g in first])
    if order > 1:
        inner = sum((g * v).sum() for g, v in zip(first, directions([x.shape for x in xs], dtype, 2), strict=True))
        second = minigrad.grad(inner, [*xs, u], allow_unused=True) if inner.requires_grad else [None] * (len(xs) + 1)
        zeros = [np.zeros_like(x.data) for x in (*xs, u)]
        levels.append([z if g is None else g.data for g, z in zip(second, zeros, strict=True)])
    return levels


def _torch(f, arrays, dtype, order):
    xs = [torch.tensor(a.astype(dtype), requires_grad=True) for a in arrays]
    y = f(*xs)
    levels = [[y.detach().numpy()]]
    if order:
        u = torch.tensor(directions([tuple(y.shape)], dtype, 1)[0], requires_grad=True)
        first = torch.autograd.grad(y, xs, u, create_graph=True, allow_unused=True)
        first = [torch.zeros_like(x) if g is None else g for g, x in zip(first, xs, strict=True)]
        levels.append([g.detach().numpy() for g in first])
    if order > 1:
        vs = map(torch.tensor, directions([tuple(x.shape) for x in xs], dtype, 2))
        inner = sum((g * v).sum() for g, v in zip(first, vs, strict=True))
        wrt = (*xs, u)
        second = torch.autograd.grad(inner, wrt, allow_unused=True) if inner.requires_grad else [None] * len(wrt)
        zeros = [torch.zeros_like(x.detach()) for x in wrt]
        levels.append([z.numpy() if g is None else g.numpy(force=True) for g, z in zip(second, zeros, strict=True)])
    return levels
