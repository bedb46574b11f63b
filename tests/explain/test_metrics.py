"""Metrics against their formulas written in loops, closed forms, the peers' mistakes, and the promises of every one."""

from functools import partial

import numpy as np
import pytest

import explain
import minigrad
from explain import Attribution, metrics

from . import nets, trained

RNG = partial(np.random.default_rng, 0)


def judged(values, x, target=None):
    target = np.zeros(len(x), np.int64) if target is None else target
    return Attribution(np.asarray(values, np.float64), "given", target, x)


def linear(seed=0, shape=(2, 4, 4), classes=3):
    """A linear model of pictures, and its weights as maps (classes, *shape)."""
    model = minigrad.nn.Sequential(
        minigrad.nn.Flatten(), minigrad.nn.Linear(int(np.prod(shape)), classes, rng=np.random.default_rng(seed))
    ).to(np.float64)
    return model, model[1].weight.data.reshape(classes, *shape)


def pictures(count=3, shape=(2, 4, 4), seed=1):
    return np.random.default_rng(seed).random((count, *shape))


# ---------------------------------------------------------------- faithfulness


def test_infidelity_is_zero_for_the_weights_of_a_linear_model():
    model, w = linear()
    x = pictures()
    right = judged(np.broadcast_to(w[1], x.shape), x, np.ones(3, int))
    for perturb in ("square", "noisy_baseline", lambda x: (0.3 * x, x - 0.3 * x)):
        found = metrics.infidelity(model, right, perturb_func=perturb, rng=RNG())
        np.testing.assert_allclose(found.values, 0, atol=1e-24)
        assert found.controls["random"].mean > 1e-3


def test_infidelity_equals_the_formula_and_its_normalised_form():
    model, x = nets.build("cnn"), nets.images(3)
    a = explain.saliency(model, x, 2)
    changes = np.random.default_rng(4).normal(0, 0.1, (7, *x.shape))

    def given():
        it = iter(changes)
        return lambda x: (lambda change: (change, x - change))(next(it))

    def f(x):
        with minigrad.no_grad():
            return model(minigrad.Tensor(x)).data[:, 2]

    for normalize in (False, True):
        found = metrics.infidelity(
            model, a, perturb_func=given(), n_perturb_samples=7, normalize=normalize, controls=False
        )
        for i in range(3):
            foretold = np.array([(a[i] * change[i]).sum() for change in changes])
            seen = np.array([(f(x[i : i + 1]) - f(x[i : i + 1] - change[i]))[0] for change in changes])
            b = (foretold * seen).sum() / (foretold**2).sum() if normalize else 1
            np.testing.assert_allclose(found[i], np.mean((b * foretold - seen) ** 2), rtol=1e-9)


def test_normalised_infidelity_does_not_know_the_unit():
    model, x = nets.build("cnn"), nets.images(2)
    a = explain.saliency(model, x, 1, absolute=False)
    both = [
        metrics.infidelity(model, judged(k * a.values, x, a.target), normalize=True, rng=RNG()).values for k in (1, 50)
    ]
    np.testing.assert_allclose(*both, rtol=1e-9)
    assert metrics.infidelity(model, judged(50 * a.values, x, a.target), rng=RNG()).mean > 10 * both[0].mean()


def test_faithfulness_correlation_is_one_for_a_linear_model():
    model, w = linear()
    x = pictures()
    right = judged(w[0] * x, x)
    found = metrics.faithfulness_correlation(model, right, rng=RNG())
    np.testing.assert_allclose(found.values, 1, atol=1e-12)
    np.testing.assert_allclose(
        metrics.faithfulness_correlation(model, judged(-w[0] * x, x), rng=RNG()).values, -1, atol=1e-12
    )
    assert np.isnan(found.controls["constant"].values).all(), "equal sums correlate with nothing"
    assert abs(found.controls["random"].mean) < 0.5


