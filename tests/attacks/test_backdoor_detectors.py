"""Who is suspicious: scores by their papers' formulas, on samples made so that the answer is known."""

import numpy as np
import pytest

from attacks.backdoor import Suspicion, activation_clustering, auroc, spectral_signatures, strip
from attacks.backdoor.clustering import two_clusters, whitened
from attacks.backdoor.spectral import signature
from minigrad import nn

from . import subjects

CLASSES, PER_CLASS, POISONED = 3, 60, 12


def rng():
    return np.random.default_rng(0)


def identity():
    """A model whose last dense layer takes in the 16 pixels as they are."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, CLASSES)).to(np.float64)
    weight = np.zeros((CLASSES, 16))
    weight[np.arange(CLASSES), np.arange(CLASSES)] = 5
    model.load_state_dict({"1.weight": weight, "1.bias": np.zeros(CLASSES)})
    return model.eval()


def samples():
    """Images (180, 1, 4, 4) of three classes; 12 of class 1 have light in the last two pixels."""
    chance = np.random.default_rng(5)
    x = chance.uniform(0.2, 0.4, (CLASSES * PER_CLASS, 16))
    labels = np.repeat(np.arange(CLASSES), PER_CLASS)
    x[np.arange(len(x)), labels] += 0.4
    planted = np.zeros(len(x), bool)
    planted[PER_CLASS : PER_CLASS + POISONED] = True
    x[planted, -2:] += 0.5
    return x.reshape(-1, 1, 4, 4), labels, planted


def test_the_signature_is_the_projection_on_the_first_singular_vector():
    inner = np.random.default_rng(0).normal(3, 1, (40, 7)).astype(np.float32)
    scores, strength = signature(inner)
    centred = inner.astype(np.float64) - inner.astype(np.float64).mean(0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(scores, (u[:, 0] * s[0]) ** 2, rtol=1e-4)
    assert strength == pytest.approx(s[0] ** 2 / (s**2).sum(), rel=1e-5)


def test_spectral_signatures_find_the_planted_and_pay_in_the_other_classes():
    x, labels, planted = samples()
    found = spectral_signatures(identity(), x, labels, eps=POISONED / PER_CLASS)
    assert found.auroc(planted) == 1 and found.recall(planted) == 1
    np.testing.assert_array_equal(np.bincount(labels[found.flagged]), [int(1.5 * POISONED)] * CLASSES)
    assert found.false_positives(planted) == (3 * 18 - 12) / (180 - 12)
    assert found.details["strength"].argmax() == 1
    for label in range(CLASSES):  # a class is judged by itself
        alone = spectral_signatures(identity(), x[labels == label], labels[labels == label])
        np.testing.assert_allclose(alone.scores, found.scores[labels == label], rtol=1e-6)


def test_scores_do_not_move_with_the_mean():
    """Uncentred, the first direction would be that of the mean, and the scores those of who is bright."""
    scores, _ = signature(np.array([[100.0, 0], [100, 1], [100, 2], [100, 9]]))
    np.testing.assert_allclose(scores, [9, 4, 1, 36])


def test_activation_clustering_flags_the_small_cluster_of_the_poisoned_class_alone():
    x, labels, planted = samples()
    found = activation_clustering(identity(), x, labels, n_components=4, min_silhouette=0.2, rng=rng())
    assert found.details["classes"] == [1] and found.details["size"][1] == POISONED / PER_CLASS
    np.testing.assert_array_equal(found.flagged, planted)
    assert found.auroc(planted) == 1 and not found.scores[labels != 1].any()
    assert found.details["silhouette"].argmax() == 1
    tight = activation_clustering(identity(), x, labels, n_components=4, max_size=0.1, rng=rng())
    assert not tight.flagged.any()


def test_two_clusters_lean_to_the_smaller():
    chance = np.random.default_rng(1)
    inner = np.concatenate([chance.normal(0, 1, (30, 3)), chance.normal([12, 0, 0], 1, (9, 3))])
    lean, silhouette = two_clusters(inner, 2, 0)
    np.testing.assert_array_equal(lean > 0, np.arange(39) >= 30)
    assert silhouette > 0.4
    assert two_clusters(chance.normal(0, 1, (60, 3)), 2, 0)[1] < silhouette


def test_activations_that_differ_in_few_directions_are_no_obstacle():
    chance = np.random.default_rng(1)
    plane = chance.normal(0, 1, (40, 2))
    plane[:8] += 9
    inner = np.zeros((40, 30), np.float32)
    inner[:, [4, 17]] = plane
    lean, _ = two_clusters(inner, 10, 0)
    assert whitened(inner, 10).shape == (40, 2) and np.isfinite(lean).all()
    np.testing.assert_array_equal(lean > 0, np.arange(40) < 8)
    np.testing.assert_allclose(np.cov(whitened(inner, 10).T, bias=True), np.eye(2), atol=1e-9)
    lean, silhouette = two_clusters(np.full((40, 30), 3.0, np.float32), 10, 0)
    assert not lean.any() and silhouette == 0


def test_classes_of_too_few_samples_are_left_out():
    x, labels, _ = samples()
    found = activation_clustering(identity(), x[:65], labels[:65], n_components=6, rng=rng())
    assert np.isnan(found.details["size"][1]) and np.isfinite(found.details["size"][0])


def test_activations_are_what_the_named_layer_puts_out():
    """One layer further in, the planted light is gone, and with it the signature."""
    x, labels, planted = samples()
    keep = np.eye(14, 16)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 16), nn.Linear(16, 14), nn.ReLU(), nn.Linear(14, CLASSES))
    model.to(np.float64).eval().load_state_dict({
        "1.weight": np.eye(16), "1.bias": np.zeros(16), "2.weight": keep, "2.bias": np.zeros(14),
        "4.weight": np.ones((CLASSES, 14)), "4.bias": np.arange(3.0)})  # fmt: skip
    assert spectral_signatures(model, x, labels, layer="1").auroc(planted) == 1
    assert spectral_signatures(model, x, labels).auroc(planted) < 0.9
    np.testing.assert_array_equal(spectral_signatures(model, x, labels).scores,
                                  spectral_signatures(model, x, labels, layer="3").scores)  # fmt: skip


def test_strip_is_the_mean_entropy_of_the_answers_in_bits():
    """A trigger that decides alone has none; an input the model ignores has that of what is laid over it."""
    weight = np.zeros((2, 4))
    weight[1] = [400, 0, 0, 0]  # the first pixel decides, the others say nothing
    model = subjects.linear(weight)
    clean = np.zeros((30, 1, 2, 2))
    clean[:, 0, 1, 1] = np.linspace(0, 1, 30)
    x = np.zeros((2, 1, 2, 2))
    x[0, 0, 0, 0] = 1
    found = strip(model, x, clean, n_samples=7, rng=rng())
    np.testing.assert_allclose(found.details["entropy"], [0, 1], atol=1e-9)  # two equal logits: one bit
    np.testing.assert_allclose(found.details["clean_entropy"], 1)
    np.testing.assert_array_equal(found.flagged, [True, False])
    np.testing.assert_array_equal(found.scores, -found.details["entropy"])


def test_strip_s_threshold_rejects_as_many_clean_images_as_asked():
    model, (clean, _) = subjects.cnn(), subjects.images(200, seed=2)
    x = subjects.images(200, seed=3)[0]
    for frr in (0.05, 0.2):
        found = strip(model, x, clean, n_samples=10, frr=frr, rng=rng())
        usual = found.details["clean_entropy"]
        from scipy.stats import norm

        assert found.details["threshold"] == pytest.approx(norm.ppf(frr, usual.mean(), usual.std()))
        assert abs(found.flagged.mean() - frr) < 0.1


def test_a_sample_s_score_depends_on_no_other():
    model, (x, _), clean = subjects.cnn(), subjects.images(6), subjects.images(20, seed=4)[0]
    whole = strip(model, x, clean, n_samples=5, rng=rng())
    order = rng().permutation(6)
    subjects.same(strip(model, x[order], clean, n_samples=5, rng=rng()).scores, whole.scores[order])
    subjects.same(strip(model, x[:1], clean, n_samples=5, rng=rng()).scores, whole.scores[:1])


def test_auroc_is_the_chance_to_rank_right():
    assert auroc([1, 2, 3, 4], np.array([False, False, True, True])) == 1
    assert auroc([4, 3, 2, 1], np.array([False, False, True, True])) == 0
    assert auroc([1, 1, 1, 2], np.array([False, True, True, False])) == 0.25
    chance = np.random.default_rng(0)
    scores, planted = chance.integers(0, 9, 50), chance.random(50) < 0.3
    pairs = scores[planted][:, None] - scores[~planted]
    assert auroc(scores, planted) == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())


def test_the_picture_says_how_many_are_flagged():
    import matplotlib

    matplotlib.use("Agg")
    found = Suspicion("test", np.arange(10.0), np.arange(10) > 7)
    assert found.plot().get_title("left") == "test: 2 of 10 flagged"
    assert found.plot(np.arange(10) > 7).get_title("left").endswith("AUROC 1.000")
    assert repr(found) == "Suspicion(test, 2 of 10 samples flagged)"


X, LABELS, PLANTED = samples()


@pytest.mark.parametrize("error, call, message", [
    (ValueError, lambda: spectral_signatures(identity(), X, LABELS[:5]), "spectral_signatures: labels are int64"),
    (ValueError, lambda: spectral_signatures(identity(), X, LABELS * 0.5), "labels are float64 .* 180 integers"),
    (ValueError, lambda: spectral_signatures(identity(), X, LABELS, eps=0.9), "eps is 0.9, expected .* at most 0.6666"),
    (ValueError, lambda: spectral_signatures(identity(), X, LABELS, layer="7"), "no layer '7' .* one of '0', '1'"),
    (ValueError, lambda: spectral_signatures(lambda t: t.reshape(len(t.data), -1) * 2, X, LABELS), "no dense layer"),
    (ValueError, lambda: spectral_signatures(identity(), X * 255, LABELS), "outside bounds"),
    (ValueError, lambda: activation_clustering(identity(), X, LABELS, max_size=0.8), "max_size is 0.8"),
    (ValueError, lambda: activation_clustering(identity(), X, LABELS, min_silhouette=2), "min_silhouette is 2"),
    (ValueError, lambda: activation_clustering(identity(), X, LABELS, n_components=0), "n_components is 0"),
    (TypeError, lambda: activation_clustering(identity(), X, LABELS, rng=1), "activation_clustering: rng is int"),
    (ValueError, lambda: strip(identity(), X, X[:1]), "strip: clean has shape .* expected at least 2 images like"),
    (ValueError, lambda: strip(identity(), X, X[..., :2]), "strip: clean has shape"),
    (ValueError, lambda: strip(identity(), X, X, weights=1), "strip: weights are 1, expected two numbers"),
    (ValueError, lambda: strip(identity(), X, X, frr=0), "strip: frr is 0"),
    (ValueError, lambda: strip(identity(), X, X, n_samples=0), "strip: n_samples is 0"),
    (TypeError, lambda: strip(identity(), X, X, rng=1), "rng is int"),
    (ValueError, lambda: auroc(np.zeros(3), np.zeros(3, bool)), "auroc: planted is bool .* 0 True"),
    (ValueError, lambda: auroc(np.zeros(3), np.array([0, 1, 1])), "auroc: planted is int64"),
])  # fmt: skip
def test_bad_input_is_named(error, call, message):
    with pytest.raises(error, match=message):
        call()


def test_the_model_is_asked_without_a_gradient_for_its_weights():
    model = identity()
    spectral_signatures(model, X, LABELS)
    assert all(p.grad is None for p in model.parameters())
