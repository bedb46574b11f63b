"""Quadrature against integrals known in closed form; exact integration of piecewise-linear networks."""

import numpy as np
import pytest

import explain
import minigrad
from explain.breakpoints import linear_pieces
from explain.path import Path
from explain.quadrature import METHODS, quadrature
from minigrad import functional as F
from minigrad import nn

from . import nets


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [2, 7, 50])
def test_weights_add_up_to_one_and_points_lie_in_order_on_the_path(method, n):
    points, weights = quadrature("f", method, n)
    assert weights.sum() == pytest.approx(1, abs=1e-14)
    assert (np.diff(points) > 0).all() and points[0] >= 0 and points[-1] <= 1


def test_rules_integrate_the_polynomials_they_should():
    degree = {"gausslegendre": 7, "riemann_middle": 1, "riemann_trapezoid": 1, "riemann_left": 0, "riemann_right": 0}
    for method, highest in degree.items():
        points, weights = quadrature("f", method, 4)
        errors = [abs(weights @ points**k - 1 / (k + 1)) for k in range(highest + 2)]
        assert max(errors[:-1]) < 1e-14 < 1e-5 < errors[-1], method


def test_captums_trapezoid_is_short_of_a_part_in_n():
    assert quadrature("f", "riemann_trapezoid", 50, "captum")[1].sum() == pytest.approx(0.98)


def squares(x):
    """F_0 = sum of x^2, F_1 = sum of x^3."""
    flat = x.flatten(1)
    return minigrad.stack([(flat * flat).sum(1), (flat**3).sum(1)], 1)


def test_integrals_known_in_closed_form():
    x, b = nets.images(), nets.images(seed=4)
    for target in (0, 1):
        found = explain.integrated_gradients(squares, x, target, baselines=b, n_steps=3)
        np.testing.assert_allclose(found.values, x ** (target + 2) - b ** (target + 2), rtol=1e-12)
        np.testing.assert_allclose(found.delta, 0, atol=1e-12)
    left = explain.integrated_gradients(squares, x, 0, n_steps=10, method="riemann_left")
    np.testing.assert_allclose(left.values, 0.9 * x**2, rtol=1e-12)
    np.testing.assert_allclose(left.delta, -0.1 * (x**2).sum((1, 2, 3)), rtol=1e-10)
    mean = explain.integrated_gradients(squares, x, 0, multiply_by_inputs=False)
    np.testing.assert_allclose(mean.values, x, rtol=1e-12)
    assert mean.delta is None


@pytest.mark.parametrize("name", nets.PIECEWISE_LINEAR)
def test_exact_is_complete_and_what_the_other_rules_tend_to(name):
    model, x, b = nets.build(name), nets.images(), nets.images(seed=4)
    exact = explain.integrated_gradients(model, x, 2, baselines=b, method="exact")
    assert np.abs(exact.delta).max() < 1e-12
    assert (exact.extra["pieces"] > 20).all()
    fine = explain.integrated_gradients(model, x, 2, baselines=b, method="riemann_middle", n_steps=1000)
    np.testing.assert_allclose(fine.values, exact.values, atol=3e-3 * np.abs(exact.values).max())
    assert np.abs(fine.delta).max() > 1e-9


def test_every_piece_is_linear_and_no_two_are_one():
    model, x = nets.build("normed"), nets.images(2)
    path = Path(np.zeros_like(x), x)

    def forward(rows, points):
        leaf = minigrad.Tensor(points, requires_grad=True)
        return leaf, model(leaf)[:, 1]

    def value(rows, t):
        return forward(rows, path.points(rows, t))[1].data

    rows, low, high = linear_pieces("f", forward, path, 32)
    for row in (0, 1):
        mine = rows == row
        assert low[mine][0] == 0 and high[mine][-1] == 1
        np.testing.assert_array_equal(low[mine][1:], high[mine][:-1])
    bent = np.abs(value(rows, low) + value(rows, high) - 2 * value(rows, (low + high) / 2))
    assert bent.max() < 1e-14
    slope = (value(rows, high) - value(rows, low)) / (high - low)
    assert np.mean(np.abs(np.diff(slope)) > 1e-9) > 0.5  # a bend of a unit that the pool passes over changes nothing


