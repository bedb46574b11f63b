"""One step of gradient descent, in place: SGD with momentum, and Adam. PyTorch's update rules, term by term."""

import numpy as np


def adam_step(param, grad, m, v, *, lr, beta1, beta2, eps, weight_decay, decoupled, step):
    """Take one step of Adam (Kingma & Ba, arXiv:1412.6980) or AdamW (Loshchilov & Hutter, arXiv:1711.05101).

    ::

        m <- m + (1 - beta1) * (grad - m)               running mean of the gradient
        v <- beta2 * v + (1 - beta2) * grad^2           and of its square
        param <- param - lr / (1 - beta1^step) * m / (sqrt(v) / sqrt(1 - beta2^step) + eps)

    Parameters
    ----------
    param, m, v : ndarray
        Overwritten. Of one shape and float dtype.
    grad : ndarray
        The loss's gradient, of the same shape and dtype.
    lr, beta1, beta2, eps : float
        Step size, the two decay rates, and what keeps the division finite.
    weight_decay : float
        Pull towards zero: added to the gradient (``grad + weight_decay * param``, Adam), or, if `decoupled`, taken off
        the parameter (``param * (1 - lr * weight_decay)``, AdamW).
    decoupled : bool
        AdamW instead of Adam.
    step : int
        How many steps have been taken, this one included: 1 the first time.
    """
    f = param.dtype.type
    if weight_decay and decoupled:
        param *= f(1 - lr * weight_decay)
    elif weight_decay:
        grad = grad + f(weight_decay) * param
    m += f(1 - beta1) * (grad - m)
    v *= f(beta2)
    v += f(1 - beta2) * grad * grad
    denominator = np.sqrt(v) / f((1 - beta2**step) ** 0.5) + f(eps)
    param -= f(lr / (1 - beta1**step)) * m / denominator


def sgd_step(param, grad, buf, *, lr, momentum, dampening, weight_decay, nesterov, first):
    """Take one step of gradient descent, with momentum (Sutskever et al., ICML 2013) if `momentum` is not zero.

    ::

        grad  <- grad + weight_decay * param
        buf   <- momentum * buf + (1 - dampening) * grad            (the first time: buf <- grad)
        param <- param - lr * buf                                   (nesterov: lr * (grad + momentum * buf))

    Parameters
    ----------
    param : ndarray
        Overwritten.
    grad : ndarray
        The loss's gradient, of the same shape and dtype.
    buf : ndarray or None
        The running gradient, overwritten; not used (None will do) without momentum.
    lr, momentum, dampening, weight_decay : float
        Step size, how much of `buf` is kept, how much of the gradient is left out of it, and the pull towards zero.
    nesterov : bool
        Look ahead along the momentum.
    first : bool
        This is the first step: `buf` holds nothing yet.
    """
    f = param.dtype.type
    if weight_decay:
        grad = grad + f(weight_decay) * param
    if momentum:
        if first:
            buf[...] = grad
        else:
            buf *= f(momentum)
            buf += f(1 - dampening) * grad
        grad = grad + f(momentum) * buf if nesterov else buf
    param -= f(lr) * grad
