"""Every rule against the dense loops of `dense.py`, and as something that can be differentiated."""

import numpy as np
import pytest

import minigrad
from explain import Line, rules
from minigrad import ops
from tests.explain import dense

EPS = 1e-3  # large enough to be seen
RNG = np.random.default_rng(0)
LAYERS = {
    "linear": (ops.Linear(), (7,), (4, 7)),
    "conv": (ops.Conv2d((1, 1), (1, 1)), (2, 4, 5), (3, 2, 3, 3)),
    "strided": (ops.Conv2d((2, 1), (0, 2)), (2, 5, 4), (3, 2, 2, 3)),
    "dilated groups": (ops.Conv2d((1, 1), (2, 1), (2, 1), 2), (4, 4, 4), (4, 2, 3, 2)),
}
RULES = {
    "zero": (rules.epsilon(0), lambda *a: dense.epsilon(*a[:4], 0)),
    "epsilon": (rules.epsilon(EPS), dense.epsilon),
    "gamma": (rules.gamma(0.3, stabilizer=EPS), lambda *a: dense.gamma(*a, 0.3)),
    "alpha_beta": (rules.alpha_beta(2, 1, stabilizer=EPS), lambda *a: dense.alpha_beta(*a, 2, 1)),
    "zplus": (rules.zplus(stabilizer=EPS), lambda *a: dense.alpha_beta(*a, 1, 0)),
    "box": (rules.box(-0.5, 2, stabilizer=EPS), lambda *a: dense.box(*a, -0.5, 2)),
    "w_square": (rules.w_square(stabilizer=EPS), dense.w_square),
}


def operands(layer, nonnegative=False):
    op, shape, weight = LAYERS[layer]
    x = RNG.normal(size=(3, *shape))
    x = np.maximum(x, 0) if nonnegative else x
    w, b = RNG.normal(size=weight), RNG.normal(size=weight[0])
    y = op(*map(minigrad.Tensor, (x, w, b)))
    return op, x, w, b, y, RNG.normal(size=y.shape)


def given(rule, op, x, w, b, y, r):
    pulls = rule(op, minigrad.Tensor(r), y, *map(minigrad.Tensor, (x, w, b)))
    return pulls[0]().data


@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_its_papers_formula(name, layer, nonnegative):
    rule, oracle = RULES[name]
    op, x, w, b, y, r = operands(layer, nonnegative)
    W, spread = dense.matrix(op, w, x.shape[1:]), dense.biases(op, b, y.shape)
    expected = [oracle(v.ravel(), W, spread, s.ravel(), EPS) for v, s in zip(x, r)]
    np.testing.assert_allclose(given(rule, op, x, w, b, y, r), np.reshape(expected, x.shape), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("layer", LAYERS)
def test_flat_gives_every_input_in_reach_the_same(layer):
    op, x, w, b, y, r = operands(layer)
    W = dense.reach(op, w, x.shape[1:])
    expected = np.reshape([(s.ravel() / (W.sum(1) + EPS)) @ W for s in r], x.shape)
    np.testing.assert_allclose(given(rules.flat(stabilizer=EPS), op, x, w, b, y, r), expected, rtol=1e-9)


@pytest.mark.parametrize("rule", [rules.gamma, rules.zplus, rules.w_square])
def test_without_its_bias_a_rule_forgets_it(rule):
    op, x, w, b, y, r = operands("conv", nonnegative=True)
    bare = op(minigrad.Tensor(x), minigrad.Tensor(w))
    forgetful = given(rule(bias=False), op, x, w, b, bare, r)
    np.testing.assert_allclose(forgetful, given(rule(), op, x, w, b * 0, bare, r))
    assert abs(forgetful - given(rule(), op, x, w, b, bare, r)).max() > 1e-3


@pytest.mark.parametrize("name", [*RULES, "flat"])
def test_sinks_hold_what_the_inputs_did_not_get(name):
    rule = rules.flat(stabilizer=EPS) if name == "flat" else RULES[name][0]
    op, x, w, b, y, r = operands("strided")
    got = given(rule, op, x, w, b, y, r)
    sinks = rule.sinks(op, minigrad.Tensor(r), y, *map(minigrad.Tensor, (x, w, b)), places=(0,))
    lost = sum(np.broadcast_to(v, r.shape).reshape(3, -1).sum(1) for v in sinks.values())
    np.testing.assert_allclose(got.reshape(3, -1).sum(1) + lost, r.reshape(3, -1).sum(1), rtol=1e-10)
    assert abs(lost).max() > 1e-3 or name == "zero"


def test_what_nothing_can_take_is_clamped():
    op, x = ops.Linear(), np.array([[1.0, 2.0]])
    w, r = np.array([[-1.0, -3.0]]), np.array([[5.0]])
    y = op(minigrad.Tensor(x), minigrad.Tensor(w))
    pulls = rules.zplus()(op, minigrad.Tensor(r), y, minigrad.Tensor(x), minigrad.Tensor(w))
    sinks = rules.zplus().sinks(op, minigrad.Tensor(r), y, minigrad.Tensor(x), minigrad.Tensor(w), places=(0,))
    assert not pulls[0]().data.any() and sinks["clamp"] == 5 and not sinks["epsilon"].any() and not sinks["bias"].any()


def test_a_zero_is_moved_upwards():
    z = minigrad.Tensor(np.array([0.0, -0.0, 2, -2]))
    assert rules.stabilized(z, 0.5).data.tolist() == [0.5, 0.5, 2.5, -2.5]
    assert rules.stabilized(z, 0).data.tolist() == [1, 1, 2, -2]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [*RULES, "flat"])
