"""Make the image that a class likes best, by climbing its logit from noise or from a picture."""

from pathlib import Path

import numpy as np

from minigrad import no_grad, tensor
from minigrad.cli.arguments import number
from minigrad.cli.subject import load
from minigrad.functional import softmax
from minigrad.plots import gallery, percent, save

from ..visualize import PRESETS, class_visualization
from . import subject


def add_arguments(parser):
    """Declare what the command understands."""
    add = parser.add_argument
    add("run", metavar="RUN", help="the folder of a run, a .safetensors file, or squeezenet1_0")
    add("--classes", nargs="+", metavar="NAME",
        help="their names or numbers (default: the first ten; of squeezenet1_0 gorilla, Yorkshire terrier, snail)")
    add("--index", type=number(int, 0), metavar="N", help="start from this test image (default: from noise)")
    add("--preset", choices=PRESETS, help="regularisers and steps (default: course, or small below 64 pixels)")
    add("--steps", type=number(int, 1), metavar="N", help="(default: the preset's)")
    add("--size", type=number(int, 16), metavar="PX", help="side of the image, where the network takes any")
    add("--seed", type=number(int, 0), default=0, metavar="N", help="for noise and shifts (default: 0)")
    add("--out", type=Path, default=Path("classes.png"), metavar="FIG.png", help="(default: classes.png)")


def run(arguments):
    """Make the images, draw them with what the network says of them."""
    subject.refuse_other_than_png(arguments.out)
    model, dataset = load(arguments.run)
    names = subject.names_of(model, dataset)
    photos = len(names) == 1000
    wanted = arguments.classes or (["gorilla", "Yorkshire terrier", "snail"] if photos else names[:10])
    targets = [subject.class_number(name, names) for name in wanted]
    channels, *size = dataset.images.shape[1:]
    size = [arguments.size] * 2 if arguments.size else size
    preset = arguments.preset or ("small" if max(size) < 64 else "course")
    start, options = [], {"preset": preset, "rng": np.random.default_rng(arguments.seed), "progress": True}
    if arguments.steps:
        options["steps"] = arguments.steps
    if arguments.index is None:
        made = class_visualization(model, target=targets, shape=(channels, *size), **options)
    else:
        image, _ = subject.pictures(dataset, [arguments.index])
        start = [image[0, :, :size[0], :size[1]]]
        made = class_visualization(model, np.repeat(start, len(targets), 0), targets, **options)
    with no_grad():
        p = softmax(model(tensor(made.images)), 1).data[np.arange(len(targets)), targets]
    titles = ["start"] * len(start) + [
        f"{subject.short(names[k])}\n{percent(q)}" for k, q in zip(targets, p, strict=True)]
    shown, inches = [*start, *made.images], 1.4 if max(size) < 64 else 2.6
    save(gallery(shown, titles, columns=min(5, len(shown)), size=inches), arguments.out)
    print(f"{made}\nsaved {arguments.out}")
