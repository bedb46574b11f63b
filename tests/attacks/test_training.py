"""Adversarial training: what the adversary makes, what training gains by it, and how a collapse ends."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import minigrad
from attacks import fgsm, pgd
from attacks.training import Adversary, RobustTraining, _Watcher, adversarial_training
from minigrad import data, models, nn, optim, train
from minigrad.train import History


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", "train"), data.load("digits", "test")


def test_the_adversary_stays_in_ball_and_bounds_and_raises_the_loss(digits):
    images, labels = digits[0].images[:32], digits[0].labels[:32]
    model = models.lenet5(rng=np.random.default_rng(0))

    def loss(x):
        return minigrad.functional.cross_entropy(model(x), labels).item()

    model.train()
    for steps, size in (1, 1.25), (5, 0.35):
        found = Adversary(0.1, steps, size)(model, images, labels, rng=np.random.default_rng(0))
        assert found.dtype == images.dtype and model.training
        assert np.abs(found.astype(float) - images).max() <= 0.1 + 1e-7 and 0 <= found.min() <= found.max() <= 1
        noise = np.clip(images + np.random.default_rng(1).uniform(-0.1, 0.1, images.shape).astype(np.float32), 0, 1)
        assert loss(found) > loss(noise) > 0


def test_eps_grows_over_the_first_steps(digits):
    images, labels = digits[0].images[:8], digits[0].labels[:8]
    model = models.lenet5(rng=np.random.default_rng(0))
    adversary = Adversary(0.2, warmup=10)
    reach = [np.abs(adversary(model, images, labels, step=k, rng=np.random.default_rng(0)) - images).max()
             for k in (0, 4, 9, 50)]  # fmt: skip
    assert_allclose(reach, [0.02, 0.1, 0.2, 0.2], rtol=1e-5)


def test_one_step_from_the_centre_is_fgsm(digits):
    images = digits[0].images[:8]
    model = models.lenet5(rng=np.random.default_rng(0)).eval()
    labels = model(images).data.argmax(1)

    class Centre:
        def uniform(self, low, high, shape):
            return np.zeros(shape)

    found = Adversary(0.1, 1, 1.0)(model, images, labels, rng=Centre())
    assert_allclose(found, fgsm(model, images, labels, eps=0.1).x_adv, atol=1e-6)


@pytest.mark.compiled
def test_training_makes_a_network_stand(digits):
    rng = np.random.default_rng(0)
    robust, plain = models.lenet5(rng=np.random.default_rng(1)), models.lenet5(rng=np.random.default_rng(1))
    found = adversarial_training(robust, *digits, eps=0.1, epochs=6, batch_size=64, watch=100, rng=rng, progress=False)
    assert isinstance(found, RobustTraining) and len(found.history) == 6 == len(found.robust_accuracy)
    assert not found.collapsed and found.settings["method"] == "fast" and not robust.training
    train.fit(plain, *digits, epochs=6, optimizer=optim.Adam(plain.parameters()), rng=rng, progress=False)
    images, labels = digits[1].images[:150], digits[1].labels[:150]
    left = [1 - pgd(m, images, labels, eps=0.1, rng=np.random.default_rng(0)).success.mean() for m in (robust, plain)]
    assert left[0] > left[1] + 0.2 and left[0] > 0.6


def test_the_same_rng_gives_the_same_weights_also_after_a_stop(digits, tmp_path):
    few = digits[0][:200], digits[1][:50]

    def run(epochs, path=None, resume=False):
        model = models.lenet5(rng=np.random.default_rng(1))
        optimizer = optim.SGD(model.parameters(), lr=0.01)
        adversarial_training(model, *few, eps=0.1, epochs=epochs, optimizer=optimizer, rng=np.random.default_rng(0),
                             checkpoint=path, resume=resume, watch=0, progress=False)  # fmt: skip
        return model.state_dict()

    whole = run(2)
    run(1, tmp_path / "run.safetensors")
    resumed = run(2, tmp_path / "run.safetensors", resume=True)
    for name, value in whole.items():
        assert_array_equal(resumed[name], value, err_msg=name)


def test_a_collapse_ends_training_with_the_best_weights(digits):
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10, rng=np.random.default_rng(0))).eval()
    found = RobustTraining(History())
    watcher = _Watcher(found, digits[1], 60, Adversary(0.02))
    weights = np.zeros((10, 784), np.float32)
    for c in range(10):
        weights[c] = digits[0].images[digits[0].labels == c].mean(0).ravel()
    weights -= weights.mean(0)
    model[1].weight.data = 30 * weights
    assert watcher(model, History()) is False and found.robust_accuracy[0] > 0.3
    good = model.state_dict()
    model[1].weight.data = -weights
    assert watcher(model, History()) is True and found.collapsed
    assert_array_equal(model.state_dict()["1.weight"], good["1.weight"])


@pytest.mark.parametrize(
    "options, message",
    [
        ({"method": "free"}, "adversarial_training: method is 'free', expected one of 'fast', 'pgd'"),
        ({"eps": -0.1}, "adversarial_training: eps is -0.1, expected a number of at least 0"),
        ({"steps": 0}, "adversarial_training: steps is 0, expected an integer of at least 1"),
        ({"batch_size": 0}, "adversarial_training: batch_size is 0"),
        ({"lr": 0}, "adversarial_training: lr is 0, expected a number of more than 0"),
    ],
)
def test_what_makes_no_sense_is_refused(digits, options, message):
    model = models.lenet5(rng=np.random.default_rng(1))
    with pytest.raises(ValueError, match=message):
        adversarial_training(model, *digits, rng=np.random.default_rng(0), progress=False, **options)


def test_fit_tells_the_perturbation_its_step_and_ends_when_told(digits):
    few, steps = digits[0][:100], []
    model = models.lenet5(rng=np.random.default_rng(1))

    def perturb(model, images, labels, *, step, rng):
        steps.append(step)
        return images

    history = train.fit(model, few, few, epochs=5, batch_size=50, optimizer=optim.SGD(model.parameters(), lr=0.01),
                        rng=np.random.default_rng(0), progress=False, perturb=perturb,
                        callback=lambda model, history: len(history) == 2)  # fmt: skip
    assert steps == [0, 1, 2, 3] and len(history) == 2
