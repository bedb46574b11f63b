"""Try the identities that must hold on a trained network, and print a table of residuals.

Exit status 0 if all that apply hold, 1 if one fails."""

import numpy as np

from minigrad.cli.arguments import number
from minigrad.cli.subject import load

from ..verify import TOLERANCE, verify
from . import subject


def add_arguments(parser):
    """Declare what the command understands."""
    parser.add_argument("run", metavar="RUN", help="the folder of a run, a .safetensors file, or squeezenet1_0")
    parser.add_argument("--index", type=number(int, 0), nargs="+", default=[0, 1], metavar="N",
                        help="which test images (default: 0 1)")  # fmt: skip
    parser.add_argument("--layer", metavar="PATH", help="the inner layer asked about (default: the last convolution)")
    parser.add_argument("--tolerance", type=number(float, 0, open_low=True), default=TOLERANCE, metavar="T",
                        help=f"of residuals, as a part of the largest value (default: {TOLERANCE:g})")  # fmt: skip
    parser.add_argument("--seed", type=number(int, 0), default=0, metavar="N", help="for random baselines (default: 0)")


def run(arguments):
    """Print the table; 1 if an identity fails."""
    model, dataset = load(arguments.run)
    images, _ = subject.pictures(dataset, arguments.index)
    report = verify(model, images, layer=arguments.layer, tolerance=arguments.tolerance,
                    rng=np.random.default_rng(arguments.seed))  # fmt: skip
    print(report)
    return 0 if report else 1
