"""The operators and methods of a Tensor against PyTorch's, with first and second derivatives."""

import numpy as np
import pytest

import minigrad

from .twice import agree, torch

RNG = np.random.default_rng(0)
A, B, POSITIVE = RNG.standard_normal((2, 3, 4)), RNG.standard_normal((3, 1)), RNG.uniform(0.5, 2, (2, 3, 4))
TIES = np.array([[1.0, 3.0, 3.0, -2.0], [0.0, 0.0, 0.0, 0.0], [5.0, 1.0, 5.0, 5.0]])

UNARY = {
    "neg": lambda x: -x,
    "abs": abs,
    "exp": lambda x: x.exp(),
    "sin": lambda x: x.sin(),
    "cos": lambda x: x.cos(),
    "tanh": lambda x: x.tanh(),
    "sigmoid": lambda x: x.sigmoid(),
    "relu": lambda x: x.relu(),
    "number +": lambda x: 2 + x,
    "- number": lambda x: x - 0.3,
    "number -": lambda x: 1 - x,
    "number *": lambda x: 0.5 * x,
    "/ number": lambda x: x / 3,
    "** 2": lambda x: x**2,
    "** 3": lambda x: x**3,
    "** 1": lambda x: x**1,
    "** 0": lambda x: x**0,
    "2 **": lambda x: 2**x,
    "clip": lambda x: x.clip(-0.5, 0.4),
    "clip below": lambda x: x.clip(min=0.1),
    "clip above": lambda x: x.clip(max=0.1),
    "sum": lambda x: x.sum(),
    "sum dim": lambda x: x.sum(1),
    "sum dims": lambda x: x.sum((0, -1)),
    "sum keepdim": lambda x: x.sum(-1, keepdim=True),
    "mean": lambda x: x.mean(),
    "mean dims": lambda x: x.mean((1, 2), keepdim=True),
    "var": lambda x: x.var(),
    "var dim": lambda x: x.var(1),
    "var biased": lambda x: x.var((0, 2), correction=0, keepdim=True),
    "std": lambda x: x.std(1),
    "logsumexp": lambda x: x.logsumexp(1),
    "logsumexp dims": lambda x: x.logsumexp((0, 2), keepdim=True),
    "reshape": lambda x: x.reshape(4, -1),
    "view": lambda x: x.view(24),
    "flatten": lambda x: x.flatten(1),
    "flatten middle": lambda x: x.flatten(0, 1),
    "unsqueeze": lambda x: x.unsqueeze(1),
    "unsqueeze last": lambda x: x.unsqueeze(-1),
    "squeeze": lambda x: x[:, :1].squeeze(),
    "squeeze dim": lambda x: x[:, :1].squeeze(1),
    "squeeze longer": lambda x: x.squeeze(1),
    "permute": lambda x: x.permute(2, 0, 1),
    "transpose": lambda x: x.transpose(0, -1),
    "expand": lambda x: x[:, :1].expand(-1, 5, -1),
    "expand new": lambda x: x.expand(2, 2, 3, 4),
    "slice": lambda x: x[1:, :, ::2],
    "integers": lambda x: x[0, -1],
    "none": lambda x: x[:, None, 0],
    "ellipsis": lambda x: x[..., 1],
    "list": lambda x: x[[1, 0, 1, 1]],
    "two lists": lambda x: x[:, [0, 1, 0], [2, 2, 2]],
    "clone of rows": lambda x: x[[0, 0]],
}
ROOTS = {
    "log": lambda x: x.log(),
    "sqrt": lambda x: x.sqrt(),
    "** 0.5": lambda x: x**0.5,
    "** -1.5": lambda x: x**-1.5,
    "number /": lambda x: 2 / x,
}
BINARY = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "div broadcast below": lambda a, b: b / a,
    "square": lambda a, b: (a * b) * (a + b),
}


@pytest.mark.parametrize("name", UNARY)
def test_methods_of_one_tensor(name):
    agree(UNARY[name], UNARY[name], A)


@pytest.mark.parametrize("name", ROOTS)
def test_methods_of_a_positive_tensor(name):
    agree(ROOTS[name], ROOTS[name], POSITIVE)


@pytest.mark.parametrize("name", BINARY)
def test_operators_broadcast(name):
    agree(BINARY[name], BINARY[name], A, B)
    agree(BINARY[name], BINARY[name], A[0, :, :1], A)
    agree(BINARY[name], BINARY[name], np.array(0.7), B)


def test_power_of_two_tensors():
    agree(lambda a, b: a**b, lambda a, b: a**b, POSITIVE, B)
    agree(lambda a: a**2.5, lambda a: a**2.5, POSITIVE)


def test_power_at_zero():
    """0 ** 0 is 1; its derivatives are 0 by convention."""
    base, exponent = np.array([0.0, 0.0, 0.0, 2.0]), np.array([0.0, 1.0, 2.0, 0.0])
    agree(lambda a, b: a**b, lambda a, b: a**b, base, exponent, order=1)
    for power in (0, 1, 2, 3):
        agree(lambda a, p=power: a**p, lambda a, p=power: a**p, base)


def test_negative_base_with_a_whole_exponent_has_a_derivative_in_the_base():
    agree(
        lambda a: a ** minigrad.tensor(np.array([2.0, 3.0], a.dtype)),
        lambda a: a ** torch.tensor([2.0, 3.0], dtype=a.dtype),
        np.array([-1.5, -0.5]),
    )


