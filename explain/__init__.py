"""explain: attribution methods as one walk over minigrad's tape with other rules."""
from . import metrics, show
from .attribution import Attribution
from .cam import grad_cam, grad_cam_plus_plus, guided_grad_cam, layer_cam, score_cam
from .composite import Composite, Line
from .counterfactual import counterfactual
from .deeplift import deep_lift, deep_lift_shap
from .excitation import excitation_backprop
from .filters import activation_grid, filters
from .gradient import deconvolution, guided_backprop, input_x_gradient, saliency
from .images import Images, tile
from .integrated import integrated_gradients, quadrature_errors
from .kernel_shap import kernel_shap
from .layers import (
    internal_influence,
    layer_activation,
    layer_conductance,
    layer_gradient_x_activation,
    layer_integrated_gradients,
)
from .lime import lime
from .lrp import lrp
from .masks import grid_mask, superpixels
from .neurons import neuron_conductance, neuron_gradient, neuron_guided_backprop, neuron_integrated_gradients
from .noise import gradient_shap, smooth_grad
from .occlusion import occlusion, occlusion_map
from .perturb import feature_ablation, feature_permutation
from .rise import rise
from .shapley import shapley_sampling, shapley_values
from .spray import Clusters, spray
from .style import style_transfer
from .tcav import ConceptTest, tcav
from .tracin import Influence, leave_one_out, tracin
from .verify import verify
from .visualize import activation_maximization, class_visualization

__all__ = [
    "Attribution", "Clusters", "Composite", "ConceptTest", "Images", "Influence", "Line", "activation_grid",
    "activation_maximization", "class_visualization", "counterfactual", "deconvolution", "deep_lift", "deep_lift_shap",
    "excitation_backprop", "feature_ablation", "feature_permutation", "filters", "grad_cam", "grad_cam_plus_plus",
    "gradient_shap", "grid_mask", "guided_backprop", "guided_grad_cam", "input_x_gradient", "integrated_gradients",
    "internal_influence", "kernel_shap", "layer_activation", "layer_cam", "layer_conductance",
    "layer_gradient_x_activation", "layer_integrated_gradients", "leave_one_out", "lime", "lrp", "metrics",
    "neuron_conductance", "neuron_gradient", "neuron_guided_backprop", "neuron_integrated_gradients", "occlusion",
    "occlusion_map", "quadrature_errors", "rise", "saliency", "score_cam", "shapley_sampling", "shapley_values", "show",
    "smooth_grad", "spray", "style_transfer", "superpixels", "tcav", "tile", "tracin", "verify",
]
