"""``python -m minigrad``: train a network, test it, look into it, and show it a picture, without writing a program.

Whatever goes wrong ends in one line that says what to do (exit status 2); ``--traceback`` shows where it came from.
"""

from . import evaluate, info, predict, train
from .guard import Parser, status


def main(argv=None):
    """Run a command.

    Parameters
    ----------
    argv : list of str, optional
        Arguments; those of the process if None.

    Returns
    -------
    int
        Exit status: 0, 2 after an error, 130 after Ctrl-C.
    """
    arguments = _parser().parse_args(argv)
    return status("minigrad", arguments.command, arguments)


def _parser():
    parser = Parser(prog="python -m minigrad", description="Convolutional networks on your own computer: train one, "
                     "test it, look into it, and show it a picture.",
                     epilog="To begin: python -m minigrad train --dataset digits --epochs 15 --out runs/demo "
                            "(no download, under a minute), then python -m minigrad predict PICTURE --model runs/demo")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in (train, evaluate, info, predict):
        name = command.__name__.rpartition(".")[2]
        summary, _, details = command.__doc__.partition("\n\n")
        sub = commands.add_parser(name, help=summary, description=f"{summary} {' '.join(details.split())}".strip())
        command.add_arguments(sub)
        sub.add_argument("--traceback", action="store_true", help="after an error, show where in the program it arose")
        sub.set_defaults(command=command.run)
    return parser
