"""Attacks on heat maps: derivatives of derivatives, the class that is kept, the control, and maps along an attack."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import spearmanr

import minigrad
from attacks import explanation_drift, manipulate_map, pgd, show
from attacks.explanations import GOALS, MAPS
from attacks.similarity import spearman, ssim, top_k, top_k_intersection
from minigrad import nn

CORNER = np.zeros((6, 6))
CORNER[:2, :2] = 1


@pytest.fixture(scope="module")
def net():
    rng = np.random.default_rng(0)
    features = [nn.Conv2d(1, 4, 3, padding=1, rng=rng), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    model = nn.Sequential(*features, nn.Linear(36, 8, rng=rng), nn.ReLU(), nn.Linear(8, 3, rng=rng)).eval()
    for p in model.parameters():
        p.data = p.data.astype(np.float64)
    return model


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(1).uniform(0.1, 0.9, (5, 1, 6, 6))


@pytest.mark.parametrize("name", MAPS)
def test_a_map_with_smooth_relus_has_the_slope_that_finite_differences_find(net, x, name):
    target = np.array([0, 1, 2, 0, 1])
    weights = np.random.default_rng(2).normal(size=(5, 6, 6))

    def score(image):
        return (MAPS[name](net, image, target, beta=3.0) * weights).sum()

    leaf = minigrad.Tensor(x, requires_grad=True)
    slope = minigrad.grad(score(leaf), leaf).data
    assert np.abs(slope).max() > 1e-3
    d, h = np.random.default_rng(3).normal(size=x.shape), 1e-6
    up, down = (score(minigrad.Tensor(x + s * h * d, requires_grad=True)).item() for s in (1, -1))
    assert_allclose((slope * d).sum(), (up - down) / (2 * h), rtol=1e-5)


def test_exact_maps_are_the_gradient(net, x):
    target = np.array([0, 1, 2, 0, 1])
    leaf = minigrad.Tensor(x, requires_grad=True)
    gradient = minigrad.grad(net(leaf)[np.arange(5), target].sum(), leaf).data
    assert_allclose(MAPS["gradient"](net, leaf, target).data, np.abs(gradient)[:, 0])
    assert_allclose(MAPS["gradient_x_input"](net, leaf, target).data, np.abs(gradient * x)[:, 0])
    sharp = MAPS["gradient"](net, leaf, target, beta=1e6).data
    assert_allclose(sharp, np.abs(gradient)[:, 0], rtol=1e-3)


@pytest.mark.parametrize("goal", GOALS)
def test_the_map_moves_more_than_by_noise_and_the_class_stays(net, x, goal):
    result = manipulate_map(net, x, eps=0.1, goal=goal, target_map=CORNER if goal == "target" else None, k=6, steps=40,
                            rng=np.random.default_rng(0))  # fmt: skip
    before, after = (net(minigrad.Tensor(v)).data.argmax(1) for v in (x, result.x_adv))
    assert_array_equal(before, after)
    assert (np.abs(result.x_adv - x).max((1, 2, 3)) <= 0.1).all() and 0 <= result.x_adv.min() <= result.x_adv.max() <= 1
    maps = result.extra["maps"]
    before, after, control = (_goal(goal, maps[kind], maps["original"]) for kind in ("original", "attacked", "control"))
    assert (after >= before).all() and after.mean() > before.mean() and after.mean() > control.mean() + 1e-3
    assert_array_equal(result.extra["kept"], True)


def _goal(goal, h, original):
    h, original = (m / m.sum((1, 2), keepdims=True) for m in (h, original))
    if goal == "top_k":
        return -(h * top_k(original, 6)).sum((1, 2))
    if goal == "target":
        return -((h - CORNER / 4) ** 2).sum((1, 2))
    moved = np.einsum("nhw,ahw->an", h - original, np.indices((6, 6)))
    return (moved**2).sum(0)


def test_batches_orders_and_seeds(net, x):
    options = {"eps": 0.1, "steps": 8, "k": 5}
    whole = manipulate_map(net, x, **options, rng=np.random.default_rng(0))
    again = manipulate_map(net, x, **options, rng=np.random.default_rng(0))
    assert whole.x_adv.tobytes() == again.x_adv.tobytes()
    turned = manipulate_map(net, x[::-1].copy(), **options, rng=np.random.default_rng(0))
    assert_allclose(turned.x_adv[::-1], whole.x_adv, atol=1e-12)
    for i in range(2):
        alone = manipulate_map(net, x[i : i + 1], **options, rng=np.random.default_rng(0))
        assert_allclose(alone.x_adv[0], whole.x_adv[i], atol=1e-12)


def test_no_room_is_no_change_and_a_wrong_label_is_left_alone(net, x):
    still = manipulate_map(net, x, eps=0.0, k=5, steps=3, rng=np.random.default_rng(0))
    assert_array_equal(still.x_adv, x)
    right = net(minigrad.Tensor(x)).data.argmax(1)
    y = right.copy()
    y[2] = (y[2] + 1) % 3
    found = manipulate_map(net, x, y, eps=0.1, k=5, steps=3, rng=np.random.default_rng(0))
    assert found.status[2] == "already_wrong"
    assert_array_equal(found.x_adv[2], x[2])


@pytest.mark.parametrize(
    "options, message",
    [
        ({"goal": "up"}, "manipulate_map: goal is 'up', expected one of 'top_k'"),
        ({"goal": "target"}, r"manipulate_map: target_map is missing, expected shape \(5, 6, 6\) or \(6, 6\)"),
        ({"goal": "target", "target_map": np.zeros((6, 6))}, "not all zero"),
        ({"goal": "target", "target_map": np.ones((3, 3))}, r"target_map has shape \(3, 3\)"),
        ({"k": 36}, "manipulate_map: k is 36, expected less than 6 x 6 places"),
        ({"explainer": "lime"}, "manipulate_map: explainer is 'lime', expected one of 'gradient'"),
        ({"beta": 0}, "manipulate_map: beta is 0, expected a number of more than 0"),
        ({"eps": -1}, "manipulate_map: eps is -1, expected a number of at least 0"),
    ],
)
def test_what_makes_no_sense_is_refused(net, x, options, message):
    with pytest.raises(ValueError, match=message):
        manipulate_map(net, x, **{"eps": 0.1, "steps": 2, **options})


def test_similarities_are_their_definitions():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 4, 9, 9))
    assert_allclose(spearman(a, b), [spearmanr(p.ravel(), q.ravel()).statistic for p, q in zip(a, b, strict=True)])
    assert_allclose(spearman(a, a), 1)
    assert np.isnan(spearman(a[:1], np.ones((1, 9, 9))))[0]
    best = [set(np.argsort(-m.ravel())[:10]) for m in (a[0], b[0])]
    assert_allclose(top_k_intersection(a, b, 10)[0], len(best[0] & best[1]) / 10)
    assert_allclose(ssim(a, 3 * a), 1)
    assert (ssim(a, b) < 0.5).all()


def test_drift_along_an_attack_starts_at_one_and_marks_the_flip(net, x):
    y = net(minigrad.Tensor(x[:1])).data.argmax(1)
    film = show.Film()
    pgd(net, x[:1], y, eps=0.4, steps=15, random_start=False, callback=film)

    def gradient(model, images, target):
        return MAPS["gradient"](model, minigrad.Tensor(images, requires_grad=True), [target] * len(images)).data

    found = explanation_drift(net, film, {"gradient": gradient, "pixels": lambda m, v, t: v})
    assert found.target == y[0] and found.predicted[0] == y[0] and found.distance[0] == 0
    for values in found.similarity.values():
        assert_allclose([v[0] for v in values.values()], 1)
    assert found.similarity["gradient"]["spearman"][-1] < 0.9
    assert len(found.plot(measure="ssim").lines) == 2 + (found.predicted != y[0]).any()


def test_drift_refuses_what_is_no_path(net, x):
    with pytest.raises(ValueError, match="expected .T, C, H, W. with T of at least 2"):
        explanation_drift(net, x[:1], {"a": lambda m, v, t: v})
    with pytest.raises(ValueError, match="explainers is empty"):
        explanation_drift(net, x, {})
    with pytest.raises(ValueError, match="a gives maps of shape"):
        explanation_drift(net, x, {"a": lambda m, v, t: v[:, :, :2]})
