"""What once broke: logits that are no numbers, Ctrl-C in the middle of something larger, settings at the edge."""

import numpy as np
import pytest

import attacks
import minigrad
from attacks import criteria
from attacks.norms import NORMS
from minigrad import functional as F

from . import subjects
from .subjects import Stops

pytestmark = pytest.mark.compiled
X, Y = subjects.images(8)
MODEL = subjects.cnn()


def rng():
    return np.random.default_rng(0)


def test_an_answer_of_nan_is_no_success():
    logits = np.array([[np.nan, 1, 2], [0, np.inf, 1], [0, 2, 1]])
    labels = np.array([2, 0, 0])
    assert criteria.Misclassified(labels).met(logits).tolist() == [False, False, True]
    assert criteria.Targeted(np.array([0, 1, 1])).met(logits).tolist() == [False, False, True]
    assert criteria.Confident(labels, 0.0).met(logits).tolist() == [False, False, True]


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("attack", [attacks.ddn, attacks.pgd, attacks.square])
def test_images_that_break_the_model_are_not_returned_as_examples(attack):
    def broken(x):
        return MODEL(x) + (0.0 * (X[0, 0, 0, 0] - x[:, 0, 0, 0]).sqrt()).reshape(-1, 1)  # NaN above the first pixel

    x, y = X[:1], Y[:1]
    found = attack(broken, x, y, rng=rng(), **({"eps": 0.5} if attack is not attacks.ddn else {"steps": 20}))
    logits = broken(minigrad.Tensor(found.x_adv)).data
    assert found.status[0] == "failed" or np.isfinite(logits).all()


@pytest.mark.parametrize("bend", [lambda z: F.leaky_relu(z, -0.5), lambda z: F.elu(z, -1.0),
                                  lambda z: F.leaky_relu(z, 0.1), lambda z: F.elu(z, 2.0)])  # fmt: skip
def test_bounds_hold_for_an_activation_that_falls_and_rises(bend):
    """And are exact for one: over what interval of z = x - 1/2 it is taken, with 0 inside, at an end, or outside."""
    weight, bias = minigrad.Tensor(np.array([[1.0], [0.0]])), minigrad.Tensor(np.array([-0.5, 0.2]))

    def model(x):
        return bend(F.linear(x.reshape(-1, 1), weight, bias))

    x, eps = np.array([0.9, 0.5, 0.3, 0.25, 0.75, 0.1]), np.array([0.9, 0.2, 0.3, 0.25, 0.25, 0.1])
    found = attacks.interval_bounds(model, x.reshape(-1, 1, 1, 1), np.zeros(6, int), eps=eps)
    for i in range(6):
        inside = np.linspace(max(x[i] - eps[i], 0), min(x[i] + eps[i], 1), 1001)
        values = model(minigrad.Tensor(np.append(inside, np.clip(0.5, inside[0], inside[-1])))).data[:, 0]
        np.testing.assert_allclose([found.lower[i, 0], found.upper[i, 0]], [values.min(), values.max()], atol=1e-12)


def test_universal_perturbation_stops_and_keeps_what_it_has_learned():
    stopping = Stops(MODEL, 40)
    found = attacks.universal_perturbation(stopping, X, Y, eps=0.2, epochs=5, delta=0, rng=rng())
    assert found.extra["interrupted"] and np.abs(found.extra["noise"]).max() > 0
    free = Stops(MODEL, np.inf)
    attacks.universal_perturbation(free, X, Y, eps=0.2, epochs=5, delta=0, rng=rng())
    account = 2 + 10 + 1 + 1  # the clean pass and the noise, its controls, the result
    assert stopping.calls - 40 <= account < free.calls - 40


def test_universal_perturbation_that_turns_nobody_returns_what_came_closest():
    found = attacks.universal_perturbation(MODEL, X[:3], Y[:3], eps=1e-3, epochs=2, rng=rng())
    assert not (found.status == "success").any() and np.abs(found.extra["noise"]).max() > 5e-4


