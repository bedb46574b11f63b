"""DeepLIFT: complete for every op, the papers' examples by hand, and what it refuses."""

import numpy as np
import pytest

import explain
import minigrad
from explain.deeplift import Reference, bind
from explain.differences import EPSILON
from explain.kinds import Trail
from minigrad import functional as F
from minigrad import nn
from tests.explain import nets, trained

RNG = np.random.default_rng(0)
W = minigrad.Tensor(RNG.normal(size=(36, 5)))


def image(x):
    return x.reshape(-1, 1, 6, 6)


FUNCTIONS = {
    "relu": lambda x: (x - 0.5).relu(),
    "leaky_relu": lambda x: F.leaky_relu(x - 0.5, 0.1),
    "elu": lambda x: F.elu(x - 0.5),
    "sigmoid": F.sigmoid,
    "tanh": F.tanh,
    "softplus": F.softplus,
    "silu": F.silu,
    "gelu": F.gelu,
    "exp": lambda x: x.exp(),
    "log": lambda x: (x + 1).log(),
    "sqrt": lambda x: (x + 1).sqrt(),
    "square": lambda x: x**2,
    "power": lambda x: (1 + x) ** x,
    "abs": lambda x: (x - 0.5).abs(),
    "clip": lambda x: x.clip(0.2, 0.6),
    "sin": lambda x: x.sin(),
    "cos": lambda x: x.cos(),
    "mul": lambda x: x * F.sigmoid(x),
    "div": lambda x: x / (1 + x * x),
    "matmul": lambda x: (image(x) @ image(x)).flatten(1),
    "maximum": lambda x: minigrad.maximum(x, 1 - x),
    "minimum": lambda x: minigrad.minimum(x, x * x),
    "einsum": lambda x: minigrad.einsum("nij,nkj->nik", x.reshape(-1, 6, 6), x.exp().reshape(-1, 6, 6)).flatten(1),
    "softmax": lambda x: F.softmax(4 * x, 1),
    "log_softmax": lambda x: F.log_softmax(4 * x, 1),
    "layer_norm": lambda x: F.layer_norm(x, (36,)),
    "max": lambda x: x + x.max(1, keepdim=True),
    "min": lambda x: x * x.min(1, keepdim=True),
    "max_pool": lambda x: F.interpolate(F.max_pool2d(image(x), 3, 1, padding=1), (6, 6)).flatten(1),
    "avg_pool": lambda x: F.avg_pool2d(image(x), 3, 1, padding=1).flatten(1),
    "skip": lambda x: x.relu() + x,
    "concat": lambda x: minigrad.cat([x[:, 18:].tanh(), x[:, :18]], 1),
    "pad": lambda x: F.pad(image(x)[:, :, 1:, 1:], (1, 0, 1, 0)).flatten(1),
    "where": lambda x: minigrad.where(np.arange(36) % 2 == 0, x, x.exp()),
    "attention": lambda x: F.scaled_dot_product_attention(*(x.reshape(-1, 6, 6),) * 3).flatten(1),
    "batch norm": lambda x: F.batch_norm(image(x), np.array([0.3]), np.array([0.5])).flatten(1),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_op_is_complete(name):
    function = FUNCTIONS[name]
    model = nn.Sequential(
        nn.Flatten(), lambda x: F.tanh(function(x) @ W), nn.Linear(5, 3, rng=np.random.default_rng(0))
    ).to(np.float64)
    x = RNG.random((4, 1, 6, 6))
    x[0, 0, :3] = 0  # no difference there
    x[1] = 0  # nor anywhere here
    for baseline in (0, RNG.random((1, 1, 6, 6)), RNG.random((4, 1, 6, 6))):
        for rule in ("rescale", "reveal_cancel"):
            attribution = explain.deep_lift(model, x, [0, 1, 2, 0], baselines=baseline, rule=rule)
            assert np.abs(attribution.delta).max() < 1e-13
            assert np.isfinite(attribution.values).all()


@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel", "genomics"])
@pytest.mark.parametrize("name", nets.ALL)
def test_complete_on_every_net_in_every_way(name, rule):
    model, x = nets.build(name), nets.images()
    for score in ("logit", "probability", "log_probability"):
        attribution = explain.deep_lift(model, x, 2, rule=rule, score=score, baselines=0.3)
        assert np.abs(attribution.delta).max() < 1e-12 and np.abs(attribution.values).max() > 1e-4


@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel", "genomics"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_complete_on_a_trained_network_per_sample(batch_norm, rule):
    model, x = trained.cnn(batch_norm)
    attribution = explain.deep_lift(model, x, rule=rule)
    logits = [model(minigrad.Tensor(v)).data[np.arange(16), attribution.target] for v in (x, 0 * x)]
    np.testing.assert_allclose(attribution.values.sum((1, 2, 3)), logits[0] - logits[1], atol=1e-9)
    assert np.abs(attribution.delta).max() < 1e-9


def test_rescale_is_the_papers_formula():
    """Two dense layers and a ReLU, multipliers written out: m = W2 diag(dy / dx) W1."""
    model = nn.Sequential(nn.Linear(6, 4, rng=RNG), nn.ReLU(), nn.Linear(4, 3, rng=RNG)).to(np.float64)
    x, x0 = RNG.random((5, 6)), RNG.random((1, 6))
    (w1, b1), (w2, _) = ((layer.weight.data, layer.bias.data) for layer in (model[0], model[2]))
    z, z0 = x @ w1.T + b1, x0 @ w1.T + b1
    slope = (np.maximum(z, 0) - np.maximum(z0, 0)) / (z - z0)
    expected = (slope * w2[1]) @ w1 * (x - x0)
    np.testing.assert_allclose(explain.deep_lift(model, x, 1, baselines=x0).values, expected, rtol=1e-10)


def minimum_of_two():
    """o = i1 - relu(i1 - i2) = min(i1, i2), the example of Shrikumar et al. 2017, section 3.5.3."""
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)).to(np.float64)
    model.load_state_dict(
        {
            "0.weight": np.array([[1.0, -1], [1, 0]]),
            "0.bias": np.zeros(2),
            "2.weight": np.array([[-1.0, 1]]),
            "2.bias": np.zeros(1),
        }
    )
    return model