@pytest.mark.parametrize(
    "model",
    [
        lambda x: F.leaky_relu(x - 0.3, 0.1),
        lambda x: (x - 0.4).abs(),
        lambda x: x.clip(0.2, 0.6),
        lambda x: x.maximum(0.5),
        lambda x: minigrad.minimum(x, 1 - 2 * x),
        lambda x: minigrad.stack([x.max(1), x.min(1)], 1),
        lambda x: F.max_pool2d(x.reshape(-1, 1, 3, 3), 2, 1, 1).flatten(1),
        lambda x: minigrad.einsum("nk,ok->no", x.relu() / 3, np.ones((2, 9))),
    ],
)
def test_every_op_with_kinks_is_integrated_exactly(model):
    rng = np.random.default_rng(2)
    x, b = rng.random((6, 9)), rng.random((6, 9))
    exact = explain.integrated_gradients(model, x, 1, baselines=b, method="exact")
    np.testing.assert_allclose(exact.delta, 0, atol=1e-14)
    fine = explain.integrated_gradients(model, x, 1, baselines=b, method="riemann_middle", n_steps=2000)
    np.testing.assert_allclose(fine.values, exact.values, atol=2e-3)


def test_exact_on_a_corner_worked_out_by_hand():
    """relu(x1 + x2 - 1) along the diagonal from 0 to (1, 1): on for t > 1/2, so each gets a half."""
    found = explain.integrated_gradients(
        lambda x: (x.sum(1, keepdim=True) - 1).relu(), np.ones((1, 2)), 0, method="exact"
    )
    np.testing.assert_allclose(found.values, [[0.5, 0.5]], rtol=1e-15)
    assert found.extra["pieces"].tolist() == [2]


def test_without_biases_from_zero_there_is_one_piece():
    model, x = nets.build("cnn"), nets.images()
    for path, p in model.named_parameters():
        if path.endswith("bias"):
            p.data = np.zeros_like(p.data)
    found = explain.integrated_gradients(model, x, 1, method="exact")
    assert found.extra["pieces"].tolist() == [1, 1, 1]
    np.testing.assert_allclose(found.values, explain.input_x_gradient(model, x, 1).values, rtol=1e-10, atol=1e-14)


def test_exact_on_flat_and_equal_images():
    """Every window of the pool ties, and where x is the baseline nothing moves."""
    model = nets.build("cnn")
    flat = np.full((1, *nets.SHAPE), 0.7)
    assert abs(explain.integrated_gradients(model, flat, 1, method="exact").delta[0]) < 1e-12
    still = explain.integrated_gradients(model, flat, 1, baselines=flat, method="exact")
    assert not still.values.any() and still.extra["pieces"].tolist() == [1]


def test_exact_in_float32_stays_float32():
    found = explain.integrated_gradients(
        nets.build("cnn", dtype=np.float32), nets.images(dtype=np.float32), 1, method="exact"
    )
    right = explain.integrated_gradients(
        nets.build("cnn"), nets.images(dtype=np.float32).astype(float), 1, method="exact"
    )
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.values, right.values, rtol=1e-3, atol=1e-5)


def test_errors_of_the_rules_shrink():
    errors = explain.quadrature_errors(nets.build("cnn"), nets.images(), 1, n_steps=(10, 400))
    assert set(errors) == set(METHODS)
    for method, found in errors.items():
        assert found.shape == (2, 3)
        assert (found[1] < found[0] / 5).all() and (found[1] > 0).all(), method
    short = explain.quadrature_errors(
        nets.build("cnn"), nets.images(), 1, n_steps=[400], methods=["riemann_trapezoid"], compat="captum"
    )
    assert (short["riemann_trapezoid"] > errors["riemann_trapezoid"][1]).all()


