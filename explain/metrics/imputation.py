"""Holes in a picture, filled with what their border suggests. Rong et al. 2022, section 4.

Every missing pixel is the weighted mean of its eight neighbours, missing or not: 1/6 for those beside it, 1/12 for
those at its corners. For all missing pixels together that is a sparse linear system, solved exactly.
"""

import numpy as np

NEIGHBOURS = {
    (-1, -1): 1 / 12,
    (-1, 0): 1 / 6,
    (-1, 1): 1 / 12,
    (0, -1): 1 / 6,
    (0, 1): 1 / 6,
    (1, -1): 1 / 12,
    (1, 0): 1 / 6,
    (1, 1): 1 / 12,
}


def noisy_linear_imputation(x, missing, *, noise=0.01, rng=None):
    """Fill the missing pixels, and add a little noise, without which their smoothness would give away where they were.

    Parameters
    ----------
    x : ndarray (N, C, H, W)
        It is not changed.
    missing : bool array (N, H, W)
    noise : float
        Standard deviation, in the units of x.
    rng : np.random.Generator, optional
        All samples have the same noise.

    Returns
    -------
    ndarray of x's shape and dtype
    """
    missing = np.asarray(missing, bool)
    if x.ndim != 4 or missing.shape != (len(x), *x.shape[2:]):
        raise ValueError(
            f"noisy_linear_imputation: x has shape {x.shape} and missing {missing.shape}, expected (N, C, H, W) "
            "and (N, H, W)"
        )
    if missing.all((1, 2)).any():
        raise ValueError(
            f"noisy_linear_imputation: all pixels of sample {int(missing.all((1, 2)).argmax())} are missing, "
            "nothing is left to go by"
        )
    rng = np.random.default_rng() if rng is None else rng
    grain = noise * rng.standard_normal(x.shape[1:])
    filled = x.copy()
    for picture, holes in zip(filled, missing, strict=True):
        if holes.any():
            picture[:, holes] = _solved(picture.astype(np.float64), holes) + grain[:, holes]
    return filled


def _solved(picture, holes):
    """The values (C, M) of the M missing pixels."""
    from scipy.sparse import csc_array
    from scipy.sparse.linalg import spsolve

    count, number = int(holes.sum()), np.cumsum(holes).reshape(holes.shape) - 1
    rows, columns = np.nonzero(holes)
    diagonal, right = np.zeros(count), np.zeros((count, len(picture)))
    entries = [(np.arange(count), np.arange(count), diagonal)]
    for (down, across), weight in NEIGHBOURS.items():
        r, c = rows + down, columns + across
        inside = (r >= 0) & (r < holes.shape[0]) & (c >= 0) & (c < holes.shape[1])
        diagonal[inside] += weight  # at the border the others weigh more
        r, c, mine = r[inside], c[inside], np.flatnonzero(inside)
        unknown = holes[r, c]
        right[mine[~unknown]] += weight * picture[:, r[~unknown], c[~unknown]].T
        entries.append((mine[unknown], number[r[unknown], c[unknown]], np.full(int(unknown.sum()), -weight)))
    row, column, value = map(np.concatenate, zip(*entries, strict=True))
    return spsolve(csc_array((value, (row, column)), shape=(count, count)), right).reshape(count, -1).T
