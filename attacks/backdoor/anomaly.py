"""Which of a few norms is an outlier, by the median of their distances from the median."""
import numpy as np

CONSISTENT = 1.4826  # makes the MAD of normal numbers their standard deviation
SUSPICIOUS = 2.0


def anomaly_index(norms):
    """How many robust standard deviations each norm is below the median: (median - n) / (1.4826 MAD).

    The MAD is the median of |n - median|. The paper's index is the magnitude of this one, and it suspects only norms
    below the median; here the sign says so, and above 2 is suspicious. With two classes the magnitude would be
    1 / 1.4826 whatever the norms, since both are equally far from their median: there is nothing to be an outlier
    from, and NaN is returned.

    Parameters
    ----------
    norms : array of shape (K,)

    Returns
    -------
    ndarray (K,)
        0 for all where they are equal.

    References
    ----------
    Wang et al., Neural Cleanse, IEEE S&P 2019, section IV-B; Hampel 1974.
    """
    norms = np.asarray(norms, np.float64)
    if norms.ndim != 1 or not len(norms) or not np.isfinite(norms).all():
        raise ValueError(f"anomaly_index: norms have shape {norms.shape}, expected finite numbers (K,), one a class")
    if len(norms) < 3:
        return np.full(len(norms), np.nan)
    below = np.median(norms) - norms
    spread = CONSISTENT * np.median(np.abs(below))
    return np.divide(below, spread, out=np.where(below == 0, 0.0, np.copysign(np.inf, below)), where=spread > 0)
