"""The nearest point that is decided otherwise: closed forms on affine models, optimality conditions elsewhere."""

import numpy as np
import pytest
from scipy.optimize import minimize

import explain
import minigrad
from explain.counterfactual import nearest_on_boundary
from minigrad import nn

from . import nets, trained


def affine(classes, size=6, seed=0):
    rng = np.random.default_rng(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(size, classes, rng=rng)).to(np.float64)
    return model, *(p.data for p in model.parameters()), rng.random((5, 1, 2, size // 2))


def test_one_hyperplane_by_hand():
    x, w, b = np.array([3.0, 4.0]), np.array([0.6, 0.8]), 0.0
    np.testing.assert_allclose(nearest_on_boundary(x, w, b), [0, 0], atol=1e-12)  # five away, along (0.6, 0.8)
    x = np.array([0.9, 0.5])
    np.testing.assert_allclose(nearest_on_boundary(x, np.array([1.0, 1.0]), -0.2, (0, 1)), [0.2, 0], atol=1e-12)
    np.testing.assert_allclose(nearest_on_boundary(x, np.array([1.0, 0.0]), -0.5, (0, 1)), [0.5, 0.5], atol=1e-12)
    assert nearest_on_boundary(x, np.array([1.0, 1.0]), 0.5, (0, 1)) is None
    assert nearest_on_boundary(x, np.zeros(2), 0.5) is None


@pytest.mark.parametrize("seed", range(4))
def test_a_hyperplane_in_a_box_against_a_solver(seed):
    rng = np.random.default_rng(seed)
    x, w = rng.random(7), rng.normal(size=7)
    b = -w @ rng.random(7)  # so that the box holds a point of it
    found = nearest_on_boundary(x, w, b, (0, 1))
    solved = minimize(lambda z: ((z - x) ** 2).sum(), np.full(7, 0.5), bounds=[(0, 1)] * 7, method="SLSQP",
                      constraints={"type": "eq", "fun": lambda z: w @ z + b}, options={"ftol": 1e-14})  # fmt: skip
    assert abs(w @ found + b) < 1e-10 and found.min() >= 0 and found.max() <= 1
    np.testing.assert_allclose(((found - x) ** 2).sum(), solved.fun, rtol=1e-6)


def test_a_sign_classifier_has_the_textbooks_answer():
    model, w, b, x = affine(1)
    found = explain.counterfactual(model, x, bounds=None, overshoot=1e-6)
    f = x.reshape(5, -1) @ w[0] + b[0]
    np.testing.assert_allclose(found.values.reshape(5, -1), -(f / (w[0] @ w[0]))[:, None] * w[0], rtol=2e-6)
    np.testing.assert_allclose(found.extra["distance"], np.abs(f) / np.linalg.norm(w[0]), rtol=2e-6)
    assert found.target.tolist() == (f < 0).astype(int).tolist()


def test_the_nearest_of_several_boundaries():
    model, w, b, x = affine(4)
    found = explain.counterfactual(model, x, bounds=None, overshoot=1e-6)
    z = x.reshape(5, -1) @ w.T + b
    for i, now in enumerate(z.argmax(1)):
        away = {k: (z[i, now] - z[i, k]) / np.linalg.norm(w[now] - w[k]) for k in range(4) if k != now}
        assert found.target[i] == min(away, key=away.get)
        np.testing.assert_allclose(found.extra["distance"][i], min(away.values()), rtol=2e-6)
    assert (model(minigrad.Tensor(found.extra["counterfactual"])).data.argmax(1) == found.target).all()


def test_a_class_that_must_beat_all_others():
    model, w, b, x = affine(4, seed=3)
    z = x.reshape(5, -1) @ w.T + b
    target = z.argmin(1)
    for bounds in (None, (0, 1)):
        found = explain.counterfactual(model, x, target, bounds=bounds, overshoot=1e-6)
        assert found.extra["found"].all() or bounds
        for i in np.flatnonzero(found.extra["found"]):
            assert found.target[i] == target[i]
            right = solved(x[i].ravel(), w[target[i]] - w, b[target[i]] - b, bounds)
            np.testing.assert_allclose(found.extra["distance"][i] ** 2, right, rtol=1e-4)


def solved(x, weights, biases, bounds):
    """The squared distance to the nearest point where no row of weights . y + biases is negative."""
    fits = {"type": "ineq", "fun": lambda y: weights @ y + biases}
    return minimize(lambda y: ((y - x) ** 2).sum(), x, constraints=fits, method="SLSQP",
                    bounds=[bounds] * len(x) if bounds else None, options={"ftol": 1e-14}).fun  # fmt: skip


def test_on_a_trained_network_the_change_is_normal_to_the_boundary_and_nearer_than_deepfools():
    model, x = trained.cnn()
    x = x[:4]
    found = explain.counterfactual(model, x, bounds=None)
    assert found.extra["found"].all()
    after = found.extra["counterfactual"]
    z = model(minigrad.Tensor(after)).data
    now = model(minigrad.Tensor(x)).data.argmax(1)
    assert (z.argmax(1) == found.target).all() and (found.target != now).all()
    for i in range(4):
        assert z[i, found.target[i]] - z[i, now[i]] < 0.01 * np.ptp(z[i])
        assert found.extra["distance"][i] <= deepfool(model, x[i : i + 1]) * 1.001


def deepfool(model, x):
    """Its distance, with the textbook's loop."""
    point, now = x.copy(), int(model(minigrad.Tensor(x)).data.argmax())
    for _ in range(50):
        leaf = minigrad.Tensor(point, requires_grad=True)
        z = model(leaf)
        if z.data.argmax() != now:
            break
        gradients = [minigrad.grad(z[0, k], leaf).data for k in range(10)]
        ways = []
        for k in set(range(10)) - {now}:
            w, f = gradients[k] - gradients[now], z.data[0, k] - z.data[0, now]
            ways.append((abs(f) / np.linalg.norm(w), abs(f) / (w**2).sum() * w))
        point = point + 1.0001 * min(ways, key=lambda way: way[0])[1]
    return np.linalg.norm(point - x)


def test_bounds_hold_the_model_is_left_alone_and_samples_are_alone():
    model, x = nets.build("cnn"), nets.images()
    state = model.state_dict()
    found = explain.counterfactual(model, x)
    after = found.extra["counterfactual"]
    assert after.min() >= 0 and after.max() <= 1
    np.testing.assert_array_equal(found.values, after - x)
    reordered = explain.counterfactual(model, x[::-1].copy())
    np.testing.assert_array_equal(reordered.values[::-1], found.values)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, state[name])


def test_what_cannot_be_reached_is_said():
    model, w, b, x = affine(2)
    model[1].bias.data = np.array([0.0, -100.0])
    found = explain.counterfactual(model, x)
    assert not found.extra["found"].any() and not found.values.any() and np.isnan(found.extra["distance"]).all()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"steps": 0}, r"counterfactual: steps is 0, expected an integer of at least 1"),
        ({"rivals": 0}, r"counterfactual: rivals is 0, expected"),
        ({"overshoot": -1}, r"counterfactual: overshoot is -1, expected a number of at least 0"),
        ({"target": 9}, r"counterfactual: target 9 is out of range"),
    ],
)
def test_bad_options_are_named(options, match):
    with pytest.raises(ValueError, match=match):
        explain.counterfactual(nets.build("cnn"), nets.images(), **options)


def test_a_class_it_already_has():
    model, x = nets.build("cnn"), nets.images()
    now = model(minigrad.Tensor(x)).data.argmax(1)
    with pytest.raises(ValueError, match=rf"sample 0 is of class {now[0]} already, expected a target that it is not"):
        explain.counterfactual(model, x, now)
