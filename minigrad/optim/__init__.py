"""Turning gradients into steps: optimizers, schedules of their learning rate, and a limit on the gradient's length.

    optimizer = Adam(model.parameters(), lr=1e-3)
    schedule = CosineAnnealingLR(optimizer, T_max=10)
    ...
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()            # after every batch
    schedule.step()             # after every epoch, or batch: as `schedule.per` says

Constructors, defaults and update rules are PyTorch's, to the last term.
"""

from .adaptive import Adagrad, Adam, AdamW, RMSprop
from .clip import clip_grad_norm
from .optimizer import Optimizer
from .schedule import CosineAnnealingLR, OneCycleLR, Schedule, StepLR
from .sgd import SGD

__all__ = [
    "Adagrad",
    "Adam",
    "AdamW",
    "CosineAnnealingLR",
    "OneCycleLR",
    "Optimizer",
    "RMSprop",
    "SGD",
    "Schedule",
    "StepLR",
    "clip_grad_norm",
]