def test_removal_curves_equal_loops():
    model, x = nets.build("strided"), nets.images(2)
    a = explain.input_x_gradient(model, x, 3)
    blank = nets.images(2, seed=9)

    def p(x, score):
        with minigrad.no_grad():
            z = model(minigrad.Tensor(x[None])).data[0]
        return z[3] if score == "logit" else np.exp(z[3]) / np.exp(z).sum()

    counts = np.round(np.linspace(0, 144, 7)).astype(int)
    found = {
        "deletion": metrics.deletion(model, a, n_steps=6, baselines=blank),
        "insertion": metrics.insertion(model, a, n_steps=6, baselines=blank),
        "pixel_flipping": metrics.pixel_flipping(model, a, n_steps=6, baselines=blank),
    }
    for i in range(2):
        order = sorted(range(144), key=lambda k, i=i: (-a[i].sum(0).ravel()[k], k))
        curves = {"deletion": [], "insertion": [], "pixel_flipping": []}
        for n in counts:
            gone = np.isin(np.arange(144), order[:n]).reshape(12, 12)
            curves["deletion"].append(p(np.where(gone, blank[i], x[i]), "probability"))
            curves["insertion"].append(p(np.where(gone, x[i], blank[i]), "probability"))
            curves["pixel_flipping"].append(p(np.where(gone, blank[i], x[i]), "logit"))
        for name, curve in curves.items():
            np.testing.assert_allclose(found[name].curve[1][i], curve, rtol=1e-9)
            value = (
                np.mean(curve[0] - np.array(curve)) if name == "pixel_flipping" else np.trapezoid(curve, counts / 144)
            )
            np.testing.assert_allclose(found[name][i], value, rtol=1e-9)


def test_equal_values_go_row_by_row():
    model, _ = linear(shape=(1, 3, 3))
    seen = []

    class Watched(minigrad.nn.Module):
        def forward(self, x):
            seen.append(x.data.copy())
            return model(x)

    x = pictures(1, (1, 3, 3)) / 2 + 0.5
    metrics.deletion(Watched(), judged(np.zeros(x.shape), x), n_steps=9, controls=False)
    kept = np.concatenate(seen)[-10:, 0].reshape(10, 9) > 0
    np.testing.assert_array_equal(kept, [[k >= n for k in range(9)] for n in range(10)])


def test_good_maps_beat_the_controls_on_a_trained_network():
    model, x = trained.cnn()
    good = explain.integrated_gradients(model, x)
    for metric in (
        metrics.deletion,
        metrics.insertion,
        metrics.road,
        metrics.pixel_flipping,
        metrics.faithfulness_correlation,
    ):
        found = metric(model, good, rng=RNG())
        for control in found.controls.values():
            if not np.isnan(control.mean):
                assert (found.mean > control.mean) == (found.better == "higher"), (found, control)


def test_imputation_solves_its_equations_and_leaves_the_rest():
    x = pictures(2, (3, 6, 5))
    missing = np.random.default_rng(3).random((2, 6, 5)) < 0.5
    filled = metrics.noisy_linear_imputation(x, missing, noise=0)
    np.testing.assert_array_equal(filled.transpose(0, 2, 3, 1)[~missing], x.transpose(0, 2, 3, 1)[~missing])
    for n, r, c in np.argwhere(missing):
        total = weights = 0
        for dr in (-1, 0, 1):
            for dc in (-1, 0, 1):
                if (dr or dc) and 0 <= r + dr < 6 and 0 <= c + dc < 5:
                    weight = 1 / 12 if dr and dc else 1 / 6
                    total, weights = total + weight * filled[n, :, r + dr, c + dc], weights + weight
        np.testing.assert_allclose(filled[n, :, r, c], total / weights, rtol=1e-9)
    flat = np.full((1, 1, 6, 5), 0.7)
    np.testing.assert_allclose(metrics.noisy_linear_imputation(flat, missing[:1], noise=0), 0.7)


def test_road_fills_with_what_a_plain_picture_suggests():
    """Without noise nothing is removed from a picture of one grey, so no order of its pixels is better than another."""
    model, _ = linear()
    x = np.full((2, 2, 4, 4), 0.4)
    found = metrics.road(model, judged(np.random.default_rng(0).random(x.shape), x), noise=0, parts=(0.3, 0.8))
    np.testing.assert_allclose(found.values, 0, atol=1e-12)


# ---------------------------------------------------------------- robustness and randomisation


