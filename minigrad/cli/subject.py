"""What a command looks at: a trained network and the pictures it is tested on."""

from pathlib import Path

from .. import data, models
from ..runs import load_run

PHOTOS = "squeezenet1_0"


def load(run):
    """A network and its test pictures: of a run's folder or file, or SqueezeNet and its photographs.

    Returns
    -------
    Module, Dataset
    """
    if str(run) == PHOTOS and not Path(run).exists():
        return models.pretrained_squeezenet(), data.imagenet_samples()
    model = load_run(run)
    name = model.metadata.get("dataset")
    if name not in data.names():
        raise ValueError(f"{run} does not say what it learned from; train it with python -m minigrad train")
    return model, data.load(name, "test")
