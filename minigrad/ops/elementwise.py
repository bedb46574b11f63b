"""Arithmetic, element by element. Operands of one shape and dtype: `match` sees to that with ops of its own.

Broadcasting is an op (`BroadcastTo`, in shape.py) and so is a change of dtype (`Cast`), so no rule here has to undo
either.
"""
from dataclasses import dataclass

import numpy as np

from ..tensor import Op, Tensor
from .shape import broadcast_to


@dataclass(frozen=True, eq=False)
class Cast(Op):
    """x in another float dtype."""
    dtype: str

    def forward(self, x):
        return x.astype(self.dtype, copy=False)

    def vjp(self, g, y, x):
        return (lambda: Cast(x.dtype.name)(g),)


class Add(Op):
    """a + b."""
    memory = "new"

    def forward(self, a, b):
        return np.add(a, b)

    def vjp(self, g, y, a, b):
        return lambda: g, lambda: g


class Sub(Op):
    """a - b."""
    memory = "new"

    def forward(self, a, b):
        return np.subtract(a, b)

    def vjp(self, g, y, a, b):
        return lambda: g, lambda: -g


class Mul(Op):
    """a * b."""
    memory = "new"

    def forward(self, a, b):
        return np.multiply(a, b)

    def vjp(self, g, y, a, b):
        return lambda: g * b, lambda: g * a


class Div(Op):
    """a / b."""

    def forward(self, a, b):
        return np.true_divide(a, b)

    def vjp(self, g, y, a, b):
        return lambda: g / b, lambda: -g * y / b


class Neg(Op):
    """-x."""
    memory = "new"

    def forward(self, x):
        return np.negative(x)

    def vjp(self, g, y, x):
        return (lambda: -g,)


class Pow(Op):
    """a ** b, for both operands; 0 ** 0 is 1 and its derivatives are 0, as in PyTorch."""

    def forward(self, a, b):
        return np.power(a, b)

    def vjp(self, g, y, a, b):
        def base():
            flat = b.data == 0
            return Where()(Tensor(flat), zeros(a), g * b * a ** Where()(Tensor(flat), zeros(b), b - 1))

        def exponent():
            flat = Tensor((a.data == 0) & (b.data >= 0))
            return Where()(flat, zeros(b), g * y * Where()(flat, zeros(a) + 1, a).log())

        return base, exponent


@dataclass(frozen=True, eq=False)
class Power(Op):
    """x ** exponent, for a fixed number: x ** 2 must not need a logarithm."""
    exponent: float

    def forward(self, x):
        return np.power(x, x.dtype.type(self.exponent))

    def vjp(self, g, y, x):
        if self.exponent == 0:
            return (lambda: zeros(x),)
        return (lambda: g * (self.exponent * x ** (self.exponent - 1)),)


class Exp(Op):
    """e ** x."""

    def forward(self, x):
        return np.exp(x)

    def vjp(self, g, y, x):
        return (lambda: g * y,)


class Log(Op):
    """Natural logarithm."""

    def forward(self, x):
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(x)

    def vjp(self, g, y, x):
        return (lambda: g / x,)


class Sqrt(Op):
    """Square root."""

    def forward(self, x):
        with np.errstate(invalid="ignore"):
            return np.sqrt(x)

    def vjp(self, g, y, x):
        return (lambda: g * 0.5 / y,)


class Sin(Op):
    """Sine."""

    def forward(self, x):
        return np.sin(x)

    def vjp(self, g, y, x):
        return (lambda: g * x.cos(),)


class Cos(Op):
    """Cosine."""

    def forward(self, x):
        return np.cos(x)

    def vjp(self, g, y, x):
        return (lambda: -g * x.sin(),)


class Abs(Op):
    """|x|, with derivative 0 at 0."""

    def forward(self, x):
        return np.abs(x)

    def vjp(self, g, y, x):
        return (lambda: g * np.sign(x.data),)


