"""``python -m attacks.backdoor``: plant a backdoor, find it, and print how far the finding is from the truth."""
import argparse

import numpy as np

from minigrad import data

from .experiment import experiment
from .triggers import Patch


def main(arguments=None):
    """Run `experiment` with a white square in the lower right corner, one pixel from the edges."""
    parser = argparse.ArgumentParser("attacks.backdoor", description=__doc__)
    parser.add_argument("--dataset", default="mnist", choices=data.names())
    parser.add_argument("--model", default="mnist_cnn")
    parser.add_argument("--target", type=int, default=0, help="the class the trigger is to mean")
    parser.add_argument("--size", type=int, default=2, help="pixels across of the trigger")
    parser.add_argument("--rate", type=float, default=0.05, help="the part of the training images that is poisoned")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--restarts", type=int, default=3, help="searches for each class")
    parser.add_argument("--images", type=int, default=100, help="clean images to search with")
    parser.add_argument("--out", help="a picture of what was found in the backdoored network")
    options = parser.parse_args(arguments)
    found = experiment(
        data.load(options.dataset), data.load(options.dataset, "test"), target=options.target, rate=options.rate,
        trigger=Patch(np.ones((options.size, options.size)), (-options.size - 1, -options.size - 1)),
        model=options.model, epochs=options.epochs, seed=options.seed, restarts=options.restarts,
        images=options.images, progress=True)
    print(found)
    if options.out:
        found.backdoored.cleansed.plot().savefig(options.out, dpi=130)


if __name__ == "__main__":
    main()
