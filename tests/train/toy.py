"""A run of a second with everything in it that has a state: batch norm, dropout, augmentation, a schedule of each kind.

As a program (``python -m tests.train.toy FILE MOMENT COUNT``) it runs with a checkpoint, and dies by SIGKILL at the
COUNT-th time that the moment comes.
"""

import os
import signal
import sys
from functools import partial
from io import FileIO

import numpy as np

from minigrad import data, files, nn, optim, train

EPOCHS, BATCH = 4, 16


def dataset(count, seed):
    """Three classes of 8x8 images: a bright bar at the top, in the middle, or at the bottom, in noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    images = rng.uniform(0, 0.6, (count, 1, 8, 8)).astype(np.float32)
    for image, label in zip(images, labels):
        image[0, 3 * label : 3 * label + 2] += 0.4
    return data.Dataset(images, labels, ("top", "middle", "bottom"), "bars")


TRAIN, TEST = dataset(72, 0), dataset(30, 1)  # 72 is no multiple of 16


def network(seed=0):
    rng = np.random.default_rng(seed)
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, rng=rng), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(4),
                         nn.Flatten(), nn.Dropout(0.2, rng=rng), nn.Linear(64, 3, rng=rng))


def fit(model=None, *, schedule="onecycle", epochs=EPOCHS, seed=1, **options):
    """Train and return (model, history); options go to train.fit."""
    model = model or network()
    optimizer = options.pop("optimizer", None) or optim.Adam(model.parameters(), lr=1e-2)
    if schedule == "onecycle":
        schedule = optim.OneCycleLR(optimizer, 2e-2, epochs=EPOCHS, steps_per_epoch=5)
    elif schedule == "step":
        schedule = optim.StepLR(optimizer, 2)
    defaults = {"train": TRAIN, "test": TEST, "batch_size": BATCH, "progress": False}
    options = defaults | {"augment": partial(data.shift, pixels=1)} | options
    history = train.fit(model, epochs=epochs, optimizer=optimizer, schedule=schedule, rng=np.random.default_rng(seed),
                        **options)
    return model, history


def outcome(model, history):
    """All bytes that must be equal: parameters and buffers, and the history but for its clock."""
    numbers = {name: values for name, values in history.as_dict().items() if "second" not in name}
    return {name: array.tobytes() for name, array in model.state_dict().items()} | numbers


def die_at(moment, count):
    """Arrange for SIGKILL when the moment comes for the count-th time.

    "step" is in the middle of an optimizer's step, "half" when half of a file is written, "whole" before it takes its
    name, "renamed" after.
    """
    remaining = count

    def strike(now):
        nonlocal remaining
        remaining -= now == moment
        if not remaining:
            os.kill(os.getpid(), signal.SIGKILL)

    class Half(FileIO):
        def write(self, content):
            super().write(content[: len(content) // 2])
            strike("half")
            super().write(content[len(content) // 2 :])

    class System:
        def __getattr__(self, name):
            return getattr(os, name)

        def replace(self, *paths):
            strike("whole")
            os.replace(*paths)
            strike("renamed")

    class Adam(optim.Adam):
        def update(self, *arguments):
            strike("step")
            super().update(*arguments)

    files.os, files.open, optim.Adam = System(), lambda path, mode: Half(path, mode), Adam


if __name__ == "__main__":
    path, moment, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    die_at(moment, count)
    print("ready", flush=True)
    fit(checkpoint=path, resume=True)
