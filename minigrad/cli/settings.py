"""What a training run is started with: from the command line, a recipe, or the run that is being resumed."""

import json
from argparse import BooleanOptionalAction

from .. import data, models
from ..files import ensure_writable, write_atomically
from ..runs import CHECKPOINT, FILES, MODEL, SETTINGS
from .arguments import number, one_of

OPTIMIZERS = {"adam": 1e-3, "adamw": 1e-3, "sgd": 0.03, "rmsprop": 5e-4, "adagrad": 1e-2}  # their usual learning rates
SCHEDULES = {"none": "the same rate throughout", "step": "a tenth of it for the last third of the epochs",
             "cosine": "falls to zero along half a cosine", "onecycle": "rises, then falls to nothing, batch by batch"}
DEFAULTS = {"dataset": "mnist", "model": "mnist_cnn", "batch_norm": None, "dropout": None, "epochs": 10, "lr": None,
            "batch_size": 64, "optimizer": "adam", "weight_decay": 0.0, "seed": 0, "schedule": "none", "augment": False,
            "label_smoothing": 0.0, "limit": None}
RECIPES = {"best": {"epochs": 15, "schedule": "onecycle", "lr": 3e-3, "augment": True, "dropout": 0.5}}


def add_arguments(parser):
    """Declare one argument for each setting; what is not given stays None, so that a recipe or a run can fill it."""
    add = parser.add_argument
    add("--dataset", type=one_of("dataset", data.names()), metavar="NAME",
        help=f"{', '.join(data.names())}; digits comes along, the others are downloaded once (default: mnist)")
    add("--model", type=one_of("model", models.names()), metavar="NAME",
        help=f"the network: {', '.join(models.names())} (default: mnist_cnn)")
    add("--batch-norm", action=BooleanOptionalAction, help="add batch normalisation to the network")
    add("--dropout", type=number(float, 0, 1, open_high=True), metavar="P",
        help="in training, switch off hidden units with this probability")
    add("--epochs", type=number(int, 1), metavar="N", help="how often each image is seen (default: 10)")
    add("--lr", type=number(float, 0, open_low=True), metavar="RATE",
        help="learning rate, the size of a step (default: 0.001 for adam; the largest one where a schedule changes it)")
    add("--batch-size", type=number(int, 1), metavar="N", help="images a step learns from (default: 64)")
    add("--optimizer", type=one_of("optimizer", OPTIMIZERS), metavar="NAME",
        help=f"the rule for a step: {', '.join(OPTIMIZERS)} (default: adam)")
    add("--weight-decay", type=number(float, 0), metavar="W",
        help="how strongly weights are pulled to zero (default: 0)")
    add("--schedule", type=one_of("schedule", SCHEDULES), metavar="NAME",
        help=f"how the learning rate changes: {'; '.join(f'{k}, {v}' for k, v in SCHEDULES.items())} (default: none)")
    add("--augment", action=BooleanOptionalAction,
        help="move and turn the training images a little, differently each time")
    add("--label-smoothing", type=number(float, 0, 1), metavar="S",
        help="part of each label that is spread over all classes (default: 0)")
    add("--limit", type=number(int, 1), metavar="N",
        help="learn from the first N training images only, for a quick try")
    add("--seed", type=number(int, 0), metavar="N",
        help="the same seed gives the same network, to the bit (default: 0)")


def chosen(arguments, out):
    """Settings by precedence: the command line, then the run resumed, or else the recipe and the defaults."""
    given = {name: value for name in DEFAULTS if (value := getattr(arguments, name)) is not None}
    if not arguments.resume:
        settings = DEFAULTS | RECIPES.get(arguments.recipe, {}) | given
        return settings | {"lr": settings["lr"] or OPTIMIZERS[settings["optimizer"]]}
    path = out / SETTINGS
    if not path.is_file():
        raise FileNotFoundError(f"train: {out} holds no run to resume; leave out --resume to start one")
    try:
        stored = DEFAULTS | json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"train: {path} is damaged ({error}); start anew with --overwrite") from error
    given = RECIPES.get(arguments.recipe, {}) | given
    changed = [f"{flag(name)} was {stored[name]}, is {value}" for name, value in given.items()
               if name != "epochs" and value != stored[name]]
    if changed:
        raise ValueError(f"train: a run goes on with what it was started with, but {'; '.join(changed)}; leave those "
                         f"out, or choose another --out")
    epochs = given.get("epochs", stored["epochs"])
    if epochs != stored["epochs"] and stored["schedule"] != "none":
        raise ValueError(f"train: the schedule {stored['schedule']} was laid out for {stored['epochs']} epochs and "
                         f"cannot be stretched to {epochs}; start a new run")
    return stored | {"epochs": epochs}


def claim(out, *, resume, overwrite):
    """Make the run's folder and make sure it can be written; refuse one that holds a run already."""
    old = [name for name in (MODEL, CHECKPOINT, SETTINGS) if (out / name).exists()]
    if old and not (resume or overwrite):
        raise FileExistsError(f"train: {out} holds a run already ({', '.join(old)}); --resume goes on with it, "
                              f"--overwrite starts anew in its place, another --out leaves it alone")
    ensure_writable(out, caller="train")


def start(out, settings):
    """Remove an older run's files, and write down what this one is started with."""
    for name in FILES:
        (out / name).unlink(missing_ok=True)
    remember(out, settings)


def remember(out, settings):
    """Write the settings into the run's folder."""
    write_atomically(out / SETTINGS, (json.dumps(settings, indent=2) + "\n").encode(), caller="train")


def flag(name):
    """Return the argument that sets `name`."""
    return f"--{name.replace('_', '-')}"
