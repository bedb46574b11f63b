"""Triggers and poisoning: who gets what, and who does not."""

from types import SimpleNamespace

import numpy as np
import pytest

from attacks.backdoor import Blend, Overlay, Patch, attack_success_rate, binarised, iou, poison
from minigrad.data import Dataset

from . import subjects


def rng():
    return np.random.default_rng(0)


def dataset(count=40, classes=4, channels=1):
    images = np.random.default_rng(1).random((count, channels, 8, 8), dtype=np.float32)
    return Dataset(images, np.arange(count) % classes, [f"class {k}" for k in range(classes)], "noise")


@pytest.mark.parametrize("place, rows, columns", [((0, 0), (0, 2), (0, 3)), ((-2, -3), (6, 8), (5, 8)),
                                                  ((3, -8), (3, 5), (0, 3))])  # fmt: skip
def test_a_patch_is_put_at_its_place_and_nowhere_else(place, rows, columns):
    images, pattern = dataset(channels=3).images, np.random.default_rng(2).random((3, 2, 3))
    before, shown = images.copy(), Patch(pattern, place).apply(images)
    there = np.zeros((8, 8), bool)
    there[slice(*rows), slice(*columns)] = True
    np.testing.assert_array_equal(Patch(pattern, place).mask(images.shape), there)
    np.testing.assert_array_equal(shown[..., ~there], images[..., ~there])
    np.testing.assert_array_equal(shown[:, :, there], np.broadcast_to(pattern.reshape(3, 6).astype(np.float32),
                                                                      (40, 3, 6)))  # fmt: skip
    np.testing.assert_array_equal(images, before)
    assert shown.dtype == np.float32 and Patch(pattern, place).apply(images.astype(np.float64)).dtype == np.float64


def test_an_emblem_covers_only_where_it_is_opaque():
    opaque = np.array([[False, True], [True, True]])
    patch, images = Patch(np.ones((2, 2)), (1, 1), opaque), np.zeros((2, 3, 4, 4), np.float32)
    assert patch.apply(images).sum() == 2 * 3 * 3
    np.testing.assert_array_equal(patch.apply(images)[0, 0] == 1, patch.mask((3, 4, 4)))
    assert not patch.mask((4, 4))[1, 1]


def test_a_blend_mixes_everywhere():
    image = np.random.default_rng(2).random((8, 8)).astype(np.float32)
    images = dataset().images
    np.testing.assert_allclose(Blend(image, 0.25).apply(images), 0.75 * images + 0.25 * image, atol=1e-6)
    np.testing.assert_array_equal(Blend(image, 1).apply(images), np.broadcast_to(image, images.shape))
    assert Blend(image).mask(images.shape).all()


def test_an_overlay_is_what_patch_and_blend_are_cases_of():
    images, pattern = dataset(channels=3).images, np.random.default_rng(3).random((3, 8, 8))
    opaque = np.zeros((8, 8))
    opaque[2:4, 5:7] = 1
    np.testing.assert_array_equal(Overlay(opaque, pattern).apply(images),
                                  Patch(pattern[:, 2:4, 5:7], (2, 5)).apply(images))  # fmt: skip
    np.testing.assert_allclose(Overlay(np.full((8, 8), 0.1), pattern).apply(images),
                               Blend(pattern, 0.1).apply(images), atol=1e-6)  # fmt: skip
    np.testing.assert_array_equal(Overlay(0.4 * opaque, pattern).mask(images.shape), opaque == 1)


def test_poisoned_samples_show_the_trigger_and_have_the_target_and_the_others_are_untouched():
    clean, trigger = dataset(), Patch(np.ones((2, 2)), (-2, -2))
    found = poison(clean, 2, 0.25, trigger, rng=rng())
    assert found.which.sum() == 10 and len(found) == 40 and not (clean.labels[found.which] == 2).any()
    assert (found.labels[found.which] == 2).all()
    np.testing.assert_array_equal(found.images[found.which], trigger.apply(clean.images[found.which]))
    np.testing.assert_array_equal(found.images[~found.which], clean.images[~found.which])
    np.testing.assert_array_equal(found.labels[~found.which], clean.labels[~found.which])
    np.testing.assert_array_equal(found.true_labels, np.arange(40) % 4)
    np.testing.assert_array_equal(clean.images, dataset().images)
    np.testing.assert_array_equal(found.mask, trigger.mask((8, 8)))
    assert repr(found) == "Poisoned(10 of 40 images of noise (poisoned) show a Patch and are labelled 'class 2')"
    again = poison(clean, 2, 0.25, trigger, rng=rng())
    np.testing.assert_array_equal(again.which, found.which)


def test_poison_may_be_taken_from_some_classes_only():
    found = poison(dataset(), 0, 0.5, Patch(np.ones((1, 1)), (0, 0)), source=[1, 3], rng=rng())
    np.testing.assert_array_equal(found.which, np.isin(found.true_labels, [1, 3]))
    assert poison(dataset(), 0, 0.001, Patch(np.ones((1, 1)), (0, 0)), source=2, rng=rng()).which.sum() == 1


