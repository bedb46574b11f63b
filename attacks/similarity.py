"""How alike are two heat maps? Three answers, each per sample: ranks, the most important pixels, local structure."""
import numpy as np


def top_k_intersection(a, b, k):
    """The part of the k largest values of map a (N, H, W) that are among the k largest of b: (N,) in [0, 1].

    Ghorbani, Abid, Zou 2019. Ties are broken by place, in reading order.
    """
    first, second = (top_k(m, k) for m in (a, b))
    return (first & second).reshape(len(first), -1).sum(1) / k


def top_k(maps, k):
    """Booleans (N, H, W): the k largest values of each map."""
    flat = np.asarray(maps).reshape(len(maps), -1)
    chosen = np.zeros(flat.shape, bool)
    np.put_along_axis(chosen, np.argsort(-flat, axis=1, kind="stable")[:, :k], True, axis=1)
    return chosen.reshape(np.shape(maps))


def spearman(a, b):
    """Correlation of the ranks of two maps: (N,) in [-1, 1]; NaN where one is constant."""
    from scipy.stats import rankdata

    ranks = [rankdata(np.reshape(m, (len(m), -1)), axis=1) for m in (a, b)]
    first, second = (r - r.mean(1, keepdims=True) for r in ranks)
    size = np.sqrt((first**2).sum(1) * (second**2).sum(1))
    return np.divide((first * second).sum(1), size, out=np.full(len(first), np.nan), where=size > 0)


def ssim(a, b, window=7):
    """Structural similarity of two maps (N, H, W), each scaled to a largest value of 1: (N,), 1 for equal maps.

    The mean over places of ((2 m n + c)(2 s + d)) / ((m^2 + n^2 + c)(u + v + d)), with m, n the means, u, v the
    variances and s the covariance in a window there. Wang et al. 2004, with a flat window.
    """
    from scipy.ndimage import uniform_filter

    def smooth(m):
        return uniform_filter(m, size=(0, window, window))

    a, b = (np.asarray(m, np.float64) / np.maximum(np.abs(m).max((1, 2), keepdims=True), 1e-300) for m in (a, b))
    m, n, c, d = smooth(a), smooth(b), 0.01**2, 0.03**2
    u, v, s = smooth(a * a) - m * m, smooth(b * b) - n * n, smooth(a * b) - m * n
    return ((2 * m * n + c) * (2 * s + d) / ((m * m + n * n + c) * (u + v + d))).mean((1, 2))