def test_the_errors_can_be_drawn():
    from matplotlib.figure import Figure

    from explain.show import error_curves

    errors = explain.quadrature_errors(nets.build("cnn"), nets.images(), 1, n_steps=(5, 20))
    ax = error_curves(errors, (5, 20), Figure().subplots())
    assert [line.get_label() for line in ax.get_lines()] == list(METHODS)
    np.testing.assert_array_equal(ax.get_lines()[2].get_ydata(), np.median(errors[METHODS[2]], 1))
    assert ax.get_xscale() == ax.get_yscale() == "log"
    with pytest.raises(ValueError, match=r"error_curves: errors hold .* numbers of steps, n_steps has 3"):
        error_curves(errors, (5, 20, 50), ax)


def test_baselines_may_be_a_number_one_row_or_all():
    model, x = nets.build("smooth"), nets.images()
    row = np.full((1, *nets.SHAPE), 0.3)
    number = explain.integrated_gradients(model, x, 1, baselines=0.3)
    for same in (row, np.repeat(row, 3, 0)):
        np.testing.assert_array_equal(explain.integrated_gradients(model, x, 1, baselines=same).values, number.values)
    assert number.baseline.shape == x.shape


def test_the_batch_size_goes_by_captums_name_too():
    model, x = nets.build("cnn"), nets.images()
    one = explain.integrated_gradients(model, x, 1, n_steps=6, internal_batch_size=1)
    np.testing.assert_allclose(
        one.values, explain.integrated_gradients(model, x, 1, n_steps=6).values, rtol=1e-10, atol=1e-14
    )


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"n_steps": 0}, ValueError, r"integrated_gradients: n_steps is 0, expected at least 1 for gausslegendre"),
        (
            {"n_steps": 1, "method": "riemann_trapezoid"},
            ValueError,
            r"n_steps is 1, expected at least 2 for riemann_trapezoid",
        ),
        ({"n_steps": 2.5}, TypeError, r"n_steps is 2.5, expected an integer"),
        ({"method": "simpson"}, ValueError, r"method is 'simpson', expected one of gausslegendre, .* or exact"),
        ({"compat": "shap"}, ValueError, r"compat is 'shap', expected None or 'captum'"),
        (
            {"baselines": np.zeros((2, 12))},
            ValueError,
            r"baselines has shape \(2, 12\), expected a number or shape \(3, 2, 12, 12\)",
        ),
        ({"baselines": np.zeros((2, 2, 12, 12))}, ValueError, r"baselines has shape \(2, 2, 12, 12\)"),
        ({"target": 9}, ValueError, r"target 9 is out of range"),
        ({"internal_batch_size": 0}, ValueError, r"batch_size is 0"),
    ],
)
def test_bad_options_are_named(options, error, match):
    with pytest.raises(error, match=match):
        explain.integrated_gradients(nets.build("cnn"), nets.images(), **options)


@pytest.mark.parametrize(
    ("name", "score", "culprit"),
    [
        ("smooth", "logit", r"Sigmoid in 1 is not piecewise linear.*gausslegendre"),
        ("cnn", "probability", r"Softmax in no module is not piecewise linear.*score='logit'"),
    ],
)
def test_exact_names_the_op_that_is_curved(name, score, culprit):
    with pytest.raises(ValueError, match=culprit):
        explain.integrated_gradients(nets.build(name), nets.images(), 1, method="exact", score=score)
    with pytest.raises(ValueError, match="Mul in no module is not piecewise linear"):
        explain.integrated_gradients(squares, nets.images(), 0, method="exact")


def test_exact_takes_a_module_that_multiplies_by_constants():
    model = nn.Sequential(nn.Standardize([0.2, 0.3], [0.5, 0.4]), nets.build("strided"))
    assert np.abs(explain.integrated_gradients(model, nets.images(), 1, method="exact").delta).max() < 1e-12
