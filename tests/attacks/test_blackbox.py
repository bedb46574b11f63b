"""Attacks without gradients: squares, single pixels, and walks along the boundary."""

import numpy as np
import pytest

import minigrad
from attacks import blackbox, decision
from attacks.blackbox import one_pixel, paint, square
from attacks.decision import boundary, hop_skip_jump
from tests.attacks import subjects
from tests.attacks.promises import ends_on_ctrl_c, keeps_promises, rng, runner_up, subject, two_classes

QUICK = {
    square: {"eps": 0.1, "n_queries": 150},
    one_pixel: {"pixels": 2, "steps": 8, "population": 30},
    boundary: {"steps": 150, "spherical_step": 0.1, "source_step": 0.1},
    hop_skip_jump: {"steps": 4, "initial_gradient_eval_steps": 30},
}
ATTACKS = pytest.mark.parametrize("attack", QUICK)


def fixed(attack, **more):
    return lambda *a, **k: attack(*a, rng=rng(), **k | more)


@pytest.mark.parametrize("attack, more", [
    (square, {}), (square, {"norm": "l2", "eps": 0.4}), (one_pixel, {}), (boundary, {}), (hop_skip_jump, {}),
    (hop_skip_jump, {"norm": "linf"}),
])  # fmt: skip
def test_it_keeps_the_promises_of_an_attack(attack, more):
    result = keeps_promises(fixed(attack), **QUICK[attack] | more)
    assert result.rate() > 0.4 and (result.gradients == 0).all() and set(result.trace[0]) >= {"l2", "linf"}


@ATTACKS
def test_the_same_rng_gives_the_same_bytes_and_another_does_not(attack):
    args = subject(3)
    a, b, c = (attack(*args, rng=np.random.default_rng(seed), **QUICK[attack]).x_adv for seed in (0, 0, 1))
    assert a.tobytes() == b.tobytes() != c.tobytes()


@ATTACKS
def test_targets_are_reached(attack):
    model, x, _ = subject(4)
    targets = runner_up(model, x)
    options = QUICK[attack] | ({"eps": 0.3} if attack is square else {})
    result = attack(model, x, targets, targeted=True, rng=rng(), **options)
    np.testing.assert_array_equal(subjects.predicted(model, result.x_adv) == targets, result.success)
    assert result.success.any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("norm, eps", [("linf", 0.03), ("l2", 0.1)])
def test_square_stays_in_its_ball(norm, eps, dtype):
    model, x, y = subject(6, dtype)
    result = square(model, x, y, norm=norm, eps=eps, n_queries=60, rng=rng())
    assert (result.distance[norm] <= eps).all() and result.x_adv.min() >= 0 and result.x_adv.max() <= 1


def test_square_lowers_the_loss_and_a_failure_holds_the_lowest():
    model, x, y = subject(6)
    result = square(model, x, y, eps=0.01, n_queries=60, rng=rng())
    loss = np.array([entry["loss"] for entry in result.trace])
    going = ~np.isnan(loss[1:])
    assert (loss[1:] <= loss[:-1])[going].all() and (loss[-1] < loss[0]).any()
    failed = result.status == "failed"
    logits = model(minigrad.Tensor(result.x_adv)).data
    lead = logits[np.arange(6), y] - np.where(np.eye(4, dtype=bool)[y], -np.inf, logits).max(1)
    np.testing.assert_allclose(lead[failed], loss[-1][failed], atol=1e-5)
    assert failed.any()


def test_squares_reach_every_pixel_the_last_row_and_column_too():
    x = np.full((1, 6, 6), 0.5)
    generator, changed = np.random.default_rng(0), np.zeros((6, 6), int)
    for _ in range(200):
        changed += (blackbox._one_square(x, x, 0.1, 0.1, generator) != x)[0]
    assert (changed > 0).all() and changed[-1, -1] > 5
    whole = blackbox._one_square(x, x, 0.1, 1.0, generator)
    assert (whole != x).all()


def test_the_squares_of_l2_move_mass_and_keep_the_norm():
    generator = np.random.default_rng(0)
    x = np.full((3, 9, 7), 0.5)
    image = blackbox._tiles(x, 0.5, generator)
    np.testing.assert_allclose(np.linalg.norm(image - x), 0.5)
    for part in (0.8, 0.3, 0.01):
        image = blackbox._moved_mass(x, image, 0.5, part, generator)
        np.testing.assert_allclose(np.linalg.norm(image - x), 0.5)