def test_reveal_cancel_sees_both_sides_of_a_minimum():
    x = np.array([[0.7, 0.2], [0.2, 0.7], [0.5, 0.5]])
    rescale = explain.deep_lift(minimum_of_two(), x, 0).values
    reveal = explain.deep_lift(minimum_of_two(), x, 0, rule="reveal_cancel").values
    np.testing.assert_allclose(rescale, [[0, 0.2], [0.2, 0], [0.5, 0]], atol=1e-12)  # all to the smaller one
    np.testing.assert_allclose(reveal, np.repeat(x.min(1, keepdims=True) / 2, 2, 1), atol=1e-12)  # half to each


def test_reveal_cancel_is_the_papers_formula():
    model = nn.Sequential(nn.Linear(6, 4, rng=RNG), nn.Sigmoid(), nn.Linear(4, 3, rng=RNG)).to(np.float64)
    x, x0 = RNG.random(6), RNG.random(6)
    (w1, b1), (w2, _) = ((layer.weight.data, layer.bias.data) for layer in (model[0], model[2]))
    expected = np.zeros(6)
    for j in range(4):
        q, z0 = w1[j] * (x - x0), w1[j] @ x0 + b1[j]
        up, down = q[q > 0].sum(), q[q < 0].sum()
        f = [1 / (1 + np.exp(-(z0 + d))) for d in (0, up, down, up + down)]
        effect_up, effect_down = (f[1] - f[0] + f[3] - f[2]) / 2, (f[2] - f[0] + f[3] - f[1]) / 2
        expected += w2[1, j] * np.where(q > 0, q * effect_up / up, q * effect_down / down)
    ours = explain.deep_lift(model, x[None], 1, baselines=x0[None], rule="reveal_cancel").values[0]
    np.testing.assert_allclose(ours, expected, rtol=1e-10)


def test_a_max_pool_credits_the_new_winner_for_a_rise_and_the_old_one_for_a_fall():
    model = nn.Sequential(nn.MaxPool2d(2), nn.Flatten())
    x = np.array([[0.9, 0.2], [0.1, 0.0]])[None, None], np.array([[0.1, 0.2], [0.3, 0.0]])[None, None]
    x0 = np.array([[0.1, 0.5], [0.2, 0.0]])[None, None]
    values = [explain.deep_lift(model, v, 0, baselines=x0).values[0, 0] for v in x]
    np.testing.assert_allclose(values[0], [[0.4, 0], [0, 0]])  # 0.9 - 0.5
    np.testing.assert_allclose(values[1], [[0, -0.2], [0, 0]])  # 0.3 - 0.5: the winner of before fell


def test_a_product_is_halved_between_its_factors():
    class Product(nn.Module):
        def forward(self, x):
            return x[:, :1] * x[:, 1:]

    values = explain.deep_lift(Product(), np.array([[0.6, 0.5]]), 0, baselines=np.array([[0.2, 0.1]])).values
    np.testing.assert_allclose(values, [[0.4 * 0.3, 0.4 * 0.4]])


