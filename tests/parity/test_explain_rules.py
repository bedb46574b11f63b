"""LRP and DeepLIFT beside Captum where it is right; where it errs, what it returns and what we do."""

import warnings

import numpy as np
import pytest

import explain
import minigrad
from explain import Composite, Line, rules
from explain.composite import preset, rest
from minigrad import functional as F
from minigrad import nn, ops
from tests.explain import nets, trained
from tests.parity.explained import EPSILON, TARGET, WithoutFlatten, pair, twin, with_epsilon

torch = pytest.importorskip("torch")
TF = torch.nn.functional

CLOSE = {"rtol": 1e-6, "atol": 1e-9}


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Captum warns of its hooks on every call
        yield


@pytest.fixture
def attr():
    return pytest.importorskip("captum.attr")


def tensors(x, target=TARGET):
    return torch.tensor(x, requires_grad=True), torch.tensor(target[: len(x)])


# Captum, where it is right


@pytest.mark.parametrize("name", ["cnn", "strided", "normed"])
def test_lrp_epsilon_equals_captums(attr, name):
    ours, theirs, x = pair(name)
    values, delta = attr.LRP(with_epsilon(theirs)).attribute(*tensors(x), return_convergence_delta=True)
    found = explain.lrp(ours, x, TARGET, epsilon=EPSILON)
    np.testing.assert_allclose(found.values, values.detach(), **CLOSE)
    np.testing.assert_allclose(found.delta, -delta.detach(), **CLOSE)


def test_lrp_of_a_trained_network_equals_captums(attr):
    """Without its standardization, which is a function to Captum: what LRP gives would be divided by std."""
    model, x = trained.cnn()
    ours, lib = nn.Sequential(*list(model)[1:]), torch.nn
    convolutions = lib.Conv2d(1, 8, 3, padding=1), lib.ReLU(), lib.MaxPool2d(2), lib.Conv2d(8, 12, 3), lib.ReLU()
    layers = *convolutions, lib.Flatten(), lib.Linear(48, 24), lib.ReLU(), lib.Linear(24, 10)
    theirs = twin(ours, lib.Sequential(*layers))
    x = (x - 0.3) / 0.4
    found = explain.lrp(ours, x, epsilon=EPSILON, bounds=None)
    values = attr.LRP(with_epsilon(theirs)).attribute(*tensors(x, found.target))
    np.testing.assert_allclose(found.values, values.detach(), **CLOSE)


@pytest.mark.parametrize("rule", ["gamma", "alpha1_beta0"])
@pytest.mark.parametrize("name", ["cnn", "strided"])
def test_lrp_gamma_and_alpha1_beta0_equal_captums(attr, name, rule):
    from captum.attr._utils.lrp_rules import Alpha1_Beta0_Rule, GammaRule

    ours, theirs, x = pair(name)
    net = with_epsilon(theirs)
    for module in theirs:
        if isinstance(module, torch.nn.Conv2d):
            module.rule = (
                GammaRule(0.4, set_bias_to_zero=True) if rule == "gamma" else Alpha1_Beta0_Rule(set_bias_to_zero=True)
            )
    mine = (
        rules.gamma(0.4, bias=False, stabilizer=1e-9) if rule == "gamma" else rules.zplus(bias=False, stabilizer=1e-9)
    )
    composite = Composite(Line(ops.Conv2d, mine), *preset("epsilon", epsilon=EPSILON).lines)
    values = attr.LRP(net).attribute(*tensors(x))
    np.testing.assert_allclose(explain.lrp(ours, x, TARGET, composite=composite).values, values.detach(), **CLOSE)


@pytest.mark.parametrize("name", ["strided", "smooth"])
def test_deep_lift_equals_captums(attr, name):
    ours, theirs, x = pair(name)
    baseline = nets.images(seed=7)
    for b in (np.zeros_like(x), baseline):
        values = attr.DeepLift(theirs).attribute(tensors(x)[0], torch.tensor(b), torch.tensor(TARGET))
        np.testing.assert_allclose(explain.deep_lift(ours, x, TARGET, baselines=b).values, values.detach(), **CLOSE)


@pytest.mark.parametrize("name", ["strided", "smooth"])
def test_float32_equals_captums(attr, name):
    ours, theirs, x = pair(name)
    ours.to(np.float32), theirs.float()
    x, baseline = x.astype(np.float32), nets.images(seed=7).astype(np.float32)
    found = explain.deep_lift(ours, x, TARGET, baselines=baseline)
    values = attr.DeepLift(theirs).attribute(tensors(x)[0], torch.tensor(baseline), torch.tensor(TARGET))
    np.testing.assert_allclose(found.values, values.detach(), rtol=1e-4, atol=1e-6)
    assert found.dtype == np.float32 and np.abs(found.delta).max() < 1e-5


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
    values = attr.LayerLRP(with_epsilon(theirs), theirs[2]).attribute(*tensors(x))
    np.testing.assert_allclose(
        explain.lrp(ours, x, TARGET, layer="2", epsilon=EPSILON).values, values.detach(), rtol=1e-5, atol=1e-8
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
    ours = nn.Sequential(nn.Flatten(), nn.Linear(288, 5, rng=np.random.default_rng(0))).to(np.float64)
    theirs = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(288, 5), torch.nn.Softmax(1)).double()
    x = nets.images()
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
    rng = np.random.default_rng(0)
    layers = nn.Flatten(), nn.Linear(288, 6, rng=rng), getattr(F, name), nn.Linear(6, 5, rng=rng)
    ours = nn.Sequential(*layers).to(np.float64)

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
