"""Derivatives of an op for which a formula in other ops stands in."""
import numpy as np

from ..autodiff import grad
from ..tensor import Tensor, recording, setting
from .shape import Reshape


def by_formula(formula, h, *xs):
    """The thunks of a vjp, by differentiating ``formula(*xs)``, which says in ops what an op computes in one kernel.

    That is slower than the kernel, and can be differentiated again.
    """
    def pull(i):
        with setting(recording, True):
            own = [Reshape(x.shape)(x) for x in xs]  # for one x may have been made from another
            result = formula(*own)
        found = grad(result, own[i], h, create_graph=recording.get(), allow_unused=True)
        return Tensor(np.zeros_like(xs[i].data)) if found is None else found

    return tuple(lambda i=i: pull(i) for i in range(len(xs)))
