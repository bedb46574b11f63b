"""Explain a trained network's decisions: one figure of maps, and a table of how good they are.

Rows are methods, columns pictures and classes. Beside the figure a table of metrics is saved (.txt to read, .csv to
compute with); it judges the maps of the first target, next to maps that know nothing of the network."""

import sys
import time
from argparse import ArgumentTypeError
from pathlib import Path

import numpy as np

from minigrad.cli.arguments import number
from minigrad.cli.subject import load
from minigrad.files import write_atomically
from minigrad.plots import new_figure, save

from .. import metrics, show
from ..methods import METHODS, Setting, named_methods
from ..metrics.table import OF_MAPS, OF_VALUES, USUAL
from . import subject

FEW = "saliency,smooth_grad,integrated_gradients,guided_backprop,deep_lift,lrp_epsilon_plus,grad_cam,occlusion"


def add_arguments(parser):
    """Declare what the command understands."""
    add = parser.add_argument
    add("run", metavar="RUN", help="the folder of a run, a .safetensors file, or squeezenet1_0 for photographs")
    add("--methods", type=_list, default=_list(FEW), metavar="NAMES",
        help=f"all, or some of {', '.join(METHODS)} (default: {FEW})")  # fmt: skip
    add("--targets", type=_list, default=["top1", "top2"], metavar="NAMES",
        help=f"which classes: {subject.ROLES} (default: top1,top2)")  # fmt: skip
    add(
        "--index",
        type=number(int, 0),
        nargs="+",
        default=[0, 1, 2],
        metavar="N",
        help="which test images (default: 0 1 2)",
    )
    add("--metrics", type=_list, default=list(USUAL), metavar="NAMES",
        help=f"none, all, or some of {', '.join([*OF_MAPS, *OF_VALUES])} (default: {','.join(USUAL)})")  # fmt: skip
    add("--layer", metavar="PATH", help="the layer of class activation maps (default: the last convolution)")
    add("--style", choices=("heat_map", "overlay", "blended"), help="how a map is drawn (default: as suits the size)")
    add("--seed", type=number(int, 0), default=0, metavar="N", help="for whatever is random (default: 0)")
    add(
        "--out",
        type=Path,
        default=Path("explanations.png"),
        metavar="FIG.png",
        help="the figure (default: explanations.png)",
    )


def run(arguments):
    """Draw the figure, print the table, write both."""
    known, wanted = {**OF_MAPS, **OF_VALUES}, arguments.metrics
    wanted = list(known) if wanted == ["all"] else [] if wanted == ["none"] else wanted
    _known("metric", wanted, known)
    every = arguments.methods == ["all"]
    _known("method", [] if every else arguments.methods, METHODS)
    subject.refuse_other_than_png(arguments.out)
    model, dataset = load(arguments.run)
    images, labels = subject.pictures(dataset, arguments.index)
    classes = subject.names_of(model, dataset)
    asked = subject.questions(model, images, labels, arguments.targets, classes)
    x, target = images[[q.row for q in asked]], np.array([q.target for q in asked])
    setting = Setting(model, x, layer=arguments.layer, pool=_pool(dataset, images), seed=arguments.seed)
    maps = explained(model, x, target, setting, list(METHODS) if every else arguments.methods, skip=every)
    captions = [f"test image {i}: {classes[label]}" for i, label in zip(arguments.index, labels, strict=True)]
    page = show.grid(maps, labels=[q.label for q in asked], captions=captions, style=arguments.style,
                     figure=new_figure())  # fmt: skip
    save(page, arguments.out)
    print(f"saved {arguments.out}")
    if wanted:
        first = [i for i, q in enumerate(asked) if arguments.targets[0] in q.roles]
        table = metrics.table(model, {name: a.sample(first) for name, a in maps.items()}, wanted,
                              rng=np.random.default_rng(arguments.seed))  # fmt: skip
        heading = f"maps for the class '{arguments.targets[0]}' of test images {', '.join(map(str, arguments.index))}"
        print(f"\n{heading}\n{table}")
        write_atomically(arguments.out.with_suffix(".txt"), f"{heading}\n{table}\n".encode(), caller="explain")
        write_atomically(arguments.out.with_suffix(".csv"), table.as_csv().encode(), caller="explain")
        print(f"\nsaved {arguments.out.with_suffix('.txt')} and {arguments.out.with_suffix('.csv')}")


def explained(model, x, target, setting, names, *, skip):
    """The maps by method; with `skip` a method that does not suit the model is left out, and said so."""
    maps = {}
    for name in names:
        start = time.perf_counter()
        try:
            maps[name] = named_methods([name], setting)[name](model, x, target)
        except (ValueError, TypeError) as error:
            if not skip:
                raise
            print(f"left out {name}: {error}", file=sys.stderr)
            continue
        print(f"{name:<22} {time.perf_counter() - start:6.1f} s", file=sys.stderr)
    if not maps:
        raise ValueError("no method suits this model")
    return maps


def _known(what, names, known):
    """Refuse an unknown name before anything is computed."""
    from difflib import get_close_matches

    for name in names:
        if name not in known:
            near = get_close_matches(name, known, 3, 0.6)
            guess = f"did you mean {', '.join(near)}? " if near else ""
            raise ValueError(f"there is no {what} {name!r}; {guess}There are {', '.join(known)}")


def _pool(dataset, images):
    """Twenty pictures to compare with: the training set is not at hand, so test images that are not explained."""
    others = [i for i in range(min(len(dataset), 40)) if not (dataset.images[i] == images).all((1, 2, 3)).any()]
    return dataset.images[others[:20]] if others else None


def _list(text):
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise ArgumentTypeError(f"{text!r} names nothing; give names with commas between them")
    return list(dict.fromkeys(names))
