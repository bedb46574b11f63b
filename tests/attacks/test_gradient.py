"""FGSM, BIM, PGD, MI-FGSM, APGD: closed forms on linear models, the papers' formulas, what all of them promise."""

import numpy as np
import pytest

import minigrad
from attacks.apgd import apgd, checkpoints
from attacks.gradient import bim, fgsm, mi_fgsm, pgd
from attacks.losses import cross_entropy, dlr, dlr_targeted, margin_loss
from attacks.norms import as_norm, in_float64
from minigrad import functional as F

from . import subjects

ATTACKS = {"fgsm": fgsm, "bim": bim, "pgd": pgd, "mi_fgsm": mi_fgsm, "apgd": apgd}
STEPS = {"fgsm": {}, "bim": {"steps": 2}, "pgd": {"steps": 2, "restarts": 2}, "mi_fgsm": {"steps": 2},
         "apgd": {"steps": 4}}  # fmt: skip
EPS = {"linf": 0.08, "l2": 0.4, "l1": 2.0}
each_attack = pytest.mark.parametrize("name", ATTACKS)
each_norm = pytest.mark.parametrize("norm", EPS)


def run(name, model, x, y, norm="linf", seed=0, **options):
    options = STEPS[name] | {"eps": EPS.get(norm), "norm": norm} | options
    return ATTACKS[name](model, x, y, **options, **({} if name == "fgsm" else {"rng": np.random.default_rng(seed)}))


@each_attack
@each_norm
@pytest.mark.parametrize("dtype, targeted", [(np.float32, False), (np.float64, True)])
def test_what_every_attack_promises(name, norm, dtype, targeted):
    model, (x, y) = subjects.cnn(dtype), subjects.images(dtype=dtype)
    y = (y + 1) % subjects.CLASSES if targeted else y
    found = run(name, model, x, y, norm, targeted=targeted)
    d = in_float64(found.x_adv, x)
    assert found.x_adv.dtype == dtype and found.x_adv.min() >= 0 and found.x_adv.max() <= 1
    assert (as_norm(name, norm).distance(d) <= EPS[norm]).all() and (found.distance[norm] <= EPS[norm]).all()
    assert d.reshape(len(x), -1).any(1).all()
    met = (subjects.predicted(model, found.x_adv) == y) == targeted
    np.testing.assert_array_equal(found.success, met)
    np.testing.assert_array_equal(found.x, x)
    assert not found.extra["interrupted"] and {"loss", "margin", "l2", "linf"} <= found.trace[0].keys()
    assert found.gradients.max() >= 1 and (found.queries > found.gradients).all()


@each_attack
@each_norm
def test_alone_in_a_batch_or_in_another_order_every_image_meets_the_same_fate(name, norm):
    model, (x, y) = subjects.cnn(), subjects.images()
    together = run(name, model, x, y, norm)
    order = np.random.default_rng(3).permutation(len(x))
    subjects.same(run(name, model, x[order], y[order], norm).x_adv, together.x_adv[order])
    for i in (0, 4):
        subjects.same(run(name, model, x[i:i + 1], y[i:i + 1], norm).x_adv[0], together.x_adv[i])


@pytest.mark.parametrize("name", ["pgd", "apgd"])
def test_the_same_rng_gives_the_same_bytes_and_another_others(name):
    model, (x, y) = subjects.cnn(), subjects.images()
    first, again, other = (run(name, model, x, y, seed=seed).x_adv for seed in (0, 0, 1))
    assert first.tobytes() == again.tobytes() != other.tobytes()


@each_attack
@each_norm
def test_eps_0_is_the_identity(name, norm):
    model, (x, y) = subjects.cnn(), subjects.images()
    found = run(name, model, x, y, norm, eps=0)
    assert found.x_adv.tobytes() == x.tobytes() and (found.status == "failed").all()


