"""``python -m explain``: see why a network decides as it does, and check that explanations are what they claim.

python -m explain RUN --methods saliency,grad_cam,lrp_epsilon --targets true,top2 --index 0 1 2
python -m explain occlusion RUN
python -m explain filters RUN
python -m explain visualize RUN --classes 3 8
python -m explain style PHOTO PICTURE
python -m explain verify RUN
"""

import sys

from minigrad.cli.guard import Parser, status

from . import figure, filters, occlusion, style, verify, visualize

COMMANDS = {"occlusion": occlusion, "filters": filters, "visualize": visualize, "style": style, "verify": verify}


def main(argv=None):
    """Run a command.

    Parameters
    ----------
    argv : list of str, optional
        Arguments; those of the process if None.

    Returns
    -------
    int
        Exit status: 0, 1 if `verify` found an identity that does not hold, 2 after an error, 130 after Ctrl-C.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    name = argv[0] if argv and argv[0] in COMMANDS else None
    command = COMMANDS.get(name, figure)
    summary, _, details = command.__doc__.partition("\n\n")
    parser = Parser(
        prog="python -m explain" + (f" {name}" if name else ""),
        description=f"{summary} {' '.join(details.split())}",
        epilog=None if name else f"Other commands, each with its own --help: {', '.join(COMMANDS)}",
    )
    command.add_arguments(parser)
    parser.add_argument("--traceback", action="store_true", help="after an error, show where in the program it arose")
    return status("explain", command.run, parser.parse_args(argv[1:] if name else argv))
