"""attacks: adversarial examples, with their whole path shown, on minigrad's tape."""
from . import backdoor
from .apgd import apgd
from .ball import top_region
from .blackbox import one_pixel, square
from .carlini import carlini_wagner
from .carryover import carry_over, noise_matrix
from .ddn import ddn
from .decision import boundary, hop_skip_jump
from .deepfool import deepfool
from .doctor import doctor
from .drift import explanation_drift
from .ead import ead
from .evaluate import robustness_curve, transfer_matrix
from .explanations import manipulate_map
from .fmn import fmn
from .gradient import bim, fgsm, mi_fgsm, pgd
from .images import fooling_image, image_to_image, rubbish_image
from .intervals import interval_bounds
from .jsma import jsma
from .local import noise_baselines, occlude, spatial
from .result import AttackResult
from .slice import decision_slice
from .smoothing import Noisy, Smoothed
from .training import adversarial_training
from .universal import adversarial_patch, universal_perturbation

__all__ = [
    "AttackResult", "Noisy", "Smoothed", "adversarial_patch", "adversarial_training", "apgd", "backdoor", "bim",
    "boundary", "carlini_wagner", "carry_over", "ddn", "decision_slice", "deepfool", "doctor", "ead",
    "explanation_drift", "fgsm", "fmn", "fooling_image", "hop_skip_jump", "image_to_image", "interval_bounds", "jsma",
    "manipulate_map", "mi_fgsm", "noise_baselines", "noise_matrix", "occlude", "one_pixel", "pgd", "robustness_curve",
    "rubbish_image", "spatial", "square", "top_region", "transfer_matrix", "universal_perturbation",
]
