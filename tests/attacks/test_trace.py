"""The path of every attack: the same four series, true of the images that the callback sees."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import attacks
import minigrad
from attacks import losses, show
from attacks.criteria import margin

from . import subjects

pytestmark = pytest.mark.compiled
X, Y = subjects.images(5)
MODEL = subjects.cnn()
BALL, FEW = {"eps": 0.1}, {"steps": 4}
SEARCH = {"steps": 20, "binary_search_steps": 2, "initial_const": 1.0}
CASES = [
    ("fgsm", BALL), ("bim", BALL), ("pgd", BALL | FEW), ("mi_fgsm", BALL), ("apgd", BALL | FEW), ("deepfool", FEW),
    ("carlini_wagner", SEARCH), ("ddn", FEW), ("ead", SEARCH), ("fmn", FEW), ("fmn", FEW | {"norm": "l0"}),
    ("jsma", {}), ("square", BALL | {"n_queries": 20}), ("one_pixel", {"steps": 2, "population": 5}),
    ("boundary", {"steps": 40}), ("hop_skip_jump", {"steps": 2}), ("spatial", {"num_rotations": 3}),
    ("universal_perturbation", BALL | {"epochs": 1}), ("adversarial_patch", FEW | {"size": 3}), ("noise_matrix", FEW),
    ("fooling_image", FEW), ("image_to_image", FEW), ("manipulate_map", BALL | FEW),
]  # fmt: skip
OWN_LOSS = {"carlini_wagner", "ead", "square", "fooling_image", "image_to_image", "manipulate_map", "noise_matrix",
            "adversarial_patch"}  # fmt: skip


def ask(x):
    with minigrad.no_grad():
        return MODEL(minigrad.Tensor(x)).data


@pytest.mark.parametrize(("name", "options"), CASES)
def test_every_trace_holds_loss_margin_and_distances_of_the_images_at_each_step(name, options):
    seen, targeted = [], name in ("fooling_image", "image_to_image")
    y = (Y + 1) % subjects.CLASSES if targeted else Y
    result = getattr(attacks, name)(MODEL, X, y, rng=np.random.default_rng(0), **options,
                                    callback=lambda _, x, entry: seen.append((x.copy(), entry)))  # fmt: skip
    assert result.trace and [entry for _, entry in seen] == result.trace
    for x, entry in seen:
        assert {"loss", "margin", "l2", "linf"} <= set(entry)
        on = ~np.isnan(entry["l2"])
        assert on.any() and all(np.isfinite(entry[key][on]).all() for key in ("loss", "margin", "linf"))
        logits = ask(x[on])
        np.testing.assert_allclose(entry["linf"][on], np.abs(x - X)[on].max((1, 2, 3)), rtol=1e-6)
        if name != "ead":  # its loss and margin are those of the place it looks ahead to
            lacks = margin(logits, y[on]) * (-1 if targeted else 1)
            np.testing.assert_allclose(entry["margin"][on], lacks, rtol=1e-4, atol=1e-5)
        if name not in OWN_LOSS:
            loss = losses.cross_entropy(minigrad.Tensor(logits), y[on]).data
            np.testing.assert_allclose(entry["loss"][on], loss, rtol=1e-4, atol=1e-6)
    plt.close(show.path(result).figure)


def test_a_targeted_loss_rises_toward_the_target():
    target = (Y + 1) % subjects.CLASSES
    result = attacks.fmn(MODEL, X, target, targeted=True, steps=30)
    loss, lacks = (np.array([entry[key] for entry in result.trace]) for key in ("loss", "margin"))
    assert (loss <= 0).all() and (loss[lacks.argmin(0), range(5)] > loss[0]).all()


@pytest.mark.parametrize("kind", ["gaussian_noise", "inversion"])
def test_corruptions_have_a_trace_too(kind):
    result = attacks.noise_baselines(MODEL, X, Y, kinds=kind, rng=np.random.default_rng(0))[kind]
    assert all(np.isfinite(result.trace[0][key]).all() for key in ("loss", "margin", "l2", "linf"))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_of_the_cross_entropy_without_tensors(dtype):
    logits = np.random.default_rng(0).normal(0, 10, (50, 6)).astype(dtype)
    logits[0], logits[1, 2] = 0, 1e4
    y = np.arange(50) % 6
    values = losses.cross_entropies(logits, y)
    assert values.dtype == dtype
    expected = losses.cross_entropy(minigrad.Tensor(logits), y).data
    np.testing.assert_allclose(values, expected, rtol=8 * np.finfo(dtype).eps)
