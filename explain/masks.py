"""Feature masks: which input values are present or absent together.

A mask has x's shape, or one that broadcasts against it, and holds the number of the feature that each value belongs
to: 0, 1, 2, ... without gaps. Single pixels are poor features: taking one away changes nothing, and there are too
many of them. Small pictures are cut into the cells of a grid, photographs into superpixels: patches of similar
colour.
"""

import numpy as np

CELLS = 7  # a grid has at most so many cells along the longer side
SEGMENTS = 50  # superpixels of a photograph
PHOTO = 64  # colour pictures with a side of at least so many pixels count as photographs


def grid_mask(shape, cell):
    """Number the cells of a grid, row by row.

    Parameters
    ----------
    shape : tuple (..., H, W)
        Of the pictures; only the last two lengths count.
    cell : int or pair
        Height and width of a cell in pixels; those at the lower and right border may be smaller.

    Returns
    -------
    ndarray of int64, shape (1, 1, H, W)
    """
    cell = (cell, cell) if np.ndim(cell) == 0 else tuple(cell)
    if len(shape) < 2 or len(cell) != 2 or not all(isinstance(n, (int, np.integer)) and n > 0 for n in cell):
        raise ValueError(
            f"grid_mask: got shape {tuple(shape)} and cell {cell}, expected (..., H, W) and a positive integer or "
            "a pair"
        )
    rows, columns = (np.arange(n) // c for n, c in zip(shape[-2:], cell, strict=True))
    return (rows[:, None] * (columns[-1] + 1) + columns)[None, None]


def superpixels(x, *, n_segments=SEGMENTS, compactness=10.0, steps=10):
    """Cut every picture into connected patches of similar colour by k-means over colour and place. Achanta et al. 2012.

    Two pixels are as far apart as sqrt(d_Lab^2 + (compactness d_place / s)^2), where s is the side of a patch if all
    were equal squares. The centres start on a grid, so the result depends on the picture alone.

    Parameters
    ----------
    x : array_like (N, C, H, W) in [0, 1]
        Three channels are compared as CIELAB colours, others as they are, times 100 (the range of lightness).
    n_segments : int
        About how many patches.
    compactness : float
        High for squares, low for patches that follow the colours.
    steps : int
        Of k-means.

    Returns
    -------
    ndarray of int64, shape (N, 1, H, W)
        The patches of each picture, numbered from 0; their number may differ between pictures.
    """
    x = np.asarray(x)
    if x.ndim != 4 or x.dtype.kind != "f":
        raise ValueError(f"superpixels: x is {x.dtype} of shape {x.shape}, expected floats (N, C, H, W)")
    if not isinstance(n_segments, (int, np.integer)) or not 1 <= n_segments <= x.shape[2] * x.shape[3]:
        raise ValueError(
            f"superpixels: n_segments is {n_segments!r}, expected 1 to the number of pixels, {x.shape[2] * x.shape[3]}"
        )
    return np.stack([_segment(picture, n_segments, compactness, steps) for picture in x.astype(np.float64)])[:, None]


def default_mask(x):
    """The features of x by default: superpixels for photographs, a grid for other pictures, else every value.

    x : ndarray (N, ...); returns a mask that broadcasts against it.
    """
    photo = x.ndim == 4 and x.shape[1] == 3 and max(x.shape[2:]) >= PHOTO
    return KINDS["superpixels" if photo else "grid" if x.ndim == 4 else "values"](x)


def value_mask(x):
    """Every value of a sample a feature of its own."""
    return np.arange(x[0].size).reshape(1, *x.shape[1:])


def _coarse_grid(x):
    return grid_mask(x.shape, -(-max(x.shape[2:]) // CELLS))


KINDS = {"grid": _coarse_grid, "superpixels": superpixels, "values": value_mask}


def as_feature_mask(method, mask, x, default):
    """A mask that was checked, and the number of features in each of its rows.

    Parameters
    ----------
    method : str
        For messages.
    mask : None, 'grid', 'superpixels', 'values', or integer array that broadcasts against x (N, ...)
        None is what ``default(x)`` gives.
    x : ndarray (N, ...)

    Returns
    -------
    mask : ndarray of int64 with x's number of axes, whose first has length 1 (all samples share it) or N
    features : ndarray of int64, shape (N,)
    """
    if isinstance(mask, str):
        if mask not in KINDS or mask != "values" and x.ndim != 4:
            raise ValueError(
                f"{method}: feature_mask is {mask!r} for x {x.shape}, expected 'grid' or 'superpixels' for pictures "
                "(N, C, H, W), 'values', or an array of integers"
            )
        mask = KINDS[mask](x)
    mask = default(x) if mask is None else np.asarray(mask)
    if mask.dtype.kind not in "iu":
        raise TypeError(
            f"{method}: feature_mask has dtype {mask.dtype}, expected integers: the number of each value's feature"
        )
    try:
        fits = np.broadcast_shapes(mask.shape, x.shape) == x.shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"{method}: feature_mask has shape {mask.shape}, expected one that broadcasts against x {x.shape}"
        )
    mask = mask.reshape(*[1] * (x.ndim - mask.ndim), *mask.shape).astype(np.int64)
    features = [_count(method, row, i) for i, row in enumerate(mask)]
    return mask, np.broadcast_to(features, (len(x),))


def _count(method, row, sample):
    """The number of features in a row; every number below it must occur."""
    found = np.unique(row)
    if found[0] != 0 or found[-1] != len(found) - 1:
        missing = np.setdiff1d(np.arange(len(found)), found)[:5].tolist() if found[0] >= 0 else []
        raise ValueError(
            f"{method}: the feature_mask of sample {sample} has numbers from {found[0]} to {found[-1]}"
            + (f" with gaps (none is {missing})" if missing else "")
            + "; number the features 0, 1, 2, ... without "
            "gaps: np.unique(mask, return_inverse=True)[1].reshape(mask.shape)"
        )
    return len(found)


def _segment(picture, n_segments, compactness, steps):
    """The numbered superpixels (H, W) of one picture (C, H, W)."""
    height, width = picture.shape[1:]
    side = np.sqrt(height * width / n_segments)
    colour = _lab(picture) if len(picture) == 3 else 100 * picture
    place = np.mgrid[:height, :width] * (compactness / side)
    points = np.concatenate([colour, place]).reshape(-1, height * width).T  # (pixels, C + 2)
    starts = [(np.arange(m) + 0.5) * n / m for n in (height, width) for m in [max(1, round(n / side))]]
    rows, columns = (a.astype(int).ravel() for a in np.meshgrid(*starts, indexing="ij"))
    centres = points[rows * width + columns]
    for _ in range(steps):
        nearest = (np.square(centres).sum(1) / 2 - points @ centres.T).argmin(1)
        size = np.bincount(nearest, minlength=len(centres))
        sums = np.stack([np.bincount(nearest, column, len(centres)) for column in points.T], axis=1)
        centres = np.where(size[:, None] > 0, sums / np.maximum(size, 1)[:, None], centres)
    return _connected(nearest.reshape(height, width))


def _connected(labels):
    """The largest piece of every label; what is left over goes to the nearest of them."""
    from scipy.ndimage import distance_transform_edt, label

    kept = np.zeros(labels.shape, bool)
    for value in np.unique(labels):
        pieces, _ = label(labels == value)
        kept |= pieces == 1 + np.bincount(pieces[pieces > 0] - 1).argmax()
    nearest = distance_transform_edt(~kept, return_distances=False, return_indices=True)
    return np.unique(labels[tuple(nearest)], return_inverse=True)[1].reshape(labels.shape)


def _lab(picture):
    """An sRGB picture (3, H, W) in [0, 1] as CIELAB (white point D65): distances are about as the eye sees them."""
    linear = np.where(picture <= 0.04045, picture / 12.92, ((picture + 0.055) / 1.055) ** 2.4)
    xyz = np.tensordot(
        [[0.4339, 0.3763, 0.1898], [0.2126, 0.7152, 0.0722], [0.0178, 0.1095, 0.8727]], linear, 1
    )  # white is 1, 1, 1
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])