@pytest.mark.parametrize("dims", [0, 1, (0, 1), -1])
@pytest.mark.parametrize("keepdim", [False, True])
def test_extremes_share_ties_evenly(dims, keepdim):
    agree(lambda x: x.max(dims, keepdim), lambda x: x.amax(dims, keepdim), TIES)
    agree(lambda x: x.min(dims, keepdim), lambda x: x.amin(dims, keepdim), TIES)


def test_maximum_and_minimum_share_ties_evenly():
    a, b = np.array([1.0, 2.0, 2.0, 0.0]), np.array([2.0, 2.0, 1.0, -0.0])
    agree(minigrad.maximum, torch.maximum, a, b)
    agree(minigrad.minimum, torch.minimum, a, b)


def test_clip_passes_the_gradient_on_its_limits():
    x = np.array([-1.0, -0.5, 0.0, 0.4, 1.0])
    agree(lambda x: x.clip(-0.5, 0.4), lambda x: x.clamp(-0.5, 0.4), x, dtypes=(np.float64,))
    agree(lambda x: x.clip(-0.5, 0.5), lambda x: x.clamp(-0.5, 0.5), x)
    agree(lambda x: x.clip(1, -1), lambda x: x.clamp(1, -1), x)


def test_derivatives_at_zero():
    zeros = np.array([0.0, -0.0, 1.0])
    agree(abs, abs, zeros)
    agree(lambda x: x.relu(), lambda x: x.relu(), zeros)
    agree(lambda x: x.sqrt(), lambda x: x.sqrt(), np.array([4.0, 1.0]))


def test_argmax_takes_the_first_of_equals():
    for dim in (0, 1, -1):
        np.testing.assert_array_equal(minigrad.tensor(TIES).argmax(dim).data, torch.tensor(TIES).argmax(dim).numpy())
    assert minigrad.tensor(TIES).argmax().item() == torch.tensor(TIES).argmax().item()


@pytest.mark.parametrize(
    "shapes",
    [
        ((3,), (3,)),
        ((2, 3), (3,)),
        ((3,), (3, 2)),
        ((2, 3), (3, 4)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)),
        ((5, 1, 2, 3), (4, 3, 2)),
        ((3,), (5, 3, 2)),
        ((5, 2, 3), (3,)),
        ((1, 1), (1, 1)),
    ],
)
def test_matmul(shapes):
    agree(lambda a, b: a @ b, lambda a, b: a @ b, *(RNG.standard_normal(s) for s in shapes))


def test_cat_stack_where_gather():
    a, b = RNG.standard_normal((2, 3)), RNG.standard_normal((2, 2))
    agree(lambda a, b: minigrad.cat([a, b, a], 1), lambda a, b: torch.cat([a, b, a], 1), a, b)
    agree(lambda a: minigrad.stack([a, 2 * a], 1), lambda a: torch.stack([a, 2 * a], 1), a)
    agree(lambda a: minigrad.stack([a, a], -1), lambda a: torch.stack([a, a], -1), a)
    agree(lambda a, b: minigrad.where(a > 0, a, b), lambda a, b: torch.where(a > 0, a, b), a, b[:, :1])
    agree(lambda a: minigrad.where(a > 0, a, 0), lambda a: torch.where(a > 0, a, 0), a)
    index = np.array([[0, 2, 2, 1], [1, 1, 1, 1]])
    agree(lambda a: a.gather(1, index), lambda a: a.gather(1, torch.tensor(index)), a)
    agree(lambda a: a.gather(-2, index[:1, :3] % 2), lambda a: a.gather(-2, torch.tensor(index[:1, :3] % 2)), a)


def test_where_keeps_the_branch_not_taken_out():
    x = np.array([-1.0, 0.0, 2.0])
    agree(
        lambda x: minigrad.where(x > 0, minigrad.where(x > 0, x, 1).log(), 0 * x),
        lambda x: torch.where(x > 0, torch.where(x > 0, x, 1).log(), 0 * x),
        x,
    )


def test_logsumexp_of_large_and_infinite():
    agree(lambda x: x.logsumexp(1), lambda x: x.logsumexp(1), np.array([[1e4, 1e4, -1e4], [-1e4, -1e4, -1e4]]))
    agree(lambda x: x.logsumexp(1), lambda x: x.logsumexp(1), np.array([[-np.inf, 1.0], [0.0, -np.inf]]), order=1)


def test_dtypes_mix_as_in_torch():
    kinds = {"f4": torch.float32, "f8": torch.float64, "i8": torch.int64, "u1": torch.uint8, "?": torch.bool}
    numbers = {"2": 2, "0.5": 0.5, "True": True}
    for left, left_torch in kinds.items():
        a = minigrad.tensor(np.ones(2, left)), torch.ones(2, dtype=left_torch)
        for right, right_torch in kinds.items():
            b = minigrad.tensor(np.ones(2, right)), torch.ones(2, dtype=right_torch)
            for name, f in BINARY.items():
                if "?" in (left, right) and name == "sub":
                    continue  # an error in torch
                assert str(f(a[0], b[0]).dtype) == str(f(a[1], b[1]).dtype).removeprefix("torch."), (name, left, right)
        for text, number in numbers.items():
            for name, f in {
                "mul": lambda x, n: x * n,
                "rmul": lambda x, n: n * x,
                "add": lambda x, n: x + n,
                "div": lambda x, n: x / n,
            }.items():
                ours, theirs = f(a[0], number), f(a[1], number)
                assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch."), (name, left, text)
                np.testing.assert_array_equal(ours.data, theirs.numpy())
