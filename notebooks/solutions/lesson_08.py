"""Solutions of lesson 8."""

import numpy as np


def intersection_over_union(found, planted):
    """In both, over in either."""
    return (found & planted).sum() / (found | planted).sum()


def anomaly_index(norms):
    """In units of the spread that a normal distribution would have."""
    distance = np.abs(norms - np.median(norms))
    return distance / (1.4826 * np.median(distance))