@each_attack
def test_what_is_wrong_from_the_start_stays_as_it_is(name):
    model, (x, y) = subjects.cnn(), subjects.images()
    wrong = y.copy()
    wrong[2] = (y[2] + 1) % subjects.CLASSES
    found, whole = run(name, model, x, wrong), run(name, model, x, y)
    assert found.status[2] == "already_wrong" and found.queries[2] == 1
    np.testing.assert_array_equal(found.x_adv[2], x[2])
    subjects.same(np.delete(found.x_adv, 2, 0), np.delete(whole.x_adv, 2, 0))
    assert np.isnan(found.trace[0]["loss"][2]) and found.queries[3] > 1


@each_attack
def test_masked_attacks_change_nothing_else(name):
    model, (x, y) = subjects.cnn(), subjects.images()
    mask = np.zeros((8, 8), bool)
    mask[2:5, 3:] = True
    for norm in ("linf", "l1"):
        d = run(name, model, x, y, norm, mask=mask).x_adv - x
        assert d[..., mask].any() and not d[..., ~mask].any()


@each_attack
def test_an_eps_for_each_image(name):
    model, (x, y) = subjects.cnn(), subjects.images()
    eps = np.linspace(0, 0.2, len(x))
    found = run(name, model, x, y, eps=eps)
    for i in (0, 3):
        subjects.same(found.x_adv[i], run(name, model, x[i:i + 1], y[i:i + 1], eps=eps[i]).x_adv[0])


def two_classes(features=9, seed=0):
    """A linear model of two classes, images in the middle of the box, and the difference of its weights."""
    rng = np.random.default_rng(seed)
    weight, x = rng.normal(size=(2, features)), rng.uniform(0.4, 0.6, (5, 1, 3, 3))
    model = subjects.linear(weight)
    y = subjects.predicted(model, x)
    return model, x, y, ((weight[1] - weight[0]) * np.where(y == 0, 1, -1)[:, None]).reshape(x.shape)


@each_attack
@pytest.mark.parametrize("norm, eps", [("linf", 0.1), ("l2", 0.3), ("l1", 0.3)])
def test_on_a_linear_model_every_attack_finds_the_best_point_of_the_ball(name, norm, eps):
    """The other class gains |w|_q eps, with q the dual norm, and no point of the ball gives it more."""
    model, x, y, w = two_classes()
    options = {"fgsm": {}, "pgd": {"steps": 40, "rel_stepsize": 0.5}, "apgd": {"steps": 40, "early_stop": False}}
    found = run(name, model, x, y, norm, eps=eps, **options.get(name, {"steps": 10}))
    best = eps * as_norm(name, norm).steepest(w)
    np.testing.assert_allclose((w * (found.x_adv - x)).sum((1, 2, 3)), (w * best).sum((1, 2, 3)), rtol=1e-6)


def test_fgsm_in_l1_fills_the_steepest_pixels_to_their_bounds():
    weight = np.array([[3.0, -2, 1, 0.5], [0, 0, 0, 0]])
    x = np.array([[[[0.9, 0.3], [0.5, 0.5]]]])
    found = fgsm(subjects.linear(weight, [0, 0]), x, np.array([0]), eps=1.5, norm="l1")
    np.testing.assert_allclose(found.x_adv[0, 0], [[0, 0.9], [0.5, 0.5]])  # 0.9 down, what is left of 1.5 up


def test_mi_fgsm_is_the_papers_formula():
    model, (x, y) = subjects.cnn(np.float64), subjects.images(dtype=np.float64)
    images, m = [], np.zeros_like(x)
    mi_fgsm(model, x, y, eps=0.1, steps=4, momentum=0.7, callback=lambda step, now, entry: images.append(now.copy()))
    expected = x.copy()
    for image in images:
        np.testing.assert_allclose(image, expected, atol=1e-12)
        leaf = minigrad.Tensor(expected, requires_grad=True)
        g = minigrad.grad(F.cross_entropy(model(leaf), y, reduction="sum"), leaf).data
        m = 0.7 * m + g / np.abs(g).sum((1, 2, 3), keepdims=True)
        expected = np.clip(np.clip(expected + 0.1 / 4 * np.sign(m), x - 0.1, x + 0.1), 0, 1)
    assert len(images) == 5


