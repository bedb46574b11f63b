"""LRP and DeepLIFT beside Captum and Zennit where those are right; where they err, what they return and what we do."""

import importlib.util
import sys
import types
import warnings

import numpy as np
import pytest

import explain
import minigrad
from explain import Composite, Line, rules
from explain.composite import preset, rest
from explain.kinds import WEIGHTED
from minigrad import functional as F
from minigrad import nn, ops
from tests.explain import nets

torch = pytest.importorskip("torch")
TF = torch.nn.functional

CLOSE = {"rtol": 1e-6, "atol": 1e-9}
TARGET = np.array([0, 3, 1])


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Captum warns of its hooks on every call
        yield


@pytest.fixture
def attr():
    return pytest.importorskip("captum.attr")


@pytest.fixture(scope="module")
def zennit():
    """Zennit's modules. It names torchvision's models at import and uses them in canonizers for those models only."""
    models = ("torchvision", "torchvision.models", "torchvision.models.resnet", "torchvision.models.vgg")
    stubs = () if importlib.util.find_spec("torchvision") else models
    with pytest.MonkeyPatch.context() as patch:
        for name in stubs:
            stub = types.ModuleType(name)
            stub.__getattr__ = lambda name: type(name, (), {})
            patch.setitem(sys.modules, name, stub)
        composites = pytest.importorskip("zennit.composites")
    from zennit import canonizers
    from zennit import rules as their_rules

    return types.SimpleNamespace(composites=composites, rules=their_rules, canonizers=canonizers)


def normed(lib):
    """Batch norm with hardly any eps: Zennit leaves it in the norm that it has merged, and is 5e-6 off."""
    layers = lib.nn
    return layers.Sequential(
        layers.Conv2d(2, 4, 3, padding=1),
        layers.BatchNorm2d(4, 1e-12),
        layers.ReLU(),
        layers.MaxPool2d(2),
        layers.Conv2d(4, 6, 3, stride=2),
        layers.BatchNorm2d(6, 1e-12),
        layers.ReLU(),
        layers.AdaptiveAvgPool2d(1),
        layers.Flatten(),
        layers.Linear(6, nets.CLASSES),
    )


BUILDERS = {"cnn": nets.cnn, "strided": nets.strided, "smooth": nets.smooth, "normed": normed}


def pair(name):
    ours, rng = BUILDERS[name](minigrad).to(np.float64).eval(), np.random.default_rng(0)
    ours.load_state_dict({k: nets._random(k, a, rng) for k, a in ours.state_dict().items()})
    return ours, twin(ours, BUILDERS[name](torch)), nets.images()


def twin(ours, theirs):
    theirs.double().load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    return theirs.eval()


class WithoutFlatten(torch.nn.Module):
    """A Sequential whose Flatten is a function, since Captum's LRP has no rule for the module."""

    def __init__(self, layers):
        super().__init__()
        at = [type(m) for m in layers].index(torch.nn.Flatten)
        self.features, self.head = layers[:at], layers[at + 1 :]

    def forward(self, x):
        return self.head(self.features(x).flatten(1))


def tensors(x, target=TARGET):
    return torch.tensor(x, requires_grad=True), torch.tensor(target[: len(x)])


# Captum, where it is right


