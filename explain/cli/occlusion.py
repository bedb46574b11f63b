"""Move a patch over pictures and see what the network makes of them: which places does it rely on?

Below each picture a map of the probability of its class with the patch there, and a map of the class that wins."""

from pathlib import Path

import numpy as np

from minigrad import no_grad, tensor
from minigrad.cli.arguments import number
from minigrad.cli.subject import load
from minigrad.plots import new_figure, save

from .. import show
from ..occlusion import occlusion_map
from . import subject


def add_arguments(parser):
    """Declare what the command understands."""
    add = parser.add_argument
    add("run", metavar="RUN", help="the folder of a run, a .safetensors file, or squeezenet1_0 for photographs")
    add("--index", type=number(int, 0), nargs="+", metavar="N",
        help="which test images (default: the first of each class that is recognised, ten at most)")  # fmt: skip
    add("--patch", type=number(int, 1), metavar="P", help="side of the patch, in pixels (default: 10 of 28)")
    add("--stride", type=number(int, 1), metavar="S", help="pixels from place to place (default: 2 of 28)")
    add("--shade", type=number(float, 0, 1), default=0.0, metavar="V", help="of the patch, 0 to 1 (default: 0, black)")
    add("--out", type=Path, default=Path("occlusion.png"), metavar="FIG.png", help="(default: occlusion.png)")


def run(arguments):
    """Draw the figure, and say for each picture how far its class falls."""
    subject.refuse_other_than_png(arguments.out)
    model, dataset = load(arguments.run)
    index = arguments.index or first_of_each(model, dataset)
    images, labels = subject.pictures(dataset, index)
    classes, side = subject.names_of(model, dataset), min(images.shape[2:])
    patch = arguments.patch or max(1, round(10 * side / 28))
    stride = arguments.stride or max(1, round(2 * side / 28))
    found = occlusion_map(model, images, labels, sliding_window_shapes=patch, strides=stride,
                          baselines=arguments.shade)  # fmt: skip
    for i, label, clean, p, winner in zip(index, labels, found.clean, found.probability, found.predicted):
        row, column = np.unravel_index(p.argmin(), p.shape)
        print(f"test image {i}: {classes[label]} {clean:.1%}, at worst {p.min():.1%} with the patch at row "
              f"{found.tops[row]}, column {found.lefts[column]}; another class at {(winner != label).mean():.0%} "
              f"of {p.size} places")  # fmt: skip
    names = [subject.short(name) for name in classes]
    save(show.occlusion_maps(found, images, classes=names, figure=new_figure()), arguments.out)
    print(f"a patch of {patch}x{patch} in steps of {stride}; saved {arguments.out}")


def first_of_each(model, dataset, most=10, among=200):
    """The place of the first picture of each class that the network recognises, of at most so many classes."""
    with no_grad():
        right = model(tensor(dataset.images[:among])).data.argmax(1) == dataset.labels[:among]
    found = np.flatnonzero(right)
    _, first = np.unique(dataset.labels[found], return_index=True)
    return found[first[:most]].tolist() or [0]
