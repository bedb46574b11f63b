"""Certificates: smoothing on a linear model, where the radius is known, and bounds that no point of a ball leaves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import beta, norm

import minigrad
from attacks import pgd
from attacks.intervals import interval_bounds
from attacks.smoothing import Noisy, Smoothed
from minigrad import functional as F
from minigrad import models, nn

W = np.array([1.0, -2.0, 0.5, 2.0])


def linear(x):
    """Two logits whose difference is w (x - 0.5)."""
    z = ((x - 0.5).reshape(-1, 4) * W.astype(x.dtype)).sum(axis=1, keepdims=True)
    return F.cat([z, -z], 1)


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).uniform(0.2, 0.8, (6, 1, 2, 2))


def test_the_radius_of_a_linear_model_tends_to_its_distance_from_the_boundary(x):
    y = linear(minigrad.Tensor(x)).data.argmax(1)
    distance = np.abs((x.reshape(-1, 4) - 0.5) @ W) / np.linalg.norm(W)
    found = Smoothed(linear, 0.25).certify(x, y, n=20_000, rng=np.random.default_rng(0))
    sure = found.predicted >= 0
    assert sure.sum() >= 4
    assert_array_equal(found.predicted[sure], y[sure])
    assert (found.radius <= distance + 1e-9).all()  # fails with probability alpha = 0.001 an image; the seed is fixed
    assert_allclose(found.radius[sure], distance[sure], atol=0.02)
    assert_allclose(found.accuracy([0, 1e9]), [sure.mean(), 0])
    assert found.plot().lines


def test_the_bound_is_the_one_of_clopper_and_pearson(x):
    found = Smoothed(linear, 0.5).certify(x, [0] * 6, n0=50, n=200, alpha=0.01, rng=np.random.default_rng(1))
    candidates = beta.ppf(0.01, np.arange(1, 201), 200 - np.arange(1, 201) + 1)
    for p in found.probability[found.probability > 0]:
        assert np.abs(candidates - p).min() < 1e-9
    holds = found.predicted >= 0
    assert_allclose(found.radius[holds], 0.5 * norm.ppf(found.probability[holds]))
    assert (found.probability[~holds] <= 0.5).all() and (found.radius[~holds] == 0).all()


def test_close_votes_abstain_and_streams_belong_to_the_image(x):
    middle = np.full((1, 1, 2, 2), 0.5)
    assert Smoothed(linear, 0.3).predict(middle, n=100, rng=np.random.default_rng(0))[0] == -1
    smoothed = Smoothed(linear, 0.3)
    whole = smoothed.certify(x, [0] * 6, n=500, rng=np.random.default_rng(3))
    turned = smoothed.certify(x[::-1], [0] * 6, n=500, batch_size=77, rng=np.random.default_rng(3))
    assert_array_equal(turned.probability[::-1], whole.probability)


def test_noise_has_the_size_that_was_asked_for():
    images = np.zeros((10, 1, 30, 30), np.float32)
    noisy = Noisy(0.25)(images, rng=np.random.default_rng(0))
    assert noisy.dtype == np.float32 and abs(noisy.std() - 0.25) < 0.01


def test_sigma_must_be_positive():
    with pytest.raises(ValueError, match="Smoothed: sigma is 0, expected a number of more than 0"):
        Smoothed(linear, 0)


class Odd(nn.Module):
    """Strides, average pooling, batch norm, a skip connection, a concatenation, other activations."""

    def __init__(self, rng):
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 4, 3, stride=2, padding=1, rng=rng), nn.Conv2d(4, 4, 1, rng=rng)
        self.norm = nn.BatchNorm2d(4)
        self.norm.weight.data = rng.normal(size=4).astype(np.float32)
        self.norm.running_mean.data = rng.normal(size=4).astype(np.float32)
        self.out = nn.Linear(8, 3, rng=rng)

    def __call__(self, x):
        h = F.leaky_relu(self.norm(self.first(0.5 - 2 * x)))
        h = h + F.tanh(self.second(h))
        h = F.cat([F.avg_pool2d(h, 2), F.max_pool2d(F.sigmoid(-h), 2)], 1)
        return self.out(h.flatten(1))


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.floats(0, 0.3), st.sampled_from(["odd", "lenet5", "batch norm"]))
def test_no_image_of_the_ball_leaves_the_bounds(seed, eps, kind):
    rng = np.random.default_rng(seed)
    make = {"odd": lambda: Odd(rng), "lenet5": lambda: models.lenet5(rng=rng),
            "batch norm": lambda: nn.Sequential(nn.Conv2d(2, 3, 3, rng=rng), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(),
                                                nn.Linear(12, 4, rng=rng))}  # fmt: skip
    model = make[kind]().eval()
    shape = (2, 1, 28, 28) if kind == "lenet5" else (2, 2, 4, 4)
    x = rng.random(shape).astype(np.float32)
    found = interval_bounds(model, x, [0, 1], eps=eps)
    for _ in range(20):
        d = rng.choice([-1, 1, 0.3], x.shape) * eps
        logits = model(minigrad.Tensor(np.clip(x + d, 0, 1).astype(np.float32))).data
        slack = 1e-5 * (1 + np.abs(logits))  # float32
        assert (found.lower - slack <= logits).all() and (logits <= found.upper + slack).all()


def test_bounds_of_one_dense_layer_are_reached():
    rng = np.random.default_rng(0)
    layer = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, rng=rng)).eval()
    x = rng.uniform(0.3, 0.7, (2, 1, 2, 2))
    for p in layer.parameters():
        p.data = p.data.astype(np.float64)
    found = interval_bounds(layer, x, [0, 1], eps=0.1)
    weight = layer[1].weight.data
    for k in range(3):
        worst = x + 0.1 * np.sign(weight[k]).reshape(1, 1, 2, 2)
        assert_allclose(found.upper[:, k], layer(minigrad.Tensor(worst)).data[:, k])
    assert_allclose(found.upper - found.lower, np.broadcast_to(0.2 * np.abs(weight).sum(1), (2, 3)))


def test_bounds_stop_at_the_bounds_of_pixels_and_at_no_radius_are_the_logits(x):
    found = interval_bounds(linear, x, [0] * 6, eps=0.0)
    assert_allclose(found.lower, linear(minigrad.Tensor(x)).data)
    assert_allclose(found.upper, found.lower)
    everything = interval_bounds(linear, x, [0] * 6, eps=5.0)
    assert_allclose(everything.upper[:, 0], 0.5 * np.abs(W).sum())


def test_what_is_certified_no_attack_turns():
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 8, rng=rng), nn.ReLU(), nn.Linear(8, 2, rng=rng)).eval()
    x = rng.random((200, 1, 2, 2)).astype(np.float32)
    model[3].bias.data = model[3].bias.data - model(minigrad.Tensor(x)).data.mean(0)  # both classes occur
    y = model(minigrad.Tensor(x)).data.argmax(1)
    certified = interval_bounds(model, x, y, eps=0.03).certified
    assert 0.1 < certified.mean() < 1
    turned = pgd(model, x, y, eps=0.03, restarts=3, rng=rng).success
    assert turned.any() and not (turned & certified).any()


def test_an_op_without_a_rule_is_named():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, rng=np.random.default_rng(0)), nn.SiLU()).eval()
    with pytest.raises(ValueError, match="interval_bounds: no rule for SiLU in 2; there are rules for Ada"):
        interval_bounds(model, np.full((1, 1, 2, 2), 0.5, np.float32), [0], eps=0.1)
    with pytest.raises(ValueError, match="no rule for Mul in the model whose weights depend on x"):
        interval_bounds(lambda v: (v * v).reshape(-1, 4) - 3, np.full((1, 1, 2, 2), 0.5), [0], eps=0.1)
