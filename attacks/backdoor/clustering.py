"""Activation clustering: a poisoned class falls into two clusters, those it is and those that only pose as it."""
import numpy as np

from ..arguments import count, generator, number
from .activations import activations
from .suspicion import Suspicion, checked_labels


def activation_clustering(model, x, labels, *, n_components=10, max_size=0.35, min_silhouette=0.15, layer=None,
                          rng=None):
    """Split the activations of each class in two; where one part is small and well apart, flag it.

    The activations of a class go through independent component analysis to `n_components` numbers of unit variance
    and then through k-means with two clusters.

    Parameters
    ----------
    model : Module or callable
        Trained on the samples, in evaluation mode.
    x, labels : arrays of shape (N, C, H, W) and (N,)
        The training samples with the labels they were trained with.
    n_components : int
    max_size : float in (0, 0.5]
        The largest part of a class that is expected to be poisoned: a larger cluster is none of poison.
    min_silhouette : float in [-1, 1]
        How well apart the clusters must be: 1 is perfectly, 0 not at all.
    layer : str, optional
        Whose output to use; the input of the last dense layer if left out.
    rng : numpy.random.Generator, optional
        For the starts of the analysis and of k-means.

    Returns
    -------
    Suspicion
        Scores are, of each sample, its distance to the larger cluster's centre less that to the smaller one's, and 0
        in classes that are not suspicious. ``details``: ``size`` and ``silhouette`` (K,) of each class, NaN for
        classes of too few samples, and ``classes``, those that are suspicious.

    References
    ----------
    Chen et al., Detecting backdoor attacks on deep neural networks by activation clustering, 2018.
    """
    name = "activation_clustering"
    n_components = count(name, "n_components", n_components)
    max_size = number(name, "max_size", max_size, high=0.5, above=True)
    min_silhouette = number(name, "min_silhouette", min_silhouette, low=-1, high=1)
    labels, rng = checked_labels(name, labels, len(x)), generator(name, rng)
    inner = activations(name, model, x, layer)
    scores, flagged = np.zeros(len(labels)), np.zeros(len(labels), bool)
    size, silhouette = (np.full(labels.max() + 1, np.nan) for _ in range(2))
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        if len(of_class) <= n_components:
            continue
        lean, silhouette[label] = two_clusters(inner[of_class], n_components, int(rng.integers(2**31)))
        size[label] = (lean > 0).mean()
        if size[label] <= max_size and silhouette[label] >= min_silhouette:
            scores[of_class], flagged[of_class] = lean, lean > 0
    classes = np.unique(labels[flagged]).tolist()
    return Suspicion(name, scores, flagged, {"size": size, "silhouette": silhouette, "classes": classes})


def two_clusters(inner, n_components, seed):
    """How much nearer each of (n, D) activations is to the smaller of two clusters, (n,), and their silhouette."""
    import warnings

    from sklearn.cluster import KMeans
    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import silhouette_score

    white = whitened(inner, n_components)
    if not white.shape[1]:
        return np.zeros(len(inner)), 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # where components are alike it turns about among them
        reduced = FastICA(whiten=False, random_state=seed).fit_transform(white)
    means = KMeans(2, n_init=10, random_state=seed).fit(reduced)
    distance = means.transform(reduced)
    larger = np.bincount(means.labels_, minlength=2).argmax()
    apart = silhouette_score(reduced, means.labels_, sample_size=min(len(reduced), 2000), random_state=seed)
    return distance[:, larger] - distance[:, 1 - larger], float(apart)


def whitened(inner, n_components):
    """Activations (n, D) on their first principal axes, each with unit variance: (n, at most `n_components`).

    Many units of a network are dead for a whole class. Axes along which the activations differ by less than 1e-5 of
    how they do along the first are left out: what has no variance cannot be given that of one.
    """
    centred = inner - inner.mean(0, dtype=np.float64)
    variances, axes = np.linalg.eigh(centred.T @ centred / len(inner))
    kept = np.flatnonzero(variances > 1e-10 * max(variances[-1], np.finfo(np.float32).tiny))[-n_components:]
    return centred @ axes[:, kept] / np.sqrt(variances[kept])
