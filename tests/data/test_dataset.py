"""What a Dataset refuses, how it is cut, and how mini-batches walk through it."""

import dataclasses

import numpy as np
import pytest

from minigrad import data


def make(count=10, **changes):
    images = np.linspace(0, 1, count * 4, dtype=np.float32).reshape(count, 1, 2, 2)
    fields = {"images": images, "labels": np.arange(count) % 2, "classes": ("cat", "dog"), "name": "pets"}
    return data.Dataset(**(fields | changes))


IMAGES = make().images


def with_pixel(value):
    images = IMAGES.copy()
    images[3, 0, 1, 1] = value
    return images


@pytest.mark.parametrize("error, changes, message", [
    (TypeError, {"images": np.zeros((10, 1, 2, 2), np.uint8)}, "images are uint8, expected .* / 255 if they are bytes"),
    (TypeError, {"images": np.zeros((10, 1, 2, 2))}, r"images are float64, expected .*; images.astype\(np.float32\)$"),
    (TypeError, {"images": [[0.0]]}, "images are list, expected a float32 array"),
    (ValueError, {"images": IMAGES[:, 0]}, r"shape \(10, 2, 2\), expected \(N, C, H, W\); images\[:, None\]"),
    (ValueError, {"images": IMAGES[0, 0]}, r"shape \(2, 2\), expected \(N, C, H, W\); one image is images\[None\]"),
    (ValueError, {"images": with_pixel(np.nan)}, "image 3 holds NaN or inf"),
    (ValueError, {"images": with_pixel(np.inf)}, "image 3 holds NaN or inf"),
    (ValueError, {"images": IMAGES * 255}, r"pixels go from 0 to 255, expected \[0, 1\]; .* 0..255: divide by 255"),
    (ValueError, {"images": IMAGES - 0.5}, r"pixels go from -0.5 to 0.5, .* standardised: .* nn.Standardize"),
    (ValueError, {"images": with_pixel(1.01)}, r"pixels go from 0 to 1.01, .* clip them"),
    (TypeError, {"labels": np.zeros(10)}, "labels are float64, expected integers"),
    (TypeError, {"labels": np.zeros(10, bool)}, "labels are bool, expected integers"),
    (ValueError, {"labels": np.zeros((10, 2), int)}, r"labels have shape \(10, 2\), expected \(10,\)"),
    (ValueError, {"labels": np.arange(10)}, "labels go from 0 to 9, expected 0 to 1 for 2 classes"),
    (ValueError, {"labels": np.arange(10) % 2 - 1}, "labels go from -1 to 0"),
])
def test_refuses(error, changes, message):
    with pytest.raises(error, match=message):
        make(**changes)


def test_fields_are_fixed_and_canonical():
    dataset = make(labels=np.zeros(10, np.uint8), classes=["cat", "dog"])
    assert dataset.labels.dtype == np.int64 and dataset.classes == ("cat", "dog")
    with pytest.raises(dataclasses.FrozenInstanceError):
        dataset.name = "others"


def test_repr_shows_shape_and_balance():
    assert repr(make()) == "Dataset(pets, 10 images (1, 2, 2) float32, 2 classes (cat: 5, dog: 5))"
    many = make(labels=np.arange(10), classes=list("abcdefghijkl"))
    assert repr(many).endswith("12 classes (0 to 1 of each))")


def test_slices_share_memory_and_items_are_pairs():
    dataset = make()
    part = dataset[2:8:2]
    assert len(part) == 3 and part.name == "pets" and np.shares_memory(part.images, dataset.images)
    np.testing.assert_array_equal(part.labels, [0, 0, 0])
    image, label = dataset[np.int64(3)]
    assert image.shape == (1, 2, 2) and label == 1 and isinstance(label, int)
    assert [label for _, label in dataset] == dataset.labels.tolist()


@pytest.mark.parametrize("index", [[1, 2], "cat", True, (1, 2), None])
def test_other_indices_are_refused(index):
    with pytest.raises(TypeError, match=r"expected a slice or an int; .* dataset.subset\(indices\)"):
        make()[index]


@pytest.mark.parametrize("indices, expected", [
    ([3, 1, 1], [3, 1, 1]), ([-1], [9]), ([], []), (np.array([5], np.uint8), [5]), (np.arange(10) > 7, [8, 9])])
def test_subset(indices, expected):
    part = make().subset(indices)
    np.testing.assert_array_equal(part.images, make().images[expected])
    assert len(part.labels) == len(expected)


