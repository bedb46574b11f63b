"""DDN and FMN: closed forms on linear models, the promises of every attack, and the mistakes of their peers."""

import numpy as np
import pytest

import minigrad
from attacks.ddn import ddn
from attacks.fmn import fmn
from attacks.norms import as_norm
from tests.attacks import subjects
from tests.attacks.promises import ends_on_ctrl_c, keeps_promises, rng, runner_up, subject, two_classes

DUAL = {"l2": 2, "linf": 1, "l1": np.inf}


def test_on_a_linear_model_ddn_converges_to_the_distance_of_the_boundary():
    model, x, y, f, w = two_classes()
    result = ddn(model, x, y, steps=300)
    exact = f / np.linalg.norm(w)
    assert (result.distance["l2"] >= exact * (1 - 1e-9)).all()
    np.testing.assert_allclose(result.distance["l2"], exact, rtol=5e-3)


@pytest.mark.parametrize("norm, rtol", [("l2", 1e-3), ("linf", 1e-3), ("l1", 0.08)])
def test_on_a_linear_model_fmn_converges_to_the_distance_of_the_boundary(norm, rtol):
    model, x, y, f, w = two_classes()
    result = fmn(model, x, y, norm=norm)
    exact = f / np.linalg.norm(w, DUAL[norm])
    assert (result.distance[norm] >= exact * (1 - 1e-9)).all()
    np.testing.assert_allclose(result.distance[norm], exact, rtol=rtol)


def test_fmn_in_l0_finds_as_few_pixels_as_are_needed():
    weight = np.zeros((2, 16))
    weight[1] = np.arange(16, 0, -1) / 16
    model = subjects.linear(weight, [2.2, 0.0])  # from zero: 1 + 15/16 < 2.2 < 1 + 15/16 + 14/16, three pixels
    result = fmn(model, np.zeros((1, 1, 4, 4)), np.array([0]), norm="l0")
    assert result.success.all() and result.distance["l0"] == 3


@pytest.mark.parametrize("norm", ["l2", "l1", "linf"])
def test_fmn_projects_into_the_ball_and_does_not_stretch_to_reach_it(norm):
    """In Foolbox 3.3 the projection in L2 does nothing; in adversarial-library it always scales onto the sphere."""
    model, x, y = subject(5, np.float64)
    for stepsize in (1.0, 1e-4):
        images = []
        result = fmn(model, x, y, norm=norm, steps=30, max_stepsize=stepsize,
                     callback=lambda _, now, entry, to=images: to.append(now.copy()))  # fmt: skip
        radius = np.array([entry["epsilon"] for entry in result.trace])[:-1]
        sizes = np.array([as_norm("test", norm).distance(now - x) for now in images])[1:]
        assert (sizes <= radius * (1 + 1e-9)).all()
    assert (sizes < radius / 2).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ddn_keeps_the_promises_of_an_attack(dtype):
    result = keeps_promises(lambda *a, **k: ddn(*a, rng=rng(), **k), dtype, steps=40)
    assert result.rate() == 1
    assert set(result.trace[0]) >= {"margin", "l2", "linf", "loss", "epsilon"} and len(result.trace) == 41


@pytest.mark.parametrize("norm", ["l2", "linf", "l1", "l0"])
def test_fmn_keeps_the_promises_of_an_attack(norm):
    result = keeps_promises(fmn, norm=norm, steps=40)
    assert result.rate() == 1 and set(result.trace[0]) >= {"margin", "l2", "linf", "epsilon"}


@pytest.mark.parametrize("attack", [ddn, fmn])
def test_targets_are_reached(attack):
    model, x, _ = subject(4)
    targets = runner_up(model, x)
    result = attack(model, x, targets, targeted=True)
    assert result.success.all()
    np.testing.assert_array_equal(subjects.predicted(model, result.x_adv), targets)


@pytest.mark.parametrize("attack", [ddn, fmn])
def test_a_failure_holds_the_image_that_came_closest(attack):
    model, x, y, *_ = two_classes()
    far = subjects.linear(model[1].weight.data, model[1].bias.data + 40 * np.eye(2)[y[0]])
    result = attack(far, x[:1], y[:1], steps=10)
    before, after = (far(minigrad.Tensor(images)).data[0] for images in (x[:1], result.x_adv))
    assert result.status[0] == "failed" and result.distance["l2"][0] > 0
    assert after[y[0]] - after[1 - y[0]] < before[y[0]] - before[1 - y[0]]


def model_with_a_flat_side(x):
    s = x.reshape(x.shape[0], 16).sum(1, keepdims=True) - 8.0
    return minigrad.cat([s.relu(), s * 0 + 0.1], 1)


@pytest.mark.parametrize("attack", [ddn, fmn])
def test_a_flat_model_harms_nobody_else(attack):
    x = np.stack([np.full((1, 4, 4), 0.3), np.full((1, 4, 4), 0.6)])
    options = {"rng": rng()} if attack is ddn else {}
    result = attack(model_with_a_flat_side, x, np.array([1, 0]), **options)
    assert np.isfinite(result.x_adv).all() and result.status[1] == "success"
    np.testing.assert_allclose(result.distance["l2"][1], 1.5 / 4, rtol=0.02)


def test_where_the_gradient_is_zero_ddn_goes_where_chance_says():
    x = np.full((1, 1, 4, 4), 0.3)
    paths = [[], [], []]
    for path, seed in zip(paths, (0, 0, 1), strict=True):
        ddn(model_with_a_flat_side, x, np.array([1]), steps=3, rng=np.random.default_rng(seed),
            callback=lambda step, images, entry, to=path: to.append(images.copy()))  # fmt: skip
    np.testing.assert_array_equal(paths[0], paths[1])
    assert (paths[0][1] != x).any() and (paths[0][1] != paths[2][1]).any()


@pytest.mark.parametrize("attack", [ddn, fmn])
def test_it_ends_on_ctrl_c(attack):
    ends_on_ctrl_c(attack, 5)


@pytest.mark.parametrize("attack, option, message", [
    (ddn, {"steps": 0}, "ddn: steps is 0"),
    (ddn, {"gamma": 2}, "ddn: gamma is 2, expected a number of more than 0, at most 1"),
    (ddn, {"init_epsilon": 0}, "ddn: init_epsilon is 0"),
    (fmn, {"steps": 0}, "fmn: steps is 0"),
    (fmn, {"gamma": 0}, "fmn: gamma is 0"),
    (fmn, {"max_stepsize": 0}, "fmn: max_stepsize is 0"),
    (fmn, {"min_stepsize": -1}, "fmn: min_stepsize is -1"),
    (fmn, {"norm": 3}, "fmn: norm is 3"),
])  # fmt: skip
def test_settings_are_checked(attack, option, message):
    with pytest.raises(ValueError, match=message):
        attack(*subject(1), **option)
