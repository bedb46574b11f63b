"""explain: attribution methods as one walk over minigrad's tape with other rules."""
from .attribution import Attribution
from .gradient import input_x_gradient, saliency

__all__ = ["Attribution", "input_x_gradient", "saliency"]
