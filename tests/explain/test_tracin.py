"""TracIn: its products against closed forms and finite steps, its ranks against training again without an image."""

import numpy as np
import pytest

import explain
import minigrad
from minigrad import nn
from minigrad.functional import cross_entropy

from . import nets, trained

RNG = np.random.default_rng


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def test_a_linear_model_by_hand():
    """The gradient of softmax regression is (p - y) times (x, 1), so products are products of these."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 3, rng=RNG(0))).to(np.float64)
    rng = RNG(1)
    x, images = rng.random((2, 1, 3, 4)), rng.random((5, 1, 3, 4))
    target, labels = np.array([0, 2]), np.array([0, 1, 2, 1, 0])
    states = [model.state_dict(), {k: -2 * v for k, v in model.state_dict().items()}]
    right = np.zeros((2, 5))
    for state, rate in zip(states, (0.1, 0.3), strict=True):
        errors, inputs = [], []
        for batch, classes in ((x, target), (images, labels)):
            flat = batch.reshape(len(batch), 12)
            errors.append(softmax(flat @ state["1.weight"].T + state["1.bias"]) - np.eye(3)[classes])
            inputs.append(np.hstack([flat, np.ones((len(flat), 1))]))
        right += rate * (errors[0] @ errors[1].T) * (inputs[0] @ inputs[1].T)
    found = explain.tracin(model, x, target, images=images, labels=labels, batch_size=2,
                           checkpoints=zip(states, (0.1, 0.3), strict=True))  # fmt: skip
    np.testing.assert_allclose(found.values, right, rtol=1e-9)
    assert found.proponents(0, 2).tolist() == np.argsort(-right[0])[:2].tolist()
    assert found.opponents(1, 1).tolist() == [right[1].argmin()]


@pytest.mark.parametrize("name", ["cnn", "normed", "branched"])
def test_it_is_what_a_small_step_on_an_image_does(name):
    model, x, rate = nets.build(name), nets.images(2), 1e-7
    images, labels = nets.images(3, seed=5), np.array([1, 0, 3])
    target = np.array([1, 2])
    found = explain.tracin(model, x, target, images=images, labels=labels, checkpoints=[(model.state_dict(), 1.0)])

    def losses():
        return cross_entropy(model(minigrad.Tensor(x)), target, reduction="none").data

    state, before = model.state_dict(), losses()
    for t in range(3):
        optimizer = minigrad.optim.SGD(model.parameters(), lr=rate)
        optimizer.zero_grad()
        cross_entropy(model(minigrad.Tensor(images[t : t + 1])), labels[t : t + 1]).backward()
        optimizer.step()
        np.testing.assert_allclose((before - losses()) / rate, found[:, t], rtol=1e-3, atol=1e-4)
        model.load_state_dict(state)


STEPS, RATE, EVERY = 30, 0.1, 5


def study():
    """Thirty-six digits, 3 or 8, of which three have the wrong label; full-batch descent from one start."""
    x, labels = trained.digits()
    rows = np.flatnonzero((labels == 3) | (labels == 8))
    images, classes = x[rows[:36]], (labels[rows[:36]] == 8).astype(np.int64)
    wrong = np.array([5, 17, 29])
    classes[wrong] = 1 - classes[wrong]
    return images, classes, wrong, x[rows[60:68]], (labels[rows[60:68]] == 8).astype(np.int64)


def fit(images, labels, keep=None):
    """A net with a hidden layer; `keep` collects checkpoints."""
    rng = RNG(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 6, rng=rng), nn.Tanh(), nn.Linear(6, 2, rng=rng)).to(np.float64)
    optimizer = minigrad.optim.SGD(model.parameters(), lr=RATE)
    for step in range(STEPS):
        if keep is not None and step % EVERY == 0:
            keep.append((model.state_dict(), RATE * EVERY / len(images)))
        optimizer.zero_grad()
        cross_entropy(model(minigrad.Tensor(images)), labels).backward()
        optimizer.step()
    return model.eval()


def test_its_ranks_agree_with_leaving_one_out():
    images, labels, wrong, x, target = study()
    checkpoints = []
    model = fit(images, labels, checkpoints)
    found = explain.tracin(model, x, target, images=images, labels=labels, checkpoints=checkpoints)
    truth = explain.leave_one_out(fit, images, labels, x, target)
    correlation = found.rank_correlation(truth)
    assert correlation.mean() > 0.8 and correlation.min() > 0.6
    few = explain.leave_one_out(fit, images, labels, x, target, indices=[7, 5])
    np.testing.assert_array_equal(few.values, truth[:, [7, 5]])
    itself = explain.tracin(model, images, labels, images=images, labels=labels, checkpoints=checkpoints)
    assert set(wrong) <= set(np.argsort(-np.diag(itself.values))[:8])


def test_the_model_and_its_gradients_stay():
    model = nets.build("normed").train()
    state, other = model.state_dict(), nets.build("normed", seed=4).state_dict()
    explain.tracin(model, nets.images(), images=nets.images(2), labels=np.array([0, 1]), checkpoints=[(other, 1.0)])
    assert model.training and all(p.grad is None for p in model.parameters())
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, state[name])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"labels": np.array([0, 1, 2])}, r"tracin: labels are int64 \(3,\), expected 2 integers"),
        ({"labels": np.array([0.0, 1.0])}, r"tracin: labels are float64 \(2,\)"),
        ({"checkpoints": []}, r"tracin: checkpoints is empty, expected pairs \(state, rate\)"),
        ({"checkpoints": [{}]}, r"tracin: checkpoints is dict first, expected pairs \(state, rate\)"),
        ({"checkpoints": [({}, 1.0)]}, r"load_state_dict: the state does not fit"),
    ],
)
def test_bad_options_are_named(options, match):
    model = nets.build("cnn")
    options = {"images": nets.images(2), "labels": np.array([0, 1]), "checkpoints": [(model.state_dict(), 1.0)],
               **options}  # fmt: skip
    with pytest.raises(ValueError, match=match):
        explain.tracin(model, nets.images(), **options)


def test_influences_of_other_shapes_cannot_be_compared():
    influence = explain.Influence(np.zeros((2, 3)), "tracin", np.zeros(2, int))
    with pytest.raises(ValueError, match=r"rank_correlation: the influences have shapes \(2, 3\) and \(3, 2\)"):
        influence.rank_correlation(np.zeros((3, 2)))