def test_universal_perturbation_of_images_that_are_wrong_already():
    wrong = (subjects.predicted(MODEL, X) + 1) % 4
    found = attacks.universal_perturbation(MODEL, X, wrong, eps=0.1, rng=rng())
    assert (found.status == "already_wrong").all() and not found.trace


def test_the_doctor_makes_no_diagnosis_of_half_an_examination():
    stopping = Stops(MODEL, 15)
    with pytest.raises(KeyboardInterrupt):
        attacks.doctor(stopping, X, Y, steps=5, queries=10, rng=rng())
    assert stopping.calls <= 16


def test_noise_baselines_stop():
    stopping = Stops(MODEL, 4)
    found = attacks.noise_baselines(stopping, X, Y, rng=rng())
    (last,) = found.values()
    assert last.extra["interrupted"] and stopping.calls <= 5


@pytest.mark.parametrize("name", ["ddn", "deepfool", "fmn", "apgd"])
def test_ctrl_c_in_the_last_pass_loses_nothing(name):
    options = {"apgd": {"eps": 0.2, "steps": 5}, "deepfool": {"steps": 5}}.get(name, {"steps": 5})
    options |= {"rng": rng()} if name in ("ddn", "apgd") else {}
    free = Stops(MODEL, np.inf)
    getattr(attacks, name)(free, X, Y, **options)
    options |= {"rng": rng()} if "rng" in options else {}
    found = getattr(attacks, name)(Stops(MODEL, free.calls), X, Y, **options)
    assert found.extra["interrupted"] and (found.status == "success").any()


def test_a_manipulated_map_survives_ctrl_c_wherever_it_comes():
    options = {"eps": 0.1, "steps": 3}
    free = Stops(MODEL, np.inf)
    whole = attacks.manipulate_map(free, X[:3], Y[:3], rng=rng(), **options)
    assert not whole.extra["interrupted"]
    for k in range(3, free.calls + 1):  # the clean pass and the original map come first
        found = attacks.manipulate_map(Stops(MODEL, k), X[:3], Y[:3], rng=rng(), **options)
        assert found.extra["interrupted"] and set(found.extra["maps"]) == {"original", "attacked", "control"}
    np.testing.assert_array_equal(found.x_adv, whole.x_adv)
    np.testing.assert_array_equal(found.extra["maps"]["control"], whole.extra["maps"]["control"])


@pytest.mark.parametrize("name", ["noise_matrix", "adversarial_patch", "universal_perturbation"])
def test_what_was_learned_survives_ctrl_c_in_its_account(name):
    options = {"noise_matrix": {"steps": 3}, "adversarial_patch": {"size": 3, "steps": 3}}.get(name, {
        "eps": 0.2, "epochs": 1})
    free = Stops(MODEL, np.inf)
    whole = getattr(attacks, name)(free, X, Y, others=(X, Y), controls=2, rng=rng(), **options)
    for k in (free.calls - 3, free.calls - 1):
        found = getattr(attacks, name)(Stops(MODEL, k), X, Y, others=(X, Y), controls=2, rng=rng(), **options)
        assert found.extra["interrupted"] and not whole.extra["interrupted"]
        key = "patch" if name == "adversarial_patch" else "noise"
        np.testing.assert_array_equal(found.extra[key], whole.extra[key])


def test_strip_keeps_the_scores_it_has():
    options = {"n_samples": 5}
    whole = attacks.backdoor.strip(MODEL, X, X[:4], rng=rng(), **options)
    assert not whole.interrupted and whole.scored.all()
    found = attacks.backdoor.strip(Stops(MODEL, 1 + 4 + 3), X, X[:4], rng=rng(), **options)  # in the third's
    assert found.interrupted and found.details["threshold"] == whole.details["threshold"]
    np.testing.assert_array_equal(found.scores[:2], whole.scores[:2])
    assert np.isnan(found.scores[2:]).all() and not found.flagged[2:].any()
    planted = np.arange(8) % 2 == 0
    assert found.auroc(planted) == whole.scores[:2].argmin() and found.plot(planted).patches
    early = attacks.backdoor.strip(Stops(MODEL, 3), X, X[:4], rng=rng(), **options)
    assert early.interrupted and not early.scored.any() and not early.flagged.any()
    assert np.isnan(early.details["threshold"])
    with pytest.raises(ValueError, match="strip was stopped before any sample had a score; run it again"):
        early.plot()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("eps", [0.3, 0.01, 1 / 255])
