"""LRP as a whole: who gets which rule, what is folded, what is refused; reuse, skips and functions just work."""

import numpy as np
import pytest

import explain
import minigrad
from explain import Composite, Line, rules
from explain.composite import preset, rest
from explain.kinds import WEIGHTED, Product
from minigrad import functional as F
from minigrad import nn, ops
from tests.explain import nets, trained
from tests.explain.walks import PRESETS, bound, names


@pytest.mark.parametrize("name", nets.PIECEWISE_LINEAR)
def test_lrp_zero_is_input_x_gradient(name):
    model, x = nets.build(name), nets.images()
    if name == "normed":  # LeakyReLU is piecewise linear, but its negative side is not passed at full
        model = nn.Sequential(*[nn.ReLU() if isinstance(m, nn.LeakyReLU) else m for m in model])
    np.testing.assert_allclose(
        explain.lrp(model, x, epsilon=0).values, explain.input_x_gradient(model, x).values, rtol=1e-9, atol=1e-12
    )


def test_lines_are_read_from_the_top_by_kind_path_and_place():
    model, x = nets.build("cnn"), nets.images()
    composite = Composite(
        Line(WEIGHTED, rules.flat(), place="first"),
        Line(WEIGHTED, rules.w_square(), place="last"),
        Line(ops.Conv2d, rules.gamma(), path="[0-3]"),
        Line(WEIGHTED, rules.epsilon()),
        *rest(),
    )
    chosen = {(op, path): rule for op, path, rule in names(bound(composite, model, x)[2])}
    assert chosen[("Conv2d", "0")] == "flat" and chosen[("Conv2d", "3")] == "gamma(0.25)"
    assert chosen[("Linear", "6")] == "epsilon(1e-06)" and chosen[("Linear", "8")] == "w_square"
    nested = nn.Sequential(
        {"features": nn.Sequential(model[0], nn.ReLU(), nn.Flatten()), "head": nn.Linear(576, 5)}
    ).to(np.float64)
    prefix = Composite(Line(WEIGHTED, rules.flat(), path="features"), Line(WEIGHTED, rules.zplus()), *rest())
    assert [rule for op, _, rule in names(bound(prefix, nested, x)[2]) if op in ("Conv2d", "Linear")] == [
        "flat",
        "zplus",
    ]


@pytest.mark.parametrize("name", PRESETS)
def test_presets_run_and_conserve_on_every_net(name):
    for net in nets.ALL:
        attribution = explain.lrp(nets.build(net), nets.images(), composite=name, ledger=True)
        assert np.isfinite(attribution.values).all() and np.abs(attribution.values).max() > 0
        assert np.abs(attribution.extra["ledger"].residual).max() < 1e-9 * max(
            1, np.abs(attribution.extra["ledger"].score).max()
        )


def test_a_reused_relu_a_function_and_a_module_are_the_same():
    rng = np.random.default_rng(0)
    first, second, head, relu = (
        nn.Conv2d(2, 3, 3, rng=rng),
        nn.Conv2d(3, 3, 3, rng=rng),
        nn.Linear(192, 4, rng=rng),
        nn.ReLU(),
    )
    reused = nn.Sequential(first, relu, second, relu, nn.Flatten(), head).to(np.float64)
    apart = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.Flatten(), head)
    functional = nn.Sequential(first, F.relu, second, F.relu, lambda x: x.flatten(1), head)
    x = nets.images()
    for name in PRESETS:
        maps = [explain.lrp(m, x, 1, composite=name).values for m in (reused, apart, functional)]
        assert np.array_equal(maps[0], maps[1]) and np.array_equal(maps[0], maps[2])


def test_a_layer_used_twice_gets_its_rule_twice():
    conv = nn.Conv2d(2, 2, 3, padding=1, rng=np.random.default_rng(0)).to(np.float64)
    copy = nn.Conv2d(2, 2, 3, padding=1)
    copy.weight, copy.bias = conv.weight, conv.bias
    x = nets.images()
    twice = nn.Sequential(conv, nn.ReLU(), conv, nn.Flatten())
    apart = nn.Sequential(conv, nn.ReLU(), copy, nn.Flatten())
    for name in PRESETS:
        maps = [explain.lrp(m, x, 7, composite=name).values for m in (twice, apart)]
        assert np.array_equal(*maps)


def test_a_skip_connection_shares_as_its_branches_built_the_sum():
    class Skip(nn.Module):
        def __init__(self):
            self.body = nn.Linear(3, 3, rng=np.random.default_rng(0))

        def forward(self, x):
            h = x.relu()
            return self.body(h) + h

    model, x = Skip().to(np.float64), np.array([[0.2, 0.9, 0.4]])
    y = model(minigrad.Tensor(x)).data[0]
    W, b = model.body.weight.data, model.body.bias.data
    expected = (
        x[0] * W[1] / y[1] * y[1] + np.eye(3)[1] * x[0]
    )  # epsilon 0: through the body by its weights, round it as it is
    np.testing.assert_allclose(explain.lrp(model, x, 1, epsilon=0).values[0], expected, rtol=1e-9)
    assert b.any()


@pytest.mark.parametrize("score", ["probability", "log_probability"])
def test_a_softmax_is_refused(score):
    with pytest.raises(
        ValueError,
        match=r"lrp: composite 'epsilon' has no rule for (Log)?Softmax in no module; add a Line"
        r".*Rules that exist: epsilon, gamma.*Explain the logit",
    ):
        explain.lrp(nets.build("cnn"), nets.images(), score=score)


