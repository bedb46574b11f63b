"""The nonlinearities: each an op of its own, because each has rules of its own in some paper."""
from dataclasses import dataclass

import numpy as np

from .. import kernels
from ..tensor import Op, Tensor
from .arguments import of_unseen_images
from .elementwise import Where


class ReLU(Op):
    """max(x, 0), with derivative 0 at 0."""
    memory = "new"
    may_wait = of_unseen_images

    def forward(self, x):
        return kernels.relu(x)

    def vjp(self, g, y, x):
        return (lambda: Gate()(g, x),)


class Gate(Op):
    """g where x > 0, else 0: the derivative of ReLU, and linear in g."""
    memory = "new"
    may_wait = of_unseen_images

    def forward(self, g, x):
        return kernels.relu_gate(g, x)

    def vjp(self, h, y, g, x):
        return lambda: Gate()(h, x), None


@dataclass(frozen=True, eq=False)
class LeakyReLU(Op):
    """x where x > 0, else slope * x."""
    negative_slope: float = 0.01

    def forward(self, x):
        return np.where(x > 0, x, x.dtype.type(self.negative_slope) * x)

    def vjp(self, g, y, x):
        return (lambda: Where()(Tensor(x.data > 0), g, self.negative_slope * g),)


@dataclass(frozen=True, eq=False)
class ELU(Op):
    """x where x > 0, else alpha * (exp(x) - 1)."""
    alpha: float = 1.0

    def forward(self, x):
        return np.where(x > 0, x, x.dtype.type(self.alpha) * np.expm1(np.minimum(x, 0)))

    def vjp(self, g, y, x):
        return (lambda: Where()(Tensor(x.data > 0), g, g * (y + self.alpha)),)


class Sigmoid(Op):
    """1 / (1 + exp(-x)), without overflow for either sign."""

    def forward(self, x):
        small = np.exp(-np.abs(x))
        return np.where(x >= 0, 1, small) / (1 + small)

    def vjp(self, g, y, x):
        return (lambda: g * y * (1 - y),)


class Tanh(Op):
    """Hyperbolic tangent."""

    def forward(self, x):
        return np.tanh(x)

    def vjp(self, g, y, x):
        return (lambda: g * (1 - y * y),)


@dataclass(frozen=True, eq=False)
class Softplus(Op):
    """log(1 + exp(beta * x)) / beta, a smooth ReLU; the identity where beta * x > threshold, as in PyTorch."""
    beta: float = 1.0
    threshold: float = 20.0

    def forward(self, x):
        beta = x.dtype.type(self.beta)
        return np.where(beta * x > self.threshold, x, np.logaddexp(beta * x, x.dtype.type(0)) / beta)

    def vjp(self, g, y, x):
        straight = Tensor(self.beta * x.data > self.threshold)
        return (lambda: Where()(straight, g, g * Sigmoid()(self.beta * x)),)


class SiLU(Op):
    """x * sigmoid(x), also called swish."""

    def forward(self, x):
        return x * Sigmoid().forward(x)

    def vjp(self, g, y, x):
        def pull():
            s = Sigmoid()(x)
            return g * s * (1 + x * (1 - s))

        return (pull,)


class Erf(Op):
    """The error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x."""

    def forward(self, x):
        from scipy.special import erf  # scipy takes a while to import and few networks need it
        return erf(x)

    def vjp(self, g, y, x):
        return (lambda: g * (2 / np.pi**0.5) * (-x * x).exp(),)


@dataclass(frozen=True, eq=False)
class GELU(Op):
    """x times the normal distribution function of x, exact or ('tanh') by the approximation of Hendrycks and Gimpel."""
    approximate: str = "none"

    def _formula(self, x):
        if self.approximate == "tanh":
            return 0.5 * x * (1 + Tanh()((2 / np.pi) ** 0.5 * (x + 0.044715 * x * x * x)))
        return 0.5 * x * (1 + Erf()(x * 0.5**0.5))

    def forward(self, x):
        return self._formula(Tensor(x)).data

    def vjp(self, g, y, x):
        def pull():
            if self.approximate == "tanh":
                t = Tanh()((2 / np.pi) ** 0.5 * (x + 0.044715 * x * x * x))
                slope = (2 / np.pi) ** 0.5 * (1 + 3 * 0.044715 * x * x)
                return g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * slope)
            density = (-0.5 * x * x).exp() * (2 * np.pi) ** -0.5
            return g * (0.5 * (1 + Erf()(x * 0.5**0.5)) + x * density)

        return (pull,)