@pytest.mark.parametrize("name", ["cnn", "strided", "normed"])
def test_lrp_epsilon_equals_captums(attr, name):
    ours, theirs, x = pair(name)
    values, delta = attr.LRP(WithoutFlatten(theirs)).attribute(*tensors(x), return_convergence_delta=True)
    found = explain.lrp(ours, x, TARGET, epsilon=1e-9)
    np.testing.assert_allclose(found.values, values.detach(), rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(found.delta, -delta.detach(), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("rule", ["gamma", "alpha1_beta0"])
@pytest.mark.parametrize("name", ["cnn", "strided"])
def test_lrp_gamma_and_alpha1_beta0_equal_captums(attr, name, rule):
    from captum.attr._utils.lrp_rules import Alpha1_Beta0_Rule, GammaRule

    ours, theirs, x = pair(name)
    for module in theirs:
        if isinstance(module, torch.nn.Conv2d):
            module.rule = (
                GammaRule(0.4, set_bias_to_zero=True) if rule == "gamma" else Alpha1_Beta0_Rule(set_bias_to_zero=True)
            )
    mine = (
        rules.gamma(0.4, bias=False, stabilizer=1e-9) if rule == "gamma" else rules.zplus(bias=False, stabilizer=1e-9)
    )
    composite = Composite(Line(ops.Conv2d, mine), *preset("epsilon", epsilon=1e-9).lines)
    values = attr.LRP(WithoutFlatten(theirs)).attribute(*tensors(x))
    np.testing.assert_allclose(
        explain.lrp(ours, x, TARGET, composite=composite).values, values.detach(), rtol=1e-5, atol=1e-8
    )


@pytest.mark.parametrize("name", ["strided", "smooth"])
def test_deep_lift_equals_captums(attr, name):
    ours, theirs, x = pair(name)
    baseline = nets.images(seed=7)
    for b in (np.zeros_like(x), baseline):
        values = attr.DeepLift(theirs).attribute(tensors(x)[0], torch.tensor(b), torch.tensor(TARGET))
        np.testing.assert_allclose(explain.deep_lift(ours, x, TARGET, baselines=b).values, values.detach(), **CLOSE)


def test_deep_lift_of_a_max_pool_equals_captums_for_a_single_sample(attr):
    layers = [(lib.Conv2d(2, 4, 3), lib.MaxPool2d(2), lib.Flatten(), lib.Linear(100, 5)) for lib in (nn, torch.nn)]
    ours = nn.Sequential(*layers[0]).to(np.float64)
    theirs = twin(ours, torch.nn.Sequential(*layers[1]))
    x, baseline = nets.images(1), nets.images(1, seed=7)
    baseline[:, :, 4:] = x[:, :, 4:]  # many differences of exactly 0
    values = attr.DeepLift(theirs).attribute(tensors(x)[0], torch.tensor(baseline), 2)
    np.testing.assert_allclose(explain.deep_lift(ours, x, 2, baselines=baseline).values, values.detach(), **CLOSE)


@pytest.mark.parametrize("name", ["strided", "smooth"])
def test_deep_lift_shap_equals_captums(attr, name):
    ours, theirs, x = pair(name)
    pool = nets.images(4, seed=7)
    values, delta = attr.DeepLiftShap(theirs).attribute(
        tensors(x)[0], torch.tensor(pool), torch.tensor(TARGET), return_convergence_delta=True
    )
    found = explain.deep_lift_shap(ours, x, TARGET, baselines=pool)
    np.testing.assert_allclose(found.values, values.detach(), **CLOSE)
    np.testing.assert_allclose(found.extra["deltas"].ravel(), delta.detach(), atol=1e-8)


def test_layer_lrp_and_layer_deep_lift_equal_captums(attr):
    ours, theirs, x = pair("strided")
    values = attr.LayerDeepLift(theirs, theirs[2]).attribute(tensors(x)[0], target=torch.tensor(TARGET))
    np.testing.assert_allclose(explain.deep_lift(ours, x, TARGET, layer="2").values, values.detach(), **CLOSE)
    values = attr.LayerLRP(WithoutFlatten(theirs), theirs[2]).attribute(*tensors(x))
    np.testing.assert_allclose(
        explain.lrp(ours, x, TARGET, layer="2", epsilon=1e-9).values, values.detach(), rtol=1e-5, atol=1e-8
    )


# Captum, where it errs


def test_captum_uses_a_stale_gradient_between_a_relu_and_its_max_pool(attr):
    ours, theirs, x = pair("cnn")
    b = nets.images(seed=7)  # from zero nothing would be seen: there the stale gradient adds up all the same
    _, delta = attr.DeepLift(theirs).attribute(*map(torch.tensor, (x, b, TARGET)), return_convergence_delta=True)
    assert np.abs(delta.detach()).max() > 1e-3
    assert np.abs(explain.deep_lift(ours, x, TARGET, baselines=b).delta).max() < 1e-13


def test_captums_max_pool_keeps_one_of_the_windows_that_share_a_winner(attr):
    layers = [(lib.Conv2d(2, 4, 3), lib.MaxPool2d(3, 1), lib.Flatten(), lib.Linear(256, 5)) for lib in (nn, torch.nn)]
    ours = nn.Sequential(*layers[0]).to(np.float64)
    theirs, x, b = twin(ours, torch.nn.Sequential(*layers[1])), nets.images(1), nets.images(1, seed=7)
    _, delta = attr.DeepLift(theirs).attribute(torch.tensor(x), torch.tensor(b), 2, return_convergence_delta=True)
    assert np.abs(delta.detach()).max() > 1e-3
    assert np.abs(explain.deep_lift(ours, x, 2, baselines=b).delta).max() < 1e-13


def skip(lib, relu):
    class Skip(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.relu, self.head = lib.nn.Conv2d(2, 3, 3), relu(lib), lib.nn.Linear(300, 5)

        def forward(self, x):
            x = self.conv(x)
            return self.head((self.relu(x) + x).flatten(1))

    return Skip()


def test_captum_overwrites_the_gradient_of_a_skip_connection(attr):
    """relu(x) + x: the rule's result replaces the sum of both branches' gradients, so the plain one is lost."""
    ours = skip(minigrad, lambda lib: lib.nn.ReLU()).to(np.float64)
    theirs, x = twin(ours, skip(torch, lambda lib: lib.nn.ReLU())), nets.images()
    values, delta = attr.DeepLift(theirs).attribute(
        tensors(x)[0], target=torch.tensor(TARGET), return_convergence_delta=True
    )
    found = explain.deep_lift(ours, x, TARGET)
    assert np.abs(delta.detach()).max() > 1e-2 and np.abs(found.delta).max() < 1e-13
    guided, right = attr.GuidedBackprop(theirs).attribute(*tensors(x)), explain.guided_backprop(ours, x, TARGET).values
    assert np.abs(guided.detach().numpy() - right).max() > 1e-3
    z = TF.conv2d(torch.tensor(x), theirs.conv.weight, theirs.conv.bias)
    g = theirs.head.weight[TARGET].reshape(z.shape)
    # the rule on one branch, the plain gradient on the other
    by_hand = torch.nn.grad.conv2d_input(x.shape, theirs.conv.weight, torch.relu(g) * (z > 0) + g)
    np.testing.assert_allclose(right, by_hand.detach(), **CLOSE)


def test_captum_gives_the_batch_its_first_samples_gradient_in_a_max_pool(attr):
    """Where the pool's input is that of the reference, but not what it was made from: two changes that cancel."""
    layers = [(lib.Conv2d(2, 1, 1), lib.MaxPool2d(2), lib.Flatten(), lib.Linear(36, 5)) for lib in (nn, torch.nn)]
    ours = nn.Sequential(*layers[0]).to(np.float64)
    ours[0].weight.data = np.array([1.0, -1]).reshape(1, 2, 1, 1)
    theirs, x = twin(ours, torch.nn.Sequential(*layers[1])), np.round(nets.images(2), 2)
    b = x - 0.25  # the difference of the channels stays, exactly
    x, b = x / 2 + 0.25, b / 2 + 0.25

    def captum(rows):
        return attr.DeepLift(theirs).attribute(torch.tensor(x[rows]), torch.tensor(b[rows]), 2).detach().numpy()[-1]

    batch, alone = captum([0, 1]), captum([1])
    assert np.abs(batch - alone).max() > 1e-3
    found = [explain.deep_lift(ours, x[rows], 2, baselines=b[rows]).values[-1] for rows in ([0, 1], [1])]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)
    np.testing.assert_allclose(found[1], alone, **CLOSE)


def test_captums_softmax_depends_on_the_batch_and_is_not_complete(attr):
    layers = [(lib.Flatten(), lib.Linear(288, 5), lib.Softmax(1)) for lib in (nn, torch.nn)]
    ours, x = nn.Sequential(*layers[0][:2]).to(np.float64), nets.images()
    theirs = torch.nn.Sequential(*layers[1]).double()
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    batch = attr.DeepLift(theirs).attribute(torch.tensor(x), target=2).detach()
    alone = attr.DeepLift(theirs).attribute(torch.tensor(x[:1]), target=2).detach()
    assert np.abs(batch[:1] - alone).max() > 1e-4
    probabilities = theirs(torch.tensor(np.stack([x[0], 0 * x[0]])))[:, 2].detach()
    assert abs(alone.sum() - (probabilities[0] - probabilities[1])) > 1e-4
    found = [explain.deep_lift(ours, v, 2, score="probability") for v in (x, x[:1])]
    np.testing.assert_allclose(found[0].values[:1], found[1].values, rtol=1e-12)
    assert np.abs(found[0].delta).max() < 1e-14


def test_captum_cannot_have_a_relu_twice(attr):
    relus = nn.ReLU(), torch.nn.ReLU()
    layers = [
        (lib.Conv2d(2, 3, 3), relu, lib.Conv2d(3, 3, 3), relu, lib.Flatten(), lib.Linear(192, 5))
        for lib, relu in zip((nn, torch.nn), relus)
    ]
    ours, x = nn.Sequential(*layers[0]).to(np.float64), nets.images()
    theirs = twin(ours, torch.nn.Sequential(*layers[1]))
    with pytest.raises(RuntimeError, match="more than once"):
        attr.DeepLift(theirs).attribute(*tensors(x)[:1], target=torch.tensor(TARGET))
    assert np.abs(explain.deep_lift(ours, x, TARGET).delta).max() < 1e-13
    shared = torch.nn.Conv2d(2, 2, 3, padding=1).double()
    with pytest.raises(RuntimeError, match="more than once"):
        attr.LRP(torch.nn.Sequential(shared, torch.nn.ReLU(), shared)).attribute(torch.tensor(x), target=(0, 0, 0))


@pytest.mark.parametrize("name", ["relu", "gelu"])
def test_captum_misses_functions_and_other_activations(attr, name):
    """A ReLU that is a function keeps its gradient in silence, and so does a GELU even as a module."""
    ours = nn.Sequential(nn.Flatten(), nn.Linear(288, 6), getattr(F, name), nn.Linear(6, 5)).to(np.float64)

    class Theirs(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.gelu = torch.nn.Linear(288, 6), torch.nn.Linear(6, 5), torch.nn.GELU()

        def forward(self, x):
            x = self.a(x.flatten(1))
            return self.b(self.gelu(x) if name == "gelu" else TF.relu(x))

    theirs, x = Theirs().double(), nets.images()
    theirs.load_state_dict(
        {
            k: torch.tensor(ours.state_dict()[v])
            for k, v in {"a.weight": "1.weight", "a.bias": "1.bias", "b.weight": "3.weight", "b.bias": "3.bias"}.items()
        }
    )
    b = nets.images(seed=7)
    t = torch.tensor(x, requires_grad=True)
    gradient = torch.autograd.grad(theirs(t)[:, 2].sum(), t)[0].detach().numpy()
    captum = attr.DeepLift(theirs).attribute(torch.tensor(x), torch.tensor(b), 2).detach().numpy()
    np.testing.assert_allclose(captum, gradient * (x - b), rtol=1e-6, atol=1e-12)
    found = explain.deep_lift(ours, x, 2, baselines=b)
    assert np.abs(found.values - captum).max() > 1e-4 and np.abs(found.delta).max() < 1e-13
    if name == "relu":
        np.testing.assert_allclose(
            attr.GuidedBackprop(theirs).attribute(torch.tensor(x), 2).detach(), gradient, rtol=1e-9
        )
        assert np.abs(explain.guided_backprop(ours, x, 2).values - gradient).max() > 1e-3


def test_captums_lrp_refuses_flatten_and_is_broken_from_then_on(attr):
    ours, theirs, x = pair("cnn")
    lrp = attr.LRP(theirs)
    with pytest.raises(TypeError, match="Flatten"):
        lrp.attribute(*tensors(x))
    with pytest.raises(Exception, match="NoneType"):
        attr.LRP(WithoutFlatten(theirs)).attribute(*tensors(x))
    assert explain.lrp(ours, x, TARGET).values.any()
    before = ours.state_dict()
    with pytest.raises(ValueError, match="has no rule for Conv2d in 0; add a Line"):
        explain.lrp(ours, x, composite=[*rest()])
    assert explain.lrp(ours, x, TARGET).values.any()
    assert all(np.array_equal(a, before[k]) for k, a in ours.state_dict().items())


def test_captum_forgets_a_rule_after_its_first_use(attr):
    from captum.attr._utils.lrp_rules import GammaRule

    _, theirs, x = pair("cnn")
    net = WithoutFlatten(theirs)
    net.features[0].rule = GammaRule(2.0)
    first, second = (attr.LRP(net).attribute(*tensors(x)).detach().numpy() for _ in range(2))
    assert np.abs(first - second).max() > 1e-6


# Zennit


def zennit_map(zennit, theirs, composite, x):
    leaf = torch.tensor(x, requires_grad=True)
    with composite.context(theirs) as modified:
        y = modified(leaf)
        seed = torch.zeros_like(y)
        seed[range(len(x)), TARGET] = y[range(len(x)), TARGET].detach()
        return torch.autograd.grad(y, leaf, seed)[0].detach().numpy()


PAIRS = {
    "epsilon": (lambda z: z.Epsilon(0.01), rules.epsilon(0.01)),
    "gamma": (lambda z: z.Gamma(0.3, 1e-4), rules.gamma(0.3, stabilizer=1e-4)),
    "zplus": (lambda z: z.ZPlus(1e-4), rules.zplus(stabilizer=1e-4)),
    "alpha_beta": (lambda z: z.AlphaBeta(2, 1, 1e-4), rules.alpha_beta(2, 1, stabilizer=1e-4)),
    "box": (
        lambda z: z.ZBox(torch.tensor([0.0]).double(), torch.tensor([1.0]).double(), 1e-4),
        rules.box(0, 1, stabilizer=1e-4),
    ),
    "w_square": (lambda z: z.WSquare(1e-4), rules.w_square(stabilizer=1e-4)),
    "flat": (lambda z: z.Flat(1e-4), rules.flat(stabilizer=1e-4)),
}


@pytest.mark.parametrize("rule", PAIRS)
@pytest.mark.parametrize("name", ["cnn", "strided", "smooth"])
def test_rules_equal_zennits(zennit, name, rule):
    """The rule on every layer with weights, also where activations are negative (tanh)."""
    theirs_rule, mine = PAIRS[rule]
    ours, theirs, x = pair(name)
    layer_map = [((torch.nn.Conv2d, torch.nn.Linear), theirs_rule(zennit.rules)), *zennit.composites.layer_map_base()]
    expected = zennit_map(zennit, theirs, zennit.composites.LayerMapComposite(layer_map), x)
    found = explain.lrp(ours, x, TARGET, composite=[Line(WEIGHTED, mine), *rest()])
    np.testing.assert_allclose(found.values, expected, rtol=1e-6, atol=1e-9)


COMPOSITES = {
    "epsilon_plus": "EpsilonPlus",
    "epsilon_plus_flat": "EpsilonPlusFlat",
    "epsilon_alpha2_beta1": "EpsilonAlpha2Beta1",
    "epsilon_alpha2_beta1_flat": "EpsilonAlpha2Beta1Flat",
    "epsilon_gamma_box": "EpsilonGammaBox",
}


@pytest.mark.parametrize("name", ["cnn", "strided", "normed"])
@pytest.mark.parametrize("composite", COMPOSITES)
def test_composites_equal_zennits(zennit, composite, name):
    ours, theirs, x = pair(name)
    limits = (
        {"low": torch.zeros(1).double(), "high": torch.ones(1).double()} if composite == "epsilon_gamma_box" else {}
    )
    canonizers = [zennit.canonizers.SequentialMergeBatchNorm()]
    their_composite = getattr(zennit.composites, COMPOSITES[composite])(canonizers=canonizers, **limits)
    expected = zennit_map(zennit, theirs, their_composite, x)
    np.testing.assert_allclose(explain.lrp(ours, x, TARGET, composite=composite).values, expected, rtol=1e-6, atol=1e-9)


def test_excitation_backprop_equals_zennits(zennit):
    ours, theirs, x = pair("cnn")
    leaf = torch.tensor(x, requires_grad=True)
    with zennit.composites.ExcitationBackprop(stabilizer=1e-12, zero_params=["bias"]).context(theirs) as modified:
        expected = torch.autograd.grad(modified(leaf), leaf, torch.eye(5).double()[TARGET])[0]
    np.testing.assert_allclose(
        explain.excitation_backprop(ours, x, TARGET).values, expected.detach(), rtol=1e-6, atol=1e-9
    )
