"""Arrays of several megabytes, made and freed again and again, do not fetch their pages anew each time."""

import os
import subprocess
import sys
from mmap import PAGESIZE

import pytest

PROGRAM = """
import resource
import numpy as np
{prepare}
def step():
    arrays = [np.ones(size << 18, np.float32) for size in {megabytes}]
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
KEEP = "import minigrad.kernels.memory as m; m.keep_freed_memory()"


def python(program, **environment):
    """What a program prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")} | environment
    run = [sys.executable, "-c", program]
    return subprocess.run(run, capture_output=True, text=True, check=True, env=environment).stdout


def faults(prepare, megabytes, **environment):
    return int(python(PROGRAM.format(prepare=prepare, megabytes=megabytes), **environment))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="page faults are counted as Linux counts them")
@pytest.mark.parametrize("megabytes", [[4] * 8, [4] * 40, [20] * 6, [40], [150, 40, 40]], ids=str)
def test_freed_memory_is_used_again(megabytes):
    without = faults("", megabytes)
    if without < 100:
        pytest.skip("this allocator keeps freed memory anyway")
    assert faults(KEEP, megabytes) < without / 10


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="page faults are counted as Linux counts them")
def test_so_it_is_beside_much_that_is_held():
    holding = "; held = [np.empty(4 << 18, np.float32) for _ in range(300)]"
    without = faults("pass" + holding, [40])
    if without < 100:
        pytest.skip("this allocator keeps freed memory anyway")
    assert faults(KEEP + holding, [40]) < without / 10


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="page faults are counted as Linux counts them")
@pytest.mark.parametrize(
    "said", [{"MALLOC_MMAP_THRESHOLD_": "65536"}, {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=65536"}], ids=list
)
def test_what_the_environment_says_stands(said):
    without = faults("", [4] * 8, **said)
    if without < 100:
        pytest.skip("this allocator does not listen")
    assert faults(KEEP, [4] * 8, **said) > without / 2


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a limit as Linux has it")
def test_with_little_address_space_it_keeps_what_there_is():
    limited = "import resource; resource.setrlimit(resource.RLIMIT_DATA, (200 << 20, 200 << 20)); " + KEEP
    python(limited)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a limit as Linux has it")
@pytest.mark.parametrize("limit", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_of_limited_address_space_it_takes_nothing(limit):
    size = f"{KEEP}; print(open('/proc/self/statm').read().split()[0])"  # in pages
    limited = f"import resource; resource.setrlimit(resource.{limit}, (4 << 30, 4 << 30)); "
    free = int(python(size))
    if free - int(python(size, MALLOC_MMAP_MAX_="65536")) < (300 << 20) // PAGESIZE:
        pytest.skip("this allocator takes nothing in advance")
    assert int(python(limited + size)) < free - (300 << 20) // PAGESIZE


def test_a_system_that_promises_no_more_than_it_has_is_no_error():
    python("""
import minigrad.kernels.memory as memory
class Refusing:
    uint8 = None
    def empty(*given):
        raise MemoryError
memory.np = Refusing
memory.keep_freed_memory()
""")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is counted as Linux counts it")
def test_room_is_no_memory():
    def resident(**environment):
        program = "import resource, minigrad.kernels; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        return int(python(program, **environment))

    assert resident() < resident(MALLOC_TRIM_THRESHOLD_="131072") + (32 << 10)  # kilobytes
