"""Settings for every test: hypothesis may take its time (a first call compiles), and draws the same examples in CI.

A process that was started in the background of a shell ignores Ctrl-C, and so do its children: not here, for some
tests press it.
"""

import os
import signal

from hypothesis import settings

signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")
