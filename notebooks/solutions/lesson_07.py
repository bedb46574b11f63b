"""Solutions of lesson 7."""

import numpy as np


def gram(a):
    """Channels as rows, places as columns."""
    rows = a.reshape(len(a), -1)
    return rows @ rows.T / rows.shape[1]


def bounding_box(heat, share):
    """First and last row and column with something bright."""
    bright = heat > share * heat.max()
    rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
    return rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
