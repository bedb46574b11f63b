"""How Neural Cleanse weighs the size of a mask against its effect, without anybody knowing the right weight."""
from dataclasses import dataclass

import numpy as np


@dataclass
class Cost:
    """The weight of the mask's size in one class's search, steered after every pass by whether the trigger works.

    It is 0 until the trigger has worked for `patience` passes, so that there is one at all, and then `init_cost`.
    From there on `patience` passes that worked multiply it by `multiplier`, and as many in a row that did not divide
    it by ``multiplier ** 1.5``: the mask shrinks until it is at the edge of what works. With `early_stop` the search
    is settled when the cost has gone both up and down and no smaller mask was found for ``5 * patience`` passes.

    References
    ----------
    The authors' code (visualizer.py), with the constants of their example: 1e-3, 2, 5, 25.
    """

    init_cost: float = 1e-3
    multiplier: float = 2.0
    patience: int = 5
    early_stop: bool = True

    def __post_init__(self):
        self.value, self.settled = 0.0, False
        self._worked, self._failed, self._since, self._smallest = 0, 0, 0, np.inf
        self._went = set()

    def steer(self, worked, smallest):
        """After a pass: whether the trigger worked in it, and the size of the smallest mask so far that did."""
        self._worked, self._failed = (self._worked + 1, 0) if worked else (0, self._failed + 1)
        self._since = self._since + 1 if smallest >= self._smallest else 0
        self._smallest = min(self._smallest, smallest)
        stale = smallest < np.inf and self._since >= 5 * self.patience
        self.settled = self.early_stop and stale and self._went == {"up", "down"}
        if not self.value:
            if self._worked >= self.patience:
                self.value, self._worked = self.init_cost, 1  # this pass counts for the next change already
        elif self._worked >= self.patience:
            self.value, self._worked = self.value * self.multiplier, 0
            self._went.add("up")
        elif self._failed >= self.patience:
            self.value, self._failed = self.value / self.multiplier**1.5, 0
            self._went.add("down")
