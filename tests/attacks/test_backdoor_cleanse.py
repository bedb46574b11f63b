"""Neural Cleanse: the cost is steered as the authors', the index is the paper's, and closed forms are found."""

import numpy as np
import pytest

from attacks.backdoor import Cleansed, Cost, anomaly_index, iou, neural_cleanse

from . import subjects

PIXEL = (5, 6)


def rng():
    return np.random.default_rng(0)


def backdoored(classes=6, seed=0):
    """A linear model of images (N, 1, 8, 8) that sees a class in eight pixels' light, but class 2 in one pixel alone.

    The logit of class k is the light in row k; class 2's is 20 times that of one pixel, which no image lights.
    """
    weight = np.zeros((classes, 8, 8))
    for k in range(classes):
        weight[k, k] = 1
    weight[2] = 0
    weight[2][PIXEL] = 20
    x = np.random.default_rng(seed).uniform(0, 0.3, (24, 1, 8, 8))
    x[np.arange(24), 0, np.arange(24) % classes] += 0.5
    x[:, 0, PIXEL[0], PIXEL[1]] = 0
    return subjects.linear(weight.reshape(classes, 64)), x


def test_the_class_of_one_pixel_is_flagged_alone_and_the_pixel_found():
    model, x = backdoored()
    found = neural_cleanse(model, x, batch_size=12, steps=80, rng=rng())
    assert found.flagged == [2] and found.works.all() and found.ratio < 0.3
    assert found.index[2] > 2 and (np.delete(found.index, 2) < 2).all()
    planted = np.zeros((8, 8), bool)
    planted[PIXEL] = True
    assert iou(found.masks[2], planted) == 1 and found.patterns[2][0][PIXEL] > 0.9
    shown = found.trigger(2).apply(x)
    assert (subjects.predicted(model, shown) == 2).mean() >= 0.99
    assert "flagged [2], smallest mask" in repr(found)


def test_the_mask_is_no_larger_than_it_must_be():
    """Two classes, black images, z_1 - z_0 = 4 x_1 + x_2 - 1:
    the cheapest way over is a quarter of pixel 1."""
    model = subjects.linear([[0, 0, 0, 0], [4, 1, 0, 0]], [3, 2])
    found = neural_cleanse(model, np.zeros((4, 1, 2, 2)), steps=150, batch_size=2, rng=rng())
    assert 0.25 <= (found.masks[1] * found.patterns[1][0])[0, 0] < 0.3 and found.norms[1] < 0.33
    assert found.norms[0] < 1e-3  # every image is of class 0 as it is
    assert np.isnan(found.index).all() and found.flagged == [] and "2 classes" in repr(found)


def test_a_class_is_searched_for_alike_whoever_is_beside_it(monkeypatch):
    """Also when another class's search has ended before."""
    from attacks.backdoor import cleanse

    model, x = backdoored()
    settings = {"steps": 12, "batch_size": 12, "patience": 1}
    together = neural_cleanse(model, x, rng=rng(), **settings)
    whole = cleanse.one_pass
    monkeypatch.setattr(cleanse, "one_pass", lambda model, searches, batches: [whole(model, [s], batches)
                                                                              for s in searches])  # fmt: skip
    apart = neural_cleanse(model, x, rng=rng(), **settings)
    np.testing.assert_allclose(together.masks, apart.masks, rtol=0, atol=1e-9)
    np.testing.assert_allclose(together.patterns, apart.patterns, rtol=0, atol=1e-9)


def test_of_several_beginnings_the_smallest_mask_counts(monkeypatch):
    from attacks.backdoor import cleanse

    made, whole = [], cleanse.Search
    monkeypatch.setattr(cleanse, "Search", lambda *of: made.append(whole(*of)) or made[-1])
    model, x = backdoored()
    found = neural_cleanse(model, x, restarts=3, steps=40, batch_size=12, rng=rng())
    norms = np.array([search.smallest for search in made]).reshape(3, 6)
    assert [search.target for search in made] == [*range(6)] * 3
    np.testing.assert_allclose(found.norms, norms.min(0), rtol=1e-12)
    assert len(set(norms.argmin(0))) > 1  # no beginning is the best for all


def test_weights_get_no_gradient_and_the_same_rng_gives_the_same_bytes():
    model, x = backdoored()
    one, other = (neural_cleanse(model, x, steps=3, rng=rng()) for _ in range(2))
    assert one.masks.tobytes() == other.masks.tobytes() and one.patterns.tobytes() == other.patterns.tobytes()
    assert all(p.grad is None for p in model.parameters())
    x, model = x.astype(np.float32), model.to(np.float32)
    assert neural_cleanse(model, x, steps=1, rng=rng()).masks.dtype == np.float32


def test_the_trace_and_the_callback_tell_of_every_pass():
    model, x = backdoored()
    seen = []
    found = neural_cleanse(model, x, restarts=2, steps=5, rng=rng(), callback=lambda *of: seen.append(of))
    assert [step for step, *_ in seen] == list(range(5)) and len(found.trace) == 5
    _, masks, patterns, entry = seen[-1]
    assert masks.shape == (2, 6, 8, 8) and patterns.shape == (2, 6, 1, 8, 8) and entry is found.trace[-1]
    assert set(entry) == {"loss", "norm", "success", "cost"} and all(v.shape == (2, 6) for v in entry.values())
    assert (entry["success"] <= 1).all() and (entry["norm"] < 64).all()


