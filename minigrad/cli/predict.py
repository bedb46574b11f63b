"""Show pictures to a trained network: photos, scans, drawings.

Says what was done to each picture to make it look like what the network was trained on, then the likeliest classes."""

from pathlib import Path

import numpy as np

from .. import plots
from ..data.registry import CLASSES
from ..files import write_atomically
from ..predict import as_png, as_text, predict, prepare
from ..runs import load_run
from .arguments import number, shape
from .info import input_shape


def add_arguments(parser):
    """Declare what the command understands."""
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGE", help="PNG, JPEG or another picture file")
    add("--model", required=True, metavar="RUN", help="the folder of a run, or a .safetensors file")
    add("--top", type=number(int, 1), default=3, metavar="N", help="how many classes to name (default: 3)")
    add("--preview", action="store_true", help="print what the network sees")
    add("--save-preview", type=Path, metavar="FOLDER", help="save what the network sees as PNG files")
    add("--input", type=shape, metavar="C,H,W", help="shape of the network's images, if its file does not say")


def run(arguments):
    """Print a paragraph for each picture."""
    model = load_run(arguments.model)
    wanted = arguments.input or input_shape(model)
    dataset = model.metadata.get("dataset")
    for path in arguments.images:
        image, steps = prepare(path, wanted, digit=dataset != "fashion-mnist")
        p = predict(model, image)[0]
        print(f"{path}: {', '.join(steps)}")
        if arguments.preview:
            print(as_text(image[0]))
        names = class_names(model, len(p))
        likeliest = np.argsort(-p, kind="stable")[: arguments.top]
        width = max(len(names[i]) for i in likeliest)
        for i in likeliest:
            print(f"  {names[i]:{width}}  {plots.percent(p[i]):>7}  {'█' * round(30 * float(p[i]))}".rstrip())
        if arguments.save_preview:
            target = arguments.save_preview / f"{Path(path).stem}-seen.png"
            write_atomically(target, as_png(image[0]), caller="predict")
            print(f"  saved {target}")


def class_names(model, count):
    """Return the names of a model's classes: as its file says, its dataset's, or their numbers."""
    names = model.metadata.get("classes") or CLASSES.get(model.metadata.get("dataset"))
    return names if names and len(names) == count else [f"class {i}" for i in range(count)]
