"""Evaluation and the history of a run."""

import numpy as np
import pytest

from minigrad import nn, train

from .toy import TEST, network


def test_metrics_are_those_of_the_definition():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3, rng=np.random.default_rng(0)))
    metrics = train.evaluate(model, TEST, batch_size=7)
    logits = TEST.images.reshape(30, 64) @ model[1].weight.data.T + model[1].bias.data
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(metrics.probabilities, p, rtol=1e-5)
    np.testing.assert_array_equal(metrics.predictions, logits.argmax(1))
    np.testing.assert_allclose(metrics.loss, -np.log(p[np.arange(30), TEST.labels]).mean(), rtol=1e-6)
    assert metrics.accuracy == (logits.argmax(1) == TEST.labels).mean()
    assert metrics.probabilities.dtype == np.float32 and metrics.predictions.dtype == np.int64


def test_it_neither_trains_nor_changes_modes():
    model = network().train()
    model[5].eval()
    before = model.state_dict()
    first = train.evaluate(model, TEST)
    assert [module.training for module in model] == [True] * 5 + [False, True]
    assert all((before[name] == array).all() for name, array in model.state_dict().items())
    np.testing.assert_array_equal(first.probabilities, train.evaluate(model, TEST).probabilities)


def test_the_batch_size_does_not_matter():
    model = network()
    np.testing.assert_allclose(train.evaluate(model, TEST, batch_size=1).probabilities,
                               train.evaluate(model, TEST, batch_size=30).probabilities, atol=1e-6)


def test_wrong_use_is_named():
    with pytest.raises(ValueError, match="is empty"):
        train.evaluate(network(), TEST[:0])
    with pytest.raises(ValueError, match=r"evaluate: the model gives logits of shape \(30, 2\) for 30 images"):
        train.evaluate(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), TEST)


def test_history_knows_its_best_and_last_epoch():
    history = train.History()
    with pytest.raises(ValueError, match="there is no epoch yet"):
        history.last()
    for accuracy in (0.5, 0.9, 0.8):
        history.append(train_loss=1.0, train_accuracy=0.5, test_loss=1.0, test_accuracy=accuracy, lr=0.1, seconds=1.0,
                       images_per_second=10.0)
    assert history.best() == (2, 0.9) and history.last()["test_accuracy"] == 0.8 and len(history) == 3
