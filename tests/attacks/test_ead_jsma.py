"""EAD and JSMA: few pixels, by shrinkage and by saliency."""

import numpy as np
import pytest

import minigrad
from attacks.ead import ead, shrink
from attacks.jsma import best_pair, jsma
from tests.attacks import subjects
from tests.attacks.promises import ends_on_ctrl_c, keeps_promises, runner_up, subject

QUICK = {"steps": 40, "binary_search_steps": 4, "initial_const": 1.0}


def test_shrinkage_is_the_proximal_step_of_the_l1_norm():
    rng = np.random.default_rng(0)
    x, z = rng.uniform(0, 1, 200), rng.uniform(-0.5, 1.5, 200)
    grid = np.linspace(0, 1, 20001)
    best = [grid[np.argmin(0.5 * (grid - b) ** 2 + 0.1 * np.abs(grid - a))] for a, b in zip(x, z, strict=True)]
    np.testing.assert_allclose(shrink(z, x, 0.1, (0, 1)), best, atol=5e-5)


def test_ead_touches_fewer_pixels_the_dearer_they_are():
    model, x, y = subject(6)
    touched = [ead(model, x, y, regularization=beta, **QUICK).distance["l0"].mean() for beta in (0.0, 0.01, 0.05)]
    assert touched[0] > touched[1] > touched[2] >= 1


@pytest.mark.parametrize("rule", ["EN", "L1"])
def test_ead_keeps_the_promises_of_an_attack(rule):
    result = keeps_promises(ead, decision_rule=rule, **QUICK)
    assert result.rate() == 1 and set(result.trace[0]) >= {"l2", "linf", "loss", "const"}


def test_the_l1_rule_chooses_by_l1():
    model, x, y = subject(6)
    en, l1 = (ead(model, x, y, decision_rule=rule, **QUICK).distance["l1"] for rule in ("EN", "L1"))
    assert (l1 <= en).all()


def test_a_failure_of_ead_holds_the_best_found_not_zeros():
    model, x, y = subject(4)
    result = ead(model, x, y, steps=2, binary_search_steps=1, initial_const=0.5, confidence=50)
    assert (result.status == "failed").all()
    assert (result.x_adv != 0).any((1, 2, 3)).all() and (result.distance["linf"] < 0.5).all()


def test_nobody_ends_on_account_of_a_neighbour():
    model, x, y = subject(5, np.float64)
    options = QUICK | {"steps": 100, "initial_stepsize": 0.1}
    together = ead(model, x, y, **options)
    alone = [ead(model, x[i:i + 1], y[i:i + 1], **options) for i in range(5)]
    assert len(set(together.queries)) > 1
    np.testing.assert_array_equal(together.queries, [r.queries[0] for r in alone])


def by_trying_all(alpha, beta, domain):
    pairs = [(p, q) for n, p in enumerate(domain) for q in domain[n + 1:]
             if alpha[p] + alpha[q] > 0 > beta[p] + beta[q]]  # fmt: skip
    return max((-(alpha[p] + alpha[q]) * (beta[p] + beta[q]) for p, q in pairs), default=None)


@pytest.mark.parametrize("seed", range(30))
def test_the_best_pair_is_found_among_few(seed):
    rng = np.random.default_rng(seed)
    alpha, beta = rng.normal(size=(2, 25)) + rng.normal(size=(2, 1))
    if seed % 3 == 0:
        alpha, beta = np.round(alpha), np.round(beta)  # ties
    domain = np.flatnonzero(rng.random(25) < 0.8)
    pair, best = best_pair(alpha, beta, domain), by_trying_all(alpha, beta, domain)
    if best is None:
        assert pair is None
    else:
        p, q = pair
        assert p != q and {p, q} <= set(domain)
        np.testing.assert_allclose(-(alpha[p] + alpha[q]) * (beta[p] + beta[q]), best)


@pytest.mark.parametrize("theta", [1.0, -1.0])
def test_jsma_keeps_the_promises_of_an_attack(theta):
    result = keeps_promises(jsma, theta=theta, gamma=1.0)
    assert set(result.trace[0]) >= {"margin", "l0", "l2", "linf"}


def test_jsma_moves_the_two_pixels_that_the_saliency_names():
    weight = np.zeros((2, 16))
    weight[1, [3, 7]], weight[0, [3, 7]], weight[1, 5] = 2.0, -1.0, 3.0
    model = subjects.linear(weight, [1.5, 0.0])
    x = np.zeros((1, 1, 4, 4))
    result = jsma(model, x, np.array([1]), targeted=True, gamma=0.2)
    assert set(np.flatnonzero(result.x_adv)) == {3, 7}  # 4 * 2, not 5 * 1, though pixel 5 alone gains the most
    assert result.success.all() and result.distance["linf"][0] == 1


def test_jsma_reaches_targets():
    model, x, _ = subject(6)
    targets = runner_up(model, x)
    result = jsma(model, x, targets, targeted=True, gamma=1.0)
    np.testing.assert_array_equal(subjects.predicted(model, result.x_adv) == targets, result.success)
    assert result.success.mean() > 0.5


def test_untargeted_jsma_is_not_the_attack_on_the_next_class():
    model, x, y = subject(6)
    reached = subjects.predicted(model, jsma(model, x, y, gamma=1.0).x_adv)
    assert (reached != y).any() and (reached != (y + 1) % subjects.CLASSES).any()


def test_jsma_stops_at_the_share_of_pixels():
    model, x, y = subject(6)
    result = jsma(model, x, y, gamma=4 / 64, theta=0.05)
    assert (result.distance["l0"] <= 4).all() and len(result.trace) <= 3
    assert (result.distance["linf"] <= 0.05 * 2 + 1e-6).all()


@pytest.mark.parametrize("attack, after", [(ead, 3), (jsma, 2)])
def test_it_ends_on_ctrl_c(attack, after):
    ends_on_ctrl_c(attack, after, **({"theta": 0.1, "gamma": 1.0} if attack is jsma else QUICK))


def test_a_flat_model_moves_nothing():
    def model(x):
        return minigrad.Tensor(np.tile([3.0, 1.0], (len(x), 1))) + (x.reshape(x.shape[0], 16) * 0).sum(1, keepdims=True)

    result = jsma(model, np.full((2, 1, 4, 4), 0.5), np.array([0, 0]))
    assert (result.status == "failed").all() and (result.distance["l0"] == 0).all()


@pytest.mark.parametrize("attack, option, message", [
    (ead, {"steps": 0}, "ead: steps is 0"),
    (ead, {"decision_rule": "L2"}, "ead: decision_rule is 'L2', expected one of 'EN', 'L1'"),
    (ead, {"regularization": -1}, "ead: regularization is -1"),
    (ead, {"initial_stepsize": 0}, "ead: initial_stepsize is 0"),
    (jsma, {"gamma": 0}, "jsma: gamma is 0"),
    (jsma, {"gamma": 1.5}, "jsma: gamma is 1.5"),
    (jsma, {"theta": 0}, "jsma: theta is 0"),
])  # fmt: skip
def test_settings_are_checked(attack, option, message):
    with pytest.raises(ValueError, match=message):
        attack(*subject(1), **option)
