"""What every attack returns."""
from dataclasses import dataclass, field

import numpy as np

from .norms import NORMS, in_float64

STATUSES = ("already_wrong", "success", "failed")


@dataclass(eq=False)
class AttackResult:
    """The images an attack made, and an honest account of them.

    Attributes
    ----------
    x_adv : ndarray of x's shape
        Inside the bounds and the ball. A failure holds the best found, never zeros; an input that was wrong from the
        start is returned as it is.
    status : ndarray of str, shape (N,)
        ``already_wrong`` (met the criterion untouched), ``success`` or ``failed``, of x_adv as it is returned.
    success : ndarray of bool, shape (N,)
        Whether x_adv meets the criterion: already_wrong or success.
    distance : dict of str to ndarray of shape (N,)
        ``l0 l1 l2 linf`` of x_adv - x.
    queries : ndarray of int, shape (N,)
        Forward passes spent on each sample.
    gradients : ndarray of int, shape (N,)
        Backward passes spent on each sample.
    trace : list of dict
        One entry a step, of the images as they are there: (N,) of ``loss``, what the attack climbs or descends (or,
        where it has no loss of its own, the cross-entropy, which rises as the criterion comes nearer), ``margin``,
        what the criterion lacks in logits, ``l2``, ``linf``, and what the attack documents. NaN for samples that no
        longer take part. `occlude`, which has no steps, has none.
    settings, extra : dict
        What was asked for, and what else the attack found. ``extra["interrupted"]``: Ctrl-C ended it.
    seconds : float
    x : ndarray
        The images that were attacked.
    """

    x_adv: np.ndarray
    attack: str
    status: np.ndarray
    distance: dict
    queries: np.ndarray
    gradients: np.ndarray
    trace: list = field(default_factory=list)
    settings: dict = field(default_factory=dict)
    seconds: float = 0.0
    extra: dict = field(default_factory=dict)
    x: np.ndarray | None = None

    @property
    def success(self):
        """Whether each image meets the criterion."""
        return self.status != "failed"

    def __len__(self):
        return len(self.x_adv)

    def rate(self):
        """Of the samples that were right from the start, the part that was turned; nan if there was none."""
        tried = self.status != "already_wrong"
        return float((self.status[tried] == "success").mean()) if tried.any() else float("nan")

    def __repr__(self):
        counts = ", ".join(f"{(self.status == s).sum()} {s}" for s in STATUSES)
        turned = self.status == "success"
        size = f", mean L2 {self.distance['l2'][turned].mean():.3f}" if turned.any() else ""
        return f"AttackResult({self.attack}, {counts}{size}, {self.queries.sum()} queries, {self.seconds:.1f} s)"


def distances(x_adv, x):
    """All four distances of each sample, of the differences in float64."""
    d = in_float64(x_adv, x)
    return {name: norm.distance(d) for name, norm in NORMS.items()}


def unbroken(result):
    """The result, unless Ctrl-C ended the attack: then the one who called it shall end, too."""
    if result.extra.get("interrupted"):
        raise KeyboardInterrupt(f"stopped in {result.attack}")
    return result
