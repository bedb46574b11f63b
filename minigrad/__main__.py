"""The command line: ``python -m minigrad train | evaluate | info | predict``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
