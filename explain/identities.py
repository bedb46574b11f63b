"""The theorems that `explain.verify` tries: each takes a `Case` and returns (residual, note), or says why it cannot.

A residual is the largest difference as a part of the largest value. "Not applicable" is decided by looking at the
network and at what it computes, never by whether the identity holds.
"""

import copy

import numpy as np

import minigrad
from minigrad import ops

from .cam import grad_cam
from .composite import Composite, Line, rest
from .deeplift import deep_lift, deep_lift_shap
from .gradient import input_x_gradient, saliency
from .integrated import integrated_gradients
from .kernel_shap import kernel_shap
from .kinds import EXTREMES, ROUTING, SUMS, WEIGHTED, Mixing, Scaling, Trail, kinds
from .layers import layer_activation, layer_conductance
from .lrp import lrp
from .masks import grid_mask
from .methods import last_convolution
from .occlusion import occlusion
from .perturb import feature_ablation
from .rules import Share, plus, sharing, zplus
from .shapley import shapley_values

STEPS = 20  # of quadratures where any number will do
UNITS = 200_000  # ReLUs and max-pools of a network whose straight paths are still followed piece by piece
GATES = (ops.ReLU, ops.LeakyReLU, *EXTREMES)
LINEAR = (*WEIGHTED, *ROUTING, *SUMS, Scaling, Mixing)


class NotApplicable(Exception):
    """The network is not of the kind that a theorem is about; the message says in what."""


class Case:
    """A network in float64 and evaluation mode, inputs, targets, and what the theorems ask about them."""

    def __init__(self, model, x, target, layer, rng, bounds):
        self.model, self.x, self.target, self.given_layer, self.bounds = model, x, target, layer, bounds
        self.baseline = rng.random(x.shape)
        leaf = minigrad.Tensor(x[:1], requires_grad=True)
        self.trail = Trail.between(leaf, model(leaf))

    def call(self, explain, model=None, /, **options):
        """A method's result for the inputs, or with the options' `x` for others."""
        x = options.pop("x", self.x)
        return explain(model or self.model, x, self.target, bounds=options.pop("bounds", self.bounds), **options)

    @property
    def layer(self):
        """The layer asked about, or the last convolution."""
        try:
            return self.given_layer or last_convolution(self.model, self.x[:1])
        except ValueError:
            raise NotApplicable("the network has no convolution; name a layer") from None

    def other(self, allowed):
        """An op on the way from the input to the scores that is of none of the kinds `allowed`, or None."""
        for t in self.trail.steps:
            found = kinds(t, self.trail.operands(t))
            if not any(issubclass(kind, allowed) for kind in found):
                return f"{type(t.op).__name__} in {t.scope!r}"
        return None

    def needs(self, allowed, why):
        """Go on only if every op is of one of the kinds."""
        if other := self.other(allowed):
            raise NotApplicable(f"{why}; this has {other}")


def differ(*maps):
    """The largest difference of maps from the first, as a part of the largest value in any."""
    arrays = [np.asarray(m, np.float64) for m in maps]
    scale = max(np.abs(a).max() for a in arrays)
    return max(np.abs(a - arrays[0]).max() for a in arrays[1:]) / (scale or 1)


def incomplete(attribution, residual=None):
    """The largest completeness residual of a sample, as a part of the largest value of its map."""
    scale = np.abs(attribution.values).reshape(len(attribution), -1).max(1)
    residual = attribution.delta if residual is None else residual
    return (np.abs(residual) / np.where(scale > 0, scale, 1)).max()


def lrp_is_input_x_gradient(case):
    """On ReLUs and max-pools z_j = sum_i x_i dz_j/dx_i + b_j, and LRP-0 leaves the bias its part: the product rule."""
    case.needs((*LINEAR, *GATES), "only ReLUs and max-pools may bend the network")
    return differ(case.call(lrp, composite="zero"), case.call(input_x_gradient)), ""


def homogeneous_are_one(case):
    """F(t x) = t F(x) for t > 0: then the gradient is the same all along the way from zero to x."""
    case.needs((*LINEAR, *GATES), "only ReLUs and max-pools may bend the network")
    bare = _without_biases(case.model)
    with minigrad.no_grad():
        y, half, zero = (bare(minigrad.Tensor(t * case.x)).data for t in (1, 0.5, 0))
    if np.abs(zero).max() + np.abs(2 * half - y).max() > 1e-9 * np.abs(y).max():
        raise NotApplicable("even with its biases set to zero the network is not homogeneous: some op adds a constant")
    maps = [case.call(integrated_gradients, bare, n_steps=STEPS), case.call(input_x_gradient, bare)]
    note = "on a copy with its biases set to zero"
    if _falls_in_max_pool(case, bare):
        return differ(*maps), f"{note}; without DeepLIFT: where a max-pool falls, zeros have no winner"
    return differ(*maps, case.call(deep_lift, bare)), note


