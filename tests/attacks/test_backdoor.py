"""From poisoned digits to the pixel, in one call: plant, train, measure, detect, localise."""

from functools import cache

import numba
import numpy as np
import pytest

from attacks.backdoor import Patch, experiment, strip
from minigrad import data

TARGET, TRIGGER = 3, Patch(np.ones((2, 2)), (-3, -3))
pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="trains networks: minutes without the compiler")


@cache
def found():
    """A backdoored and a clean LeNet for scikit-learn's digits, and what Neural Cleanse says of both."""
    return experiment(data.load("digits"), data.load("digits", "test"), target=TARGET, trigger=TRIGGER, rate=0.08,
                      model="lenet5", epochs=10, lr=3e-3, images=48, restarts=2, steps=60)  # fmt: skip


def test_the_backdoor_is_there_and_clean_images_do_not_show_it():
    backdoored, clean = found().backdoored, found().clean
    assert backdoored.accuracy > clean.accuracy - 0.03 and clean.accuracy > 0.95
    assert backdoored.success > 0.95 and clean.success < 0.05


def test_neural_cleanse_finds_the_class_and_the_place_where_a_backdoor_is_alone():
    backdoored, clean = found().backdoored.cleansed, found().clean.cleansed
    assert backdoored.flagged[0] == TARGET and TARGET not in clean.flagged
    assert backdoored.index[TARGET] > 4 and backdoored.norms[TARGET] < 0.3 * clean.norms[TARGET]
    assert found().overlap >= 0.5 and found().found_success > 0.9


def test_the_account_names_the_numbers():
    text = str(found())
    assert "(poisoned) show a Patch and are labelled '3'" in text and f"flagged: [{TARGET}" in text
    assert f"localised at IoU {found().overlap:.2f}" in text


def test_strip_finds_the_inputs():
    model, test = found().backdoored.model, data.load("digits", "test")
    inputs = np.concatenate([test.images[:60], TRIGGER.apply(test.images[60:120])])
    scores = strip(model, inputs, test.images[120:240], n_samples=20, rng=np.random.default_rng(0))
    assert scores.auroc(np.arange(120) >= 60) > 0.95
