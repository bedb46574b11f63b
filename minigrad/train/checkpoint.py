"""A training run in one file, so complete that a run that was killed goes on to the very same bits.

That takes everything the next step reads: parameters and buffers, the optimizer's running means and step count, the
schedule, the state of every random generator (the order of the images, augmentation, each dropout layer's), how far the
run is, and the sums of the unfinished epoch. The order of an epoch's images is not stored: the state its generator had
before drawing it says the same in a few bytes.

A file also says what it belongs to (`belongings`), since the state of one run poured into another gives neither.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field, is_dataclass
from functools import partial

import numpy as np

from ..io import load_checkpoint, save_checkpoint
from .history import History


@dataclass
class Position:
    """How far a run is: finished epochs, batches done of the next one, and sums over those batches."""

    epoch: int = 0
    batch: int = 0
    images: int = 0
    loss: float = 0.0
    right: int = 0
    seconds: float = 0.0


@dataclass(eq=False)
class Run:
    """All that changes while a model trains."""

    model: object
    optimizer: object
    schedule: object
    shuffling: np.random.Generator
    augmentation: np.random.Generator
    position: Position = field(default_factory=Position)
    history: History = field(default_factory=History)

    def __post_init__(self):
        """Note the state from which the first epoch's order is drawn."""
        self.epoch_start = self.shuffling.bit_generator.state

    def draw_order(self, count):
        """Return the order of the epoch's images, the same however often this epoch is begun."""
        self.shuffling.bit_generator.state = self.epoch_start
        return self.shuffling.permutation(count)

    def next_epoch(self):
        """Set the position to the start of the next epoch."""
        self.epoch_start = self.shuffling.bit_generator.state
        self.position = Position(epoch=self.position.epoch + 1)

    def generators(self):
        """Return {name: generator} of all random numbers but those of the order."""
        inner = {f"model.{path}": module.rng for path, module in self.model.named_modules()
                 if isinstance(getattr(module, "rng", None), np.random.Generator)}
        return {"augmentation": self.augmentation} | inner

    def save(self, path, belongings):
        """Write the run to a file, in one step of the file system."""
        optimizer = self.optimizer.state_dict()
        arrays = _under("model", self.model.state_dict())
        arrays |= _under("optimizer", {name: v for name, v in optimizer.items() if isinstance(v, np.ndarray)})
        save_checkpoint(path, arrays, {
            "belongings": belongings,
            "position": asdict(self.position),
            "history": self.history.as_dict(),
            "optimizer": {name: v for name, v in optimizer.items() if not isinstance(v, np.ndarray)},
            "schedule": self.schedule and self.schedule.state_dict(),
            "epoch_start": _plain(self.epoch_start),
            "generators": {name: _plain(rng.bit_generator.state) for name, rng in self.generators().items()},
        })

    def load(self, path, belongings):
        """Take everything from a file that `save` wrote for a run with the same belongings.

        Raises ValueError, and changes nothing, if the file is damaged or belongs to another run.
        """
        arrays, meta = read(path)
        if differences := [f"{name} was {then}, is {belongings.get(name)}" for name, then in meta["belongings"].items()
                           if then != belongings.get(name)]:
            raise ValueError(f"fit: {path} belongs to another run: {'; '.join(differences)}; go on with what the run "
                             f"was started with, or give this one its own checkpoint")
        self.model.load_state_dict(_part("model", arrays))
        self.optimizer.load_state_dict(meta["optimizer"] | _part("optimizer", arrays))
        if self.schedule:
            self.schedule.load_state_dict(meta["schedule"])
        for name, rng in self.generators().items():
            rng.bit_generator.state = meta["generators"][name]
        self.epoch_start = meta["epoch_start"]
        self.position, self.history = Position(**meta["position"]), History(**meta["history"])


def read(path):
    """Return (arrays, meta) of a file that `Run.save` wrote, or raise ValueError; the file is left as it is."""
    arrays, meta = load_checkpoint(path)
    if "position" not in meta:
        raise ValueError(f"fit: {path} holds a model, not a run that can be resumed; checkpoint= is a file of its own")
    return arrays, meta


def belongings(run, train, test, batch_size, augment, perturb, label_smoothing):
    """Describe in JSON what a run's numbers depend on and a checkpoint does not hold, for people to compare too."""
    model, optimizer, schedule = run.model, run.optimizer, run.schedule
    named = [(path, part.shape) for path, part in (*model.named_parameters(), *model.named_buffers())]
    named += run.generators()  # the names of layers that draw random numbers
    architecture = getattr(model, "architecture", None) or type(model).__name__
    return {
        "model": f"{json.dumps(architecture)}, {sum(p.size for p in model.parameters()):,} parameters "
                 f"({_digest(json.dumps(named).encode())})",
        "optimizer": _settings(optimizer, without=schedule and ("lr", "beta1", "momentum")),
        "schedule": schedule and _settings(schedule, without=("last_epoch",)),
        "training set": _contents(train),
        "test set": _contents(test),
        "batch_size": batch_size,
        "augment": _called(augment),
        "perturb": _called(perturb),
        "label_smoothing": label_smoothing,
    }


def _settings(part, without):
    """Kind and settings of an optimizer or a schedule, but those that change on the way."""
    settings = {name: getattr(part, name) for name in part.settings if name not in (without or ())}
    return f"{type(part).__name__}({', '.join(f'{name}={value}' for name, value in settings.items())})"


def _contents(dataset, sample=64):
    """Name, size, and a digest of all labels and of a sample of images."""
    step = max(1, len(dataset) // sample)
    content = dataset.labels.tobytes() + np.ascontiguousarray(dataset.images[::step]).tobytes()
    return f"{dataset.name}, {len(dataset):,} images {dataset.images.shape[1:]} ({_digest(content)})"


def _digest(content):
    return hashlib.sha256(content).hexdigest()[:8]


def _called(function):
    """A function's name, with the settings that a functools.partial or a dataclass gives it."""
    if isinstance(function, partial):
        settings = [*map(repr, function.args), *(f"{k}={v!r}" for k, v in function.keywords.items())]
        return f"{_called(function.func)}({', '.join(settings)})"
    if is_dataclass(function):
        return repr(function)
    return function and getattr(function, "__qualname__", type(function).__qualname__)


def _plain(state):
    """A generator's state as JSON: arrays as lists, which the setter takes just as well."""
    if isinstance(state, dict):
        return {name: _plain(value) for name, value in state.items()}
    return state.tolist() if isinstance(state, (np.ndarray, np.generic)) else state


def _under(prefix, entries):
    return {f"{prefix}.{name}": value for name, value in entries.items()}


def _part(prefix, entries):
    return {name.removeprefix(f"{prefix}."): value for name, value in entries.items() if name.startswith(f"{prefix}.")}
