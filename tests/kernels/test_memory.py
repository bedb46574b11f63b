"""Arrays of several megabytes, made and freed again and again, do not fetch their pages anew each time."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource
import numpy as np
{prepare}
def step():
    arrays = [np.ones(2**20, np.float32) for _ in range(8)]
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(prepare):
    return int(subprocess.run([sys.executable, "-c", PROGRAM.format(prepare=prepare)], capture_output=True, text=True,
                              check=True).stdout)  # fmt: skip


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="page faults are counted as Linux counts them")
def test_freed_memory_is_used_again():
    without = faults("")
    if without < 1000:
        pytest.skip("this allocator keeps freed memory anyway")
    assert faults("import minigrad.kernels.memory as m; m.keep_freed_memory()") < without / 10
