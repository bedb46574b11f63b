"""The theorems that `explain.verify` tries: each takes a `Case` and returns (residual, note), or says why it cannot.

A residual is the largest difference as a part of the largest value. "Not applicable" is decided by looking at the
network and at what it computes, never by whether the identity holds.
"""

import numpy as np

import minigrad
from minigrad import ops

from .cam import grad_cam
from .case import NotApplicable, averaged, cell_size, differ, falls_in_max_pool, incomplete, tangent, without_biases
from .composite import Composite, Line, rest
from .deeplift import deep_lift, deep_lift_shap
from .gradient import input_x_gradient, saliency
from .integrated import integrated_gradients
from .kernel_shap import kernel_shap
from .kinds import EXTREMES, ROUTING, SUMS, WEIGHTED, Mixing, Scaling
from .layers import layer_activation, layer_conductance
from .lrp import lrp
from .masks import grid_mask
from .occlusion import occlusion
from .perturb import feature_ablation
from .rules import Share, plus, sharing, zplus
from .shapley import shapley_values

STEPS = 20  # of quadratures where any number will do
UNITS = 200_000  # ReLUs and max-pools of a network whose straight paths are still followed piece by piece
GATES = (ops.ReLU, ops.LeakyReLU, *EXTREMES)
LINEAR = (*WEIGHTED, *ROUTING, *SUMS, Scaling, Mixing)


def lrp_is_input_x_gradient(case):
    """On ReLUs and max-pools z_j = sum_i x_i dz_j/dx_i + b_j, and LRP-0 leaves the bias its part: the product rule."""
    case.needs((*LINEAR, *GATES), "only ReLUs and max-pools may bend the network")
    return differ(case.call(lrp, composite="zero"), case.call(input_x_gradient)), ""


def homogeneous_are_one(case):
    """F(t x) = t F(x) for t > 0: then the gradient is the same all along the way from zero to x."""
    case.needs((*LINEAR, *GATES), "only ReLUs and max-pools may bend the network")
    bare = without_biases(case.model)
    with minigrad.no_grad():
        y, half, zero = (bare(minigrad.Tensor(t * case.x)).data for t in (1, 0.5, 0))
    if np.abs(zero).max() + np.abs(2 * half - y).max() > 1e-9 * np.abs(y).max():
        raise NotApplicable("even with its biases set to zero the network is not homogeneous: some op adds a constant")
    maps = [case.call(integrated_gradients, bare, n_steps=STEPS), case.call(input_x_gradient, bare)]
    note = "on a copy with its biases set to zero"
    if falls_in_max_pool(case, bare):
        return differ(*maps), f"{note}; without DeepLIFT: where a max-pool falls, zeros have no winner"
    return differ(*maps, case.call(deep_lift, bare)), note


def linear_are_one(case):
    """F(x) = w x + b: nothing but w (x - x') is complete, and gives nothing to a value that F does not look at."""
    exact = case.other(LINEAR) is None
    model = case.model if exact else tangent(case)
    w = case.call(saliency, model, absolute=False).values
    expected = w * (case.x - case.baseline)
    others = [case.call(m, model, baselines=case.baseline) for m in (integrated_gradients, deep_lift)]
    whole = case.call(
        feature_ablation, model, baselines=case.baseline, feature_mask=grid_mask(case.x.shape, cell_size(case.x))
    )
    mask = np.broadcast_to(whole.extra["feature_mask"], case.x.shape)
    sums = np.stack([np.bincount(m.ravel(), e.ravel()) for m, e in zip(mask, expected, strict=True)])
    residual = max(differ(expected, *others), differ(sums, whole.extra["feature_values"]))
    return residual, "" if exact else "on the network's tangent at the first sample"


def occlusion_is_ablation(case):
    """A window that moves by its own size hides every value once."""
    cell = cell_size(case.x)
    window = {"sliding_window_shapes": (case.x.shape[1], cell, cell), "strides": (case.x.shape[1], cell, cell)}
    hidden = case.call(occlusion, baselines=case.baseline, **window)
    ablated = case.call(
        feature_ablation, baselines=case.baseline, feature_mask=grid_mask(case.x.shape, cell), fast=False
    )
    return differ(hidden, ablated), f"{cell}x{cell} windows"


def alpha1_beta0_is_zplus(case):
    """Where no input of a layer is negative, what raises the sum is x w+."""
    negative = []

    def only_positive_weights(op, y, x, w, b):
        negative.append(bool((x.data < 0).any()))
        return [Share(1, [(x, plus(w))], plus(b))]

    simple = sharing("x w+", only_positive_weights, True, 1e-9)
    first = _relevance(case, simple)
    if any(negative):
        raise NotApplicable("a layer with weights has inputs below zero")
    return differ(_relevance(case, zplus(stabilizer=1e-9)), first), ""


