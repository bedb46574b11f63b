"""Backdoors: plant one (`poison`), measure it, find it, and say where it is (`neural_cleanse`, `iou`).

Four detectors ask four questions. `neural_cleanse`: is there a class that very little leads to? `spectral_signatures`
and `activation_clustering`: do some training samples of a class look otherwise from inside? `strip`: does an input
stay what it is whatever is laid over it?
"""
from .anomaly import anomaly_index
from .cleanse import neural_cleanse
from .clustering import activation_clustering
from .cost import Cost
from .experiment import Experiment, experiment
from .found import Cleansed
from .localise import binarised, iou
from .poison import Poisoned, attack_success_rate, poison
from .spectral import spectral_signatures
from .strip import strip
from .suspicion import Suspicion, auroc
from .triggers import Blend, Overlay, Patch

__all__ = [
    "Blend", "Cleansed", "Cost", "Experiment", "Overlay", "Patch", "Poisoned", "Suspicion", "activation_clustering",
    "anomaly_index", "attack_success_rate", "auroc", "binarised", "experiment", "iou", "neural_cleanse", "poison",
    "spectral_signatures", "strip",
]
