"""Gradients against differences, the ReLU rules against their definitions on paper."""

import numpy as np
import pytest

import explain
import minigrad
from minigrad import functional as F
from minigrad import nn

from . import nets


@pytest.mark.parametrize("name", list(nets.ALL))
def test_saliency_is_the_slope_of_the_score(name):
    model, x, h = nets.build(name), nets.images(2), 1e-6
    found = explain.saliency(model, x, 1, absolute=False)
    np.testing.assert_array_equal(explain.saliency(model, x, 1).values, np.abs(found.values))
    rng = np.random.default_rng(0)
    for _ in range(3):
        step = h * rng.choice([-1.0, 1.0], x.shape)
        up, down = (model(minigrad.Tensor(x + s)).data[:, 1] for s in (step, -step))
        slope = (found.values * step).sum((1, 2, 3))
        np.testing.assert_allclose((up - down) / 2, slope, rtol=1e-4, atol=1e-10)


def test_input_x_gradient_adds_up_without_biases():
    model, x = nets.build("cnn"), nets.images()
    for path, p in model.named_parameters():
        if path.endswith("bias"):
            p.data = np.zeros_like(p.data)
    found = explain.input_x_gradient(model, x, 3)
    np.testing.assert_allclose(found.values.sum((1, 2, 3)), model(minigrad.Tensor(x)).data[:, 3], rtol=1e-12)


def dense(seed=0):
    rng = np.random.default_rng(seed)
    w1, w2, b = rng.normal(size=(7, 4)), rng.normal(size=(3, 7)), rng.normal(size=7)
    return w1, w2, b, lambda x: F.linear(F.linear(x, w1, b).relu(), w2)


def test_relu_rules_are_those_of_the_papers():
    w1, w2, b, model = dense()
    x = np.random.default_rng(1).random((5, 4))
    on = x @ w1.T + b > 0
    back = np.broadcast_to(w2[2], on.shape)
    np.testing.assert_allclose(explain.saliency(model, x, 2, absolute=False).values, (back * on) @ w1)
    np.testing.assert_allclose(explain.deconvolution(model, x, 2).values, np.maximum(back, 0) @ w1)
    np.testing.assert_allclose(explain.guided_backprop(model, x, 2).values, (np.maximum(back, 0) * on) @ w1)


def test_a_relu_has_its_rule_for_itself_beside_a_skip_connection():
    """y = -x + relu(x), weights 1 and 1: the skip brings -1, and the ReLU's +1 is its own, not the sum's."""
    x = np.array([[0.5, 0.2]])
    values = explain.guided_backprop(lambda t: -t + t.relu(), x, 0).values
    np.testing.assert_allclose(values, [[-1 + 1, 0]])
    sign = np.array([[-2.0]])
    values = explain.guided_backprop(lambda t: F.linear(t, np.eye(2)) + F.linear(t.relu()[:, :1], sign), x, 0).values
    np.testing.assert_allclose(values, [[1 + 0, 0]])


def test_a_relu_may_be_used_twice_or_be_a_function():
    model = nets.build("branched")

    class Apart(nn.Module):
        """The same network with a module of its own for every ReLU."""

        def __init__(self):
            self.first, self.second, self.third, self.head = model.first, model.second, model.third, model.head
            self.relus = [nn.ReLU() for _ in range(3)]

        def forward(self, x):
            x = self.relus[0](self.first(x))
            y = self.relus[1](self.second(x) + x)
            return self.head(minigrad.cat([y, self.relus[2](self.third(x))], 1).mean((2, 3)))

    for method in (explain.guided_backprop, explain.deconvolution):
        np.testing.assert_array_equal(method(model, nets.images(), 0).values, method(Apart(), nets.images(), 0).values)


def test_a_gradient_costs_one_forward_pass_and_one_back():
    found = explain.saliency(nets.build("cnn"), nets.images(5), batch_size=2)
    assert (found.forwards, found.backwards) == (5, 5)
    assert found.target.tolist() == nets.build("cnn")(minigrad.Tensor(nets.images(5))).data.argmax(1).tolist()
    found = explain.saliency(nets.build("cnn"), nets.images(5), [0, 1, 2, 3, 4])
    assert (found.forwards, found.target.tolist()) == (5, [0, 1, 2, 3, 4])


@pytest.mark.parametrize("score", ["probability", "log_probability"])
def test_another_score(score):
    model, x = nets.build("cnn"), nets.images()
    value = {"probability": F.softmax, "log_probability": F.log_softmax}[score]
    leaf = minigrad.Tensor(x, requires_grad=True)
    right = minigrad.grad(value(model(leaf), 1)[:, 2].sum(), leaf).data
    np.testing.assert_allclose(explain.saliency(model, x, 2, absolute=False, score=score).values, right, rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"target": 5}, ValueError, r"saliency: target 5 is out of range, the model has classes 0\.\.4"),
        ({"target": [0, 1, -1]}, ValueError, r"target -1 is out of range"),
        ({"target": [0, 1]}, ValueError, r"target has 2 classes for 3 samples, expected one each"),
        ({"target": [0, 1, 2, 3]}, ValueError, r"target has 4 classes for 3 samples"),
        ({"target": 1.5}, ValueError, r"target is float64 of shape \(\)"),
        ({"x": nets.images() * 2}, ValueError, r"x goes from .*, expected 0\.\.1; .*bounds=None"),
        ({"x": nets.images() * np.nan}, ValueError, r"x holds NaN"),
        ({"x": nets.images()[:0]}, ValueError, r"x has shape \(0, 2, 12, 12\), which holds no samples"),
        ({"x": np.zeros((1, 2, 12, 12), np.uint8)}, TypeError, r"x has dtype uint8, expected floats"),
        ({"x": np.zeros(3)}, ValueError, r"x has shape \(3,\), expected \(N, C, H, W\)"),
        ({"x": [[0.5, "a"]]}, TypeError, r"x has dtype"),
        ({"model": "mnist_cnn"}, TypeError, r"saliency: model is str, expected a Module or a callable"),
        ({"model": lambda x: x.data}, TypeError, r"the model returned ndarray, expected a Tensor of logits"),
        ({"model": lambda x: nets.build("cnn")(x)[:1]}, ValueError, r"returned shape \(1, 5\) for 3 samples"),
        ({"sccore": "odds"}, TypeError, r"saliency: there is no option 'sccore'"),
        ({"score": "odds"}, ValueError, r"score is 'odds', expected one of logit"),
        ({"batch_size": 0}, ValueError, r"batch_size is 0, expected an integer of at least 1"),
        (
            {"model": nn.Sequential(nets.build("cnn"), nn.Softmax(1))},
            ValueError,
            r"returns probabilities .* score='probability'",
        ),
        (
            {"model": nn.Sequential(nets.build("cnn"), lambda z: z / 0)},
            ValueError,
            r"returned NaN or infinity for sample 0",
        ),
        ({"model": lambda x: x}, ValueError, r"returned shape \(3, 2, 12, 12\) for 3 samples, expected logits \(3,"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_bad_input_is_named(change, error, match):
    call = {"model": nets.build("cnn"), "x": nets.images(), "target": None, **change}
    with pytest.raises(error, match=match):
        explain.saliency(call.pop("model"), call.pop("x"), call.pop("target"), **call)
