"""Compiling for two: one process begins with a training step's first kernel, another with its last.

numba compiles in one thread, and the first step of a first training waits for some sixty kernels. So when one is found
that is not compiled yet, a second process is started with the model, its optimizer and a batch of images. It takes the
step with the kernels' NumPy twins, notes what each was called with, and then calls the kernels themselves, from the
last to the first. Both processes keep what they compile in numba's cache, and look there before they compile: they meet
in the middle. Seconds from the start of ``python -m minigrad train`` to the end of the first step, on two cores of an
AMD Zen 4, in the same quarter of an hour:

    one process      18.3  20.1
    two processes    11.7  12.5  13.4

The second process is a help only: whatever goes wrong in it, the first one compiles what it needs.
"""

import os
import pickle
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager, suppress

from numba.core import event

from ..kernels import reference
from ..kernels._jit import threads
from ..kernels.wrapped import wrapped
from .fit import train_step

NUMBERS = 1 << 18  # of the images that the twins work on, which are slow


@contextmanager
def compiling_ahead(model, optimizer, batch):
    """Start the second process if a kernel has to be compiled in this block, and stop it at the block's end.

    Parameters
    ----------
    model : Module
    optimizer : Optimizer
    batch : Dataset
        The images of a training step.
    """
    few = batch[: max(2, NUMBERS // batch.images[0].size)]
    starter = _Starter((model, optimizer, few.images, few.labels))
    with event.install_listener("numba:compile", starter):
        try:
            yield
        finally:
            if starter.process is not None:
                starter.process.kill()
                starter.process.wait()


class _Starter(event.Listener):
    """Starts the second process before the first kernel is compiled that will be kept on disk."""

    def __init__(self, work):
        self.work, self.process = work, None

    def on_start(self, happening):
        if self.work is not None and happening.data["dispatcher"].stats.cache_path and threads() > 1:
            work, self.work = self.work, None
            with suppress(OSError, pickle.PicklingError, AttributeError, TypeError), tempfile.TemporaryFile() as file:
                pickle.dump(work, file)  # a model may hold what cannot be pickled
                file.seek(0)
                self.process = subprocess.Popen([sys.executable, "-m", __name__], stdin=file,
                                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                threading.Thread(target=self.process.wait, daemon=True).start()  # or its end would wait for ours

    def on_end(self, happening):
        pass


def compile_backwards(model, optimizer, images, labels):
    """Take a training step with the kernels' twins, and call the kernels as these were, from the last to the first.

    If the process that started this one is gone, nobody needs them any more.
    """
    parent = os.getppid()
    calls = []

    def noting(name, kernel):
        twin = getattr(reference, name, kernel)  # what NumPy does anyway has none

        def note(*given, **options):
            calls.append((kernel, given, options))
            return twin(*given, **options)

        return note

    with wrapped(noting):
        train_step(model, optimizer, images, labels)
    for kernel, given, options in reversed(calls):
        if os.getppid() == parent:
            kernel(*given, **options)


if __name__ == "__main__":
    compile_backwards(*pickle.load(sys.stdin.buffer))
