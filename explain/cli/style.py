"""Paint a photograph in the style of a picture, with SqueezeNet: the content of one, the strokes of the other."""

from pathlib import Path

import numpy as np

from minigrad.cli.arguments import number
from minigrad.data import load_photo
from minigrad.models import pretrained_squeezenet
from minigrad.plots import gallery, save

from ..style import style_transfer
from . import subject

CONTENT, STYLE = "features.4", {"features.1": 1.0, "features.4": 1.0, "features.6": 0.5, "features.7": 0.5}


def add_arguments(parser):
    """Declare what the command understands."""
    add = parser.add_argument
    add("content", metavar="PHOTO", type=Path, help="an image file")
    add("style", metavar="PICTURE", type=Path, nargs="+", help="image files, each for a result of its own")
    add("--size", type=number(int, 32), default=192, metavar="PX", help="the shorter side (default: 192)")
    add("--steps", type=number(int, 1), default=200, metavar="N", help="(default: 200)")
    add("--content-weight", type=number(float, 0), default=0.3, metavar="W", help="(default: 0.3)")
    add("--tv-weight", type=number(float, 0), default=3.0, metavar="W", help="of smoothness (default: 3)")
    add("--start", choices=("content", "noise"), default="content", help="(default: content)")
    add("--seed", type=number(int, 0), default=0, metavar="N", help="for a start from noise (default: 0)")
    add("--out", type=Path, default=Path("painted.png"), metavar="FIG.png", help="(default: painted.png)")


def run(arguments):
    """Paint, and draw content, style and result side by side."""
    subject.refuse_other_than_png(arguments.out)
    content, *styles = [photo(path, arguments.size) for path in (arguments.content, *arguments.style)]
    model, pictures, titles = pretrained_squeezenet(), [content[0]], ["content"]
    for style, path in zip(styles, arguments.style, strict=True):
        painted = style_transfer(
            model, content, style, content_layer=CONTENT, style_layers=STYLE, content_weight=arguments.content_weight,
            tv_weight=arguments.tv_weight, start=arguments.start, steps=arguments.steps,
            rng=np.random.default_rng(arguments.seed), progress=True,
        )  # fmt: skip
        strokes = painted.trace["style"][:, 0]
        print(f"{path.stem}: style loss {strokes[0]:.3f} to {strokes[-1]:.3f} in {painted.seconds:.0f} s")
        pictures += [style[0], painted.images[0]]
        titles += [path.stem, f"painted, {painted.steps} steps"]
    save(gallery(pictures, titles, size=2.8), arguments.out)
    print(f"saved {arguments.out}")


def photo(path, short):
    """An image file (1, 3, H, W) whose shorter side has so many pixels."""
    height, width = load_photo(path).shape[2:]
    scale = short / min(height, width)
    return load_photo(path, size=(round(height * scale), round(width * scale)))
