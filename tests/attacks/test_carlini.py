"""Carlini-Wagner: closed forms on linear models, the promises of every attack, and the mistakes of its peers."""

import numpy as np
import pytest

import minigrad
from attacks.carlini import carlini_wagner
from tests.attacks import subjects
from tests.attacks.promises import ends_on_ctrl_c, keeps_promises, runner_up, subject, two_classes

QUICK = {"steps": 50, "binary_search_steps": 4, "initial_const": 1.0, "stepsize": 0.3}


def test_on_a_linear_model_it_converges_to_the_distance_of_the_boundary():
    model, x, y, f, w = two_classes()
    result = carlini_wagner(model, x, y, steps=200, stepsize=2e-3, initial_const=1e-3)
    exact = f / np.linalg.norm(w)
    assert (result.distance["l2"] >= exact * (1 - 1e-9)).all()
    np.testing.assert_allclose(result.distance["l2"], exact, rtol=5e-3)


def test_confidence_is_reached_or_it_is_a_failure():
    model, x, y, f, w = two_classes()
    result = carlini_wagner(model, x, y, steps=200, stepsize=2e-2, initial_const=1.0, confidence=0.5)
    logits = model(minigrad.Tensor(result.x_adv)).data
    assert result.success.all() and (logits[np.arange(5), 1 - y] - logits[np.arange(5), y] >= 0.5).all()
    np.testing.assert_allclose(result.distance["l2"], (f + 0.5) / np.linalg.norm(w), rtol=1e-2)
    hopeless = carlini_wagner(model, x, y, steps=20, binary_search_steps=2, initial_const=10.0, confidence=1e3)
    assert not hopeless.success.any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_keeps_the_promises_of_an_attack(dtype):
    result = keeps_promises(carlini_wagner, dtype, **QUICK)
    assert result.rate() == 1
    assert set(result.trace[0]) >= {"margin", "l2", "linf", "loss", "const"}


def test_targets_are_reached():
    model, x, _ = subject(4)
    targets = runner_up(model, x)
    result = carlini_wagner(model, x, targets, targeted=True, **QUICK)
    assert result.success.all()
    np.testing.assert_array_equal(subjects.predicted(model, result.x_adv), targets)


def test_nobody_ends_on_account_of_a_neighbour():
    """The loss that decides whether to go on is each sample's own, not the batch's sum."""
    model, x, y = subject(6, np.float64)
    options = QUICK | {"steps": 100, "stepsize": 0.3}
    together = carlini_wagner(model, x, y, **options)
    alone = [carlini_wagner(model, x[i:i + 1], y[i:i + 1], **options) for i in range(6)]
    assert len(set(together.queries)) > 1
    np.testing.assert_array_equal(together.queries, [r.queries[0] for r in alone])
    np.testing.assert_allclose(together.distance["l2"], [r.distance["l2"][0] for r in alone], rtol=1e-9)


def test_a_failure_holds_the_best_found_not_zeros():
    model, x, y = subject(4)
    result = carlini_wagner(model, x, y, steps=3, binary_search_steps=1, initial_const=0.05)
    failed = result.status == "failed"
    assert failed.any()
    assert (result.x_adv[failed] != 0).any((1, 2, 3)).all() and (result.distance["linf"][failed] < 0.2).all()


def test_black_pixels_can_change():
    """artanh of a pixel at the bound is kept finite, so the background of a digit is not frozen."""
    model = subjects.linear(np.stack([np.zeros(16), np.ones(16)]), [0.2, 0.0])
    result = carlini_wagner(model, np.zeros((1, 1, 4, 4)), np.array([0]), steps=300, stepsize=0.1, initial_const=1.0,
                            abort_early=False)  # fmt: skip
    assert result.success.all() and (result.x_adv > 0).all()
    np.testing.assert_allclose(result.distance["l2"], 0.2 / 4, rtol=0.05)


def test_the_logits_may_all_be_negative():
    """The label's logit is masked out with minus infinity, not with 0."""
    model, x, y, f, w = two_classes()
    lower = subjects.linear(model[1].weight.data, model[1].bias.data - 50)
    a, b = (carlini_wagner(m, x, y, steps=50, initial_const=1.0, binary_search_steps=3) for m in (model, lower))
    assert b.success.all()
    np.testing.assert_allclose(a.distance["l2"], b.distance["l2"], rtol=1e-9)


def test_other_bounds_are_the_same_problem_on_another_scale():
    model, x, y, *_ = two_classes()
    weight, bias = model[1].weight.data, model[1].bias.data
    scaled = subjects.linear(weight / 4, bias - 0.5 * weight.sum(1))
    a = carlini_wagner(model, x, y, **QUICK)
    b = carlini_wagner(scaled, 4 * x + 2, y, bounds=(2, 6), **QUICK | {"initial_const": 16.0})
    assert b.x_adv.min() >= 2 and b.x_adv.max() <= 6
    np.testing.assert_allclose((b.x_adv - 2) / 4, a.x_adv, atol=1e-6)


def test_it_ends_on_ctrl_c():
    ends_on_ctrl_c(carlini_wagner, 6, **QUICK)


@pytest.mark.parametrize("option, message", [
    ({"steps": 0}, "carlini_wagner: steps is 0"),
    ({"binary_search_steps": 1.5}, "carlini_wagner: binary_search_steps is 1.5"),
    ({"stepsize": 0}, "carlini_wagner: stepsize is 0"),
    ({"initial_const": -1}, "carlini_wagner: initial_const is -1"),
    ({"confidence": -1}, "carlini_wagner: confidence is -1"),
])  # fmt: skip
def test_settings_are_checked(option, message):
    with pytest.raises(ValueError, match=message):
        carlini_wagner(*subject(1), **option)
