"""The memory order of weights, the same for the parameters, their gradients and an optimizer's moments."""

import numpy as np


def weight_layout(array):
    """Copy a weight to the memory order in which the kernels read it best, and in which they return its gradient.

    Parameters
    ----------
    array : ndarray
        ``(O, I, kh, kw)`` of a convolution, ``(out, in)`` of a fully connected layer, or anything else.

    Returns
    -------
    ndarray
        An equal array of its own memory: (kh, kw, I, O)-contiguous if it is four-dimensional, else C-contiguous.
    """
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0).copy(order="C").transpose(3, 2, 0, 1)
    return array.copy(order="C")


def filters_last(weight):
    """View, or copy if need be, (O, I, kh, kw) as contiguous (kh, kw, I, O)."""
    return np.ascontiguousarray(weight.transpose(2, 3, 1, 0))


def filters_first(memory):
    """See (kh, kw, I, O) memory as (O, I, kh, kw), without a copy."""
    return memory.transpose(3, 2, 0, 1)


def read_only(array):
    """Make a view that cannot be written: another type to numba, so all inputs get it and a kernel compiles once."""
    view = array.view()
    view.flags.writeable = False
    return view