def test_restarts_walk_only_where_nothing_was_found_and_help():
    model, (x, y) = subjects.cnn(), subjects.images(12)
    once, often = (run("pgd", model, x, y, eps=0.06, rel_stepsize=0.5, restarts=n) for n in (1, 5))
    assert not (once.success & ~often.success).any()
    np.testing.assert_array_equal(often.gradients[once.success], once.gradients[once.success])
    assert 0 < once.success.sum() < len(x) and (often.gradients[~often.success] == 5 * 2).all()


def test_a_failure_holds_the_image_that_came_closest():
    model, (x, y) = subjects.cnn(), subjects.images()
    images, seen = [], []
    found = bim(model, x, y, eps=0.01, rel_stepsize=3.0, callback=lambda step, now, entry: images.append(now.copy()))
    seen = [entry["margin"] for entry in found.trace[1:]]
    assert (found.status == "failed").any()
    for i in np.flatnonzero(found.status == "failed"):
        np.testing.assert_array_equal(found.x_adv[i], images[1 + int(np.argmin([m[i] for m in seen]))][i])


def test_a_success_is_the_end_of_its_walk_and_with_early_stop_the_first_that_met_the_criterion():
    model, (x, y) = subjects.cnn(), subjects.images()
    images = []
    late = bim(model, x, y, eps=0.3, callback=lambda step, now, entry: images.append(now.copy()))
    early = bim(model, x, y, eps=0.3, early_stop=True)
    assert late.success.all() and early.success.all() and early.gradients.sum() < late.gradients.sum()
    np.testing.assert_array_equal(late.x_adv, images[-1])
    for i in range(len(x)):
        first = next(t for t, entry in enumerate(late.trace) if entry["margin"][i] < 0)
        np.testing.assert_array_equal(early.x_adv[i], images[first][i])


def test_ctrl_c_returns_what_is_done():
    model, (x, y) = subjects.cnn(), subjects.images()

    def stop(step, now, entry):
        if step == 2:
            raise KeyboardInterrupt

    for name in ("bim", "pgd", "apgd"):
        found = run(name, model, x, y, callback=stop)
        assert found.extra["interrupted"] and len(found.trace) == 3 and (found.distance["linf"] <= 0.08).all()


def test_a_bar_is_shown_on_request(capsys):
    model, (x, y) = subjects.cnn(), subjects.images()
    bim(model, x, y, eps=0.1)
    assert capsys.readouterr().err == ""
    bim(model, x, y, eps=0.1, progress=True)
    assert "bim" in capsys.readouterr().err


def test_a_gradient_that_is_not_a_number_stops_one_sample_only():
    model, (x, y) = subjects.cnn(np.float64), subjects.images(dtype=np.float64)
    x[1] = 0

    def broken(images):
        return model(images) + ((images**2).sum((1, 2, 3)).sqrt() * 0).reshape(-1, 1)  # 0 * sqrt'(0) = NaN

    y = subjects.predicted(broken, x)
    with np.errstate(all="ignore"):
        found = bim(broken, x, y, eps=0.1)
    np.testing.assert_array_equal(found.x_adv[1], x[1])
    subjects.same(np.delete(found.x_adv, 1, 0), bim(model, x, y, eps=0.1).x_adv[np.arange(6) != 1])


def test_the_cross_entropy_is_the_usual_one_and_keeps_its_direction_where_the_usual_loses_it():
    z, y = np.random.default_rng(0).normal(0, 3, (5, 4)), np.array([0, 1, 2, 3, 0])
    np.testing.assert_allclose(cross_entropy(minigrad.Tensor(z), y).data,
                               F.cross_entropy(minigrad.Tensor(z), y, reduction="none").data, rtol=1e-12)  # fmt: skip
    sure = minigrad.tensor(np.array([[30.0, 0, -1]], np.float32), requires_grad=True)
    ours = minigrad.grad(cross_entropy(sure, [0]), sure).data
    usual = minigrad.grad(F.cross_entropy(sure, np.array([0])), sure).data
    assert usual[0, 0] == 0 and ours[0, 0] < 0
    np.testing.assert_allclose(ours.sum(), 0, atol=1e-20)


