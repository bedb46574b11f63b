"""How long a newcomer waits: from the start of Python to the end of the first training step, in seconds."""
import os
import subprocess
import sys
import tempfile
import time

PROGRAM = """
import numpy as np
import minigrad
from minigrad import functional as F
train = minigrad.data.load("digits")
model = minigrad.models.mnist_cnn(rng=np.random.default_rng(0))
adam = minigrad.optim.Adam(model.parameters(), lr=1e-3)
F.cross_entropy(model(train.images[:64]), train.labels[:64]).backward()
adam.step()
"""


def start():
    """With no compiled kernels on disk, and with them.

    Returns
    -------
    (float, float)
    """
    with tempfile.TemporaryDirectory() as folder:
        return _seconds(folder), min(_seconds(folder) for _ in range(3))


def _seconds(cache):
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", PROGRAM], env=environment, check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begin