class Maximum(Op):
    """The larger of a and b; a tie splits the gradient evenly, as in PyTorch."""

    def forward(self, a, b):
        return np.maximum(a, b)

    def vjp(self, g, y, a, b):
        tie = a.data == b.data
        return lambda: g * share(a.data > b.data, tie, g), lambda: g * share(b.data > a.data, tie, g)


class Minimum(Op):
    """The smaller of a and b; a tie splits the gradient evenly, as in PyTorch."""

    def forward(self, a, b):
        return np.minimum(a, b)

    def vjp(self, g, y, a, b):
        tie = a.data == b.data
        return lambda: g * share(a.data < b.data, tie, g), lambda: g * share(b.data < a.data, tie, g)


@dataclass(frozen=True, eq=False)
class Clip(Op):
    """x limited to [low, high]; the derivative is 1 on the limits themselves, as in PyTorch."""
    low: float | None
    high: float | None

    def _limits(self, dtype):
        return [limit if limit is None else dtype.type(limit) for limit in (self.low, self.high)]

    def forward(self, x):
        return np.clip(x, *self._limits(x.dtype))

    def vjp(self, g, y, x):
        low, high = self._limits(x.dtype)
        return (lambda: g * ((low is None or x.data >= low) & (high is None or x.data <= high)),)


class Where(Op):
    """a where the condition holds, else b."""

    def forward(self, condition, a, b):
        return np.where(condition, a, b)

    def vjp(self, g, y, condition, a, b):
        return None, lambda: Where()(condition, g, zeros(g)), lambda: Where()(condition, zeros(g), g)


def zeros(like):
    """A constant of zeros, of the shape and dtype of a tensor."""
    return Tensor(np.zeros_like(like.data))


def share(mine, tie, like):
    """1 where the element is mine, a half where it is a tie: my part of the gradient, in the dtype of `like`."""
    return mine + like.dtype.type(0.5) * tie


def as_tensor(value, like=None, *, what="the operand"):
    """`value` as a Tensor; a bare number takes the dtype of `like`, so that 0.5 * x stays float32 for a float32 x.

    An integer beside a bool stays an integer, a float beside an integer is float32; `what` names the value in the
    error.
    """
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.ndarray) and value.ndim:
        return Tensor(value)
    if isinstance(value, (bool, int, float, np.number, np.bool_, np.ndarray)):
        if like is None:
            return Tensor(value)
        rank = {"b": 0, "i": 1, "u": 1, "f": 2}
        if rank[like.dtype.kind] >= rank[np.asarray(value).dtype.kind]:
            return Tensor(np.asarray(value, like.dtype))
        return Tensor(np.asarray(value).item())
    raise TypeError(
        f"{what} is of type {type(value).__name__}, expected a Tensor, an ndarray or a number; "
        "convert it with minigrad.tensor(...)"
    )


def match(a, b):
    """Two operands as tensors of one shape (NumPy's broadcasting) and dtype (a float beats an integer)."""
    a = as_tensor(a, b if isinstance(b, Tensor) else None)
    b = as_tensor(b, a)
    if a.dtype != b.dtype:
        kinds = {a.dtype.kind, b.dtype.kind}
        floats = [t.dtype for t in (a, b) if t.dtype.kind == "f"]
        dtype = floats[0] if "f" in kinds and len(floats) == 1 else np.result_type(a.dtype, b.dtype)
        a, b = (t if t.dtype == dtype else Cast(dtype.name)(t) for t in (a, b))
    if a.shape != b.shape:
        try:
            shape = np.broadcast_shapes(a.shape, b.shape)
        except ValueError:
            raise ValueError(f"shapes {a.shape} and {b.shape} do not broadcast: aligned at the right, "
                             "two lengths must be equal or one of them 1") from None
        a, b = broadcast_to(a, shape), broadcast_to(b, shape)
    return a, b
