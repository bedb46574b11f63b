"""Training: `fit` a model, `evaluate` it, and keep the `History` of what happened."""

from .evaluate import Metrics, evaluate, evaluation_mode
from .fit import fit, train_step
from .history import History

__all__ = ["History", "Metrics", "evaluate", "evaluation_mode", "fit", "train_step"]
