"""``python -m attacks``: attack a trained network, and see how little it takes.

python -m attacks RUN --attack pgd --eps 0.1 0.2 0.3 --samples 1000 --out FOLDER
python -m attacks pictures RUN
python -m attacks table RUN
python -m attacks doctor RUN
"""

import argparse
import sys
import textwrap

from minigrad.cli.guard import Parser, status

from . import attack, doctor, pictures, table

COMMANDS = {"pictures": pictures, "table": table, "doctor": doctor}


def main(argv=None):
    """Run a command.

    Parameters
    ----------
    argv : list of str, optional
        Arguments; those of the process if None.

    Returns
    -------
    int
        Exit status: 0, 1 if `doctor` found a sign of masked gradients, 2 after an error, 130 after Ctrl-C.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    name = argv[0] if argv and argv[0] in COMMANDS else None
    command = COMMANDS.get(name, attack)
    parser = Parser(
        prog="python -m attacks" + (f" {name}" if name else ""),
        description=textwrap.fill(" ".join(command.__doc__.split()), 79),
        epilog=command.EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_arguments(parser)
    parser.add_argument("--traceback", action="store_true", help="after an error, show where in the program it arose")
    return status("attacks", command.run, parser.parse_args(argv[1:] if name else argv))