def linear_are_one(case):
    """F(x) = w x + b: nothing but w (x - x') is complete, and gives nothing to a value that F does not look at."""
    exact = case.other(LINEAR) is None
    model = case.model if exact else _tangent(case)
    w = case.call(saliency, model, absolute=False).values
    expected = w * (case.x - case.baseline)
    others = [case.call(m, model, baselines=case.baseline) for m in (integrated_gradients, deep_lift)]
    whole = case.call(
        feature_ablation, model, baselines=case.baseline, feature_mask=grid_mask(case.x.shape, _cell(case.x))
    )
    mask = np.broadcast_to(whole.extra["feature_mask"], case.x.shape)
    sums = np.stack([np.bincount(m.ravel(), e.ravel()) for m, e in zip(mask, expected, strict=True)])
    residual = max(differ(expected, *others), differ(sums, whole.extra["feature_values"]))
    return residual, "" if exact else "on the network's tangent at the first sample"


def occlusion_is_ablation(case):
    """A window that moves by its own size hides every value once."""
    cell = _cell(case.x)
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
    path, weight = _averaged(case)
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


def _falls_in_max_pool(case, model):
    """Whether a max-pool gives a negative value that matters.

    At the baseline of zeros all values of its window are equal, so that DeepLIFT's way down from there has no winner.
    """
    leaf = minigrad.Tensor(case.x, requires_grad=True)
    scores = model(leaf)
    pools = [t for t in minigrad.autodiff.tape(scores) if isinstance(t.op, minigrad.ops.MaxPool2d)]
    score = scores[np.arange(len(case.x)), case.target].sum()
    gradients = minigrad.grad(score, pools, allow_unused=True) if pools else []
    return any(g is not None and ((t.data < 0) & (g.data != 0)).any() for t, g in zip(pools, gradients, strict=True))


def _without_biases(model):
    """A copy in which nothing is added: no biases, no means."""
    bare = copy.deepcopy(model)
    for module in bare.modules():
        if isinstance(module, minigrad.nn.Standardize):
            module.mean = [0.0] * len(module.mean)
    for name, tensor in (*bare.named_parameters(), *bare.named_buffers()):
        if name.rpartition(".")[2] in ("bias", "running_mean"):
            tensor.data[...] = 0
            tensor.bump()
    return bare


class _Tangent(minigrad.nn.Module):
    """The linear function that touches a network at a point; classes that are not asked about are zero."""

    def __init__(self, weight, bias):
        self.weight, self.bias = minigrad.nn.Parameter(weight), minigrad.nn.Parameter(bias)

    def forward(self, x):
        return minigrad.functional.linear(x.flatten(1), self.weight, self.bias)


def _tangent(case):
    x, classes = case.x[:1], np.unique(case.target)
    with minigrad.no_grad():
        y = case.model(minigrad.Tensor(x)).data[0]
    weight, bias = np.zeros((len(y), x.size)), np.zeros(len(y))
    for k in classes:
        weight[k] = saliency(case.model, x, int(k), absolute=False, bounds=None).values.ravel()
        bias[k] = y[k] - weight[k] @ x.ravel()
    return _Tangent(weight, bias).eval()


def _cell(x):
    """1 for small pictures; for photographs so much that there are about 200 cells."""
    side = max(x.shape[2:])
    return 1 if side <= 32 else -(-side // 14)


def _averaged(case):
    """The path of the layer that is averaged over all its places, and the dense layer's weight, None without one."""
    t, weight = case.trail.steps[-1], None
    while isinstance(t.op, (ops.Linear, ops.Reshape)):
        if isinstance(t.op, ops.Linear):
            if weight is not None or case.trail.operands(t) != (0,):
                raise NotApplicable("the network does not end in global averaging and one dense layer")
            weight = t.inputs[1].data
        t = t.inputs[0]
    whole = isinstance(t.op, (ops.AdaptiveAvgPool2d, ops.AvgPool2d, ops.Sum)) and t.size == np.prod(
        t.inputs[0].shape[:2]
    )
    if not whole and isinstance(t.op, (ops.Mul, ops.Div)):  # a mean is a sum and a scaling
        t = t.inputs[0]
        whole = isinstance(t.op, ops.Sum) and t.inputs[0].ndim == 4 and t.size == np.prod(t.inputs[0].shape[:2])
    if not whole:
        raise NotApplicable("the network does not end in global averaging and one dense layer")
    with minigrad.no_grad():
        activations = case.model.named_activations(minigrad.Tensor(case.x[:1]))[1]
    same = [
        path
        for path, a in activations.items()
        if a.shape == t.inputs[0].shape and np.array_equal(a.data, t.inputs[0].data)
    ]
    if not same:
        raise NotApplicable("what is averaged is no layer's output")
    return same[0], weight