def test_ctrl_c_returns_what_was_found():
    model, x = backdoored()

    def interrupt(step, *_):
        if step == 2:
            raise KeyboardInterrupt

    found = neural_cleanse(model, x, steps=50, rng=rng(), callback=interrupt, progress=True)
    assert found.interrupted and len(found.trace) == 3 and found.masks.shape == (6, 8, 8)


def test_the_cost_rises_where_the_trigger_works_and_falls_where_not():
    """By hand from the authors' code, patience 2, multiplier 4; the pass that sets the cost counts for a rise."""
    cost, values = Cost(0.1, 4.0, 2), []
    for worked in (1, 0, 1, 1, 1, 1, 1, 0, 0, 1, 0, 0, 0, 0):
        cost.steer(bool(worked), 5.0)
        values.append(cost.value)
    np.testing.assert_allclose(
        values, [0, 0, 0, 0.1, 0.4, 0.4, 1.6, 1.6, 0.2, 0.2, 0.2, 0.025, 0.025, 0.003125], rtol=1e-12)
    assert not cost.settled or cost.early_stop


@pytest.mark.parametrize("early_stop", [True, False])
def test_the_search_settles_when_the_cost_went_both_ways_and_nothing_smaller_came(early_stop):
    cost = Cost(0.1, 2.0, 2, early_stop)
    for _ in range(30):
        cost.steer(True, 5.0)
    assert not cost.settled  # it never went down
    for _ in range(2):
        cost.steer(False, 5.0)
    assert not cost.settled
    cost.steer(False, 5.0)
    assert cost.settled is early_stop
    cost.steer(True, 4.0)
    assert not cost.settled


def test_the_anomaly_index_is_the_paper_s():
    """The authors' GTSRB example: median 64.5, 1.4826 MAD 13.2, target 16.1, index 3.65."""
    norms = 64.466667 + 13.238736 / 1.4826 * np.array([-9, -1, -1, 0, 1, 1, 9])
    norms[0] = 16.117647
    assert anomaly_index(norms)[0] == pytest.approx(3.652087, abs=1e-5)
    np.testing.assert_allclose(anomaly_index([1, 2, 3, 4, 100]) * 1.4826, [2, 1, 0, -1, -97])
    np.testing.assert_array_equal(anomaly_index([5, 5, 5, 4, 6]), [0, 0, 0, np.inf, -np.inf])


def test_two_classes_have_no_index():
    """|n - median| is the same for both, and its median too: it would be 1 / 1.4826 whatever they are."""
    assert np.isnan(anomaly_index([1.0, 90.0])).all()
    assert Cleansed(np.full((2, 4, 4), [[[0.25]], [[1.0]]]), np.zeros((2, 1, 4, 4)), [True, True]).ratio == 0.25


def test_a_mask_that_is_unusually_large_is_not_flagged():
    masks = np.full((5, 10, 10), np.array([10, 11, 12, 13, 90])[:, None, None] / 100)
    found = Cleansed(masks, np.zeros((5, 1, 10, 10)), np.ones(5))
    assert found.index[4] < -2 and found.flagged == []
    masks[0] = 0.001
    assert found.flagged == [0]


def test_the_picture_says_what_was_found():
    import matplotlib

    matplotlib.use("Agg")
    model, x = backdoored()
    figure = neural_cleanse(model, x, steps=40, batch_size=12, rng=rng()).plot()
    assert len(figure.axes) == 2 * 6 + 1
    assert "class 2" in figure.axes[-1].get_title("left")
    two = Cleansed(np.full((2, 4, 4), [[[0.25]], [[1.0]]]), np.zeros((2, 3, 4, 4)), [True, True]).plot()
    assert "0.25 of the other; of two classes none" in two.axes[-1].get_title("left")


@pytest.mark.parametrize("error, options, message", [
    (ValueError, {"restarts": 0}, "neural_cleanse: restarts is 0"),
    (ValueError, {"steps": 0}, "neural_cleanse: steps is 0, expected an integer of at least 1"),
    (ValueError, {"lr": 0}, "neural_cleanse: lr is 0, expected a number of more than 0"),
    (ValueError, {"threshold": 1.5}, "neural_cleanse: threshold is 1.5, expected a number of more than 0, at most 1"),
    (ValueError, {"cost_multiplier": 1}, "neural_cleanse: cost_multiplier is 1, expected a number of more than 1"),
    (ValueError, {"patience": 0}, "neural_cleanse: patience is 0"),
    (ValueError, {"batch_size": 2.5}, "neural_cleanse: batch_size is 2.5"),
    (TypeError, {"rng": 3}, "neural_cleanse: rng is int, expected a numpy.random.Generator"),
    (ValueError, {"x": np.full((2, 1, 8, 8), 255.0)}, "neural_cleanse: x goes from 255 to 255, outside bounds"),
    (TypeError, {"x": np.zeros((2, 1, 8, 8), int)}, "neural_cleanse: x has dtype int64"),
])  # fmt: skip
def test_bad_settings_are_named(error, options, message):
    model, x = backdoored()
    with pytest.raises(error, match=message):
        neural_cleanse(model, options.pop("x", x), **options)


def test_a_model_in_training_mode_is_refused():
    model, x = backdoored()
    with pytest.raises(ValueError, match="neural_cleanse: the model is in training mode"):
        neural_cleanse(model.train(), x)


@pytest.mark.parametrize("norms", [[], [[1.0]], [1.0, np.nan, 2.0]])
def test_norms_that_are_none_are_refused(norms):
    with pytest.raises(ValueError, match="anomaly_index: norms have shape"):
        anomaly_index(norms)