def test_sensitivity_is_the_largest_relative_change():
    model, x = nets.build("smooth"), nets.images(2)
    moves = np.random.default_rng(3).uniform(-0.02, 0.02, (4, *x.shape))
    it = iter(moves)
    found = metrics.sensitivity_max(
        explain.saliency, model, x, 1, perturb_func=lambda x: x + next(it), n_perturb_samples=4
    )
    maps = [explain.saliency(model, x + m, 1, bounds=None).values for m in (0 * moves[0], *moves)]
    for i in range(2):
        change = max(np.linalg.norm(m[i] - maps[0][i]) for m in maps[1:])
        np.testing.assert_allclose(found[i], change / np.linalg.norm(maps[0][i]), rtol=1e-9)
    assert found.controls["constant"].mean == 0 and found.controls["random"].mean > 1


def test_a_zero_map_has_no_relative_change():
    model, _ = linear()
    x = pictures()
    zero = lambda model, x, target, **o: np.zeros(x.shape) + (x.min() < 0)  # noqa: E731
    found = metrics.sensitivity_max(zero, model, x, controls=False, perturb_func=lambda x: x)
    np.testing.assert_array_equal(found.values, 0)


def test_randomisation_shows_which_maps_do_not_depend_on_the_model():
    model, x = trained.cnn()
    before = {k: a.tobytes() for k, a in model.state_dict().items()}
    gradient = metrics.mprt(explain.input_x_gradient, model, x[:6], rng=RNG())
    assert gradient.curve[0] == ["9", "7", "4", "1"] and gradient.curve[1].shape == (6, 4)
    assert gradient.extra["maps"].shape == (5, 6, 1, 8, 8)
    assert gradient.controls["edges"].mean == pytest.approx(1) and np.isnan(gradient.controls["constant"].mean)
    assert abs(gradient.controls["random"].mean) < 0.2
    guided = metrics.mprt(explain.guided_backprop, model, x[:6], controls=False, rng=RNG())
    saliency = metrics.mprt(explain.saliency, model, x[:6], controls=False, rng=RNG())
    assert guided.mean > saliency.mean, "guided backpropagation shows the picture, whatever the network"
    assert {k: a.tobytes() for k, a in model.state_dict().items()} == before


def test_orders_of_randomisation():
    model, x = trained.cnn()
    up = metrics.mprt(explain.saliency, model, x[:2], order="bottom_up", controls=False, rng=RNG())
    down = metrics.mprt(explain.saliency, model, x[:2], controls=False, rng=RNG())
    alone = metrics.mprt(explain.saliency, model, x[:2], order="independent", controls=False, rng=RNG())
    assert up.curve[0] == alone.curve[0] == down.curve[0][::-1]
    np.testing.assert_allclose(up.extra["maps"][-1], down.extra["maps"][-1], rtol=1e-9)  # all layers are shuffled
    np.testing.assert_array_equal(up.extra["maps"][1], alone.extra["maps"][1])  # the first layer alone


def test_random_logit_compares_two_classes():
    model, x = nets.build("cnn"), nets.images(3)
    found = metrics.random_logit(explain.saliency, model, x, 1, other=4, absolute=False, controls=False)
    same = explain.saliency(model, x, 1).compare(explain.saliency(model, x, 4))["spearman"]
    np.testing.assert_allclose(found.values, same)
    drawn = metrics.random_logit(explain.saliency, model, x, 1, rng=RNG())
    assert (drawn.extra["other"] != 1).all() and drawn.controls["edges"].mean == pytest.approx(1)


# ---------------------------------------------------------------- axioms


def test_completeness_is_a_residual_with_a_tolerance():
    """Quantus compares floats for equality, after the map was divided by its largest value: always False."""
    model, x = nets.build("smooth"), nets.images(3)
    whole = explain.deep_lift(model, x, 1, baselines=0.3)
    found = metrics.completeness(model, whole, rng=RNG())
    assert found.extra["complete"].all() and found.mean < 1e-12
    np.testing.assert_allclose(found.extra["promised"], whole.values.reshape(3, -1).sum(1))
    scaled = judged(1.5 * whole.values, x, whole.target)
    np.testing.assert_allclose(metrics.completeness(model, scaled, baselines=0.3).values, 0.5, rtol=1e-9)
    assert not metrics.completeness(model, scaled, baselines=0.3).extra["complete"].any()


