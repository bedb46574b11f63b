"""Stochastic gradient descent: the plain step downhill, and its momentum."""

import numpy as np

from .. import kernels
from .optimizer import Optimizer


class SGD(Optimizer):
    """Step against the gradient, or against a running sum of it (Sutskever et al., ICML 2013).

    ::

        grad  <- grad + weight_decay * param
        buf   <- momentum * buf + (1 - dampening) * grad            (the first time: buf <- grad)
        param <- param - lr * buf                                   (nesterov: lr * (grad + momentum * buf))

    Parameters
    ----------
    params : iterable of Tensor, or of (str, Tensor)
        What to optimize.
    lr : float, default 1e-3
        Step size.
    momentum : float, default 0
        How much of the running sum is kept.
    dampening : float, default 0
        How much of a gradient is left out of it.
    weight_decay : float, default 0
        Pull towards zero.
    nesterov : bool, default False
        Look ahead along the momentum; needs momentum and no dampening.
    maximize : bool, keyword-only, default False
        Step along the gradient instead.

    Raises
    ------
    ValueError, TypeError
        As in `Optimizer`.
    """

    def __init__(
        self, params, lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, *, maximize=False
    ):
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError(f"SGD: nesterov with momentum {momentum} and dampening {dampening}; it needs a momentum "
                             "above 0 and no dampening")  # fmt: skip
        super().__init__(
            params, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov, maximize=maximize
        )
        self.dampening = dampening  # the only setting that may be negative, as in PyTorch
        self.settings += ("dampening",)

    def update(self, param, grad, state):
        """Move one parameter; its memory is ``buf``, the running gradient, if there is momentum."""
        first = bool(self.momentum) and "buf" not in state
        if first:
            state["buf"] = np.empty_like(param)
        kernels.sgd_step(
            param, grad, state.get("buf"),
            lr=self.lr, momentum=self.momentum, dampening=self.dampening, weight_decay=self.weight_decay,
            nesterov=self.nesterov, first=first,
        )  # fmt: skip
