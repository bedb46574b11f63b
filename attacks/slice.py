"""A plane through image space, and how the network divides it: the place where an attack can be watched.

The plane holds x, the direction to the adversarial image (right), and a random direction orthogonal to it (up), the
latter as a measure: the boundary is usually near along the first and far along the second. What the picture cannot
show: of 784 directions it has two, and another random one may look different.
"""
from dataclasses import dataclass

import numpy as np

from .arguments import count, generator, number
from .norms import L0, as_norm, per_sample
from .victim import Victim


@dataclass(eq=False)
class DecisionSlice:
    """Classes over a plane.

    Attributes
    ----------
    right, up : ndarray (P,)
        Coordinates in the plane: Euclidean distances from x.
    predicted : ndarray of int (P, P)
        The class at (up[i], right[j]).
    margin : ndarray (P, P)
        By how many logits the true class leads, negative beyond the boundary.
    path : ndarray (T, 2)
        Where an attack's images lie, seen from above: (right, up) of their projection; empty if no film was given.
    adversarial : float
        How far right the adversarial image is.
    inside : ndarray of bool (P, P)
        Whether the point is an image at all, inside the bounds.
    label : int
    directions : ndarray (2, C, H, W)
        Right and up, of length 1.
    """

    right: np.ndarray
    up: np.ndarray
    predicted: np.ndarray
    margin: np.ndarray
    path: np.ndarray
    adversarial: float
    inside: np.ndarray
    label: int
    directions: np.ndarray

    def plot(self, ax=None, *, classes=None, eps=None, norm="l2"):
        """Draw it; `eps` adds the outline of that norm's ball. See `charts.plane`."""
        from .charts import plane

        return plane(self, ax, classes=classes, eps=eps, norm=norm)

    def outline(self, eps, norm="l2", points=360):
        """Where the ball of radius `eps` around x ends in the plane: (points, 2), right and up.

        A circle in L2; in Linf and L1 a polygon with many corners, as wide as the two directions are spread out.
        """
        norm = as_norm("outline", norm)
        if isinstance(norm, L0):
            raise ValueError("outline: norm 'l0' counts values, its ball has no outline; expected 'linf', 'l2' or 'l1'")
        turn = np.linspace(0, 2 * np.pi, points)
        rays = np.stack([np.cos(turn), np.sin(turn)], 1)
        length = norm.distance(np.tensordot(rays, self.directions, 1))
        return rays * (eps / length)[:, None]


def decision_slice(model, x, y, x_adv, *, film=None, extent=1.6, points=81, bounds=(0, 1), rng=None):
    """What the network says on the plane through x, x_adv and a random direction.

    Parameters
    ----------
    model : Module or callable
    x, x_adv : arrays (C, H, W)
        One image and its adversarial one.
    y : int
        The true class.
    film : attacks.show.Film, optional
        The attack's images, for its path.
    extent : float
        The plane reaches that many times the distance to x_adv, in all directions.
    points : int
        Along each side.
    bounds : (low, high)
        Only for ``inside``: the plane goes beyond, and the network is asked there too.
    rng : numpy Generator, optional
        For the random direction.

    Returns
    -------
    DecisionSlice

    Raises
    ------
    ValueError
        If x_adv equals x: then there is no direction.
    """
    name = "decision_slice"
    points, extent = count(name, "points", points, low=2), number(name, "extent", extent, above=True)
    x, x_adv = np.asarray(x), np.asarray(x_adv)
    if x.shape != x_adv.shape:
        raise ValueError(f"{name}: x has shape {x.shape}, x_adv {x_adv.shape}; expected one image (C, H, W) each")
    victim = Victim(name, model, x[None], np.array([y]), bounds=bounds)
    rng = generator(name, rng)
    x = x.astype(np.float64)
    forward = x_adv - x
    distance = float(np.linalg.norm(forward))
    if distance == 0:
        raise ValueError(f"{name}: x_adv equals x, so there is no direction to look along; pass an attacked image")
    forward /= distance
    other = rng.standard_normal(x.shape)
    other -= (other * forward).sum() * forward
    other /= np.linalg.norm(other)
    right = up = np.linspace(-extent * distance, extent * distance, points)
    logits, inside = [], []
    for start in range(0, points**2, victim.batch_size):  # the whole plane would be points^2 images
        i, j = np.divmod(np.arange(start, min(start + victim.batch_size, points**2)), points)
        part = (x + per_sample(right[j], x[None]) * forward + per_sample(up[i], x[None]) * other).astype(victim.x.dtype)
        logits.append(victim.logits(part, np.zeros(len(part), int)))
        inside.append(((part >= bounds[0]) & (part <= bounds[1])).reshape(len(part), -1).all(1))
    logits, inside = np.concatenate(logits), np.concatenate(inside)
    others = np.delete(logits, y, axis=1)
    steps = np.array([image - x for image in film.images] if film else []).reshape(-1, x.size)
    path = steps @ np.stack([forward.ravel(), other.ravel()], 1)
    shape = points, points
    return DecisionSlice(right, up, logits.argmax(1).reshape(shape), (logits[:, y] - others.max(1)).reshape(shape),
                         path, distance, inside.reshape(shape), int(y), np.stack([forward, other]))
