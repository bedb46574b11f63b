"""Rules of quadrature: at which points of [0, 1] to evaluate an integrand, and how much each value counts.

    integral of f(t) dt  ~  sum over k of weights[k] * f(points[k])

All weights add up to 1, or a constant would be integrated wrongly. Gauss and Legendre's rule is exact for polynomials
up to degree 2 n - 1; a network with kinks is no polynomial, so there no rule wins by much over the middle one.
"""

import numpy as np

METHODS = ("gausslegendre", "riemann_left", "riemann_right", "riemann_middle", "riemann_trapezoid")


def quadrature(function, method, n_steps, compat=None):
    """Points and weights, two float64 arrays of length `n_steps`, in rising order of the points.

    Parameters
    ----------
    function : str
        For messages.
    method : one of `METHODS`
    n_steps : int, at least 1; at least 2 for the trapezoid, which needs both ends
    compat : None or 'captum'
        Captum's trapezoid divides by n_steps instead of the n_steps - 1 intervals there are, so its weights add up to
        1 - 1 / n_steps: 2 % too little at 50 steps. 'captum' reproduces that; the other rules agree.

    Raises
    ------
    ValueError, TypeError
    """
    if method not in METHODS:
        raise ValueError(f"{function}: method is {method!r}, expected one of {', '.join(METHODS)}")
    if compat not in (None, "captum"):
        raise ValueError(f"{function}: compat is {compat!r}, expected None or 'captum'")
    if not isinstance(n_steps, (int, np.integer)):
        raise TypeError(f"{function}: n_steps is {n_steps!r}, expected an integer")
    least = 2 if method == "riemann_trapezoid" else 1
    if n_steps < least:
        raise ValueError(f"{function}: n_steps is {n_steps}, expected at least {least} for {method}")
    if method == "gausslegendre":
        points, weights = np.polynomial.legendre.leggauss(n_steps)
        return (1 + points) / 2, weights / 2
    if method == "riemann_trapezoid":
        weights = np.full(n_steps, 1 / (n_steps if compat else n_steps - 1))
        weights[[0, -1]] /= 2
        return np.linspace(0, 1, n_steps), weights
    shift = {"riemann_left": 0, "riemann_middle": 0.5, "riemann_right": 1}[method]
    return (np.arange(n_steps) + shift) / n_steps, np.full(n_steps, 1 / n_steps)
