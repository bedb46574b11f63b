"""The command line: ``python -m explain RUN`` and ``python -m explain verify RUN``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
