"""explain: attribution methods as one walk over minigrad's tape with other rules."""
from .attribution import Attribution
from .cam import grad_cam, grad_cam_plus_plus, guided_grad_cam, layer_cam, score_cam
from .composite import Composite, Line
from .deeplift import deep_lift, deep_lift_shap
from .excitation import excitation_backprop
from .gradient import deconvolution, guided_backprop, input_x_gradient, saliency
from .integrated import integrated_gradients, quadrature_errors
from .layers import (
    internal_influence,
    layer_activation,
    layer_conductance,
    layer_gradient_x_activation,
    layer_integrated_gradients,
)
from .lrp import lrp
from .neurons import neuron_conductance, neuron_gradient, neuron_guided_backprop, neuron_integrated_gradients
from .noise import gradient_shap, smooth_grad

__all__ = [
    "Attribution", "Composite", "Line", "deconvolution", "deep_lift", "deep_lift_shap", "excitation_backprop",
    "grad_cam", "grad_cam_plus_plus", "gradient_shap", "guided_backprop", "guided_grad_cam", "input_x_gradient",
    "integrated_gradients", "internal_influence", "layer_activation", "layer_cam", "layer_conductance",
    "layer_gradient_x_activation", "layer_integrated_gradients", "lrp", "neuron_conductance", "neuron_gradient",
    "neuron_guided_backprop", "neuron_integrated_gradients", "quadrature_errors", "saliency", "score_cam",
    "smooth_grad",
]
