"""Step sizes of their own for every number: Adagrad, RMSprop, Adam, AdamW.

All four divide the gradient by a running root mean square of itself, so that a weight with small gradients moves as far
as one with large ones. They differ in what "running" means: Adagrad sums from the start, so steps shrink; RMSprop
forgets; Adam also smooths the gradient, and corrects both means for having started at zero; AdamW keeps the weight
decay out of it.
"""

import numpy as np

from .. import kernels
from .optimizer import Optimizer


class Adam(Optimizer):
    """Adam (Kingma & Ba, arXiv:1412.6980): one fused kernel a parameter.

    ::

        m <- beta1 * m + (1 - beta1) * grad
        v <- beta2 * v + (1 - beta2) * grad^2
        param <- param - lr / (1 - beta1^step) * m / (sqrt(v) / sqrt(1 - beta2^step) + eps)

    Parameters
    ----------
    params : iterable of Tensor, or of (str, Tensor)
        What to optimize.
    lr : float, default 1e-3
        Step size.
    betas : (float, float), default (0.9, 0.999)
        How much of the running means of the gradient and of its square is kept, in [0, 1).
    eps : float, default 1e-8
        Keeps the division finite.
    weight_decay : float, default 0
        ``weight_decay * param`` is added to the gradient.
    amsgrad : bool, default False
        Not supported: True raises ValueError.
    maximize : bool, keyword-only, default False
        Step along the gradient instead.

    Raises
    ------
    ValueError, TypeError
        As in `Optimizer`, and if a beta is not in [0, 1) or amsgrad is asked for.
    """

    decoupled = False

    def __init__(
        self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False, *, maximize=False
    ):
        me = type(self).__name__
        if amsgrad:
            raise ValueError(f"{me}: amsgrad=True is not supported; leave it out (few results depend on it)")
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"{me}: betas is {betas}, expected two numbers in [0, 1)")
        super().__init__(
            params, lr=lr, beta1=betas[0], beta2=betas[1], eps=eps, weight_decay=weight_decay, maximize=maximize
        )

    @property
    def betas(self):
        """The two decay rates."""
        return self.beta1, self.beta2

    @betas.setter
    def betas(self, betas):
        self.beta1, self.beta2 = betas

    def update(self, param, grad, state):
        """Move one parameter; its memory is ``m`` and ``v``, the running means."""
        if "m" not in state:
            state["m"], state["v"] = np.zeros_like(param), np.zeros_like(param)
        kernels.adam_step(
            param, grad, state["m"], state["v"],
            lr=self.lr, beta1=self.beta1, beta2=self.beta2, eps=self.eps, weight_decay=self.weight_decay,
            decoupled=self.decoupled, step=state["step"],
        )  # fmt: skip


class AdamW(Adam):
    """Adam with the weight decay apart (Loshchilov & Hutter, arXiv:1711.05101): ``param * (1 - lr * weight_decay)``
    first.

    In `Adam` the decay is divided by the root mean square like the rest of the gradient, so weights with large
    gradients decay less. Parameters as in `Adam`, with a default `weight_decay` of 1e-2.
    """

    decoupled = True

    def __init__(
        self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2, amsgrad=False, *, maximize=False
    ):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)


class RMSprop(Optimizer):
    """RMSprop (Hinton, lecture 6 of "Neural networks for machine learning", 2012).

    ::

        grad  <- grad + weight_decay * param
        v     <- alpha * v + (1 - alpha) * grad^2
        move  <- grad / (sqrt(v) + eps)         (centered: v - m^2 in place of v, with m the running mean of grad)
        buf   <- momentum * buf + move
        param <- param - lr * buf               (without momentum: lr * move)

    Parameters
    ----------
    params : iterable of Tensor, or of (str, Tensor)
        What to optimize.
    lr : float, default 1e-2
        Step size.
    alpha : float, default 0.99
        How much of the running means is kept.
    eps : float, default 1e-8
        Keeps the division finite.
    weight_decay, momentum : float, default 0
        Pull towards zero; how much of the running step is kept.
    centered : bool, default False
        Divide by the standard deviation instead of the root mean square.
    maximize : bool, keyword-only, default False
        Step along the gradient instead.

    Raises
    ------
    ValueError, TypeError
        As in `Optimizer`.
    """

    def __init__(
        self, params, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False, *, maximize=False
    ):
        super().__init__(
            params, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered,
            maximize=maximize,
        )  # fmt: skip

    def update(self, param, grad, state):
        """Move one parameter; its memory is ``v``, and ``m`` if centered, and ``buf`` with momentum."""
        f = param.dtype.type
        if self.weight_decay:
            grad = grad + f(self.weight_decay) * param
        v = state.setdefault("v", np.zeros_like(param))
        v *= f(self.alpha)
        v += f(1 - self.alpha) * grad * grad
        scale = v
        if self.centered:
            m = state.setdefault("m", np.zeros_like(param))
            m += f(1 - self.alpha) * (grad - m)
            scale = v - m * m
        move = grad / (np.sqrt(scale) + f(self.eps))
        if self.momentum:
            buf = state.setdefault("buf", np.zeros_like(param))
            buf *= f(self.momentum)
            buf += move
            move = buf
        param -= f(self.lr) * move


class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan & Singer, JMLR 2011).

    ::

        grad  <- grad + weight_decay * param
        v     <- v + grad^2
        param <- param - lr / (1 + (step - 1) * lr_decay) * grad / (sqrt(v) + eps)

    Parameters
    ----------
    params : iterable of Tensor, or of (str, Tensor)
        What to optimize.
    lr : float, default 1e-2
        Step size.
    lr_decay, weight_decay : float, default 0
        How fast steps shrink besides, and the pull towards zero.
    initial_accumulator_value : float, default 0
        What v starts from.
    eps : float, default 1e-10
        Keeps the division finite.
    maximize : bool, keyword-only, default False
        Step along the gradient instead.

    Raises
    ------
    ValueError, TypeError
        As in `Optimizer`.
    """

    def __init__(
        self, params, lr=1e-2, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10, *,
        maximize=False
    ):
        super().__init__(
            params, lr=lr, lr_decay=lr_decay, weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value, eps=eps, maximize=maximize,
        )  # fmt: skip

    def update(self, param, grad, state):
        """Move one parameter; its memory is ``v``, the sum of squares."""
        f = param.dtype.type
        if self.weight_decay:
            grad = grad + f(self.weight_decay) * param
        v = state.setdefault("v", np.full_like(param, self.initial_accumulator_value))
        v += grad * grad
        lr = self.lr / (1 + (state["step"] - 1) * self.lr_decay)
        param -= f(lr) * grad / (np.sqrt(v) + f(self.eps))