def test_completeness_knows_what_each_method_promises():
    model, x = nets.build("cnn"), nets.images(3)
    pool = nets.images(3, seed=6)
    for a in (
        explain.deep_lift_shap(
            model, x, 1, baselines=pool
        ),  # the mean score of the pool, though it has as many rows as x
        explain.shapley_values(
            model, x, 1, baselines=pool, feature_mask=explain.grid_mask(x.shape, 6)
        ),  # each share once
        explain.lrp(nets.build("cnn"), x, 1, composite="zero"),  # the score itself, but for the biases
    ):
        residual = metrics.completeness(model, a, controls=False)
        if a.method == "lrp":
            np.testing.assert_allclose(residual.extra["promised"] + a.delta, a.values.reshape(3, -1).sum(1))
        else:
            np.testing.assert_allclose(residual.values, 0, atol=1e-10)
        one = metrics.completeness(model, a.sample(1), controls=False)
        np.testing.assert_allclose(one.values, residual.values[1:2], atol=1e-12)


def test_non_sensitivity_counts_features_the_map_is_wrong_about():
    model, w = linear(shape=(1, 2, 2))
    model[1].weight.data[0] = [1, 0, 2, 0]
    x = np.full((1, 1, 2, 2), 0.5)
    for values, wrong in (([3, 0, 5, 0], 0), ([3, 1, 5, 0], 0.25), ([0, 1, 5, 1], 0.75)):
        found = metrics.non_sensitivity(model, judged(np.reshape(values, x.shape), x), controls=False)
        assert found[0] == wrong


def test_a_gradient_is_invariant_to_a_shift_and_input_x_gradient_is_not():
    model, x = nets.build("cnn"), nets.images(2)
    assert metrics.input_invariance(explain.saliency, model, x, controls=False).mean < 1e-9
    assert metrics.input_invariance(explain.input_x_gradient, model, x, controls=False).mean > 0.1
    cam = metrics.input_invariance(explain.grad_cam, model, x, controls=False, layer="3")  # the paths stay
    assert cam.mean < 1e-9


# ---------------------------------------------------------------- localisation and complexity


def test_an_empty_mask_is_no_hit():
    """Quantus writes nan into an array of booleans, where it is True: a hit."""
    x = pictures(3, (1, 4, 4))
    mask = np.zeros((3, 4, 4), bool)
    mask[1, 2:], mask[2] = True, True
    for metric in (metrics.pointing_game, metrics.relevance_mass, metrics.relevance_rank):
        found = metric(judged(x, x), mask, rng=RNG())
        assert np.isnan(found[0]) and not np.isnan(found[1:]).any()
        assert found.mean == pytest.approx(found[1:].mean())
        assert found[2] == pytest.approx(1)


def test_localisation_by_hand():
    x = np.zeros((1, 1, 2, 3))
    a = judged([[[[3.0, -9.0, 1.0], [3.0, 0.0, 2.0]]]], x)
    mask = np.array([[[1, 1, 0], [0, 0, 1]]], bool)
    assert metrics.pointing_game(a, mask)[0] == 0.5  # two values share the maximum, one of them lies inside
    assert metrics.pointing_game(a, mask, tolerance=1)[0] == 1
    assert metrics.relevance_mass(a, mask)[0] == pytest.approx((3 + 2) / 9)  # what is negative is no find
    assert metrics.relevance_rank(a, mask)[0] == pytest.approx(2 / 3)  # the largest three are 3, 3, 2
    assert metrics.relevance_rank(judged(np.ones((1, 1, 2, 3)), x), mask)[0] == pytest.approx(0.5)
    assert metrics.pointing_game(judged(np.ones((1, 1, 2, 3)), x), mask)[0] == pytest.approx(0.5)


def test_gini_and_entropy_equal_their_formulas_and_leave_the_map_alone():
    """Quantus adds 1e-7 to the caller's array."""
    values = np.random.default_rng(2).normal(size=(3, 2, 4, 4))
    kept = values.copy()
    values.flags.writeable = False
    found, nats = metrics.gini(values), metrics.entropy(values)
    np.testing.assert_array_equal(values, kept)
    for i, row in enumerate(np.abs(values).reshape(3, -1)):
        pairs = np.abs(row[:, None] - row).sum() / (2 * len(row) * row.sum())  # half the relative mean difference
        np.testing.assert_allclose(found[i], pairs)
        p = row / row.sum()
        np.testing.assert_allclose(nats[i], -sum(v * np.log(v) for v in p))


