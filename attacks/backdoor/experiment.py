"""The whole story in one call: two networks of one recipe, one of them poisoned, and whether the backdoor is found.

    python -m attacks.backdoor --seed 0 --target 0
"""
from dataclasses import dataclass

import numpy as np

from minigrad import models, optim, train

from .cleanse import neural_cleanse
from .found import Cleansed
from .localise import iou
from .poison import Poisoned, attack_success_rate, poison


@dataclass(frozen=True, eq=False)
class Subject:
    """A network of the experiment.

    Attributes
    ----------
    model : Module
    accuracy : float
        On clean test images.
    success : float
        The attack success rate of the planted trigger; on a network that was never poisoned, its control.
    cleansed : Cleansed
    """

    model: object
    accuracy: float
    success: float
    cleansed: Cleansed


@dataclass(frozen=True, eq=False)
class Experiment:
    """The `backdoored` and the `clean` network, what the first was trained on, and where its trigger was looked for.

    Attributes
    ----------
    poisoned : Poisoned
    backdoored, clean : Subject
    overlap : float
        Intersection over union of the mask found for the target and the planted one.
    found_success : float
        The attack success rate of the trigger that was found, on the test images.
    """

    poisoned: Poisoned
    backdoored: Subject
    clean: Subject
    overlap: float
    found_success: float

    def __str__(self):
        target = self.poisoned.target
        lines = [str(self.poisoned)]
        for name, subject in (("backdoored", self.backdoored), ("clean", self.clean)):
            found = subject.cleansed
            lines += [f"{name}: accuracy {subject.accuracy:.2%}, the trigger makes class {target} of "
                      f"{subject.success:.2%} of the others",
                      "  norms  " + " ".join(f"{n:6.1f}" for n in found.norms),
                      "  index  " + " ".join(f"{i:6.2f}" for i in found.index) + f"   flagged: {found.flagged}"]
        lines.append(f"localised at IoU {self.overlap:.2f}; the trigger found makes class {target} of "
                     f"{self.found_success:.2%} of the others")
        return "\n".join(lines)


def experiment(train_set, test_set, *, target, trigger, rate=0.05, source=None, model="mnist_cnn", epochs=10, lr=1e-3,
               seed=0, images=100, restarts=3, steps=80, progress=False):
    """Train a clean and a backdoored network, and look for a backdoor in both.

    Parameters
    ----------
    train_set, test_set : Dataset
    target, trigger, rate, source : as in `poison`
    model : str
        A name of `minigrad.models`.
    epochs, lr : int, float
        Of Adam, in batches of 64.
    seed : int
        Of first weights, order, poison and search; the two networks start alike.
    images, restarts, steps : int
        Of `neural_cleanse`: the first so many test images, beginnings, and passes.
    progress : bool

    Returns
    -------
    Experiment
        ``print`` it for the numbers.
    """
    poisoned = poison(train_set, target, rate, trigger, source=source, rng=np.random.default_rng([seed, 1]))
    subjects = []
    for data in (poisoned.dataset, train_set):
        network = models.create(model, rng=np.random.default_rng(seed))
        train.fit(network, data, test_set, epochs=epochs, optimizer=optim.Adam(network.parameters(), lr=lr),
                  rng=np.random.default_rng(seed), progress=progress)
        found = neural_cleanse(network, test_set.images[:images], restarts=restarts, steps=steps,
                               rng=np.random.default_rng(seed), progress=progress)
        of_trigger = attack_success_rate(network, test_set.images, test_set.labels, trigger, target)
        subjects.append(Subject(network, train.evaluate(network, test_set).accuracy, of_trigger, found))
    backdoored, clean = subjects
    found = backdoored.cleansed
    return Experiment(poisoned, backdoored, clean, iou(found.masks[target], poisoned.mask), attack_success_rate(
        backdoored.model, test_set.images, test_set.labels, found.trigger(target), target))
