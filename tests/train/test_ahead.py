"""The second process that compiles the kernels of a training step from the last to the first."""

import os
import pickle
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from numba.core import event

from minigrad import kernels, nn, optim
from minigrad.kernels import reference
from minigrad.train import ahead, train_step

from .toy import TRAIN, network

FIRST_STEP = """
import pickle, sys
from numba.core import event
from minigrad.train import train_step
with event.install_recorder("numba:compile") as compiled:
    train_step(*pickle.load(sys.stdin.buffer))
print(len(compiled.buffer) // 2, "compiled")
"""


def a_kernel_is_compiled(cache_path="somewhere"):
    dispatcher = SimpleNamespace(stats=SimpleNamespace(cache_path=cache_path), py_func=a_kernel_is_compiled)
    with event.trigger_event("numba:compile", {"dispatcher": dispatcher}):
        pass


@pytest.fixture
def started(monkeypatch):
    """The processes that would be started: what they are given, and whether they were stopped and waited for."""
    found = []

    class Process:
        def __init__(self, command, stdin, **options):
            self.command, self.work, self.happened = command, pickle.load(stdin), []
            found.append(self)

        def kill(self):
            self.happened.append("killed")

        def wait(self):
            self.happened.append("waited for")

    monkeypatch.setattr(ahead.subprocess, "Popen", Process)
    return found


def test_every_kernel_of_a_step_is_called_from_the_last_to_the_first(monkeypatch):
    model, calls = network(), []
    optimizer = optim.Adam(model.parameters())
    for name in reference.__all__:
        twin = getattr(reference, name)
        monkeypatch.setattr(kernels, name, lambda *a, name=name, twin=twin, **o: calls.append(name) or twin(*a, **o))
    noting = {name: getattr(kernels, name) for name in reference.__all__}
    train_step(model, optimizer, TRAIN.images[:8], TRAIN.labels[:8])
    forwards, calls[:] = list(calls), []
    ahead.compile_backwards(model, optimizer, TRAIN.images[:8], TRAIN.labels[:8])
    assert calls == forwards[::-1] and forwards[-1] == "adam_step"
    assert all(getattr(kernels, name) is noting[name] for name in reference.__all__)


def test_it_stops_when_nobody_waits_for_it(monkeypatch):
    model, calls, parents = network(), [], iter([1, 1, 1, *[2] * 99])
    for name in reference.__all__:
        twin = getattr(reference, name)
        monkeypatch.setattr(kernels, name, lambda *a, twin=twin, **o: calls.append(twin) or twin(*a, **o))
    monkeypatch.setattr(ahead.os, "getppid", lambda: next(parents))
    ahead.compile_backwards(model, optim.Adam(model.parameters()), TRAIN.images[:8], TRAIN.labels[:8])
    assert len(calls) == 2


@pytest.mark.compiled
def test_what_it_compiles_is_all_that_a_step_needs(tmp_path):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, 3))
    work = pickle.dumps((model, optim.Adam(model.parameters()), TRAIN.images[:8], TRAIN.labels[:8]))
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    for command, printed in ((["-m", "minigrad.train.ahead"], b""), (["-c", FIRST_STEP], b"0 compiled\n")):
        done = subprocess.run([sys.executable, *command], input=work, env=environment, capture_output=True, timeout=300)
        assert (done.returncode, done.stdout) == (0, printed), done.stderr.decode()


def test_it_is_started_once_by_the_first_kernel_that_is_compiled_and_stopped_at_the_end(started, monkeypatch):
    monkeypatch.setattr(ahead, "threads", lambda: 2)
    model = network()
    with ahead.compiling_ahead(model, optim.Adam(model.parameters()), TRAIN[:8]):
        assert not started
        a_kernel_is_compiled()
        a_kernel_is_compiled()
    (process,) = started
    assert process.command == [sys.executable, "-m", "minigrad.train.ahead"]
    assert "killed" in process.happened and process.happened[-1] == "waited for"
    sent, optimizer, images, labels = process.work
    assert all((sent.state_dict()[name] == array).all() for name, array in model.state_dict().items())
    assert [id(p) for p in optimizer.parameters] == [id(p) for p in sent.parameters()]
    np.testing.assert_array_equal(images, TRAIN.images[:8])
    np.testing.assert_array_equal(labels, TRAIN.labels[:8])


@pytest.mark.parametrize("path, cores", [(None, 2), ("somewhere", 1)])
def test_it_is_not_started_where_it_would_not_help(path, cores, started, monkeypatch):
    monkeypatch.setattr(ahead, "threads", lambda: cores)
    model = network()
    with ahead.compiling_ahead(model, optim.Adam(model.parameters()), TRAIN[:8]):
        a_kernel_is_compiled(path)
    assert not started


def test_a_model_that_cannot_be_sent_trains_without_it(started, monkeypatch):
    monkeypatch.setattr(ahead, "threads", lambda: 2)
    model = nn.Sequential(lambda x: x.reshape(len(x), -1), nn.Linear(64, 3))
    with ahead.compiling_ahead(model, optim.Adam(model.parameters()), TRAIN[:8]):
        a_kernel_is_compiled()
        trained = True
    assert trained and not started


def test_large_images_are_sent_few_at_a_time(started, monkeypatch):
    monkeypatch.setattr(ahead, "threads", lambda: 2)
    monkeypatch.setattr(ahead, "NUMBERS", 5 * 64)
    model = network()
    with ahead.compiling_ahead(model, optim.Adam(model.parameters()), TRAIN[:8]):
        a_kernel_is_compiled()
    assert len(started[0].work[2]) == 5