def test_margins_and_ratios_of_logits():
    z = minigrad.Tensor(np.array([[5.0, 1, 3, 2], [0, 4, 1, 2]]))
    y = np.array([0, 0])
    np.testing.assert_allclose(margin_loss(z, y).data, [-2, 4])
    np.testing.assert_allclose(dlr(z, y).data, [-2 / 3, 4 / 3])
    np.testing.assert_allclose(dlr_targeted(z, y).data, [-2 / 3.5, 4 / 3.5])
    np.testing.assert_allclose(dlr(z * 7.0 + 3.0, y).data, dlr(z, y).data)


@pytest.mark.parametrize("loss", ["ce", "margin", "dlr"])
@pytest.mark.parametrize("targeted", [False, True])
def test_every_loss_falls_where_the_criterion_comes_nearer(loss, targeted):
    model, (x, y) = subjects.cnn(), subjects.images()
    y = (y + 1) % subjects.CLASSES if targeted else y
    found = bim(model, x, y, eps=0.1, loss=loss, targeted=targeted)
    assert (found.trace[-1]["loss"] > found.trace[0]["loss"]).all()
    assert (found.trace[-1]["margin"] < found.trace[0]["margin"]).mean() > 0.8  # dlr may rise by its denominator


def test_apgd_looks_back_at_the_papers_checkpoints():
    assert checkpoints(100) == [22, 41, 57, 70, 80, 87, 93, 99]  # 100 p_j with p_1 = 0.22, eq. 4
    assert checkpoints(1) == [1]


def test_apgd_halves_its_steps_where_the_loss_stopped_rising():
    model, (x, y) = subjects.cnn(), subjects.images()
    found = apgd(model, x, y, eps=0.02, steps=40, early_stop=False, rng=np.random.default_rng(0))
    lengths = np.array([entry["stepsize"] for entry in found.trace])
    np.testing.assert_allclose(lengths[0], 0.04)
    ratio = lengths[1:] / lengths[:-1]
    assert set(np.unique(ratio)) == {0.5, 1.0}
    assert set(np.flatnonzero((ratio == 0.5).any(1)) + 1) <= set(checkpoints(40))


def test_apgd_needs_no_step_length_to_beat_pgd_with_a_bad_one():
    model, (x, y) = subjects.cnn(), subjects.images(20)
    lazy = pgd(model, x, y, eps=0.06, rel_stepsize=0.001, random_start=False)
    found = apgd(model, x, y, eps=0.06, steps=40, rng=np.random.default_rng(0))
    assert found.rate() > lazy.rate()


class Unsure(minigrad.nn.Module):
    def forward(self, x):
        return minigrad.functional.softmax(x.flatten(1)[:, :4] * 9.0, 1)