@pytest.mark.parametrize("error, indices, message", [
    (ValueError, [0, 10], "indices from 0 to 10 for 10 images"),
    (ValueError, [-11], "indices from -11 to -11 for 10 images"),
    (ValueError, [True] * 9, "mask has 9 entries for 10 images"),
    (TypeError, [0.5], "indices are float64"),
    (TypeError, [[1]], r"of shape \(1, 1\)"),
])
def test_subset_refuses(error, indices, message):
    with pytest.raises(error, match=message):
        make().subset(indices)


@pytest.mark.parametrize("drop_last, sizes", [(False, [4, 4, 2]), (True, [4, 4])])
def test_batches_cover_the_data_in_order(drop_last, sizes):
    dataset, walk = make(), data.batches(make(), 4, drop_last=drop_last)
    for _ in range(2):  # re-iterable
        parts = list(walk)
        assert len(walk) == len(parts) and [len(images) for images, _ in parts] == sizes
        np.testing.assert_array_equal(np.concatenate([images for images, _ in parts]), dataset.images[: sum(sizes)])
        np.testing.assert_array_equal(np.concatenate([labels for _, labels in parts]), dataset.labels[: sum(sizes)])


def test_shuffling_keeps_pairs_and_changes_every_epoch():
    count = 100
    images = np.repeat(np.arange(count, dtype=np.float32) / count, 4).reshape(count, 1, 2, 2)
    dataset = data.Dataset(images, np.arange(count), [str(i) for i in range(count)])
    walk = data.batches(dataset, 7, shuffle=True, rng=np.random.default_rng(0))
    epochs = []
    for _ in range(2):
        parts = list(walk)
        epochs.append(np.concatenate([labels for _, labels in parts]))
        np.testing.assert_array_equal(np.concatenate([x for x, _ in parts])[:, 0, 0, 0], images[epochs[-1], 0, 0, 0])
        assert sorted(epochs[-1]) == list(range(count))
    assert (epochs[0] != epochs[1]).any()
    again = np.concatenate([labels for _, labels in data.batches(dataset, 7, True, np.random.default_rng(0))])
    np.testing.assert_array_equal(again, epochs[0])


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_batch_is_the_readers_own(shuffle):
    dataset = make()
    before = dataset.images.copy()
    for images, labels in data.batches(dataset, 4, shuffle, np.random.default_rng(0)):
        assert images.flags.c_contiguous and images.dtype == np.float32
        images += 1
        labels += 1
    np.testing.assert_array_equal(dataset.images, before)
    assert dataset.labels.max() == 1


def test_augment_gets_images_and_the_rng():
    rng = np.random.default_rng(0)
    seen = []

    def brighten(images, rng):
        seen.append(rng)
        return images * np.float32(0.5)

    images, _ = next(iter(data.batches(make(), 4, rng=rng, augment=brighten)))
    np.testing.assert_array_equal(images, make().images[:4] * 0.5)
    assert seen == [rng]


@pytest.mark.parametrize("augment, came", [
    (lambda images, rng: images.astype(float), r"float64 \(4, 1, 2, 2\)"),
    (lambda images, rng: images[:2], r"float32 \(2, 1, 2, 2\)"),
    (lambda images, rng: images[:, 0], r"float32 \(4, 2, 2\)"),
    (lambda images, rng: None, "NoneType"),
])
def test_augment_must_return_images(augment, came):
    message = rf"augment returned {came}, expected 4 float32 images; it is called as augment\(images, rng=rng\)"
    with pytest.raises(ValueError, match=message):
        list(data.batches(make(), 4, rng=np.random.default_rng(0), augment=augment))


@pytest.mark.parametrize("error, options, message", [
    (ValueError, {"batch_size": 0}, "batch_size is 0, expected at least 1"),
    (TypeError, {"batch_size": 2.0}, "batch_size is 2.0, expected an integer"),
    (TypeError, {"batch_size": True}, "batch_size is True, expected an integer"),
    (TypeError, {"shuffle": True}, r"rng is None, expected a numpy Generator; pass rng=np.random.default_rng\(seed\)"),
    (TypeError, {"shuffle": True, "rng": 0}, "rng is 0, expected a numpy Generator"),
    (TypeError, {"augment": data.shift}, "rng is None"),
    (ValueError, {"dataset": make()[:0]}, "is empty"),
    (ValueError, {"batch_size": 11, "drop_last": True}, "drop_last leaves nothing of 10 images in batches of 11"),
])
def test_batches_refuse(error, options, message):
    with pytest.raises(error, match=f"^batches: .*{message}"):
        data.batches(**({"dataset": make(), "batch_size": 4} | options))