@pytest.mark.parametrize("height, width", [(8, 8), (5, 9), (28, 28), (3, 4)])
def test_square_takes_images_of_any_shape(height, width):
    size = 2 * height * width
    model = subjects.linear(np.random.default_rng(0).normal(size=(3, size)))
    x = np.random.default_rng(1).uniform(0, 1, (2, 2, height, width))
    y = subjects.predicted(model, x)
    for norm in ("linf", "l2"):
        assert square(model, x, y, norm=norm, eps=0.05, n_queries=5, p_init=1.0, rng=rng()).x_adv.shape == x.shape


def test_one_pixel_changes_one_pixel():
    model, x, y = subject(4)
    for pixels in (1, 3):
        result = one_pixel(model, x, y, pixels=pixels, steps=3, population=12, rng=rng())
        assert (result.distance["l0"] <= pixels).all() and (result.distance["l0"] > 0).any()


def test_one_pixel_paints_all_channels_of_a_place():
    x = np.zeros((3, 4, 5))
    images = paint(x, np.array([[[1.9, 4.0, 0.1, 0.2, 0.3]], [[4.0, 5.0, 1.0, 1.0, 1.0]]]))
    np.testing.assert_array_equal(np.argwhere(images[0].any(0)), [[1, 4]])
    np.testing.assert_allclose(images[0][:, 1, 4], [0.1, 0.2, 0.3])
    np.testing.assert_array_equal(np.argwhere(images[1].any(0)), [[3, 4]])


def test_evolution_finds_the_one_pixel_that_matters():
    weight = np.zeros((2, 64))
    weight[1, 27] = 10.0
    model = subjects.linear(weight, [4.0, 0.0])
    result = one_pixel(model, np.zeros((1, 1, 8, 8)), np.array([0]), steps=30, population=60, rng=rng())
    assert result.success.all() and list(np.flatnonzero(result.x_adv)) == [27]


def test_evolution_goes_on_where_the_model_is_sure():
    """In float32 a probability of 1 - 1e-9 is 1, and a search that compares those finds all candidates alike."""
    weight = np.zeros((2, 64))
    weight[1] = np.linspace(0, 1, 64)
    model = subjects.linear(weight, [22.0, 0.0]).to(np.float32)
    result = one_pixel(model, np.zeros((1, 1, 8, 8), np.float32), np.array([0]), steps=15, population=40, rng=rng())
    assert result.status[0] == "failed" and result.queries[0] == 1 + 16 * 40
    assert result.x_adv.reshape(-1)[48:].max() > 0.9


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_hop_skip_jump_comes_near_the_boundary_of_a_linear_model(norm):
    model, x, y, f, w = two_classes(3)
    far = subjects.linear(model[1].weight.data, model[1].bias.data + 0.5 * np.eye(2)[y[0]])
    exact = (0.5 + f * np.where(y == y[0], 1, -1)) / np.linalg.norm(w, 2 if norm == "l2" else 1)
    result = hop_skip_jump(far, x, subjects.predicted(far, x), norm=norm, steps=12, rng=rng())
    ratio = result.distance[norm] / np.abs(exact)
    assert result.success.all() and (ratio >= 1 - 1e-9).all() and (ratio < 1.15).all()


def test_the_boundary_attack_comes_nearer_and_nearer():
    model, x, y = subject(4)
    short, long = (boundary(model, x, y, steps=n, spherical_step=0.1, source_step=0.1, rng=rng()) for n in (30, 600))
    assert long.success.all() and (long.distance["l2"] < short.distance["l2"]).all()
    assert long.distance["l2"].mean() < 0.6 * short.distance["l2"].mean()
    path = np.array([entry["l2"] for entry in long.trace])
    assert (np.diff(path, axis=0) <= 0).all()


@pytest.mark.parametrize("attack", [boundary, hop_skip_jump])
def test_other_bounds_are_respected(attack):
    """Foolbox 3.3 clips HopSkipJump to [0, 1] whatever the bounds are."""
    model, x, y = subject(3)
    def wide(t):
        return model((t + 3.0) / 6.0)

    result = attack(wide, (6 * x - 3).clip(-3, 3), y, bounds=(-3, 3), rng=rng(), **QUICK[attack])
    assert result.success.all() and result.x_adv.min() >= -3 and result.x_adv.max() <= 3
    assert (result.x_adv < 0).any() and (result.x_adv > 1).any()