def conductance_adds_up(case):
    """What flows through all units of a layer that every path passes is all there is."""
    through = case.call(layer_conductance, layer=case.layer, baselines=case.baseline, n_steps=STEPS)
    if through.delta is None:
        raise NotApplicable(f"some path goes round the layer {case.layer!r}")
    whole = case.call(integrated_gradients, baselines=case.baseline, n_steps=STEPS)
    sums = [a.values.reshape(len(a), -1).sum(1) for a in (through, whole)]
    return differ(*sums), f"layer {case.layer!r}"


def grad_cam_is_cam(case):
    """With one dense layer after global averaging, a channel's mean gradient is its weight by the number of places."""
    path, weight = averaged(case)
    a = case.call(layer_activation, layer=path).values
    rows = weight[case.target] if weight is not None else np.eye(a.shape[1])[case.target]
    cam = np.einsum("nc,nchw->nhw", rows, a)[:, None] / (a.shape[2] * a.shape[3])
    found = case.call(grad_cam, layer=path, relu_attributions=False, upsample=None)
    return differ(cam, found), f"layer {path!r}"


def kernel_shap_is_shapley(case):
    """With all coalitions the weighted regression has the Shapley values as its solution."""
    mask = grid_mask(case.x.shape, tuple(-(-n // 3) for n in case.x.shape[2:]))
    options = {"feature_mask": mask, "baselines": case.baseline}
    regressed = case.call(kernel_shap, n_samples=2 ** (int(mask.max()) + 1), **options)
    return differ(case.call(shapley_values, **options), regressed), f"{int(mask.max()) + 1} features"


def one_baseline_is_deep_lift(case):
    """The mean over one is that one."""
    return _with_rules(lambda: differ(case.call(deep_lift, baselines=case.baseline[:1]),
                                      case.call(deep_lift_shap, baselines=case.baseline[:1]))), ""  # fmt: skip


def exact_integrated_gradients_is_complete(case):
    """The sum of the map is F(x) - F(x'), by the fundamental theorem of calculus."""
    case.needs((*LINEAR, *GATES), "only ReLUs and max-pools may bend the network")
    units = sum(t.size for t in case.trail.steps if isinstance(t.op, GATES))
    if units > UNITS:
        raise NotApplicable(f"{units:,} units may each bend the path, too many to follow (more than {UNITS:,})")
    return incomplete(case.call(integrated_gradients, baselines=case.baseline, method="exact")), ""


def deep_lift_is_complete(case):
    """The sum of the map is F(x) - F(x'), op by op."""
    return _with_rules(lambda: incomplete(case.call(deep_lift, baselines=case.baseline))), ""


def lrp_is_conserved(case):
    """Relevance of the input plus what the ledger lists is the score."""

    def residual():
        found = case.call(lrp, ledger=True)
        return incomplete(found, found.extra["ledger"].residual)

    return _with_rules(residual), "with the ledger's sinks"


def shapley_is_complete(case):
    """The shares are all of F(x) - F(x'): efficiency."""
    mask = grid_mask(case.x.shape, tuple(-(-n // 3) for n in case.x.shape[2:]))
    return incomplete(case.call(shapley_values, feature_mask=mask, baselines=case.baseline)), ""


ALL = {
    "LRP-0 = input x gradient": lrp_is_input_x_gradient,
    "no biases: integrated gradients = DeepLIFT = input x gradient": homogeneous_are_one,
    "linear model: all = w (x - x')": linear_are_one,
    "occlusion by its own stride = ablation": occlusion_is_ablation,
    "LRP alpha 1 beta 0 = z+ where x >= 0": alpha1_beta0_is_zplus,
    "sum of conductance = sum of integrated gradients": conductance_adds_up,
    "Grad-CAM = CAM after global averaging": grad_cam_is_cam,
    "KernelSHAP of all coalitions = Shapley": kernel_shap_is_shapley,
    "DeepLIFT SHAP of one baseline = DeepLIFT": one_baseline_is_deep_lift,
    "integrated gradients, exact: complete": exact_integrated_gradients_is_complete,
    "DeepLIFT: complete": deep_lift_is_complete,
    "LRP-epsilon: conserved": lrp_is_conserved,
    "Shapley values: complete": shapley_is_complete,
}


def _with_rules(compute):
    """The result, unless the network has an op that the rule table refuses."""
    try:
        return compute()
    except ValueError as error:
        if "rule" not in str(error):
            raise
        raise NotApplicable(str(error).split(";")[0]) from None


def _relevance(case, rule):
    composite = Composite(Line(WEIGHTED, rule), *rest())
    return _with_rules(lambda: case.call(lrp, composite=composite))
