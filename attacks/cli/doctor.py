"""Look for signs that a network's gradients are masked, so that gradient attacks would not find its weakness.

Exit status 0 if there is none, 1 if there is one."""

import numpy as np

from minigrad.cli.arguments import number
from minigrad.cli.subject import load

from ..doctor import doctor

EXAMPLES = """\
examples:
  python -m attacks doctor runs/mnist
  python -m attacks doctor runs/robust --eps 0.3 --substitute runs/mnist
"""


def add_arguments(parser):
    """Declare what the command understands."""
    add = parser.add_argument
    add("run", metavar="RUN", help="the folder of a run, a .safetensors file, or squeezenet1_0 for photographs")
    add("--eps", type=number(float, 0, open_low=True), default=0.1, metavar="E", help="radius in Linf (default: 0.1)")
    add("--samples", type=number(int, 1), default=50, metavar="N", help="of the first test images (default: 50)")
    add("--substitute", metavar="RUN", help="another network for the same task, to make examples for")
    add("--seed", type=number(int, 0), default=0, metavar="N", help="for whatever is random (default: 0)")


def run(arguments):
    """Print the report; 1 if a symptom is a bad sign."""
    model, dataset = load(arguments.run)
    substitute = load(arguments.substitute)[0] if arguments.substitute else None
    report = doctor(model, dataset.images[:arguments.samples], dataset.labels[:arguments.samples], eps=arguments.eps,
                    substitute=substitute, rng=np.random.default_rng(arguments.seed))
    print(report)
    return 1 if report.masked else 0
