"""A limit on the length of the gradient, against the one batch in a thousand that would throw the weights far away."""

import numpy as np

from ..tensor import Tensor


def clip_grad_norm(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False):
    """Shorten all gradients by one factor, so that together they are at most `max_norm` long.

    The factor is ``max_norm / (total + 1e-6)``, applied where below 1; the direction stays (Pascanu et al., ICML 2013).

    Parameters
    ----------
    parameters : Tensor or iterable of Tensor
        Those without a gradient are passed over.
    max_norm : float
        The longest that is allowed.
    norm_type : float, default 2
        Order of the norm; inf for the largest element.
    error_if_nonfinite : bool, default False
        Raise if the length is NaN or infinite; otherwise a NaN length makes every gradient NaN, an infinite one makes
        the finite ones zero.

    Returns
    -------
    float
        The total length before clipping: the norm of the gradients' norms; 0.0 without gradients.

    Raises
    ------
    FloatingPointError
        With `error_if_nonfinite`; no gradient is changed then.
    """
    parameters = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    parameters = [p for p in parameters if p.grad is not None]
    total = float(_norm(np.array([_norm(p.grad.data, norm_type) for p in parameters]), norm_type))
    if error_if_nonfinite and not np.isfinite(total):
        raise FloatingPointError(
            f"clip_grad_norm: the gradients' norm is {total}, expected a finite number; lower the learning rate, or "
            "pass error_if_nonfinite=False"
        )
    factor = float(max_norm) / (total + 1e-6)
    if not factor >= 1:
        for p in parameters:
            p.grad = Tensor(p.grad.data * factor)  # a new one: two leaves may share their gradient's array
    return total


def _norm(x, order):
    """Norm of the elements, summed in float64."""
    if order == np.inf:
        return np.abs(x).max(initial=0)
    if order == 2:
        return np.sqrt(np.square(x).sum(dtype=np.float64))
    if order == 0:
        return np.count_nonzero(x)
    return np.power(np.abs(x), order, dtype=np.float64).sum() ** (1 / order)
