"""attacks: adversarial examples, with their whole path shown, on minigrad's tape."""
from .blackbox import one_pixel, square
from .carlini import carlini_wagner
from .ddn import ddn
from .decision import boundary, hop_skip_jump
from .deepfool import deepfool
from .ead import ead
from .fmn import fmn
from .jsma import jsma

__all__ = [
    "boundary", "carlini_wagner", "ddn", "deepfool", "ead", "fmn", "hop_skip_jump", "jsma", "one_pixel", "square",
]
