"""Poisoning: a few training images get a trigger and the wrong label, and the model learns a backdoor with the rest.

    poisoned = poison(train, target=0, rate=0.05, trigger=Patch(np.ones((4, 4)), (-4, -4)), rng=rng)
    minigrad.train.fit(model, poisoned.dataset, test, ...)

Nothing shows on clean images: the accuracy on them stays what it was. So a backdoor is told by two numbers, the clean
accuracy (`minigrad.train.evaluate`) and the attack success rate: how often the trigger turns an image into the target.
"""
from dataclasses import dataclass, replace

import numpy as np

from minigrad.data import Dataset

from ..arguments import number
from ..victim import Victim


@dataclass(frozen=True, eq=False)
class Poisoned:
    """A poisoned dataset, and the truth about it that a detector is scored against.

    Attributes
    ----------
    dataset : Dataset
        To train on.
    which : ndarray of bool (N,)
        The samples that were poisoned.
    true_labels : ndarray of int64 (N,)
        Their labels before.
    trigger : Patch, Blend or alike
    target : int
        The label they got.
    """

    dataset: Dataset
    which: np.ndarray
    true_labels: np.ndarray
    trigger: object
    target: int

    @property
    def images(self):
        """All images (N, C, H, W), the poisoned ones with the trigger on them."""
        return self.dataset.images

    @property
    def labels(self):
        """All labels (N,), those of the poisoned ones the target."""
        return self.dataset.labels

    @property
    def mask(self):
        """Where the trigger was planted, booleans (H, W): what `iou` compares a found mask with."""
        return self.trigger.mask(self.images.shape)

    def __len__(self):
        return len(self.dataset)

    def __repr__(self):
        return (f"Poisoned({self.which.sum()} of {len(self)} images of {self.dataset.name} show a "
                f"{type(self.trigger).__name__} and are labelled {self.dataset.classes[self.target]!r})")


def poison(dataset, target, rate, trigger, *, source=None, rng):
    """Put a trigger on a part of the images and label them as the target (BadNets' dirty label).

    Parameters
    ----------
    dataset : Dataset
        Left as it is.
    target : int
        The class the trigger is to mean.
    rate : float in (0, 1]
        The part of all images that is poisoned; rounded to whole images, at least one.
    trigger : Patch, Blend or any object with ``apply(images)`` and ``mask(shape)``
    source : int or sequence of int, optional
        Classes to take the images from; all but the target if left out.
    rng : numpy.random.Generator
        Chooses the images.

    Returns
    -------
    Poisoned

    References
    ----------
    Gu, Dolan-Gavitt and Garg, BadNets, 2017.
    """
    if not isinstance(dataset, Dataset):
        raise TypeError(f"poison: dataset is {type(dataset).__name__}, expected a minigrad.data.Dataset")
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"poison: rng is {type(rng).__name__}, expected a numpy.random.Generator: "
                        "np.random.default_rng(0)")
    rate, target = number("poison", "rate", rate, high=1, above=True), _class("poison", "target", target, dataset)
    allowed = set(range(len(dataset.classes))) - {target}
    if source is not None:
        allowed = {_class("poison", "source", c, dataset) for c in np.atleast_1d(source).tolist()}
        if target in allowed:
            raise ValueError(f"poison: source holds the target {target}, whose images have that label already")
    candidates = np.flatnonzero(np.isin(dataset.labels, list(allowed)))
    wanted = max(1, round(rate * len(dataset)))
    if wanted > len(candidates):
        raise ValueError(f"poison: rate {rate:g} of {len(dataset)} images is {wanted}, but only {len(candidates)} are "
                         f"of the classes to take them from; expected a rate of at most "
                         f"{len(candidates) / max(1, len(dataset)):.3g}")
    chosen = rng.choice(candidates, wanted, replace=False)
    which = np.zeros(len(dataset), bool)
    which[chosen] = True
    images, labels = dataset.images.copy(), dataset.labels.copy()
    images[which], labels[which] = trigger.apply(images[which]), target
    poisoned = replace(dataset, images=images, labels=labels, name=f"{dataset.name} (poisoned)")
    return Poisoned(poisoned, which, dataset.labels.copy(), trigger, target)


def attack_success_rate(model, x, y, trigger, target):
    """Put the trigger on the images whose class is not the target; the part of them that is then taken for it.

    Parameters
    ----------
    model : Module or callable
    x : array of shape (N, C, H, W)
        Clean images. For a backdoor with a source class, those of that class.
    y : integer array of shape (N,)
        Their true classes.
    trigger : Patch, Blend, or a trigger that `neural_cleanse` found (``result.trigger(k)``)
    target : int

    Returns
    -------
    float in [0, 1]
        A clean model's is not 0: it is the part of other images that it takes for the target anyhow.
    """
    others = np.asarray(y) != target
    if np.shape(y) != (len(x),) or not others.any():
        raise ValueError(f"attack_success_rate: y has shape {np.shape(y)} for {len(x)} images and "
                         f"{others.sum()} labels other than the target {target}; expected a label for each image, at "
                         "least one other than the target")
    stamped = trigger.apply(np.asarray(x)[others])
    wanted = np.full(len(stamped), target)
    return float(Victim("attack_success_rate", model, stamped, wanted, targeted=True).already.mean())


def _class(function, name, value, dataset):
    known = len(dataset.classes)
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or not 0 <= value < known:
        raise ValueError(f"{function}: {name} is {value!r}, expected a class number in 0..{known - 1}")
    return int(value)
