"""Every method that gives a map of a picture, by name, each with settings that suit the picture at hand.

For looking at many methods at once; whoever studies one calls it with options of their own.
"""

import difflib
from functools import partial

import numpy as np

import minigrad

from .cam import grad_cam, grad_cam_plus_plus, guided_grad_cam, layer_cam, score_cam
from .deeplift import deep_lift, deep_lift_shap
from .excitation import excitation_backprop
from .gradient import deconvolution, guided_backprop, input_x_gradient, saliency
from .integrated import integrated_gradients
from .kernel_shap import kernel_shap
from .lime import lime
from .lrp import lrp
from .noise import gradient_shap, smooth_grad
from .occlusion import occlusion
from .perturb import feature_ablation
from .rise import rise
from .scoring import evaluating, layer_path
from .shapley import shapley_sampling

PRESETS = ("epsilon", "epsilon_plus", "epsilon_gamma_box", "alpha2_beta1")
PHOTO = 64  # a picture with a longer side counts as a photograph, for which random masks are dear


class Setting:
    """What the methods need beyond the model: a layer to look at, pictures to compare with, a patch, random numbers.

    Parameters
    ----------
    model : Module
    x : ndarray (N, C, H, W)
    layer : Module or str, optional
        For class activation maps; the last convolution if left out.
    pool : ndarray (B, C, H, W), optional
        What `gradient_shap` and `deep_lift_shap` compare with; a black picture if left out.
    seed : int
        Every method gets a generator of its own from it, so that none depends on which others run.
    """

    def __init__(self, model, x, *, layer=None, pool=None, seed=0):
        self.model, self.layer, self.seed = model, layer, seed
        self.x = x
        self.pool = np.zeros_like(x[:1]) if pool is None else pool
        side = max(x.shape[2:])
        self.photo = side > PHOTO
        self.patch = tuple(max(1, n // 7) for n in x.shape[2:])
        self.stride = tuple(max(1, n // (3 if self.photo else 2)) for n in self.patch)

    def rng(self, name):
        """The generator of a method."""
        return np.random.default_rng([self.seed, *name.encode()])

    def cam_layer(self):
        """The layer for class activation maps."""
        self.layer = last_convolution(self.model, self.x[:1]) if self.layer is None else self.layer
        return self.layer


def _plain(method):
    return lambda s, name: method


def _cam(method):
    return lambda s, name: partial(method, layer=s.cam_layer())


def _seeded(method, small, photo=None):
    """A method that draws random numbers: the same in every call."""

    def build(s, name):
        options = small(s) if photo is None or not s.photo else photo(s)
        return lambda *given, **more: method(*given, **options, rng=s.rng(name), **more)

    return build


METHODS = {
    "saliency": _plain(saliency),
    "input_x_gradient": _plain(input_x_gradient),
    "smooth_grad": _seeded(smooth_grad, lambda s: {"n_samples": 50}, lambda s: {"n_samples": 20}),
    "integrated_gradients": _plain(integrated_gradients),
    "gradient_shap": _seeded(gradient_shap, lambda s: {"baselines": s.pool}),
    "deconvolution": _plain(deconvolution),
    "guided_backprop": _plain(guided_backprop),
    "deep_lift": _plain(deep_lift),
    "deep_lift_shap": lambda s, name: partial(deep_lift_shap, baselines=s.pool),
    **{f"lrp_{c}": lambda s, name, c=c: partial(lrp, composite=c) for c in PRESETS},
    "excitation_backprop": _plain(excitation_backprop),
    "grad_cam": _cam(grad_cam),
    "grad_cam_plus_plus": _cam(grad_cam_plus_plus),
    "layer_cam": _cam(layer_cam),
    "score_cam": _cam(score_cam),
    "guided_grad_cam": _cam(guided_grad_cam),
    "occlusion": lambda s, name: partial(occlusion, sliding_window_shapes=s.patch, strides=s.stride),
    "feature_ablation": lambda s, name: partial(feature_ablation, feature_mask="superpixels" if s.photo else "grid"),
    "rise": _seeded(rise, lambda s: {"n_samples": 2000}, lambda s: {"n_samples": 400}),
    "shapley_sampling": _seeded(shapley_sampling, lambda s: {"n_samples": 20}, lambda s: {"n_samples": 8}),
    "kernel_shap": _seeded(kernel_shap, lambda s: {"n_samples": 1000}, lambda s: {"n_samples": 400}),
    "lime": _seeded(lime, lambda s: {"n_samples": 1000}, lambda s: {"n_samples": 400}),
}


def named_methods(names, setting):
    """{name: method}, where a method is called as ``method(model, x, target)``.

    Parameters
    ----------
    names : 'all', or sequence of str among METHODS
    setting : Setting

    Raises
    ------
    ValueError
        For a name that is not known; the nearest are named.
    """
    names = list(METHODS) if names == "all" else list(names)
    for name in names:
        if name not in METHODS:
            near = difflib.get_close_matches(name, METHODS, 3, 0.3)
            raise ValueError(
                f"named_methods: there is no method {name!r}; "
                + (f"nearest: {', '.join(near)}" if near else f"there are {', '.join(METHODS)}")
            )
    return {name: METHODS[name](setting, name) for name in names}


def last_convolution(model, x):
    """The path of the last convolution, or of the normalisation or ReLU that follows it without changing the shape.

    Parameters
    ----------
    model : Module
    x : ndarray (N, C, H, W)

    Raises
    ------
    ValueError
        If the model has no convolution with an output larger than one pixel.
    """
    with evaluating(model), minigrad.no_grad():
        _, activations = model.named_activations(minigrad.Tensor(x))
    found, after = None, (minigrad.nn.BatchNorm2d, minigrad.nn.ReLU)
    for path, a in activations.items():
        module = model.get_submodule(path.split("#")[0])
        if isinstance(module, minigrad.nn.Conv2d) and a.shape[2] * a.shape[3] > 1:
            found = path, a.shape
        elif found and isinstance(module, after) and a.shape == found[1]:
            found = path, a.shape
    if found is None:
        raise ValueError("last_convolution: the model has no convolution whose output has several places; name a layer")
    return layer_path("last_convolution", model, found[0])