@pytest.mark.parametrize("attack", [boundary, hop_skip_jump])
def test_who_finds_no_start_fails_and_the_others_go_on(attack, monkeypatch):
    model = subjects.linear(np.stack([np.ones(16), np.zeros(16)]), [-1.0, 0.0])  # noise is always class 0
    x = np.zeros((2, 1, 4, 4))
    x[0] = 0.5
    result = attack(model, x, np.array([0, 1]), rng=rng(), **QUICK[attack])
    assert list(result.status) == ["failed", "success"]
    np.testing.assert_array_equal(result.x_adv[0], x[0])
    given = attack(model, x, np.array([0, 1]), rng=rng(), starting_points=np.stack([x[1], x[0]]), **QUICK[attack])
    assert given.success.all()


def test_a_starting_point_that_does_not_fool_is_a_failure():
    model, x, y = subject(2)
    result = hop_skip_jump(model, x, y, starting_points=x, rng=rng())
    assert (result.status == "failed").all()
    np.testing.assert_array_equal(result.x_adv, x)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_a_normal_is_one_samples_own(norm):
    """Foolbox 3.3 divides by the norm of the whole batch: in a batch every step becomes shorter."""
    model, x, y = subject(5)
    options = QUICK[hop_skip_jump] | {"norm": norm, "starting_points": 1 - x}
    together = hop_skip_jump(model, x, y, rng=rng(), **options)
    alone = hop_skip_jump(model, x[:1], y[:1], rng=rng(), **options | {"starting_points": 1 - x[:1]})
    np.testing.assert_array_equal(together.x_adv[:1], alone.x_adv)


def test_rates_count_again_after_a_change():
    rate = decision._Rate(2, 4)
    for success in (1, 1, 1, 0):
        above, below = rate.beyond(np.arange(2), 0.5, 0.2)
        assert not len(above) and not len(below)
        rate.add(np.arange(2), np.array([success, 0]))
    above, below = rate.beyond(np.arange(2), 0.5, 0.2)
    assert list(above) == [0] and list(below) == [1]
    assert not len(np.concatenate(rate.beyond(np.arange(2), 0.5, 0.2)))


@ATTACKS
def test_it_ends_on_ctrl_c(attack):
    ends_on_ctrl_c(attack, 2, rng=rng(), **QUICK[attack] | ({"eps": 0.001} if attack is square else {}))


@pytest.mark.parametrize("attack, option, message", [
    (square, {"eps": -1}, "square: eps is -1"),
    (square, {"eps": 0.1, "norm": "l1"}, "square: norm is 'l1', expected 'linf' or 'l2'"),
    (square, {"eps": 0.1, "n_queries": 0}, "square: n_queries is 0"),
    (square, {"eps": 0.1, "p_init": 2}, "square: p_init is 2"),
    (one_pixel, {"pixels": 0}, "one_pixel: pixels is 0"),
    (one_pixel, {"population": 4}, "one_pixel: population is 4, expected an integer of at least 5"),
    (boundary, {"steps": 0}, "boundary: steps is 0"),
    (boundary, {"step_adaptation": 1}, "boundary: step_adaptation is 1"),
    (boundary, {"source_step": 0}, "boundary: source_step is 0"),
    (boundary, {"starting_points": np.zeros((1, 1, 2, 2))}, r"boundary: starting_points have shape \(1, 1, 2, 2\)"),
    (hop_skip_jump, {"norm": "l0"}, "hop_skip_jump: norm is 'l0'"),
    (hop_skip_jump, {"gamma": 0}, "hop_skip_jump: gamma is 0"),
])  # fmt: skip
def test_settings_are_checked(attack, option, message):
    with pytest.raises(ValueError, match=message):
        attack(*subject(1), **option)


@pytest.mark.parametrize("attack", [square, one_pixel])
def test_only_images_have_squares_and_pixels(attack):
    model = subjects.linear(np.eye(4))
    with pytest.raises(ValueError, match=r"x has shape \(1, 4\), expected images \(N, C, H, W\)"):
        attack(model, np.array([[0.1, 0.9, 0.2, 0.3]]), np.array([1]), **QUICK[attack])


def test_chance_must_be_a_generator():
    with pytest.raises(TypeError, match="square: rng is int, expected a numpy.random.Generator"):
        square(*subject(1), eps=0.1, rng=0)