def test_rules_keep_the_dtype(name, dtype):
    rule = rules.flat() if name == "flat" else RULES[name][0]
    arrays = [a.astype(dtype) for a in operands("conv")[1:4]]
    y = LAYERS["conv"][0](*map(minigrad.Tensor, arrays))
    assert given(rule, LAYERS["conv"][0], *arrays, y, np.ones_like(y.data)).dtype == dtype


@pytest.mark.parametrize("name", [*RULES, "flat"])
def test_rules_can_be_differentiated(name):
    rule = rules.flat() if name == "flat" else RULES[name][0]
    op, x, w, b, y, r = operands("conv")
    x, w, r = (a + 0.2 * np.sign(a) for a in (x[:1], w, r[:1]))  # away from the kinks at 0

    def relevance(x, w, b, r):
        return rule(op, r, op(x, w, b), x, w, b)[0]()

    b = b + 30 if name in ("gamma", "zero", "epsilon") else b  # and from those where a sum is 0
    minigrad.check_grads(relevance, x, w, b, r, order=1, directions=1)


def test_relu_rules():
    x, g = np.array([-1.0, 2, 3, -4]), np.array([1.0, 1, -1, -1])
    args = ops.ReLU(), minigrad.Tensor(g), None, minigrad.Tensor(x)
    assert rules.guided_relu(*args)[0]().data.tolist() == [0, 1, 0, 0]
    assert rules.deconvolution_relu(*args)[0]().data.tolist() == [1, 1, 0, 0]
    np.testing.assert_allclose(rules.smooth_relu(3)(*args)[0]().data, g / (1 + np.exp(-3 * x)))


def test_smooth_relu_is_the_gradient_of_the_network_with_softplus():
    leaf = minigrad.Tensor(RNG.normal(size=(2, 5)), requires_grad=True)
    w = minigrad.Tensor(RNG.normal(size=(5, 5)))
    y = (leaf @ w).relu().sum()
    smooth = minigrad.grad(y, leaf, rules=lambda t: rules.smooth_relu(7) if isinstance(t.op, ops.ReLU) else None)
    other = minigrad.functional.softplus(leaf @ w, beta=7).sum()
    np.testing.assert_allclose(smooth.data, minigrad.grad(other, leaf).data, rtol=1e-9)


def test_bad_settings_say_what_is_expected():
    with pytest.raises(ValueError, match=r"alpha_beta: alpha is 2 and beta 2, expected alpha - beta = 1"):
        rules.alpha_beta(2, 2)
    with pytest.raises(ValueError, match=r"Line: place is 'middle', expected one of None, 'first', 'last'"):
        Line(ops.Conv2d, rules.flat(), place="middle")
    with pytest.raises(TypeError, match=r"Line: rule is str, expected a function .* such as rules.epsilon\(\)"):
        Line(ops.Conv2d, "flat")
