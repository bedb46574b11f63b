"""Curves, matrices, slices and the doctor: on models whose answers are known, and on masked ones."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose

import minigrad
from attacks import decision_slice, doctor, fgsm, pgd, robustness_curve, show, transfer_matrix
from attacks.evaluate import from_results, wilson
from attacks.norms import NORMS

from .subjects import Stops

W = np.array([[1.0, -2.0, 0.5, 1.0], [-1.0, 1.0, 2.0, 0.0]])


def linear(x, w=W):
    """Two logits of images (N, 1, 2, 2) around 0.5: the class is a sign."""
    return (x - 0.5).reshape(len(x.data), -1) @ minigrad.Tensor(w.T.astype(x.dtype))


@pytest.fixture
def data():
    x = np.random.default_rng(1).uniform(0.3, 0.7, (40, 1, 2, 2))
    return x, linear(minigrad.Tensor(x)).data.argmax(1)


def test_the_curve_of_a_linear_model_is_the_distribution_of_its_distances(data):
    x, y = data
    logits = linear(minigrad.Tensor(x)).data
    distance = np.abs(logits[:, 0] - logits[:, 1]) / np.abs(W[0] - W[1]).sum()  # dual to Linf
    eps = np.array([0.02, 0.05, 0.1])
    curve = robustness_curve(linear, x, y, eps=eps, attack=fgsm)
    assert_allclose(curve.eps, [0, *eps])
    assert_allclose(curve.accuracy, [1, *((distance > e).mean() for e in eps)])
    assert_allclose(curve.smallest, [next((e for e in eps if d < e), np.inf) for d in distance])
    assert (np.diff(curve.accuracy) <= 0).all() and (curve.interval[:, 0] <= curve.accuracy).all()
    assert "40 images" in str(curve) and curve.plot().lines
    same = from_results("fgsm", [fgsm(linear, x, y, eps=e) for e in eps[::-1]])
    assert_allclose(same.smallest, curve.smallest)
    assert_allclose(same.interval, curve.interval)


def test_images_wrong_from_the_start_fall_at_radius_zero(data):
    x, y = data
    y = np.where(np.arange(len(y)) < 10, 1 - y, y)
    curve = robustness_curve(linear, x, y, eps=[0.01], attack=fgsm)
    assert_allclose(curve.accuracy[0], 0.75)
    assert (curve.smallest[:10] == 0).all() and (curve.smallest[10:] > 0).all()


def test_wilson_is_the_textbook_formula():
    n, k, z = 50, 7, 1.959963984540054
    centre, half = (k + z * z / 2) / (n + z * z), z * np.sqrt(k * (n - k) / n + z * z / 4) / (n + z * z)
    assert_allclose(wilson(k, n), (centre - half, centre + half))
    assert wilson(0, 30)[0] == 0 and wilson(0, 30)[1] > 0.1 and wilson(0, 0) == (0, 1)


def test_examples_carry_over_to_an_equal_network_and_not_to_one_that_looks_elsewhere(data):
    x, _ = data
    here, there = W * [1, 1, 1, 0], np.array([[0, 0, 0, 1.0], [0, 0, 0, -1.0]])
    y = linear(minigrad.Tensor(x), here).data.argmax(1)
    x[:, 0, 1, 1] = np.where(y == 0, 0.6, 0.4)  # tells the class too, and the first network does not look at it
    models = {"a": lambda v: linear(v, here), "same": lambda v: 2 * linear(v, here), "b": lambda v: linear(v, there)}
    found = transfer_matrix(models, x, y, attack=fgsm, eps=0.05)
    assert_allclose(found.clean, 1)
    assert found.counted == 40
    assert_allclose(found.rate[0, :2], found.rate[1, :2])
    assert found.rate[0, 0] > 2 * found.control[0] and found.rate[0, 0] > 0.2 and found.rate[0, 2] == 0
    assert (found.interval[..., 0] <= found.rate).all() and (found.rate <= found.interval[..., 1]).all()
    assert "examples made for" in str(found) and len(found.plot().texts) == 12


def test_one_rng_gives_one_matrix(data):
    one, two = (transfer_matrix([linear], *data, attack=pgd, eps=0.05, rng=np.random.default_rng(5)) for _ in range(2))
    assert_allclose(one.rate, two.rate)
    assert_allclose(one.control, two.control)


def test_a_slice_of_a_linear_model_is_cut_by_a_line_where_the_distance_says(data):
    x, y = data
    film = show.Film()
    result = pgd(linear, x[:1], y[:1], eps=0.3, norm="l2", rng=np.random.default_rng(0), callback=film)
    rng = np.random.default_rng(0)
    plane = decision_slice(linear, x[0], y[0], result.x_adv[0], film=film, extent=2, points=41, rng=rng)
    at_x = plane.margin[20, 20]
    logits = linear(minigrad.Tensor(x[:1])).data[0]
    assert_allclose(at_x, logits[y[0]] - logits[1 - y[0]])
    slope = (plane.margin[20, 40] - plane.margin[20, 0]) / (plane.right[-1] - plane.right[0])
    assert_allclose(plane.margin[20], at_x + slope * plane.right, atol=1e-12)  # a linear model on a line
    assert_allclose(plane.adversarial, np.linalg.norm(result.x_adv[0] - x[0]))
    assert_allclose(plane.path[-1], [plane.adversarial, 0], atol=1e-9)
    assert (plane.predicted[plane.margin > 0] == y[0]).all() and (plane.predicted[plane.margin < 0] != y[0]).all()
    assert plane.plot(eps=0.1, classes=["zero", "one"]).images and plane.plot(eps=0.1, norm="linf").images


def test_a_slice_never_holds_its_whole_plane(data):
    x, y = np.full((64, 64), 0.5), 0
    x_adv, sizes = x + 0.01, []

    def model(images):
        sizes.append(len(images.data))
        return linear(images[:, :2, :2])

    tracemalloc.start()
    plane = decision_slice(model, x, y, x_adv, points=60, rng=np.random.default_rng(0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(sizes[1:]) == 3600 and max(sizes) == 256 and plane.margin.shape == plane.inside.shape == (60, 60)
    assert peak < 0.5 * 3600 * x.nbytes


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_the_outline_of_a_ball_is_as_far_from_x_as_its_radius_says(data, norm):
    x, y = data
    x_adv = x[0] + 0.1 * np.sign(np.random.default_rng(3).normal(size=x[0].shape))
    plane = decision_slice(linear, x[0], y[0], x_adv, points=3, rng=np.random.default_rng(0))
    assert_allclose((plane.directions.reshape(2, -1) @ plane.directions.reshape(2, -1).T), np.eye(2), atol=1e-12)
    outline = plane.outline(0.1, norm)
    change = np.tensordot(outline, plane.directions, 1)
    assert_allclose(NORMS[norm].distance(change), 0.1)
    if norm == "linf":  # to the right lies an image at a corner of the ball
        assert_allclose(outline[0], [plane.adversarial, 0], atol=1e-12)


def test_a_slice_needs_a_direction(data):
    x, y = data
    with pytest.raises(ValueError, match="decision_slice: x_adv equals x, so there is no direction"):
        decision_slice(linear, x[0], y[0], x[0])
    with pytest.raises(ValueError, match=r"decision_slice: x has shape \(1, 2, 2\), x_adv \(2, 2\)"):
        decision_slice(linear, x[0], y[0], x[0, 0])


def test_the_doctor_finds_nothing_on_a_plain_model_and_names_what_masks_another(data):
    x, y = data

    def examine(model, eps=0.02):
        return doctor(model, x, y, eps=eps, steps=10, queries=50, rng=np.random.default_rng(0))

    healthy = examine(linear)
    assert not healthy.masked and "No sign" in str(healthy)

    def quantised(v):  # answers like the model, and has no slope
        return linear(minigrad.Tensor(np.round(v.data, 2))) + 0 * linear(v)

    flat = examine(quantised)
    assert flat["flat_gradients"].alarming and flat["unbounded"].alarming and flat["black_box"].alarming
    assert "ALARM" in str(flat) and "do not trust" in str(flat)
    assert examine(linear, eps=1e-6)["larger_ball"].alarming  # four times that is as little
    noise = np.random.default_rng(3)
    assert examine(lambda v: linear(v) + 0.01 * noise.normal(size=(len(v.data), 2)))["randomness"].alarming
    scaled = examine(lambda v: 1e5 * linear(v))  # the softmax is so sure that the cross-entropy has no slope
    assert scaled["saturation"].alarming and scaled["flat_gradients"].alarming and not scaled["unbounded"].alarming
    misled = examine(lambda v: linear(minigrad.Tensor(2 * v.data)) - linear(v))  # 2 f(x) - f(x), sign of slope turned
    assert misled["wrong_gradients"].alarming


def broken_off(*arguments, **options):
    """An attack that Ctrl-C ends at a radius of more than 0.05."""
    result = fgsm(*arguments, **options)
    result.extra["interrupted"] = options["eps"] > 0.05
    return result


def test_after_ctrl_c_the_curve_ends_where_it_was(data):
    curve = robustness_curve(linear, *data, eps=[0.02, 0.05, 0.1, 0.2], attack=broken_off)
    assert_allclose(curve.eps, [0, 0.02, 0.05])
    assert curve.accuracy.shape == (3,) and set(curve.smallest) <= {0.02, 0.05, np.inf}
    assert curve.interrupted


def test_a_curve_stops_in_the_clean_pass_of_an_attack_too(data):
    curve = robustness_curve(Stops(linear, 4), *data, eps=[0.02, 0.05], attack=fgsm)  # clean; twice; and clean again
    assert_allclose(curve.eps, [0, 0.02])
    assert curve.interrupted


def test_a_matrix_keeps_what_was_made_and_tried_before_ctrl_c(data):
    whole = transfer_matrix({"a": linear, "b": linear}, *data, eps=0.05, attack=fgsm, rng=np.random.default_rng(0))
    assert not whole.interrupted
    for k in (2, 3):  # in the attack on b: in its clean pass, and in its last
        stopped = transfer_matrix({"a": linear, "b": Stops(linear, k)}, *data, eps=0.05, attack=fgsm,
                                  rng=np.random.default_rng(0))  # fmt: skip
        assert stopped.interrupted and stopped.counted == 40
        assert_allclose(stopped.clean, whole.clean)
        assert_allclose(stopped.rate[0], whole.rate[0])
        assert_allclose(stopped.control, [whole.control[0], np.nan])
        assert np.isnan(stopped.rate[1]).all() and np.isnan(stopped.interval[1]).all()
        assert "not tried" in [text.get_text() for text in stopped.plot().texts] and "nan" in str(stopped)
    late = transfer_matrix({"a": linear, "b": Stops(linear, 5)}, *data, eps=0.05, attack=fgsm)  # in the second try on b
    assert late.interrupted
    assert_allclose(late.rate[:, 0], whole.rate[:, 0])
    assert late.rate[0, 1] == whole.rate[0, 1] and np.isnan(late.rate[1, 1])


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda x, y: robustness_curve(linear, x, y, eps=[-0.1]), "robustness_curve: eps is -0.1, expected a number"),
        (lambda x, y: robustness_curve(linear, x, y + 7), "robustness_curve: y goes from"),
        (lambda x, y: robustness_curve(linear, x, y, confidence=1.0), "robustness_curve: confidence is 1.0"),
        (lambda x, y: transfer_matrix([], x, y), "transfer_matrix: models is empty, expected at least one network"),
        (lambda x, y: doctor(linear, x, 1 - y), "doctor: the model gets none of the 40 images right; check the labels"),
        (lambda x, y: doctor(linear, x, y, eps=0), "doctor: eps is 0, expected a number of more than 0"),
        (lambda x, y: decision_slice(linear, x[0], y[0], x[1], points=3).outline(1, "l0"), "its ball has no outline"),
    ],
)
def test_what_makes_no_sense_is_refused(data, call, message):
    with pytest.raises(ValueError, match=message):
        call(*data)
