"""How long a newcomer waits: from the start of ``python -m minigrad train`` to the end of the first training step."""
import os
import subprocess
import sys
import tempfile
import time

PROGRAM = """
import sys
from minigrad import cli, train
step = train.train_step
def first_step(*given, **options):
    step(*given, **options)
    sys.exit()
sys.modules["minigrad.train.fit"].train_step = first_step
sys.exit(cli.main(["train", "--dataset", "digits", "--out", sys.argv[1], "--overwrite", "--quiet"]))
"""


def start():
    """Seconds with no compiled kernels on disk, and with them.

    Returns
    -------
    (float, float)
    """
    with tempfile.TemporaryDirectory() as folder:
        return _seconds(folder), min(_seconds(folder) for _ in range(3))


def _seconds(folder):
    environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", PROGRAM, os.path.join(folder, "run")], env=environment, check=True,
                   stderr=subprocess.DEVNULL)
    return time.perf_counter() - begin
