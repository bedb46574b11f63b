"""What `fit` makes sure of before it spends anybody's time."""

from pathlib import Path

import numpy as np

from .. import functional as F
from ..autodiff import grad
from ..data import Dataset, batches
from ..data.dataset import require_rng
from ..nn import Module
from ..optim import Optimizer
from .evaluate import check_logits, evaluation_mode


def check_arguments(model, train, test, epochs, batch_size, optimizer, schedule, rng, checkpoint, resume):
    """Raise TypeError or ValueError for arguments of `fit` that are wrong or do not fit one another."""
    if not isinstance(model, Module):
        raise TypeError(f"fit: model is {type(model).__name__}, expected a Module of minigrad.nn")
    for name, dataset in (("train", train), ("test", test)):
        if not isinstance(dataset, Dataset):
            raise TypeError(f"fit: {name} is {type(dataset).__name__}, expected a Dataset: "
                            f"data.load(name), or data.Dataset(images, labels, classes)")
        if len(dataset) == 0:
            raise ValueError(f"fit: {name} has no images; check the slice or mask it was made with")
    for name, of_train, of_test in (("images of shape", train.images.shape[1:], test.images.shape[1:]),
                                    ("classes", train.classes, test.classes)):
        if of_train != of_test:
            raise ValueError(f"fit: train has {name} {of_train}, test {of_test}; expected two splits of one dataset")
    for name, number in (("epochs", epochs), ("batch_size", batch_size)):
        if not isinstance(number, (int, np.integer)) or isinstance(number, bool) or number < 1:
            raise ValueError(f"fit: {name} is {number!r}, expected an integer of at least 1")
    require_rng(rng, "fit")
    _check_optimizer(model, optimizer, schedule)
    steps = epochs * len(batches(train, batch_size))
    if getattr(schedule, "total_steps", steps) != steps:
        raise ValueError(f"fit: the schedule is laid out for {schedule.total_steps} batches, the run has {steps} "
                         f"({epochs} epochs of {steps // epochs}); make it with total_steps={steps}")
    if resume and checkpoint is None:
        raise ValueError("fit: resume=True needs checkpoint=, the file to go on from")
    if checkpoint is not None and Path(checkpoint).is_dir():
        raise ValueError(f"fit: checkpoint {checkpoint} is a folder, expected a file, such as "
                         f"{Path(checkpoint) / 'checkpoint.safetensors'}")


def _check_optimizer(model, optimizer, schedule):
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"fit: optimizer is {type(optimizer).__name__}, expected one of minigrad.optim, such as "
                        f"optim.Adam(model.parameters(), lr=1e-3)")
    own = {id(parameter) for parameter in model.parameters()}
    foreign = sum(id(parameter) not in own for parameter in optimizer.parameters)
    if foreign:
        raise ValueError(f"fit: {foreign} of the optimizer's {len(optimizer.parameters)} parameters are not in this "
                         f"model; make the optimizer from model.parameters(), after the model")
    if schedule is not None and schedule.optimizer is not optimizer:
        raise ValueError("fit: schedule was made for another optimizer; make it from the one that is passed")


def check_model(model, train):
    """Try the model on two images: it must give logits, as many as there are classes, and no probabilities.

    Their gradient is taken too, so that most kernels are compiled before the clock of the first epoch runs.
    """
    images = train.images[:2]
    with evaluation_mode(model):
        y = model(images)
        logits = y.data
    check_logits(logits, len(images), train, "fit")
    if (logits >= 0).all() and np.allclose(logits.sum(1), 1, atol=1e-5):
        raise ValueError("fit: the model gives numbers that add up to 1, probabilities; expected logits, since the "
                         "loss takes their softmax itself: leave out the model's last softmax")
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    grad(F.cross_entropy(y, train.labels[:2]), learned, allow_unused=True)