def test_softmax_does_not_depend_on_a_shift_or_on_other_samples():
    x = RNG.random((3, 6))
    model = nn.Sequential(nn.Linear(6, 4, rng=RNG)).to(np.float64)
    shifted = nn.Sequential(model[0], lambda z: z + 100.0)
    ours, other = (explain.deep_lift(m, x, 1, score="probability").values for m in (model, shifted))
    np.testing.assert_allclose(ours, other, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(ours[:1], explain.deep_lift(model, x[:1], 1, score="probability").values, rtol=1e-12)
    model[0].weight.data = model[0].weight.data * 2000  # exp underflows
    far = explain.deep_lift(model, x, 1, score="log_probability")
    assert np.isfinite(far.values).all() and np.abs(far.delta).max() < 1e-9


@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
def test_without_biases_and_from_zero_it_is_input_x_gradient(rule):
    model, x = nets.build("cnn"), nets.images()
    for layer in model:
        if getattr(layer, "bias", None) is not None:
            layer.bias.data = 0 * layer.bias.data
    if rule == "rescale":
        np.testing.assert_allclose(
            explain.deep_lift(model, x).values, explain.input_x_gradient(model, x).values, rtol=1e-9, atol=1e-12
        )
    linear = nn.Sequential(nn.Conv2d(2, 3, 3, rng=RNG), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(75, 5, rng=RNG)).to(
        np.float64
    )
    x0 = RNG.random((1, *nets.SHAPE))
    expected = explain.saliency(linear, x, 0, absolute=False).values * (x - x0)
    np.testing.assert_allclose(
        explain.deep_lift(linear, x, 0, baselines=x0, rule=rule).values, expected, rtol=1e-9, atol=1e-13
    )


@pytest.mark.parametrize("size", [1e-15, 1e-11, 1e-9, 1e-6])
def test_small_differences_take_the_derivative(size):
    model, x = nets.build("smooth"), nets.images()
    near = explain.deep_lift(model, x, 1, baselines=np.clip(x - size * RNG.choice([0, 1], x.shape), 0, 1))
    gradient = explain.saliency(model, x, 1, absolute=False).values
    np.testing.assert_allclose(near.values, gradient * (x - near.baseline), rtol=1e-3, atol=1e-14)
    assert np.abs(near.delta).max() < 1e-14


def test_one_row_of_baseline_serves_all_samples_unless_the_program_moves_them():
    model, x = nets.build("branched"), nets.images()
    one, all_rows = (explain.deep_lift(model, x, baselines=b) for b in (np.zeros((1, *nets.SHAPE)), np.zeros_like(x)))
    np.testing.assert_allclose(one.values, all_rows.values, rtol=1e-10, atol=1e-14)
    assert (one.forwards, all_rows.forwards) == (4, 6)

    class Moves(nn.Module):
        """Samples in pairs of rows, as attention over flattened heads has them."""

        def forward(self, x):
            rows = x.flatten(1).reshape(-1, 144).tanh()
            return rows.reshape(-1, 288)[:, :3]

    moved = explain.deep_lift(Moves(), x, 0)
    assert moved.forwards == 7 and np.abs(moved.delta).max() < 1e-15


def test_a_transformer_is_complete():
    model = minigrad.models.create("vit_tiny", rng=np.random.default_rng(0)).to(np.float64).eval()
    x = RNG.random((2, 1, 28, 28))
    for score in ("logit", "log_probability"):
        attribution = explain.deep_lift(model, x, baselines=0.4, score=score)
        assert np.abs(attribution.delta).max() < 1e-11 and np.abs(attribution.values).max() > 1e-4


def test_numbers_do_not_depend_on_batches_and_the_model_stays_as_it_was():
    model, x = nets.build("normed").train(), nets.images(5)
    before, modes = model.state_dict(), [m.training for m in model.modules()]
    whole = explain.deep_lift(model, x).values
    order = np.array([3, 0, 4, 2, 1])
    np.testing.assert_allclose(explain.deep_lift(model, x, batch_size=2).values, whole, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(explain.deep_lift(model, x[order]).values, whole[order], rtol=1e-10, atol=1e-13)
    broken = nn.Sequential(model, lambda y: F.batch_norm(y, None, None))
    with pytest.raises(
        ValueError,
        match="deep_lift: composite 'rescale' has no rule for BatchNormTraining in no "
        "module.*exist: gradient, rescale, winners",
    ):
        explain.deep_lift(broken, x)
    assert modes == [m.training for m in model.modules()]
    assert all(np.array_equal(a, before[k]) for k, a in model.state_dict().items())


def test_shap_is_the_mean_over_baselines():
    model, x, rows = nets.build("cnn"), nets.images(), nets.images(4, seed=1)
    ours = explain.deep_lift_shap(model, x, 1, baselines=rows)
    each = [explain.deep_lift(model, x, 1, baselines=row[None]).values for row in rows]
    np.testing.assert_allclose(ours.values, np.mean(each, 0), rtol=1e-12)
    logits = [model(minigrad.Tensor(v)).data[:, 1] for v in (x, rows)]
    np.testing.assert_allclose(ours.values.sum((1, 2, 3)), logits[0] - logits[1].mean(), rtol=1e-10)
    assert ours.extra["deltas"].shape == (3, 4) and np.abs(ours.delta).max() < 1e-12
    single = explain.deep_lift_shap(model, x, 1, baselines=rows[:1], batch_size=2)
    np.testing.assert_allclose(single.values, each[0], rtol=1e-10, atol=1e-14)


def test_a_layers_units_share_the_same_difference():
    model, x = nets.build("branched"), nets.images()
    for layer in ("first", "relu", "head"):  # which all of the score goes through
        assert np.abs(explain.deep_lift(model, x, 2, layer=layer).delta).max() < 1e-12
    assert np.abs(explain.deep_lift(model, x, 2, layer="second").delta).max() > 1e-3  # it is skipped


@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
@pytest.mark.parametrize("name", ["div", "softmax", "layer_norm", "max_pool", "mul", "gelu"])
def test_multipliers_can_be_differentiated(name, rule):
    model = nn.Sequential(
        lambda x: FUNCTIONS[name](x) @ W, nn.Linear(5, 3, rng=np.random.default_rng(0)), nn.Softplus()
    ).to(np.float64)
    start = np.random.default_rng(2).random((1, 36))

    def multipliers(x):
        y, y0 = model(x), model(minigrad.Tensor(start, requires_grad=True))
        reference = Reference(y, y0, Trail.between(x, y))
        seed = np.array([[0.0, 1, 0]])
        return minigrad.grad(y, x, seed, rules=bind(y, x, reference, rule, EPSILON), create_graph=True)

    rng = np.random.default_rng(3)
    for _ in range(30):
        try:
            return minigrad.check_grads(multipliers, rng.random((1, 36)), order=1, directions=1, rtol=1e-5)
        except minigrad.check.KinkError:
            continue
    raise AssertionError("no point without a kink near it")


def test_what_is_not_the_same_program_for_both_is_refused():
    class Branching(nn.Module):
        def forward(self, x):
            return x.flatten(1).relu() if x.data.any() else x.flatten(1)

    class Masked(nn.Module):
        def forward(self, x):
            return (x * (x.data > 0.5)).flatten(1)

    class Largest(nn.Module):
        def forward(self, x):
            flat = x.flatten(1)
            return flat[np.arange(len(flat)), flat.data.argmax(1)][:, None]

    class Selected(nn.Module):
        def forward(self, x):
            return x[:, :, : 2 + int(x.data.max() > 0.5)].sum((2, 3))

    for model in (Largest(), Selected()):
        with pytest.raises(
            ValueError, match="deep_lift: the model made tensors of other shapes .* or indexed them elsewhere"
        ):
            explain.deep_lift(model, nets.images(), 0)
    with pytest.raises(
        ValueError, match=r"deep_lift: the model ran 2 ops for x and 1 for the baseline.*must not branch"
    ):
        explain.deep_lift(Branching(), nets.images(), 0)
    with pytest.raises(
        ValueError, match=r"deep_lift: Mul in no module has another constant \(shape \(3, 2, 12, 12\)\) for x than"
    ):
        explain.deep_lift(Masked(), nets.images(), 0)


def test_bad_settings_say_what_is_expected():
    model, x = nets.build("cnn"), nets.images()
    with pytest.raises(
        ValueError, match="deep_lift: rule is 'linear', expected one of 'rescale', 'reveal_cancel', 'genomics'"
    ):
        explain.deep_lift(model, x, rule="linear")
    with pytest.raises(ValueError, match="deep_lift: eps is 0, expected a positive number"):
        explain.deep_lift(model, x, eps=0)
    with pytest.raises(
        ValueError, match=r"deep_lift: baselines has shape \(7,\), expected a number or shape \(3, 2, 12, 12\)"
    ):
        explain.deep_lift(model, x, baselines=np.zeros(7))
    with pytest.raises(
        ValueError, match=r"deep_lift_shap: baselines has shape \(2, 12, 12\), expected a number or \(B, 2, 12, 12\)"
    ):
        explain.deep_lift_shap(model, x, baselines=x[0])
