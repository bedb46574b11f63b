"""Test a trained network on the test images of a dataset."""

from .. import data
from ..runs import load_run
from ..train import evaluate
from .arguments import number, one_of


def add_arguments(parser):
    """Declare what the command understands."""
    parser.add_argument("model", metavar="RUN", help="the folder of a run, or a .safetensors file")
    parser.add_argument("--dataset", type=one_of("dataset", data.names()), metavar="NAME",
                        help=f"one of {', '.join(data.names())} (default: the one the network learned from)")
    parser.add_argument("--split", type=one_of("split", data.SPLITS), default="test", metavar="SPLIT",
                        help="test (default) or train")
    parser.add_argument("--limit", type=number(int, 1), metavar="N", help="the first N images only")


def run(arguments):
    """Print loss, accuracy and the report."""
    model = load_run(arguments.model)
    name = arguments.dataset or model.metadata.get("dataset")
    if name not in data.names():
        raise ValueError(f"evaluate: {arguments.model} does not say what it learned from; name it: --dataset mnist")
    dataset = data.load(name, arguments.split)[: arguments.limit]
    print(report(model, dataset, evaluate(model, dataset), arguments.split), end="")


def report(model, dataset, metrics, split="test"):
    """Return accuracy, loss and scikit-learn's table of precision, recall and F1 as text."""
    from sklearn.metrics import classification_report

    right = int((metrics.predictions == dataset.labels).sum())
    name = getattr(model, "architecture", {"name": type(model).__name__})["name"]
    table = classification_report(dataset.labels, metrics.predictions, labels=range(len(dataset.classes)),
                                  target_names=dataset.classes, digits=4, zero_division=0)
    return (f"{name} on {dataset.name} ({split}): accuracy {metrics.accuracy:.2%} ({right:,} of {len(dataset):,}), "
            f"loss {metrics.loss:.4f}\n\n{table}")
