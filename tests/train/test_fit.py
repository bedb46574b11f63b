"""Training learns, keeps its books, and says before it starts what is wrong with its arguments."""

import json
import sys

import numpy as np
import pytest

from minigrad import Tensor, data, io, nn, optim, train

from .toy import TEST, TRAIN, dataset, fit, network


def test_it_learns_and_keeps_its_books():
    model, history = fit()
    assert history.test_accuracy[-1] > 0.9 and history.train_loss[-1] < history.train_loss[0] / 2
    assert len(history) == 4 == len(history.seconds) == len(history.images_per_second)
    assert not any(module.training for module in model.modules())
    metrics = train.evaluate(model, TEST)
    assert (metrics.loss, metrics.accuracy) == (history.test_loss[-1], history.test_accuracy[-1])
    assert train.History(**json.loads(json.dumps(history.as_dict()))) == history


def test_the_first_step_is_the_textbook_one():
    """One batch of plain gradient descent, against the loss and gradient written out for a linear model."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3, rng=np.random.default_rng(0)))
    weight, bias = (p.data.astype(np.float64) for p in model.parameters())
    x, y = TRAIN.images.reshape(72, 64).astype(np.float64), np.eye(3)[TRAIN.labels]
    p = np.exp(x @ weight.T + bias)
    p /= p.sum(1, keepdims=True)
    _, history = fit(model, optimizer=optim.SGD(model.parameters(), lr=0.1), schedule=None, epochs=1, batch_size=72,
                     augment=None)
    np.testing.assert_allclose(history.train_loss[0], -(y * np.log(p)).sum(1).mean(), rtol=1e-6)
    assert history.train_accuracy[0] == (p.argmax(1) == TRAIN.labels).mean()
    np.testing.assert_allclose(model.parameters()[0].data, weight - 0.1 * (p - y).T @ x / 72, atol=1e-6)
    np.testing.assert_allclose(model.parameters()[1].data, bias - 0.1 * (p - y).mean(0), atol=1e-6)


def test_a_training_step_stays_in_float32(monkeypatch):
    made, initialise = set(), Tensor.__init__

    def watched(self, data, *arguments, **options):
        initialise(self, data, *arguments, **options)
        made.add(self.dtype)

    model = network()
    monkeypatch.setattr(Tensor, "__init__", watched)
    train.train_step(model, optim.Adam(model.parameters()), TRAIN.images[:16], TRAIN.labels[:16])
    assert np.dtype(np.float64) not in made and np.dtype(np.float32) in made


@pytest.mark.parametrize(("schedule", "expected"), [
    (None, [0.01] * 4), ("step", [0.01, 0.01, 0.001, 0.001])])
def test_history_tells_the_rate_each_epoch_was_trained_with(schedule, expected):
    np.testing.assert_allclose(fit(schedule=schedule)[1].lr, expected)


def test_onecycle_is_stepped_after_every_batch():
    model = network()
    optimizer = optim.Adam(model.parameters())
    schedule = optim.OneCycleLR(optimizer, 0.02, total_steps=20)
    rates = [schedule.lr_at(count) for count in (4, 9, 14, 19)]  # in the last batch of each epoch
    assert fit(model, optimizer=optimizer, schedule=schedule)[1].lr == rates
    assert schedule.last_epoch == 20


def test_a_schedule_of_another_length_is_refused_before_training():
    model = network()
    optimizer = optim.Adam(model.parameters())
    with pytest.raises(ValueError, match=r"laid out for 19 batches, the run has 20 \(4 epochs of 5\).*total_steps=20"):
        fit(model, optimizer=optimizer, schedule=optim.OneCycleLR(optimizer, 0.02, total_steps=19))


def test_only_the_optimizers_parameters_learn():
    model = network()
    before = model.state_dict()
    fit(model, optimizer=optim.Adam(model[6].parameters(), lr=0.01), schedule=None)
    after = model.state_dict()
    assert {name for name in before if (before[name] != after[name]).any() and "running" not in name} == {
        "6.weight", "6.bias", "3.num_batches_tracked"}


@pytest.mark.parametrize(("options", "error", "said"), [
    ({"train": TRAIN[:0]}, ValueError, "fit: train has no images"),
    ({"test": TEST[:0]}, ValueError, "fit: test has no images"),
    ({"train": (TRAIN.images, TRAIN.labels)}, TypeError, "fit: train is tuple, expected a Dataset: data.load"),
    ({"test": data.Dataset(TEST.images[..., :7], TEST.labels, TEST.classes)}, ValueError,
     r"train has images of shape \(1, 8, 8\), test \(1, 8, 7\)"),
    ({"test": data.Dataset(TEST.images, TEST.labels, "abc")}, ValueError, "train has classes .*'top'.*, test .*'a'"),
    ({"epochs": 0}, ValueError, "fit: epochs is 0, expected an integer of at least 1"),
    ({"epochs": 2.5}, ValueError, "fit: epochs is 2.5"),
    ({"batch_size": 0}, ValueError, "fit: batch_size is 0"),
    ({"resume": True}, ValueError, "resume=True needs checkpoint="),
    ({"checkpoint": "."}, ValueError, r"checkpoint . is a folder, expected a file, such as checkpoint.safetensors"),
    ({"model": lambda x: x}, TypeError, "fit: model is function, expected a Module"),
    ({"optimizer": "adam"}, TypeError, "fit: optimizer is str, expected one of minigrad.optim"),
    ({"optimizer": optim.Adam(network().parameters())}, ValueError,
     "fit: 6 of the optimizer's 6 parameters are not in this model; make the optimizer from model.parameters"),
    ({"schedule": optim.StepLR(optim.Adam(network().parameters()), 2)}, ValueError, "schedule was made for another"),
    ({"label_smoothing": 1.5}, ValueError, "label_smoothing is 1.5"),
])
def test_wrong_arguments_are_refused_before_training(options, error, said):
    model = options.pop("model", None) or network()
    if not isinstance(model, nn.Module):
        options["optimizer"] = optim.Adam(network().parameters())
    with pytest.raises(error, match=said):
        fit(model, **{"schedule": None} | options)


def test_rng_must_be_a_generator():
    with pytest.raises(TypeError, match="fit: rng is 3, expected a numpy Generator"):
        train.fit(network(), TRAIN, TEST, optimizer=optim.Adam(network().parameters()), rng=3)


@pytest.mark.parametrize(("last", "said"), [
    ([nn.Linear(64, 4)], r"logits of shape \(2, 4\) for 2 images, expected \(2, 3\), one for each class of bars"),
    ([nn.Linear(64, 3), nn.Softmax()], "gives numbers that add up to 1, probabilities; expected logits"),
])
def test_a_model_that_does_not_answer_in_logits_is_refused(last, said):
    with pytest.raises(ValueError, match=said):
        fit(nn.Sequential(nn.Flatten(), *last))


def test_a_folder_that_cannot_be_written_is_found_before_training(tmp_path):
    model = network()
    before = model.state_dict()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="save_checkpoint: cannot write .*run.safetensors"):
        fit(model, checkpoint=tmp_path / "file" / "run.safetensors")
    assert all((before[name] == array).all() for name, array in model.state_dict().items())


def test_labels_and_pixels_out_of_range_cannot_become_a_dataset():
    with pytest.raises(ValueError, match="labels go from 0 to 2, expected 0 to 1 for 2 classes"):
        data.Dataset(TRAIN.images, TRAIN.labels, ("a", "b"))
    with pytest.raises(ValueError, match="they look like 0..255: divide by 255"):
        data.Dataset(TRAIN.images * 255, TRAIN.labels, TRAIN.classes)
    with pytest.raises(ValueError, match="holds NaN or inf"):
        data.Dataset(TRAIN.images * np.float32(np.nan), TRAIN.labels, TRAIN.classes)


def exploding(at):
    """A network, and an augmentation that makes its weights as large as floats can be before batch `at`."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3, rng=np.random.default_rng(0)))
    calls = 0

    def explode(images, *, rng):
        nonlocal calls
        calls += 1
        if calls == at:
            model[1].weight.data = np.full_like(model[1].weight.data, 3e38)
        return images

    return model, explode