def test_a_noise_matrix_stays_in_its_ball_on_every_image(dtype, eps):
    model, x = subjects.cnn(dtype), X.astype(dtype)
    found = attacks.noise_matrix(model, x, Y, eps=eps, steps=30, lr=0.05, rng=rng())
    assert np.abs(found.x_adv.astype(float) - x).max() <= eps
    assert 0.96 * eps < np.abs(found.extra["noise"].astype(float)).max() <= eps


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("eps", [0.2, 0.01, 1 / 255])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_universal_perturbation_stays_in_its_ball_on_every_image(dtype, eps, norm):
    model, x = subjects.cnn(dtype), X.astype(dtype)
    found = attacks.universal_perturbation(model, x, Y, eps=eps, norm=norm, epochs=2, delta=0, rng=rng())
    assert NORMS[norm].distance(found.x_adv.astype(float) - x).max() <= eps
    assert 0.9 * eps < NORMS[norm].distance(found.extra["noise"][None].astype(float))[0] <= eps


@pytest.mark.parametrize("name", ["ddn", "fmn", "carlini_wagner", "deepfool"])
def test_bounds_may_be_numpy_numbers(name):
    options = {"rng": rng()} if name == "ddn" else {}
    for bounds in (np.array([0.0, 1.0]), (np.float64(0), np.float64(1))):
        found = getattr(attacks, name)(MODEL, X[:2], Y[:2], steps=3, bounds=bounds, **options)
        assert found.x_adv.dtype == X.dtype


def test_certify_checks_labels_and_settings():
    smooth, some = attacks.Smoothed(MODEL, 0.1), {"n0": 5, "n": 10, "rng": rng()}
    with pytest.raises(ValueError, match=r"certify: y is int64 of shape \(1,\), expected 8 integer labels"):
        smooth.certify(X, Y[:1], **some)
    with pytest.raises(ValueError, match="certify: y goes from 99 to 99, the model has classes 0..3"):
        smooth.certify(X, np.full(len(X), 99), **some)
    with pytest.raises(ValueError, match="certify: batch_size is 0"):
        smooth.certify(X, Y, batch_size=0, **some)
    with pytest.raises(ValueError, match="predict: alpha is 7"):
        smooth.predict(X, n=10, alpha=7)


def test_certify_keeps_what_it_has_certified():
    options = {"n0": 20, "n": 100}
    whole = attacks.Smoothed(MODEL, 0.01).certify(X, Y, rng=rng(), **options)
    stopping = Stops(MODEL, 8)  # a clean pass, and two for an image
    found = attacks.Smoothed(stopping, 0.01).certify(X, Y, rng=rng(), **options)
    assert found.interrupted and not whole.interrupted
    np.testing.assert_array_equal(found.radius[:3], whole.radius[:3])
    assert (whole.radius[:3] > 0).any() and not found.radius[3:].any() and not found.right[3:].any()


def test_equal_logits_do_not_confuse_deepfool():
    """Of equals the first is the answer, so it is the class to leave."""
    weight = np.zeros((4, 4))
    weight[1, 0], weight[3, 1], weight[0, 2] = 1, 1, 0.1
    x, model = np.full((1, 1, 2, 2), 0.5), lambda x: F.linear(x.reshape(-1, 4), minigrad.Tensor(weight))
    assert attacks.deepfool(model, x, np.array([1])).success.all()


MINIMA = [("fmn", {"norm": "l2"}), ("fmn", {"norm": "linf"}), ("fmn", {"norm": "l1"}), ("fmn", {"norm": "l0"}),
          ("ead", {"initial_const": 1.0, "binary_search_steps": 5, "steps": 50}),
          ("carlini_wagner", {"initial_const": 1.0, "binary_search_steps": 3, "steps": 80})]  # fmt: skip


