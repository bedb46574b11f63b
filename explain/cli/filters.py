"""Draw what the convolutions of a network hold: their filters, and what these make of pictures."""

from pathlib import Path

from minigrad.cli.arguments import number
from minigrad.cli.subject import load
from minigrad.nn import Conv2d
from minigrad.plots import new_figure, save

from .. import show
from ..filters import activation_grid, filters
from ..images import tile
from ..layers import layer_activation
from . import subject

MOST = 16  # filters of a deep layer, and their inputs, that are drawn


def add_arguments(parser):
    """Declare what the command understands."""
    add = parser.add_argument
    add("run", metavar="RUN", help="the folder of a run, a .safetensors file, or squeezenet1_0")
    add("--layers", nargs="+", metavar="PATH", help="convolutions (default: the first two)")
    add("--index", type=number(int, 0), nargs="+", default=[0, 1], metavar="N",
        help="the test images that are shown to them (default: 0 1)")  # fmt: skip
    add("--out", type=Path, default=Path("filters.png"), metavar="FIG.png", help="(default: filters.png)")


def run(arguments):
    """Draw a row for each layer: its filters, then its output for each picture."""
    subject.refuse_other_than_png(arguments.out)
    model, dataset = load(arguments.run)
    images, labels = subject.pictures(dataset, arguments.index)
    classes = subject.names_of(model, dataset)
    convolutions = [path for path, module in model.named_modules() if isinstance(module, Conv2d)]
    layers, count = arguments.layers or convolutions[:2], len(images)
    figure = new_figure(4 * (count + 1), 4.3 * len(layers))
    rows = figure.subplots(len(layers), count + 1, squeeze=False)
    for path, (ax, *others) in zip(layers, rows, strict=True):
        weights = filters(model, path, scale="all")
        shown = weights if weights.shape[1] in (1, 3) else weights[:MOST, :MOST]
        size = "x".join(map(str, weights.shape[2:]))
        what = f"{len(weights)} filters {size}" if shown is weights else (
            f"{len(shown)} of {len(weights)} filters {size}\n(rows), {shown.shape[1]} of {weights.shape[1]} inputs")
        show.picture(tile(shown, columns(len(shown)) if shown is weights else None), ax=ax,
                     title=f"{path}: {what}\ngrey is zero")  # fmt: skip
        for image, label, other in zip(images, labels, others, strict=True):
            maps = activation_grid(model, image[None], layer=path)
            zero = "grey" if layer_activation(model, image[None], layer=path).values.min() < 0 else "black"
            show.picture(tile(maps, columns(maps.shape[1]), colour=False), ax=other,
                         title=f"{path}, {subject.short(classes[label])}:\n{maps.shape[1]} maps, {zero} is zero")
    save(figure, arguments.out)
    print(f"saved {arguments.out}")


def columns(count):
    """In how many columns to show so many pictures: a number that leaves no row unfinished, if one is near a square."""
    return next((n for n in range(1, count + 1) if count % n == 0 and count <= n * n <= 4 * count), None)