def test_an_op_without_a_rule_is_named_with_its_module_and_the_rules():
    class Gated(nn.Module):
        def __init__(self):
            self.gate = nn.Sigmoid()

        def forward(self, x):
            return (self.gate(x) * x).flatten(1)

    class Exponential(nn.Module):
        def forward(self, x):
            return x.exp()

    with pytest.raises(
        ValueError,
        match=r"no rule for Mul in no module \(here a product.*Line\(Product, rule, path=''\).*"
        r"Both operands of this product depend on the input",
    ):
        explain.lrp(Gated(), nets.images())
    model = nn.Sequential(Exponential(), nn.Flatten())
    with pytest.raises(
        ValueError, match=r"composite 'zplus' has no rule for Exp in 0; add a Line\(Exp, rule, path='0'\)"
    ):
        explain.lrp(model, nets.images(), composite="zplus")
    allowed = Composite(Line(Product, rules.epsilon()), *preset("epsilon").lines)
    assert explain.lrp(Gated(), nets.images(), composite=allowed).settings["composite"] == "custom"
    assert explain.lrp(model, nets.images(), composite=[Line(ops.Exp, rules.pass_through), *rest()]).values.any()


def test_batch_statistics_are_refused():
    class Normalised(nn.Module):
        def forward(self, x):
            return F.batch_norm(x, None, None).flatten(1)

    with pytest.raises(
        ValueError, match="no rule for BatchNormTraining in no module.*statistics of its own batch mixes the samples"
    ):
        explain.lrp(Normalised(), nets.images())


def test_unknown_composites_are_refused():
    with pytest.raises(
        ValueError, match="composite: there is none called 'gama', expected one of zero, epsilon, gamma"
    ):
        explain.lrp(nets.build("cnn"), nets.images(), composite="gama")
    with pytest.raises(TypeError, match="lrp: composite is dict, expected a name, a Composite or a sequence of Line"):
        explain.lrp(nets.build("cnn"), nets.images(), composite={})


@pytest.mark.parametrize("name", ["epsilon", "epsilon_gamma_box"])
def test_numbers_do_not_depend_on_batches_and_the_model_stays_as_it_was(name):
    model, x = nets.build("normed").train(), nets.images(5)
    before, modes = model.state_dict(), [m.training for m in model.modules()]
    whole = explain.lrp(model, x, composite=name).values
    order = np.array([3, 0, 4, 2, 1])
    np.testing.assert_allclose(
        explain.lrp(model, x, composite=name, batch_size=2).values, whole, rtol=1e-10, atol=1e-14
    )
    np.testing.assert_allclose(
        explain.lrp(model, x[order], composite=name).values, whole[order], rtol=1e-10, atol=1e-14
    )
    with pytest.raises(ValueError, match="no rule"):
        explain.lrp(model, x, composite=[])
    assert modes == [m.training for m in model.modules()]
    assert all(np.array_equal(a, before[k]) for k, a in model.state_dict().items())


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Softplus])
@pytest.mark.parametrize("name", ["epsilon", "gamma", "epsilon_plus", "epsilon_gamma_box", "alpha2_beta1"])
def test_a_map_can_be_differentiated(name, activation):
    """The gradient of an LRP map by the tape, against finite differences: with a batch norm folded into its layer."""
    composite, rng = preset(name, epsilon=0.1), np.random.default_rng(0)
    model = (
        nn.Sequential(
            nn.Conv2d(1, 2, 2, rng=rng),
            nn.BatchNorm2d(2),
            activation(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(2, 2, rng=rng),
        )
        .to(np.float64)
        .eval()
    )

    def relevance(x):
        y = model(x)
        return minigrad.grad(y, x, np.array([[0.0, 1]]), rules=composite.bind(y, x), create_graph=True)

    for _ in range(30):  # relevance jumps where a sum changes sign: draws near that do not count
        try:
            return minigrad.check_grads(relevance, rng.random((1, 1, 3, 3)), order=1, directions=1)
        except minigrad.check.KinkError:
            continue
    raise AssertionError("no point without a kink near it")


def test_relevance_of_a_layer_is_what_its_part_of_the_walk_gives():
    model, x = nets.build("cnn"), nets.images()
    at_layer = explain.lrp(model, x, layer="4")
    rest_of_it = nn.Sequential(*list(model)[5:])
    hidden = nn.Sequential(*list(model)[:5])(minigrad.Tensor(x)).data
    np.testing.assert_allclose(
        at_layer.values, explain.lrp(rest_of_it, hidden, at_layer.target, bounds=None).values, rtol=1e-10
    )


def test_excitations_are_probabilities():
    model, x = trained.cnn()
    lost = explain.excitation_backprop(model, x, 3).delta  # at neurons over black pixels, which only a bias excites
    assert lost.min() > -0.5 and lost.max() < 1e-12
    for layer in ("4", "6"):
        attribution = explain.excitation_backprop(model, x, 3, layer=layer)
        assert attribution.values.min() >= 0 and np.abs(attribution.delta).max() < 1e-8
        contrastive = explain.excitation_backprop(model, x, 3, layer=layer, contrastive=True)
        assert contrastive.values.min() < 0 and np.abs(contrastive.delta).max() < 1e-8
    x = nets.images()
    last = nn.Sequential(nn.Flatten(), nn.Linear(288, 5, rng=np.random.default_rng(0))).to(np.float64)
    w, v = last[1].weight.data[3], x.reshape(3, -1)
    up, down = v * np.maximum(w, 0), v * np.maximum(-w, 0)
    up, down = (q / q.sum(1, keepdims=True) for q in (up, down))
    np.testing.assert_allclose(explain.excitation_backprop(last, x, 3).values.reshape(3, -1), up, rtol=1e-9)
    contrastive = explain.excitation_backprop(last, x, 3, contrastive=True).values.reshape(3, -1)
    np.testing.assert_allclose(contrastive, up - down, rtol=1e-9, atol=1e-12)