MODEL, (X, Y) = subjects.cnn(), subjects.images()
BAD = {
    "normalised": (dict(x=X * 4 - 2), ValueError, r"x goes from -2 to 2, outside bounds \(0.0, 1.0\); it looks norm"),
    "bytes": (dict(x=(X * 255).astype(np.uint8)), TypeError, r"x has dtype uint8, expected float32 or float64.*/ 255"),
    "0..255": (dict(x=X * 255), ValueError, "it looks like 0..255: divide by 255"),
    "one image": (dict(x=X[0, 0, 0]), ValueError, r"x has shape \(8,\), .*one image is x\[None\]"),
    "no image": (dict(x=X[:0]), ValueError, "with at least one image"),
    "nan": (dict(x=X * np.nan), ValueError, "x holds NaN or infinity"),
    "labels": (dict(y=Y + 4), ValueError, "y goes from .*, the model has classes 0..3"),
    "fewer labels": (dict(y=Y[:2]), ValueError, r"y is int64 of shape \(2,\), expected 6 integer labels"),
    "float labels": (dict(y=Y.astype(float)), ValueError, "y is float64 of shape"),
    "no targets": (dict(y=None, targeted=True), ValueError, "y is None, expected 6 targets: a targeted attack needs"),
    "no labels": (dict(y=None), ValueError, "y is None, expected 6 labels"),
    "training": (dict(model=subjects.cnn().train()), ValueError, r"training mode, .*call model.eval\(\) first"),
    "softmax": (dict(model=Unsure().eval()), ValueError, "returns probabilities .*leave out its last softmax"),
    "flat": (dict(model=lambda x: x.sum((1, 2, 3))), ValueError, r"returned shape \(6,\) for 6 images, expected"),
    "rows": (dict(model=lambda x: MODEL(x)[:1]), ValueError, r"returned shape \(1, 4\) for 6 images, expected logits"),
    "array": (dict(model=lambda x: MODEL(x).data), TypeError, "the model returned ndarray, expected a Tensor"),
    "number": (dict(model=3), TypeError, "model is int, expected a Module or a callable"),
    "broken": (dict(model=lambda x: x.flatten(1) * np.nan), ValueError, "the model returned NaN or infinity"),
    "eps": (dict(eps=-0.1), ValueError, "eps is -0.1, expected a number of at least 0, or one for each"),
    "eps nan": (dict(eps=np.nan), ValueError, "eps is nan"),
    "eps name": (dict(eps="big"), ValueError, "eps is 'big'"),
    "some eps": (dict(eps=[0.1, 0.2]), ValueError, r"eps is \[0.1, 0.2\], expected"),
    "bounds": (dict(bounds=(1, 0)), ValueError, r"bounds are \(1, 0\), expected two numbers \(low, high\)"),
    "bound": (dict(bounds=1), ValueError, "bounds are 1, expected two numbers"),
    "norm": (dict(norm="l0", eps=1), ValueError, "norm 'l0' has no steps of any length, expected 'linf', 'l2' or 'l1'"),
    "loss": (dict(loss="hinge"), ValueError, "loss is 'hinge', expected one of 'ce', 'margin', 'dlr'"),
    "heat": (dict(mask=X), TypeError, "mask has dtype float32, expected bool"),
}


@each_attack
@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_named_with_its_likely_cause(name, what):
    change, error, message = BAD[what]
    options = {"model": MODEL, "x": X, "y": Y} | change
    with pytest.raises(error, match=f"{name}: .*{message}"), np.errstate(all="ignore"):
        run(name, options.pop("model"), options.pop("x"), options.pop("y"), **options)


@pytest.mark.parametrize("name, options, message", [
    ("pgd", {"steps": 0}, "steps is 0, expected an integer of at least 1"),
    ("pgd", {"steps": 2.5}, "steps is 2.5, expected an integer"),
    ("pgd", {"restarts": 0}, "restarts is 0, expected an integer of at least 1"),
    ("pgd", {"random_start": False}, "2 restarts without a random start would all walk the same way"),
    ("pgd", {"rel_stepsize": -1}, "rel_stepsize is -1, expected a number of more than 0"),
    ("bim", {"abs_stepsize": 0}, "abs_stepsize is 0, expected a number of more than 0"),
    ("mi_fgsm", {"momentum": -1}, "momentum is -1, expected a number of at least 0"),
    ("apgd", {"rho": 1.5}, "rho is 1.5, expected a number of at least 0, at most 1"),
])  # fmt: skip
def test_settings_are_checked(name, options, message):
    with pytest.raises(ValueError, match=f"{name}: {message}"):
        run(name, MODEL, X, Y, **options)


def test_a_generator_must_be_one():
    with pytest.raises(TypeError, match="pgd: rng is int, expected a numpy.random.Generator"):
        pgd(MODEL, X, Y, eps=0.1, rng=0)


def test_dlr_needs_enough_classes():
    model, x, y, _ = two_classes()
    x, y = x[:1], y[:1]
    with pytest.raises(ValueError, match="apgd: loss 'dlr' compares 3 logits, the model has 2 classes; use 'ce'"):
        apgd(model, x, y, eps=0.1, loss="dlr")
    with pytest.raises(ValueError, match="apgd: targeted loss 'dlr' compares 4 logits"):
        apgd(model, x, 1 - y, eps=0.1, loss="dlr", targeted=True)