@pytest.mark.filterwarnings("ignore:(invalid value|overflow)")
def test_a_loss_that_is_nan_stops_training_and_says_where(tmp_path):
    model, explode = exploding(at=8)
    with pytest.raises(FloatingPointError, match=r"fit: epoch 2, batch 3 of 5: the loss is nan; try a smaller learning "
                                                 r"rate \(now 0.01\), or anomaly=True"):
        fit(model, augment=explode, schedule=None, checkpoint=tmp_path / "run.safetensors")
    model, explode = exploding(at=None)
    _, history = fit(model, augment=explode, schedule=None, checkpoint=tmp_path / "run.safetensors", resume=True)
    assert len(history) == 4 and np.isfinite(history.train_loss).all()


@pytest.mark.filterwarnings("ignore:(invalid value|overflow)")
def test_anomaly_names_the_layer():
    model, explode = exploding(at=8)
    with pytest.raises(FloatingPointError, match="epoch 2, batch 3 of 5: .*pass of Linear in 1 made the first") as e:
        fit(model, augment=explode, schedule=None, anomaly=True)
    assert "smaller learning rate" in str(e.value) and "anomaly=True" not in str(e.value)


@pytest.mark.filterwarnings("ignore:(invalid value|overflow)")
def test_a_test_loss_that_is_nan_is_not_saved(tmp_path):
    class OnlyInTraining(nn.Module):
        def forward(self, x):
            return x if self.training or len(x) == 2 else x * np.float32(np.nan)

    path = tmp_path / "run.safetensors"
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3, rng=np.random.default_rng(0)), OnlyInTraining())
    start = model.state_dict()
    with pytest.raises(FloatingPointError, match="fit: after epoch 1 the test loss is nan"):
        fit(model, schedule=None, checkpoint=path)
    saved, meta = io.load_checkpoint(path)
    assert meta["position"]["epoch"] == 0 and (saved["model.1.weight"] == start["1.weight"]).all()


def test_progress_is_a_line_an_epoch_where_there_is_no_terminal(capfd):
    fit(epochs=1, schedule=None)  # compiling speaks on stderr, too
    capfd.readouterr()
    fit(progress=True, epochs=2, schedule=None)
    out, err = capfd.readouterr()
    lines = err.splitlines()
    assert not out and len(lines) == 2 and lines[0].startswith("epoch 1/2  train loss ")
    assert all(word in lines[0] for word in ("test loss", "accuracy", "images/s", " left")) and " left" not in lines[1]
    fit(progress=False, epochs=1, schedule=None)
    assert capfd.readouterr() == ("", "")


def test_progress_is_a_bar_on_a_terminal(capfd, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    big = dataset(2000, 3)
    fit(progress=True, epochs=1, schedule=None, train=big, batch_size=8)
    shown = capfd.readouterr().err
    assert "epoch 1/1 |" in shown and "images/s" in shown and "loss 0." in shown and "accuracy " in shown


@pytest.mark.parametrize(("seconds", "words"), [(0.04, "0.0 s"), (9.96, "10 s"), (59.4, "59 s"), (125, "2 min 5 s"),
                                                (4320, "1 h 12 min")])
def test_durations_are_said_as_people_say_them(seconds, words):
    from minigrad.train.progress import duration

    assert duration(seconds) == words
