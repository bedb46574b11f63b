"""A run that is stopped and goes on ends at the same bits as one that never stopped, however it was stopped."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from minigrad import data, io, nn, optim

from .toy import TEST, TRAIN, fit, network, outcome

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def uninterrupted():
    return outcome(*fit())


class Stopper:
    """An augmentation that does something else at the n-th batch of a run."""

    __qualname__ = "partial"

    def __init__(self, at, act):
        self.at, self.act, self.calls = at, act, 0

    def __call__(self, images, *, rng):
        self.calls += 1
        if self.calls == self.at:
            self.act()
        return data.shift(images, 1, rng=rng)


def press_ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def named_alike(monkeypatch):
    """Let a Stopper pass for the augmentation that it stands in for."""
    from minigrad.train import checkpoint

    monkeypatch.setattr(checkpoint, "_called", lambda augment: "shift")


def test_the_same_seed_gives_the_same_bytes(uninterrupted):
    assert outcome(*fit()) == uninterrupted
    assert outcome(*fit(seed=2)) != uninterrupted


@pytest.mark.parametrize("batch", [1, 3, 5, 6, 14, 20])
def test_after_ctrl_c_in_any_batch_a_run_goes_on_to_the_same_bits(batch, uninterrupted, named_alike, tmp_path):
    path, before = tmp_path / "run.safetensors", signal.getsignal(signal.SIGINT)
    done = f"after {batch // 5} of 4 epochs and {batch % 5} of 5 batches"
    with pytest.raises(KeyboardInterrupt, match=rf"fit: stopped {done}; saved in .*run.safetensors, go on with resume"):
        fit(checkpoint=path, augment=Stopper(batch, press_ctrl_c))
    assert signal.getsignal(signal.SIGINT) is before
    assert outcome(*fit(network(seed=9), checkpoint=path, resume=True)) == uninterrupted


def test_without_a_checkpoint_ctrl_c_interrupts_at_once():
    with pytest.raises(KeyboardInterrupt, match="^$"):
        fit(augment=Stopper(3, press_ctrl_c))


def test_the_second_ctrl_c_does_not_wait(named_alike, tmp_path):
    def twice():
        press_ctrl_c()
        press_ctrl_c()

    with pytest.raises(KeyboardInterrupt, match="^$"):
        fit(checkpoint=tmp_path / "run.safetensors", augment=Stopper(3, twice))


def start(path, moment="never", count=1):
    command = [sys.executable, "-m", "tests.train.toy", str(path), moment, str(count)]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n", child.stderr.read()
    return child


def test_killed_again_and_again_it_ends_at_the_same_bits(uninterrupted, tmp_path):
    path = tmp_path / "run.safetensors"
    for moment, count in (("step", 7), ("half", 1), ("renamed", 2), ("half", 3), ("step", 25), ("whole", 2)):
        child = start(path, moment, count)
        errors = child.communicate(timeout=120)[1]
        assert child.returncode == -signal.SIGKILL, f"{moment} {count}: ended with {child.returncode}: {errors}"
    model, history = fit(network(seed=9), checkpoint=path, resume=True)
    assert outcome(model, history) == uninterrupted


def test_killed_at_moments_nobody_chose_it_ends_at_the_same_bits(uninterrupted, tmp_path):
    path, rng = tmp_path / "run.safetensors", np.random.default_rng()
    for delay in rng.uniform(0, 1.5, 3):
        child = start(path)
        time.sleep(delay)
        child.kill()
        child.communicate(timeout=120)
    assert outcome(*fit(checkpoint=path, resume=True)) == uninterrupted


@pytest.mark.parametrize("make", [
    lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True), lambda p: optim.AdamW(p, lr=0.01),
    lambda p: optim.RMSprop(p, lr=1e-3, momentum=0.5, centered=True), lambda p: optim.Adagrad(p, lr=0.02)])
def test_any_optimizer_resumes_to_the_same_bits(make, named_alike, tmp_path):
    def run(**options):
        model = network()
        return outcome(*fit(model, optimizer=make(model.parameters()), schedule="step", **options))

    expected, path = run(), tmp_path / "run.safetensors"
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=path, augment=Stopper(8, press_ctrl_c))
    assert run(checkpoint=path, resume=True) == expected


def test_attention_resumes_to_the_same_bits(named_alike, tmp_path):
    class Rows(nn.Module):
        """Attention with dropout between the rows of an image."""

        def __init__(self, seed):
            rng = np.random.default_rng(seed)
            self.attention, self.head = nn.MultiheadAttention(8, 2, dropout=0.3, rng=rng), nn.Linear(8, 3, rng=rng)

        def forward(self, x):
            return self.head(self.attention(x.reshape(len(x), 8, 8)).mean(1))

    expected, path = outcome(*fit(Rows(0))), tmp_path / "run.safetensors"
    with pytest.raises(KeyboardInterrupt):
        fit(Rows(0), checkpoint=path, augment=Stopper(7, press_ctrl_c))
    assert outcome(*fit(Rows(9), checkpoint=path, resume=True)) == expected


def test_a_finished_run_only_hands_back_its_result_and_can_be_made_longer(tmp_path):
    path = tmp_path / "run.safetensors"
    first = outcome(*fit(checkpoint=path, schedule=None, epochs=2))
    assert outcome(*fit(network(9), checkpoint=path, schedule=None, epochs=2, resume=True)) == first
    assert outcome(*fit(network(9), checkpoint=path, schedule=None, resume=True)) == outcome(*fit(schedule=None))


def test_resuming_says_where_it_goes_on(capfd, tmp_path):
    path = tmp_path / "run.safetensors"
    fit(checkpoint=path, schedule=None, epochs=1)
    fit(checkpoint=path, schedule=None, epochs=2, resume=True, progress=True)
    shown = capfd.readouterr().err.splitlines()
    assert "run.safetensors after 1 epoch" in shown[0] and shown[1].startswith("epoch 2/2") and len(shown) == 2


def other_network():
    rng = np.random.default_rng(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, rng=rng), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                         nn.Linear(64, 3, rng=rng))


@pytest.mark.parametrize(("named", "change"), [
    ("model", {"model": other_network()}),
    ("model", {"model": nn.Sequential(*network(), nn.Dropout(0.1))}),
    ("optimizer was Adam", {"optimizer": "sgd"}),
    ("optimizer .*lr=0.01.*lr=0.02", {"optimizer": "lr"}),
    ("training set was bars, 72 .*, is bars, 71 ", {"train": TRAIN[:71]}),
    ("training set", {"train": data.Dataset(TRAIN.images[::-1], TRAIN.labels[::-1], TRAIN.classes, "bars")}),
    ("test set", {"test": TEST[1:]}),
    ("batch_size was 16, is 24", {"batch_size": 24}),
    ("augment was shift.pixels=1., is shift.pixels=2.", {"augment": partial(data.shift, pixels=2)}),
    ("label_smoothing was 0.0, is 0.1", {"label_smoothing": 0.1}),
    ("schedule was None, is StepLR", {"schedule": "step"}),
])
def test_another_run_is_told_apart(named, change, tmp_path):
    path = tmp_path / "run.safetensors"
    fit(checkpoint=path, schedule=None, epochs=1)
    before = path.read_bytes()
    model = change.pop("model", None) or network()
    kinds = {"sgd": lambda p: optim.SGD(p, lr=0.01), "lr": lambda p: optim.Adam(p, lr=0.02)}
    if "optimizer" in change:
        change = {"optimizer": kinds[change["optimizer"]](model.parameters())}
    weights = model.state_dict()
    with pytest.raises(ValueError, match=f"run.safetensors belongs to another run: .*{named}"):
        fit(model, checkpoint=path, resume=True, **{"schedule": None} | change)
    assert path.read_bytes() == before
    assert all((weights[name] == array).all() for name, array in model.state_dict().items())


@pytest.mark.parametrize(("damage", "said"), [
    (lambda b: b[: len(b) // 2], "damaged, cut short"),
    (lambda b: b"", "is empty"),
    (lambda b: b[:-5] + bytes([b[-5] ^ 1]) + b[-4:], "is damaged: its content has SHA-256"),
    (lambda b: b"not safetensors at all", "damaged, cut short"),
])
def test_a_damaged_checkpoint_is_named_and_left_alone(damage, said, tmp_path):
    path = tmp_path / "run.safetensors"
    fit(checkpoint=path, epochs=1, schedule=None)
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"run.safetensors {said}|run.safetensors is {said}"):
        fit(checkpoint=path, resume=True, schedule=None)
    assert path.read_bytes() == before


def test_a_model_is_no_checkpoint(tmp_path):
    path = tmp_path / "model.safetensors"
    io.save(path, network())
    with pytest.raises(ValueError, match="model.safetensors holds a model, not a run that can be resumed"):
        fit(checkpoint=path, resume=True)


def test_an_older_run_is_not_overwritten(tmp_path):
    path = tmp_path / "run.safetensors"
    fit(checkpoint=path, epochs=1, schedule=None)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="fit: .*run.safetensors exists .* resume=True to go on with it, or del"):
        fit(checkpoint=path, epochs=1, schedule=None)
    assert path.read_bytes() == before