def dense(weight):
    return lambda x: F.linear(x.reshape(len(x.data), -1), minigrad.Tensor(weight.astype(x.dtype)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "options"), MINIMA)
@pytest.mark.parametrize("targeted", [False, True])
def test_an_image_on_the_boundary_is_pushed_over_it(name, options, targeted, dtype):
    """Two equal logits of unequal gradients: the gap is 0, and yet the first of them is the answer."""
    model, x = dense(np.array([[4.0, 0, 1, 0], [0, 4, 0, 1], [0, 0, 0, 0]])), np.full((3, 1, 2, 2), 0.5, dtype)
    x[1:, 0, 0, 0] = 0.6, 0.7
    y = np.zeros(3, int) + targeted
    found = getattr(attacks, name)(model, x, y, targeted=targeted, rng=rng(), **options)
    assert found.success.all() and np.isfinite(found.x_adv).all()
    if options.get("norm") != "l0":
        assert found.distance["l2"][0] < 0.02 < found.distance["l2"][1]
    alone = getattr(attacks, name)(model, x[1:], y[1:], targeted=targeted, rng=rng(), **options)
    subjects.same(found.x_adv[1:], alone.x_adv)


@pytest.mark.parametrize(("name", "options"), MINIMA)
def test_equal_logits_of_equal_gradients_are_a_failure_of_their_sample_only(name, options):
    """Classes 0 and 1 have the same weights: the lead over the best other class is 0 and has no slope."""
    model = dense(np.array([[1.0, 0, 1, 0], [1, 0, 1, 0], [0, 2, 0, 1]]))
    x = np.array([[0.9, 0.1, 0.9, 0.1], [0.4, 0.6, 0.4, 0.6]], np.float32).reshape(2, 1, 2, 2)
    found = getattr(attacks, name)(model, x, np.array([0, 2]), rng=rng(), **options)
    assert found.status.tolist() == ["failed", "success"]
    np.testing.assert_allclose(found.x_adv[0], x[0], atol=1e-6)  # Carlini-Wagner's tanh(w) is nearly x
    assert all(np.isfinite(entry["loss"][~np.isnan(entry["l2"])]).all() for entry in found.trace)


def test_surer_examples_are_asked_of_images_that_are_wrong_already_too():
    wrong = (subjects.predicted(MODEL, X) + 1) % 4  # already wrong, but by less than 100 logits
    found = attacks.carlini_wagner(MODEL, X[:2], wrong[:2], confidence=100.0, steps=3)
    assert not (found.status == "already_wrong").any()


@pytest.mark.parametrize("name", ["universal_perturbation", "noise_matrix", "adversarial_patch", "carry_over"])
def test_a_generator_is_a_generator(name):
    given = (MODEL, np.zeros(X.shape[1:]), X, Y) if name == "carry_over" else (MODEL, X, Y)
    options = {"eps": 0.1} if name == "universal_perturbation" else {}
    with pytest.raises(TypeError, match=f"{name}: rng is int, expected a numpy.random.Generator"):
        getattr(attacks, name)(*given, rng=0, **options)


@pytest.mark.parametrize("name", ["fgsm", "bim", "pgd", "mi_fgsm", "apgd"])
def test_a_radius_beyond_all_boxes_is_as_good_as_none(name):
    for eps in (1e20, 1e300):
        found = getattr(attacks, name)(MODEL, X, Y, eps=eps, rng=rng(), **({} if name == "apgd" else {"norm": "l2"}))
        assert np.isfinite(found.x_adv).all() and found.success.any()


@pytest.mark.parametrize("name", ["fgsm", "pgd", "deepfool", "carlini_wagner", "ddn", "fmn", "ead", "jsma", "square"])
def test_all_attacks_take_a_generator(name):
    options = {"eps": 0.1} if name in ("fgsm", "pgd", "square") else {"theta": 1.0} if name == "jsma" else {"steps": 2}
    first, again = (getattr(attacks, name)(MODEL, X[:2], Y[:2], rng=rng(), **options).x_adv for _ in "ab")
    np.testing.assert_array_equal(first, again)