def test_complexity_at_its_ends():
    one, zero = np.zeros((1, 1, 4, 4)), np.zeros((1, 1, 4, 4))
    one[0, 0, 1, 2] = -3
    assert metrics.gini(one)[0] == pytest.approx(15 / 16) and metrics.entropy(one)[0] == 0
    for equal in (zero, zero + 0.2):
        assert metrics.gini(equal)[0] == pytest.approx(0, abs=1e-12)
        assert metrics.entropy(equal)[0] == pytest.approx(np.log(16))


# ---------------------------------------------------------------- what every metric promises

OF_MAPS = {
    "infidelity": metrics.infidelity,
    "infidelity noisy": partial(metrics.infidelity, perturb_func="noisy_baseline", normalize=True),
    "faithfulness_correlation": metrics.faithfulness_correlation,
    "deletion": partial(metrics.deletion, n_steps=5),
    "insertion": partial(metrics.insertion, n_steps=5),
    "pixel_flipping": partial(metrics.pixel_flipping, n_steps=5),
    "road": partial(metrics.road, parts=(0.2, 0.6)),
    "completeness": metrics.completeness,
    "non_sensitivity": metrics.non_sensitivity,
}


@pytest.mark.parametrize("name", OF_MAPS)
def test_numbers_depend_on_the_sample_alone(name):
    model, x, target = nets.build("cnn"), nets.images(4), np.array([0, 4, 2, 1])
    a = explain.input_x_gradient(model, x, target)
    together = OF_MAPS[name](model, a, rng=RNG())
    order = [2, 0, 3, 1]
    for rows, options in ((order, {}), (range(4), {"batch_size": 3}), ([1], {})):
        found = OF_MAPS[name](model, a.sample(list(rows)), rng=RNG(), **options)
        for one, all_of_them in ((found, together), *zip(found.controls.values(), together.controls.values())):
            np.testing.assert_allclose(one.values, all_of_them.values[list(rows)], rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("name", OF_MAPS)
def test_the_model_and_the_map_are_left_as_they_were(name):
    model, x = nets.build("cnn", dtype=np.float32).train(), nets.images(2, dtype=np.float32)
    before = {k: a.tobytes() for k, a in model.state_dict().items()}
    a = explain.saliency(model, x, 1)
    a.values.flags.writeable = x.flags.writeable = False
    found = OF_MAPS[name](model, a, rng=RNG())
    assert found.values.shape == (2,) and found.values.dtype == np.float64 and set(found.controls) == {
        "random", "edges", "constant"}  # fmt: skip
    assert found.metric == name.split()[0] and found.better in ("higher", "lower")
    assert {k: a.tobytes() for k, a in model.state_dict().items()} == before and model.training
    plain = OF_MAPS[name](model, a.values, x, 1, controls={"mine": np.ones(x.shape)}, rng=RNG())
    if name != "completeness":  # a plain array has no baseline
        np.testing.assert_allclose(plain.values, found.values, rtol=1e-6)
    assert list(plain.controls) == ["mine"] and not OF_MAPS[name](model, a, controls=False).controls


def test_a_measurement_reads_as_an_array_with_an_interval():
    m = metrics.Measurement(np.array([1.0, 2.0, np.nan, 4.0]), "deletion", "lower", "saliency")
    assert m.mean == pytest.approx(7 / 3) and len(m) == 4 and m[1] == 2 and np.asarray(m).shape == (4,)
    low, high = m.interval()
    assert 1 <= low < m.mean < high <= 4 and m.interval() == (low, high)
    assert m.interval(0.5)[0] > low
    assert np.isnan(metrics.Measurement(np.array([1.0]), "m", "lower").interval()).all()
    assert "saliency" in str(m) and "lower is better" in repr(m)
    with pytest.raises(ValueError, match="level is 95"):
        m.interval(95)


def test_a_table_has_methods_metrics_and_the_controls_once():
    model, x = nets.build("cnn"), nets.images(3)
    maps = {"mine": explain.saliency(model, x, 1), "other": explain.lrp(model, x, 1)}
    found = metrics.table(model, maps, ("deletion", "infidelity", "gini"), rng=RNG())
    assert found.methods == ["mine", "other", "random", "edges", "constant"] and found.controls == found.methods[2:]
    alone = metrics.deletion(model, maps["other"], rng=RNG())
    np.testing.assert_allclose(found["other", "deletion"].values, alone.values)
    np.testing.assert_allclose(found["random", "gini"].mean, found["random", "gini"].values.mean())
    text = str(found)
    assert "deletion ↓" in text and "gini ↑" in text and "(edges)" in text and " *" in text and "±" in text
    lines = found.as_csv().splitlines()
    assert lines[0] == "method,control,metric,better,mean,low,high,values" and len(lines) == 1 + 5 * 3


# ---------------------------------------------------------------- mistakes

MISTAKES = {
    "infidelity: perturb_func returned shapes": lambda m, a: metrics.infidelity(
        m, a, perturb_func=lambda x: (x[:1], x)
    ),
    "infidelity: perturb_func is 'squares'": lambda m, a: metrics.infidelity(m, a, perturb_func="squares"),
    "infidelity: n_perturb_samples is 0": lambda m, a: metrics.infidelity(m, a, n_perturb_samples=0),
    r"the attribution has shape \(2, 6, 4, 4\), expected that of x": lambda m, a: metrics.deletion(
        m, judged(np.zeros((2, 6, 4, 4)), a.x)
    ),
    "deletion: the attribution holds NaN": lambda m, a: metrics.deletion(m, judged(a.values * np.nan, a.x)),
    "deletion: n_steps is 0": lambda m, a: metrics.deletion(m, a, n_steps=0),
    "subset_size is 144, expected 1 to 143: x has 144 pixels": lambda m, a: metrics.faithfulness_correlation(
        m, a, subset_size=144
    ),
    "road: parts is .*expected numbers between 0 and 1": lambda m, a: metrics.road(m, a, parts=(0.5, 1)),
    "all pixels of sample 1 are missing": lambda m, a: metrics.noisy_linear_imputation(
        a.x, np.arange(2)[:, None, None] * np.ones((12, 12))
    ),
    "norm_ord is 3": lambda m, a: metrics.sensitivity_max(explain.saliency, m, a.x, norm_ord=3),
    "perturb_radius is -1": lambda m, a: metrics.sensitivity_max(explain.saliency, m, a.x, perturb_radius=-1),
    "mprt: order is 'down'": lambda m, a: metrics.mprt(explain.saliency, m, a.x, order="down"),
    "mask is int64 of shape": lambda m, a: metrics.pointing_game(a, np.ones((3, 12, 12), int)),
    "tolerance is 0.5": lambda m, a: metrics.pointing_game(a, np.ones((12, 12)), tolerance=0.5),
    "there is no metric 'delete'": lambda m, a: metrics.table(m, [a], ["delete"]),
    "explains other samples or targets": lambda m, a: metrics.table(
        m, {"a": a, "b": explain.saliency(m, a.x, 3)}, ["gini"]
    ),
    "got 0 attributions": lambda m, a: metrics.table(m, [], ["gini"]),
    "x holds NaN": lambda m, a: metrics.deletion(m, np.zeros(a.x.shape), a.x * np.nan, 1),
    "target 9 is out of range": lambda m, a: metrics.deletion(m, a.values, a.x, 9),
    "gini: the attribution has shape": lambda m, a: metrics.gini(np.ones(3)),
    "scipy|expected pictures": lambda m, a: metrics.pointing_game(np.ones((2, 3)), np.ones((2, 3)), np.ones((2, 3))),
}


@pytest.mark.parametrize("message", MISTAKES)
def test_a_mistake_says_what_came_and_what_was_expected(message):
    model, x = nets.build("cnn"), nets.images(2)
    with pytest.raises(ValueError, match=message):
        MISTAKES[message](model, explain.saliency(model, x, 1))


def test_a_mistake_of_type_says_so():
    model, x = nets.build("cnn"), nets.images(2)
    with pytest.raises(TypeError, match="deletion: attribution is ndarray, which does not know what it explains"):
        metrics.deletion(model, x)
    with pytest.raises(TypeError, match="mprt: model is function, expected a Module"):
        metrics.mprt(explain.saliency, lambda x: model(x), x)