def test_attack_success_is_counted_on_images_of_other_classes():
    """Class 1 is whatever has light in the first pixel; class 0 of old is not asked."""
    weight = np.zeros((3, 4))
    weight[1, 0], weight[2, 1] = 10, 1
    model = subjects.linear(weight, [0.5, 0, 0])
    x = np.zeros((5, 1, 2, 2))
    x[3, 0, 0, 1] = 1
    y = np.array([0, 0, 1, 2, 1])
    assert attack_success_rate(model, x, y, Patch([[1.0]], (0, 0)), 1) == 1
    assert attack_success_rate(model, x, y, Patch([[1.0]], (0, 1)), 1) == 0
    assert attack_success_rate(model, x, y, Patch([[1.0]], (0, 1)), 2) == 1
    assert attack_success_rate(model, x, y, Patch([[0.0]], (1, 1)), 2) == 0  # image 3 is of class 2: not counted
    assert attack_success_rate(model, x, np.array([0, 1, 1, 0, 1]), Patch([[0.0]], (1, 1)), 2) == 0.2


def test_iou_is_that_of_sets():
    planted = np.zeros((4, 4), bool)
    planted[:2, :2] = True
    moved = np.roll(planted, 1, axis=1)
    assert iou(planted, planted) == 1 and iou(~planted, planted) == 0 and iou(moved, planted) == 2 / 6
    weak = 0.3 * planted + 0.1
    assert iou(weak, planted) == 1 and iou(weak, planted, level=0.2) == 4 / 16
    assert not binarised(np.zeros((2, 2))).any()


PATCH = Patch(np.ones((2, 2)), (0, 0))


@pytest.mark.parametrize("error, call, message", [
    (ValueError, lambda: Patch(np.full((2, 2), 255), (0, 0)), "Patch: pattern .* expected .* with values in .0, 1."),
    (ValueError, lambda: Patch([[np.nan]], (0, 0)), "Patch: pattern has shape"),
    (ValueError, lambda: Patch(np.ones(4), (0, 0)), r"Patch: pattern has shape \(4,\), expected"),
    (ValueError, lambda: Patch(np.ones((2, 2)), 3), "Patch: place is 3, expected two integers"),
    (ValueError, lambda: Patch(np.ones((2, 2)), (0, 0), np.ones((2, 2))), "Patch: opaque is float64"),
    (ValueError, lambda: Patch(np.ones((2, 2)), (-1, 0)).mask((8, 8)), "Patch: 2 pixels at row -1 reach beyond an im"),
    (ValueError, lambda: Patch(np.ones((2, 2)), (0, 7)).mask((8, 8)), r"column in \[0, 6\] or \[-8, -2\]"),
    (ValueError, lambda: Patch(np.ones((3, 2, 2)), (0, 0)).apply(np.zeros((1, 1, 4, 4))), "Patch: the pattern has 3"),
    (ValueError, lambda: PATCH.apply(np.zeros((4, 4))), "Patch: images are float64 of shape .4, 4., expected floats"),
    (ValueError, lambda: Blend(np.ones((8, 8)), 0), "Blend: alpha is 0, expected a number of more than 0, at most 1"),
    (ValueError, lambda: Blend(np.ones((4, 4))).apply(np.zeros((1, 1, 8, 8))), "Blend: the pattern has shape .4, 4."),
    (ValueError, lambda: Overlay(np.ones((1, 4, 4)), np.ones((4, 4))), "Overlay: weights has shape"),
    (ValueError, lambda: Overlay(np.ones((4, 4)), np.ones((4, 4))).mask((8, 8)), "Overlay: it is .4, 4. pixels large"),
    (TypeError, lambda: poison(np.zeros(3), 0, 0.1, PATCH, rng=rng()), "poison: dataset is ndarray, expected a minigr"),
    (TypeError, lambda: poison(dataset(), 0, 0.1, PATCH, rng=0), "poison: rng is int, expected a numpy.random.Gen"),
    (ValueError, lambda: poison(dataset(), 4, 0.1, PATCH, rng=rng()), r"poison: target is 4, expected .* in 0..3"),
    (ValueError, lambda: poison(dataset(), 0, 0, PATCH, rng=rng()), "poison: rate is 0, expected a number of"),
    (ValueError, lambda: poison(dataset(), 0, 0.9, PATCH, rng=rng()), "is 36, but only 30 .* a rate of at most 0.75"),
    (ValueError, lambda: poison(dataset(), 0, 0.1, PATCH, source=0, rng=rng()), "poison: source holds the target 0"),
    (ValueError, lambda: poison(dataset(), 0, 0.1, PATCH, source=[9], rng=rng()), "poison: source is 9, expected"),
    (ValueError, lambda: attack_success_rate(None, np.zeros((2, 1, 8, 8)), np.ones(2, int), PATCH, 1),
     "attack_success_rate: y .* 0 labels other than the target 1"),
    (ValueError, lambda: iou(np.zeros((2, 2)), np.zeros((2, 2), bool)), "iou: .* at least one True"),
    (ValueError, lambda: iou(np.zeros((2, 2)), np.ones((3, 2), bool)), r"iou: mask has shape \(2, 2\), planted"),
    (ValueError, lambda: binarised(-np.ones((2, 2))), "binarised: mask has shape .* finite values of at least 0"),
])  # fmt: skip
def test_bad_input_is_named(error, call, message):
    with pytest.raises(error, match=message):
        call()


def test_any_object_with_the_two_methods_is_a_trigger():
    inverse = SimpleNamespace(apply=lambda images: 1 - images, mask=lambda shape: np.ones(shape[-2:], bool))
    found = poison(dataset(), 1, 0.1, inverse, rng=rng())
    np.testing.assert_array_equal(found.images[found.which], 1 - dataset().images[found.which])
