"""explain: attribution methods as one walk over minigrad's tape with other rules."""
from .attribution import Attribution
from .gradient import deconvolution, guided_backprop, input_x_gradient, saliency
from .integrated import integrated_gradients, quadrature_errors

__all__ = ["Attribution", "deconvolution", "guided_backprop", "input_x_gradient", "integrated_gradients", "quadrature_errors", "saliency"]
