"""Train a network on a dataset and write down all there is to know about it.

Writes the network, the numbers of each epoch, curves, a confusion matrix, a classification report and the images it
got wrong into the folder of --out. After Ctrl-C, or a power cut, --resume goes on to the very same result."""

import json
import shlex
from inspect import signature
from pathlib import Path

import numpy as np

from .. import data, io, models, optim, plots
from ..files import write_atomically
from ..runs import CHECKPOINT, CONFUSION, CURVES, FILES, HISTORY, MISREAD, MODEL, REPORT
from ..train import evaluate, fit
from ..train.ahead import compiling_ahead
from ..train.checks import check_model
from ..train.progress import duration
from . import settings as choices
from .arguments import one_of
from .evaluate import report


def add_arguments(parser):
    """Declare what the command understands."""
    choices.add_arguments(parser)
    add = parser.add_argument
    add("--recipe", type=one_of("recipe", choices.RECIPES), metavar="NAME",
        help="settings that go well together, each of which may still be given: "
             + "; ".join(f"{name} ({_spell(recipe)})" for name, recipe in choices.RECIPES.items()))
    add("--out", type=Path, metavar="FOLDER", help="where all files go (default: runs/ and the dataset's name)")
    old = parser.add_mutually_exclusive_group()
    old.add_argument("--resume", action="store_true", help="go on with the run in --out, as if it had never stopped")
    old.add_argument("--overwrite", action="store_true", help="start anew where --out holds a run already")
    add("--anomaly", action="store_true", help="when the loss becomes NaN, find the layer it comes from (slow)")
    add("--quiet", action="store_true", help="no progress on the way")


def run(arguments):
    """Train, and write the files of a run."""
    out = arguments.out or Path("runs") / (arguments.dataset or choices.DEFAULTS["dataset"])
    settings = choices.chosen(arguments, out)
    choices.claim(out, resume=arguments.resume, overwrite=arguments.overwrite)
    train, test = (data.load(settings["dataset"], split) for split in data.SPLITS)
    train = train[: settings["limit"]]
    weights, dropout, order = (np.random.default_rng(s) for s in np.random.SeedSequence(settings["seed"]).spawn(3))
    model = build_model(settings, train, weights, dropout)
    optimizer, schedule = build_optimizer(settings, model, train)
    with compiling_ahead(model, optimizer, train[: settings["batch_size"]]):
        check_model(model, train)  # as fit does, but before a run is removed for a network that does not fit
        if arguments.resume:
            choices.remember(out, settings)
        else:
            choices.start(out, settings)
        try:
            history = fit(
                model, train, test, epochs=settings["epochs"], batch_size=settings["batch_size"], optimizer=optimizer,
                schedule=schedule, rng=order, checkpoint=out / CHECKPOINT, resume=arguments.resume,
                progress=not arguments.quiet, augment=shift_and_rotate if settings["augment"] else None,
                label_smoothing=settings["label_smoothing"], anomaly=arguments.anomaly)
        except KeyboardInterrupt as stopped:
            raise KeyboardInterrupt(f"{str(stopped) or 'stopped'}. To go on:\n"
                                    f"python -m minigrad train --out {shlex.quote(str(out))} --resume") from None
    tested = evaluate(model, test)
    write_results(out, settings, model, history, test, tested)
    summarise(out, settings, model, history, tested)


def build_model(settings, train, weights, dropout):
    """Build the network, with the options its builder has: those asked for, and those the images decide."""
    accepted = signature(getattr(models, settings["model"])).parameters
    asked = {name: settings[name] for name in ("batch_norm", "dropout")}
    if missing := [choices.flag(name) for name, value in asked.items() if value is not None and name not in accepted]:
        raise ValueError(f"train: the model {settings['model']} has no {' and no '.join(missing)}; leave that out")
    fitting = {"num_classes": len(train.classes), "image_size": train.images.shape[2]}
    for name in {"mean", "std"} & accepted.keys():
        values = getattr(train.images, name)((0, 2, 3), dtype=np.float64)
        fitting[name] = [round(v, 4) for v in values.tolist()]
    options = {name: value for name, value in (fitting | asked).items() if name in accepted and value is not None}
    model = models.create(settings["model"], rng=weights, **options)
    for module in model.modules():
        if hasattr(module, "rng"):
            module.rng = dropout
    return model


def build_optimizer(settings, model, train):
    """Build the optimizer and, unless it is none, the schedule."""
    build = next(getattr(optim, name) for name in optim.__all__ if name.lower() == settings["optimizer"])
    lr = settings["lr"]
    options = {"momentum": 0.9, "nesterov": True} if settings["optimizer"] == "sgd" else {}
    optimizer = build(model.parameters(), lr=lr, weight_decay=settings["weight_decay"], **options)
    epochs, steps = settings["epochs"], -(-len(train) // settings["batch_size"])
    match settings["schedule"]:
        case "step":
            return optimizer, optim.StepLR(optimizer, max(1, -(-2 * epochs // 3)))
        case "cosine":
            return optimizer, optim.CosineAnnealingLR(optimizer, epochs)
        case "onecycle":
            return optimizer, optim.OneCycleLR(optimizer, lr, total_steps=epochs * steps)
    return optimizer, None


def shift_and_rotate(images, *, rng, pixels=2, degrees=10.0):
    """Turn each image by up to `degrees` and move it by up to `pixels` each way."""
    return data.shift(data.rotate(images, degrees, rng=rng), pixels, rng=rng)


def write_results(out, settings, model, history, test, tested):
    """Write everything but the checkpoint."""
    io.save(out / MODEL, model, dataset=test.name, classes=test.classes, input=test.images.shape[1:],
            seed=settings["seed"], epochs=len(history), settings=settings,
            metrics={"accuracy": tested.accuracy, "loss": tested.loss})
    write_atomically(out / HISTORY, (json.dumps(history.as_dict(), indent=2) + "\n").encode(), caller="train")
    write_atomically(out / REPORT, report(model, test, tested).encode(), caller="train")
    curves = plots.new_figure(10, 4)
    plots.curves(history, curves.subplots(1, 2))
    plots.save(curves, out / CURVES)
    classes = len(test.classes)
    confusion = plots.new_figure(0.55 * classes + 2, 0.5 * classes + 1.6)
    plots.confusion_matrix(test.labels, tested.predictions, test.classes, confusion.subplots())
    plots.save(confusion, out / CONFUSION)
    plots.save(plots.misclassified(test, tested, figure=plots.new_figure()), out / MISREAD)


def summarise(out, settings, model, history, tested):
    """Print what came out, and the files."""
    count = len(tested.predictions)
    print(f"{settings['model']} ({sum(p.size for p in model.parameters()):,} parameters) learned {settings['dataset']} "
          f"in {len(history)} epochs, {duration(sum(history.seconds))}: test accuracy {tested.accuracy:.2%} "
          f"({round((1 - tested.accuracy) * count):,} of {count:,} wrong), test loss {tested.loss:.4f}")
    print("files made:")
    for name, what in FILES.items():
        print(f"  {str(out / name):{len(str(out)) + 27}}  {what}")


def _spell(recipe):
    return ", ".join(f"{choices.flag(k)}" if v is True else f"{choices.flag(k)} {v}" for k, v in recipe.items())
