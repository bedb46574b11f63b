"""Which ways of deciding does a model have for a class? Clusters of its relevance maps show them side by side.

A class that is recognised by a watermark on some of its images and by the thing itself on the others has two kinds of
maps. SpRAy (spectral relevance analysis, Lapuschkin et al. 2019) finds them without anybody looking at every map:

    1. maps of one class, channels added up, averaged down to a coarse grid, each scaled to a sum of magnitudes of 1;
    2. a graph: each map and its nearest neighbours; L = I - D^(-1/2) W D^(-1/2), its normalised Laplacian;
    3. as many clusters as there are small eigenvalues of L before the widest gap (the eigengap);
    4. spectral clustering with that many (von Luxburg 2007).

A wide gap says that there *are* kinds, the clusters' mean maps say which. Whether one is a fraud is for people to say.
"""

from dataclasses import dataclass

import numpy as np

from minigrad import functional as F
from minigrad import no_grad

from .game import checked_count
from .inputs import as_generator


@dataclass(eq=False)
class Clusters:
    """Kinds of maps.

    Attributes
    ----------
    labels : ndarray of int (N,)
        The cluster of each map; 0 is the largest.
    means : ndarray (n_clusters, H, W)
        The mean of each cluster's maps, channels added up, in the maps' own size and unit.
    eigenvalues : ndarray
        The smallest of the Laplacian, rising from 0; there is one 0 for each part of the graph that hangs together.
    gaps : ndarray
        gaps[k - 1] = eigenvalues[k] - eigenvalues[k - 1], the case for k clusters.
    embedding : ndarray (N, 2)
        The maps in the plane of the eigenvectors after the first, to draw.
    """

    labels: np.ndarray
    means: np.ndarray
    eigenvalues: np.ndarray
    gaps: np.ndarray
    embedding: np.ndarray

    n_clusters = property(lambda self: len(self.means), doc="How many there are.")

    def __repr__(self):
        sizes = np.bincount(self.labels).tolist()
        return f"Clusters({self.n_clusters} of {sizes} maps, widest gap {self.gaps.max():.3f})"

    def plot(self, ax=None, cluster=0, **options):
        """Draw a cluster's mean map; options as in `explain.show.heat_map`. Returns the axes."""
        from .show import heat_map

        title = f"cluster {cluster}: {int((self.labels == cluster).sum())} maps"
        return heat_map(self.means[cluster], ax=ax, title=title, **options)


def spray(attribution, *, size=8, n_neighbors=10, n_clusters=None, max_clusters=8, rng=None):
    """Cluster the relevance maps of one class. Lapuschkin et al. 2019.

    Parameters
    ----------
    attribution : Attribution, or array (N, C, H, W) or (N, H, W)
        Of samples of one class; any method, LRP in the paper.
    size : int or None
        Maps are averaged down to size x size, so that where matters and not which pixel; None leaves them.
    n_neighbors : int
        Of each map in the graph.
    n_clusters : int, optional
        If left out, the eigengap decides, up to `max_clusters`.
    max_clusters : int
    rng : np.random.Generator, optional
        For the starts of k-means.

    Returns
    -------
    Clusters
    """
    maps = np.asarray(attribution, np.float64)
    maps = maps.sum(1) if maps.ndim == 4 else maps
    if maps.ndim != 3 or len(maps) < 3 or not np.isfinite(maps).all():
        raise ValueError(f"spray: got maps of shape {np.shape(attribution)}, expected at least 3 finite ones "
                         "(N, C, H, W) or (N, H, W)")  # fmt: skip
    count = len(maps)
    n_neighbors = min(checked_count("spray", "n_neighbors", n_neighbors, 1, "edges of each map"), count - 1)
    most = min(checked_count("spray", "max_clusters", max_clusters, 1, "clusters to consider"), count - 1)
    if n_clusters is not None and not 1 <= checked_count("spray", "n_clusters", n_clusters, 1, "clusters") <= count:
        raise ValueError(f"spray: n_clusters is {n_clusters}, expected at most the number of maps, {count}")
    graph = neighbour_graph(_coarse(maps, size), n_neighbors)
    eigenvalues, vectors = spectrum(graph)
    gaps = np.diff(eigenvalues[: most + 1])
    labels = _labels(graph, n_clusters or int(gaps.argmax()) + 1, rng)
    means = np.stack([maps[labels == k].mean(0) for k in range(labels.max() + 1)])
    return Clusters(labels, means, eigenvalues[: most + 1], gaps, vectors[:, 1:3])


def neighbour_graph(points, n_neighbors):
    """The symmetric matrix (N, N) with a 1 where one of two points is among the other's nearest neighbours."""
    from sklearn.neighbors import kneighbors_graph

    edges = kneighbors_graph(points, n_neighbors).toarray()
    return np.maximum(edges, edges.T)


def spectrum(graph):
    """The eigenvalues, rising, and eigenvectors of the normalised Laplacian I - D^(-1/2) W D^(-1/2)."""
    root = np.sqrt(graph.sum(1))
    values, vectors = np.linalg.eigh(np.eye(len(graph)) - graph / root[:, None] / root)
    return np.maximum(values, 0), vectors


def _coarse(maps, size):
    """Points (N, size * size): the maps averaged down, each with a sum of magnitudes of 1."""
    if size is not None:
        size = checked_count("spray", "size", size, 1, "cells along a side, or None")
        with no_grad():
            target = tuple(min(size, n) for n in maps.shape[1:])
            maps = F.adaptive_avg_pool2d(maps[:, None], target).data[:, 0]
    flat = maps.reshape(len(maps), -1)
    sums = np.abs(flat).sum(1, keepdims=True)
    return flat / np.where(sums > 0, sums, 1)


def _labels(graph, n_clusters, rng):
    """Labels (N,), those of larger clusters first."""
    if n_clusters == 1:
        return np.zeros(len(graph), np.int64)
    import warnings

    from sklearn.cluster import SpectralClustering

    seed = int(as_generator("spray", rng).integers(2**31))
    clustering = SpectralClustering(n_clusters, affinity="precomputed", random_state=seed)
    with warnings.catch_warnings():
        # A graph in several parts is the clearest finding there is.
        warnings.filterwarnings("ignore", message="Graph is not fully connected")
        found = clustering.fit(graph).labels_
    _, found, sizes = np.unique(found, return_inverse=True, return_counts=True)
    rank = np.empty(len(sizes), np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    return rank[found]
