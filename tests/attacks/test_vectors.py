"""Inputs that are vectors (N, features): they are attacked where that makes sense, and refused clearly elsewhere."""

import numpy as np
import pytest

import attacks
import minigrad
from attacks.backdoor import neural_cleanse, strip
from minigrad import functional as F

from . import subjects

pytestmark = pytest.mark.compiled
WEIGHT = minigrad.Tensor(np.random.default_rng(1).normal(size=(3, 16)).astype(np.float32))
X = np.random.default_rng(0).uniform(0.3, 0.7, (6, 16)).astype(np.float32)


def model(x):
    return F.linear(x.reshape(len(x.data), 16), WEIGHT)


Y = subjects.predicted(model, X)
IMAGES = r"x has shape \(6, 16\), expected images \(N, C, H, W\), since .*; reshape x, and let the model begin with"


def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("kind", ["gaussian_noise", "uniform_noise", "salt_and_pepper", "contrast", "brightness",
                                  "inversion"])  # fmt: skip
def test_corruptions_of_vectors_are_those_of_images_of_one_row(kind):
    found = attacks.noise_baselines(model, X, Y, kinds=kind, rng=rng())[kind]
    of_rows = attacks.noise_baselines(model, X.reshape(6, 1, 1, 16), Y, kinds=kind, rng=rng())[kind]
    subjects.same(found.x_adv, of_rows.x_adv.reshape(6, 16))
    np.testing.assert_array_equal(found.status, of_rows.status)


@pytest.mark.parametrize("name, options, why", [
    ("noise_baselines", {}, "'blur' mixes neighbours"), ("adversarial_patch", {}, "a sticker has a place"),
    ("manipulate_map", {"eps": 0.1}, "a heat map has rows and columns"), ("square", {"eps": 0.1}, "it changes squares"),
    ("one_pixel", {}, "it changes whole pixels"), ("spatial", {}, "it turns and shifts them"),
    ("doctor", {}, "one of its attacks is Square"),
])  # fmt: skip
def test_what_needs_rows_and_columns_says_so(name, options, why):
    with pytest.raises(ValueError, match=f"{name}: {IMAGES}".replace(".*", f"{why}.*")):
        getattr(attacks, name)(model, X, Y, rng=rng(), **options)
    with pytest.raises(ValueError, match=rf"{name}: x has shape \(6, 4, 4\), .*; x\[:, None\] adds a channel"):
        getattr(attacks, name)(model, X.reshape(6, 4, 4), Y, rng=rng(), **options)


def test_no_mask_covers_vectors():
    with pytest.raises(ValueError, match=f"neural_cleanse: {IMAGES}"):
        neural_cleanse(model, X, steps=1)


def test_strip_blends_vectors():
    found = strip(model, X, X, n_samples=4, rng=rng())
    of_rows = strip(model, X.reshape(6, 1, 1, 16), X.reshape(6, 1, 1, 16), n_samples=4, rng=rng())
    subjects.same(found.scores, of_rows.scores)


def test_image_to_image_of_vectors():
    found = attacks.image_to_image(model, X, (Y + 1) % 3, beta=0.0, steps=50, rng=rng())
    assert found.x_adv.shape == X.shape and found.success.all()
