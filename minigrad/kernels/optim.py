"""One step of an optimizer in one pass over memory, in place.

A step reads the parameter, its gradient and the optimizer's running means, and writes all but the gradient back: about
30 bytes of traffic and a dozen operations an element, so memory is the limit and every separate NumPy pass would cost
as much as the whole fused loop. Settings are rounded to the parameter's dtype once; the arithmetic stays in it.
"""

import numpy as np
from numba import prange

from minigrad.kernels._jit import parallel_kernel, threads
from minigrad.kernels.elementwise import SERIAL, share
from minigrad.kernels.layout import flat, memory_axes, unflatten
from minigrad.kernels.subroutine import subroutine


def adam_step(param, grad, m, v, *, lr, beta1, beta2, eps, weight_decay, decoupled, step):
    """Take one step of Adam (Kingma & Ba, arXiv:1412.6980) or AdamW (Loshchilov & Hutter, arXiv:1711.05101).

    Parameters
    ----------
    param, m, v : ndarray
        Overwritten: the parameter, the running means of its gradient and of its square. Of one shape and float dtype,
        any strides; fastest in one memory order, copied otherwise.
    grad : ndarray
        The loss's gradient, of the same shape and dtype.
    lr, beta1, beta2, eps : float
        Step size, the two decay rates, and what keeps the division finite.
    weight_decay : float
        Pull towards zero: added to the gradient (Adam), or, if `decoupled`, ``lr * weight_decay * param`` taken off the
        parameter (AdamW).
    decoupled : bool
        AdamW instead of Adam.
    step : int
        How many steps have been taken, this one included: 1 the first time.
    """
    keep, decay = (1 - lr * weight_decay, 0.0) if decoupled else (1.0, weight_decay)
    root, size = (1 - beta2**step) ** 0.5, lr / (1 - beta1**step)
    # m / (sqrt(v) / root + eps) is root * m / (sqrt(v) + root * eps), which divides once
    settings = keep, decay, 1 - beta1, beta2, 1 - beta2, eps * root, size * root
    _run(_adam, _adam_parallel, (param, m, v), grad, settings)


def sgd_step(param, grad, buf, *, lr, momentum, dampening, weight_decay, nesterov, first):
    """Take one step of gradient descent, with momentum (Sutskever et al., ICML 2013) if `momentum` is not zero.

    Parameters
    ----------
    param : ndarray
        Overwritten; any strides.
    grad : ndarray
        The loss's gradient, of the same shape and dtype.
    buf : ndarray or None
        The running gradient, overwritten; not used (None will do) without momentum.
    lr, momentum, dampening, weight_decay : float
        Step size, how much of `buf` is kept, how much of the gradient is left out of it, and the pull towards zero.
    nesterov : bool
        Look ahead along the momentum.
    first : bool
        This is the first step: `buf` holds nothing yet and becomes the gradient.
    """
    if not momentum:
        _run(_descend, _descend_parallel, (param,), grad, (lr, weight_decay))
        return
    if first:
        buf[...] = 0  # 0 * momentum + 1 * grad: the gradient itself
    fresh = 1.0 if first else 1 - dampening
    _run(_roll, _roll_parallel, (param, buf), grad, (lr, weight_decay, momentum, fresh, momentum if nesterov else 0.0))


def _run(serial, parallel, overwritten, grad, settings):
    """Lay all operands out in the parameter's memory order, run a loop, and write back what had to be copied."""
    param = overwritten[0]
    axes = memory_axes(param)
    lines = [flat(array, axes, writeable=True) for array in overwritten]
    if param.size < SERIAL:
        serial(*lines, flat(grad, axes), *settings)
    else:
        parallel(*lines, flat(grad, axes), *settings, threads())
    for array, line in zip(overwritten, lines):
        owner = array if array.base is None else array.base
        if line.base is not owner and not np.may_share_memory(array, line):
            array[...] = unflatten(line, array.shape, axes)


@subroutine
def _adam(param, m, v, grad, keep, decay, rate1, beta2, rate2, eps, size):
    f = param.dtype.type
    keep, decay, rate1, beta2 = f(keep), f(decay), f(rate1), f(beta2)
    rate2, eps, size = f(rate2), f(eps), f(size)
    for i in range(param.size):
        p, g = param[i] * keep, grad[i]
        if decay != 0:
            g += decay * p
        mean = m[i] + rate1 * (g - m[i])
        square = v[i] * beta2 + rate2 * g * g
        m[i], v[i] = mean, square
        param[i] = p - size * mean / (np.sqrt(square) + eps)


@parallel_kernel
def _adam_parallel(param, m, v, grad, keep, decay, rate1, beta2, rate2, eps, size, parts):
    for t in prange(parts):
        part = share(np.int64(t), parts, param.size)
        _adam(param[part], m[part], v[part], grad[part], keep, decay, rate1, beta2, rate2, eps, size)


@subroutine
def _descend(param, grad, lr, decay):
    lr, decay = param.dtype.type(lr), param.dtype.type(decay)
    for i in range(param.size):
        p, g = param[i], grad[i]
        if decay != 0:
            g += decay * p
        param[i] = p - lr * g


@parallel_kernel
def _descend_parallel(param, grad, lr, decay, parts):
    for t in prange(parts):
        part = share(np.int64(t), parts, param.size)
        _descend(param[part], grad[part], lr, decay)


@subroutine
def _roll(param, buf, grad, lr, decay, momentum, fresh, ahead):
    f = param.dtype.type
    lr, decay, momentum, fresh, ahead = f(lr), f(decay), f(momentum), f(fresh), f(ahead)
    for i in range(param.size):
        p, g = param[i], grad[i]
        if decay != 0:
            g += decay * p
        b = buf[i] * momentum + fresh * g
        buf[i] = b
        param[i] = p - lr * (g + ahead * b if ahead != 0 else b)


@parallel_kernel
def _roll_parallel(param, buf, grad, lr, decay, momentum, fresh, ahead, parts):
    for t in prange(parts):
        part = share(np.int64(t), parts, param.size)
        _roll(param[part], buf[part], grad[part], lr, decay, momentum, fresh, ahead)
