"""What becomes of explanations while an image is attacked: how like the first map each later map still is.

An attribution that follows the decision should change most where the decision does. A map that stays the same while
the class flips looks at something else; one that changes long before it is fragile.
"""
from dataclasses import dataclass

import numpy as np

import minigrad
from minigrad.train import evaluation_mode

from .arguments import choice, count
from .similarity import spearman, ssim, top_k_intersection

MEASURES = ("spearman", "top_k", "ssim")


@dataclass(eq=False)
class Drift:
    """Similarity of maps along a path of images.

    Attributes
    ----------
    similarity : dict of str to dict of str to ndarray (T,)
        For each explainer, ``spearman top_k ssim`` of the map of image t to that of image 0.
    distance : ndarray (T,)
        L2 distance of image t from image 0.
    predicted : ndarray of int (T,)
        The model's class.
    maps : dict of str to ndarray (T, H, W)
    target : int
        The class that is explained, all along.
    """

    similarity: dict
    distance: np.ndarray
    predicted: np.ndarray
    maps: dict
    target: int

    def plot(self, ax=None, measure="spearman"):
        """Draw a curve an explainer over the distance; a line marks where the class flips. See `charts.drift`."""
        from .charts import drift

        return drift(self, choice("Drift.plot", "measure", measure, MEASURES), ax)


def explanation_drift(model, images, explainers, *, target=None, k=None):
    """Explain every image of a path and compare with the first.

    Parameters
    ----------
    model : Module or callable
    images : array (T, C, H, W), or attacks.show.Film
        The path, the clean image first. A Film that watched an attack holds it.
    explainers : dict of str to callable
        ``explainer(model, images, target) -> array-like (T, C, H, W)`` or (T, H, W), such as the methods of `explain`.
        Magnitudes are added up over the channels.
    target : int, optional
        The class explained at every image; the one predicted for the first.
    k : int, optional
        Of top_k; a tenth of the pixels.

    Returns
    -------
    Drift

    Raises
    ------
    ValueError
        If there are fewer than two images, no explainers, or a map of another size.
    """
    name = "explanation_drift"
    images = np.asarray(getattr(images, "images", images))
    if images.ndim != 4 or len(images) < 2:
        raise ValueError(f"{name}: images has shape {images.shape}, expected (T, C, H, W) with T of at least 2; a Film "
                         "must have watched an attack: callback=film")
    if not explainers:
        raise ValueError(f"{name}: explainers is empty, expected names and functions: {{'saliency': explain.saliency}}")
    with evaluation_mode(model) if isinstance(model, minigrad.nn.Module) else minigrad.no_grad(), minigrad.no_grad():
        predicted = model(minigrad.Tensor(images)).data.argmax(1)
    target = int(predicted[0]) if target is None else count(name, "target", target, low=0)
    height, width = images.shape[2:]
    k = max(1, height * width // 10) if k is None else count(name, "k", k)
    maps, similarity = {}, {}
    for title, explain in explainers.items():
        values = np.abs(np.asarray(explain(model, images, target), np.float64))
        values = values.sum(1) if values.ndim == 4 else values
        if values.shape != (len(images), height, width):
            raise ValueError(f"{name}: {title} gives maps of shape {values.shape}, expected {len(images)} maps of "
                             f"{height} x {width}")
        first = np.broadcast_to(values[:1], values.shape)
        maps[title] = values
        similarity[title] = {"spearman": spearman(first, values), "top_k": top_k_intersection(first, values, k),
                             "ssim": ssim(first, values)}
    change = (images.astype(np.float64) - images[:1]).reshape(len(images), -1)
    return Drift(similarity, np.sqrt((change**2).sum(1)), predicted, maps, target)
