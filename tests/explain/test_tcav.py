"""Concepts planted in a network must be found, and those that are not must not be."""

import numpy as np
import pytest

import explain
import minigrad
from explain.tcav import _welch, concept_vector
from minigrad import nn

from . import nets

RNG = np.random.default_rng
SIDE = 8


def planted():
    """Class 0 is the mean answer to vertical edges, class 1 to horizontal ones; layer '1' holds both answers."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2))
    edge = np.array([[-1.0, 2, -1]] * 3)
    weights = {"0.weight": np.stack([edge, edge.T])[:, None], "0.bias": np.full(2, 0.1), "4.weight": np.eye(2),
               "4.bias": np.zeros(2)}  # fmt: skip
    model.to(np.float64).load_state_dict(weights)
    return model


def noise(count, seed):
    return RNG(seed).random((count, 1, SIDE, SIDE))


def stripes(count, seed):
    return np.clip(0.4 * noise(count, seed) + 0.6 * (np.arange(SIDE) % 3 == 0), 0, 1)


def run(target, concept, **options):
    options = {"layer": "1", "concept": concept, "random": noise(60, 1), "rng": RNG(0), **options}
    return explain.tcav(planted(), noise(12, 2), target, **options)


def test_a_planted_concept_matters_to_its_class():
    found = run(0, stripes(20, 3))
    assert found.score == 1 and found.significant and found.p_value == 1 / 40
    assert found.accuracy.mean() > 0.95 and (found.per_image > 0).all()
    assert found.sensitivity > 3 * np.std(found.random_sensitivity)
    across = run(0, np.swapaxes(stripes(20, 3), 2, 3))
    assert across.sensitivity < 0.3 * found.sensitivity


def test_a_random_concept_does_not_though_the_papers_t_test_says_so():
    """Under the null hypothesis a p-value is below 0.1 in a tenth of all cases; the runs' t-test far more often."""
    found = [run(0, noise(20, 100 + s), random=noise(200, 6), n_random=19, n_runs=15, rng=RNG(s)) for s in range(30)]
    assert np.mean([f.p_value <= 0.1 for f in found]) <= 0.2
    assert 0.25 < np.mean([f.p_value for f in found]) < 0.75
    assert np.mean([f.t_test <= 0.1 for f in found]) >= 0.3
    assert abs(np.mean([f.accuracy.mean() for f in found]) - 0.5) < 0.1
    assert any("not significant" in repr(f) for f in found)


def test_sensitivity_is_the_derivative_along_the_vector():
    model, x = nets.build("smooth"), nets.images(4)
    found = explain.tcav(model, x, 2, layer="3", concept=nets.images(9, seed=1) ** 2, random=nets.images(20, seed=2),
                         n_runs=3, n_random=2, rng=RNG(0))  # fmt: skip
    gradient = explain.layer_gradient_x_activation(model, x, 2, layer="3", multiply_by_inputs=False).values
    along = np.einsum("nchw,rchw->nr", gradient, found.vectors)
    np.testing.assert_allclose(found.per_image, along.mean(1), rtol=1e-9)
    np.testing.assert_allclose(found.sensitivity, along.mean(), rtol=1e-9)
    np.testing.assert_allclose(found.scores, (along > 0).mean(0))
    np.testing.assert_allclose(np.sqrt((found.vectors**2).sum((1, 2, 3))), 1)
    layer = explain.layer_activation(model, x, layer="3").values
    step = 1e-5 * found.vectors[:1]
    head = nn.Sequential(*[model[i] for i in range(4, 9)])
    up, down = (head(minigrad.Tensor(layer + s)).data[:, 2] for s in (step, -step))
    np.testing.assert_allclose((up - down) / 2e-5, along[:, 0], rtol=1e-4, atol=1e-9)


def test_the_vector_points_from_the_random_images_to_the_concept():
    rng = RNG(0)
    way = np.array([3.0, 0, -4, 0]) / 5
    a, b = rng.normal(size=(300, 4)) + 2 * way, rng.normal(size=(300, 4)) - 2 * way
    vector, accuracy = concept_vector(a, b, RNG(1))
    assert vector @ way > 0.97 and accuracy > 0.95
    opposite, _ = concept_vector(b, a, RNG(1))
    assert opposite @ way < -0.97
    scaled, _ = concept_vector(1e6 * a, 1e6 * b, RNG(1))
    np.testing.assert_allclose(scaled, vector, atol=1e-4)


def test_scores_that_do_not_vary_are_equal_or_not():
    ones, zeros = np.ones(5), np.zeros(5)
    assert _welch(ones, ones) == 1 and _welch(ones, zeros) == 0
    from scipy.stats import ttest_ind

    a, b = RNG(0).random(6), RNG(1).random(6)
    np.testing.assert_allclose(_welch(a, b), ttest_ind(a, b, equal_var=False).pvalue, rtol=1e-10)


def test_draws_are_the_callers_and_the_model_stays():
    first, again, other = (run(1, stripes(9, 3), rng=RNG(s), n_random=2) for s in (0, 0, 1))
    np.testing.assert_array_equal(first.vectors, again.vectors)
    assert not np.array_equal(first.vectors, other.vectors)
    model = nets.build("normed").train()
    state = model.state_dict()
    explain.tcav(model, nets.images(), layer="2", concept=nets.images(4), random=nets.images(8), n_runs=2, n_random=2)
    assert model.training
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, state[name])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"n_random": 0}, r"tcav: n_random is 0, expected an integer of at least 2"),
        ({"n_runs": 1}, r"tcav: n_runs is 1, expected an integer of at least 2"),
        ({"random": noise(5, 0)}, r"got 20 images of the concept and 5 random ones, expected at least 3 and 6"),
        ({"layer": "9"}, r"tcav: no module at '9'"),
    ],
)
def test_bad_options_are_named(options, match):
    with pytest.raises(ValueError, match=match):
        run(0, stripes(20, 3), **options)
