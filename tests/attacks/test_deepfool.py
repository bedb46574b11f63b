"""DeepFool: closed forms on linear models, the promises of every attack, and the mistakes of its peers."""

import numpy as np
import pytest

import minigrad
from attacks.deepfool import deepfool
from tests.attacks import subjects
from tests.attacks.promises import ends_on_ctrl_c, keeps_promises, subject, two_classes

DUAL = {"l2": 2, "linf": 1}


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("overshoot", [0.02, 0.5])
def test_a_linear_model_needs_one_step_of_known_length(norm, overshoot):
    model, x, y, f, w = two_classes()
    result = deepfool(model, x, y, norm=norm, overshoot=overshoot, offset=0)
    np.testing.assert_allclose(result.distance[norm], (1 + overshoot) * f / np.linalg.norm(w, DUAL[norm]), rtol=1e-12)
    assert result.success.all() and len(result.trace) == 2


def test_the_offset_is_added_to_every_distance():
    model, x, y, f, w = two_classes()
    result = deepfool(model, x, y, offset=1e-3)
    np.testing.assert_allclose(result.distance["l2"], 1.02 * (f / np.linalg.norm(w) + 1e-3), rtol=1e-12)


def test_among_many_classes_it_goes_to_the_nearest_face():
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(6, 16)) * np.array([1, 1, 5, 1, 1, 1])[:, None]
    model, x = subjects.linear(weight), rng.uniform(0.4, 0.6, (8, 1, 4, 4))
    logits = model(minigrad.Tensor(x)).data
    y = logits.argmax(1)
    lead = logits.max(1, keepdims=True) - logits
    apart = np.linalg.norm(weight[y][:, None] - weight, axis=2)
    nearest = np.where(apart > 0, lead / np.maximum(apart, 1e-12), np.inf)
    result = deepfool(model, x, y, offset=0)
    inside = (result.x_adv > 0).all((1, 2, 3)) & (result.x_adv < 1).all((1, 2, 3))
    assert inside.sum() >= 4
    np.testing.assert_allclose(result.distance["l2"][inside], 1.02 * nearest.min(1)[inside], rtol=1e-12)
    np.testing.assert_array_equal(subjects.predicted(model, result.x_adv)[inside], nearest.argmin(1)[inside])


def test_candidates_are_the_largest_clean_logits():
    weight = np.zeros((3, 16))
    weight[1, :8], weight[2, 8:] = 0.01, 1.0  # class 1 is second and far away, class 2 third and near
    model = subjects.linear(weight, [20.0, 19.8, 10.0])
    x, y = np.full((1, 1, 4, 4), 0.5), np.array([0])
    both = deepfool(model, x, y, candidates=3, bounds=(-9, 9))
    assert subjects.predicted(model, both.x_adv) == 2
    assert subjects.predicted(model, deepfool(model, x, y, candidates=2, bounds=(-9, 9)).x_adv) == 1


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_keeps_the_promises_of_an_attack(norm, dtype):
    result = keeps_promises(deepfool, dtype, norm=norm)
    assert result.rate() == 1
    assert set(result.trace[0]) >= {"margin", "l2", "linf"}
    assert np.isnan(result.trace[0]["l2"][1]) and result.trace[0]["l2"][0] == 0


def test_samples_that_are_done_ask_no_more():
    result = deepfool(*subject(8))
    steps = np.sum([~np.isnan(entry["l2"]) for entry in result.trace], axis=0)
    assert len(set(steps)) > 1
    np.testing.assert_array_equal(result.gradients, (steps - 1) * (subjects.CLASSES - 1))


def test_a_failure_holds_the_best_found_and_is_flagged():
    model, x, y = subject(6)
    short = deepfool(model, x, y, steps=1, overshoot=0)
    failed = short.status == "failed"
    assert failed.any()
    assert (short.distance["l2"][failed] > 0).all() and (short.x_adv[failed] != 0).any((1, 2, 3)).all()
    before, after = (model(minigrad.Tensor(images)).data for images in (x, short.x_adv))
    lead = [np.sort(z)[:, -1] - np.sort(z)[:, -2] for z in (before, after)]
    assert (lead[1][failed] < lead[0][failed]).all()


def test_a_flat_model_stops_that_sample_and_no_other():
    def model(x):  # logits (relu(s), 0.1): flat where s < 0
        s = x.reshape(x.shape[0], 16).sum(1, keepdims=True) - 8.0
        return minigrad.cat([s.relu(), s * 0 + 0.1], 1)

    x = np.stack([np.full((1, 4, 4), 0.3), np.full((1, 4, 4), 0.6)])
    with np.errstate(all="raise"):
        result = deepfool(model, x, np.array([1, 0]), steps=5)
    assert list(result.status) == ["failed", "success"]
    np.testing.assert_array_equal(result.x_adv[0], x[0])
    np.testing.assert_allclose(result.distance["l2"][1], 1.02 * ((1.6 - 0.1) / 4 + 1e-4), rtol=1e-9)


def test_it_ends_on_ctrl_c():
    ends_on_ctrl_c(deepfool, 2)


@pytest.mark.parametrize("option, message", [
    ({"norm": "l1"}, "deepfool: norm is 'l1', expected 'l2' or 'linf'"),
    ({"candidates": 1}, "deepfool: candidates is 1, expected an integer of at least 2"),
    ({"steps": 0}, "deepfool: steps is 0"),
    ({"overshoot": -1}, "deepfool: overshoot is -1"),
    ({"offset": np.nan}, "deepfool: offset is nan"),
])  # fmt: skip
def test_settings_are_checked(option, message):
    with pytest.raises(ValueError, match=message):
        deepfool(*subject(1), **option)
