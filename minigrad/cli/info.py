"""Show a network's layers, their output shapes and parameters.

For a run, also what it learned from and how well."""

from inspect import signature
from pathlib import Path

import numpy as np

from .. import models
from ..nn import Parameter
from ..runs import load_run
from ..tensor import no_grad
from ..train.evaluate import evaluation_mode
from .arguments import shape


def add_arguments(parser):
    """Declare what the command understands."""
    parser.add_argument("model", metavar="MODEL|RUN", help=f"the folder of a run, a .safetensors file, or one of "
                        f"{', '.join(models.names())}")
    parser.add_argument("--input", type=shape, metavar="C,H,W", help="shape of an image; needed for unusual sizes only")


def run(arguments):
    """Print the table."""
    path = Path(arguments.model)
    if arguments.model in models.names() and not path.is_dir():
        model = models.create(arguments.model)
    elif path.exists() or path.suffix:
        model = load_run(path)
    else:
        models.create(arguments.model)  # raises, and suggests the nearest name
    architecture, metadata = model.architecture, getattr(model, "metadata", {})
    options = ", ".join(f"{name}={value}" for name, value in architecture["options"].items())
    print(f"{architecture['name']}{f' ({options})' if options else ''}")
    if "dataset" in metadata:
        print(f"trained on {metadata['dataset']} for {metadata.get('epochs', '?')} epochs, seed "
              f"{metadata.get('seed', '?')}: {accuracy_line(metadata.get('metrics', {}))}")
    print()
    print(layer_table(model, arguments.input or input_shape(model)))


def accuracy_line(metrics):
    """Say the accuracy and loss that a file remembers."""
    if "accuracy" not in metrics:
        return "no metrics saved"
    return f"test accuracy {metrics['accuracy']:.2%}, test loss {metrics.get('loss', float('nan')):.4f}"


def input_shape(model):
    """Return (C, H, W) of the images a model takes: as its file says, or the usual size it runs on."""
    if "input" in getattr(model, "metadata", {}):
        return tuple(model.metadata["input"])
    first = next((p for p in model.parameters() if len(p.shape) == 4), None)
    if first is None:
        raise ValueError("info: this model has no convolution to tell how many channels it takes; name the shape of an "
                         "image: --input 1,28,28")
    sizes = (getattr(model, "image_size", None), _default_size(model), 28, 32, 224)
    for size in dict.fromkeys(filter(None, sizes)):
        try:
            _outputs(model, (first.shape[1], size, size))
            return first.shape[1], size, size
        except ValueError:
            continue
    raise ValueError("info: this model takes none of the usual images; name the shape of one: --input 3,96,96")


def layer_table(model, shape):
    """Return lines of text: path, type, output shape and parameters of every layer, and their sum."""
    outputs = _outputs(model, shape)
    rows = []
    for path, module in model.named_modules():
        own = sum(part.size for _, part in module.members() if isinstance(part, Parameter))
        leaf = len(module.modules()) == 1
        if path and (leaf or own):
            rows.append((path, type(module).__name__, " x ".join(map(str, outputs.get(path, ()))) or "-",
                         f"{own:,}" if own else "-"))
    total = sum(p.size for p in model.parameters())
    heads = ("layer", "type", "output", "parameters")
    widths = [max(len(row[i]) for row in (*rows, heads)) for i in range(4)]
    widths[3] = max(widths[3], len(f"{total:,}"))

    def line(row):
        return f"{row[0]:{widths[0]}}  {row[1]:{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]:>{widths[3]}}".rstrip()

    rule = "-" * len(line(("", "", "", "x" * widths[3])))
    image = ("(an image)", "", " x ".join(map(str, shape)), "")
    return "\n".join([line(heads), rule, line(image), *map(line, rows), rule, line(("total", "", "", f"{total:,}"))])


def _outputs(model, shape):
    """Shape of each layer's output for one image, without the batch axis."""
    with evaluation_mode(model), no_grad():
        _, activations = model.named_activations(np.zeros((1, *shape), np.float32))
    return {path: t.shape[1:] for path, t in activations.items()}


def _default_size(model):
    """Networks of a thousand classes are those for photographs."""
    builder = getattr(models, model.architecture["name"], None) if hasattr(model, "architecture") else None
    default = builder and signature(builder).parameters.get("num_classes")
    classes = model.architecture["options"].get("num_classes", default and default.default) if builder else None
    return 224 if classes == 1000 else None
