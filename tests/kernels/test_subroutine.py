"""Subroutines: what calls them gets their results and errors, from fresh code and from the cache."""

import os
import subprocess
import sys

import numba
import numpy as np
import pytest

from minigrad.kernels._jit import parallel_kernel
from minigrad.kernels.subroutine import subroutine

pytestmark = pytest.mark.compiled

MODULE = """
import numba
import numpy as np
from minigrad.kernels._jit import kernel, parallel_kernel
from minigrad.kernels.subroutine import subroutine

@subroutine
def {inner}(x, factor):
    for i in range(x.size):
        x[i] *= factor

@subroutine
def twice(x, factor):
    {inner}(x, factor)
    {inner}(x, factor)

@kernel
def between(x, factor):
    twice(x, factor)

@parallel_kernel
def everywhere(x, factor):
    for t in numba.prange(len(x)):
        between(x[t], factor)

x = np.ones((2, 3), np.float32)
everywhere(x, 3)
hits = everywhere.compiled.stats.cache_hits
print(x.tolist(), sum(hits.values()))
"""


@subroutine
def mean(numbers):
    if numbers.size == 0:
        raise ValueError("mean: no numbers")
    return numbers.sum() / numbers.size


@parallel_kernel
def means(rows, y):
    for t in numba.prange(len(rows)):
        y[t] = mean(rows[t])


@numba.njit
def mean_of_first(rows):
    return mean(rows[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_a_call_gives_what_python_gets(dtype):
    rows = np.arange(12).reshape(3, 4).astype(dtype)
    y = np.empty(3)
    means(rows, y)
    assert y.tolist() == [mean(row) for row in rows] == [1.5, 5.5, 9.5]
    assert mean_of_first(rows) == 1.5


def test_an_error_reaches_python():
    with pytest.raises(ValueError, match="mean: no numbers"):
        mean_of_first(np.ones((1, 0)))


def test_a_caller_holds_no_copy_of_the_code():
    mean_of_first(np.ones((2, 2)))
    for code in mean_of_first.inspect_llvm().values():
        places = [line.split()[0] for line in code.splitlines() if "test_subroutine.mean(" in line]
        assert "declare" in places and "define" not in places


def test_arguments_that_do_not_fit_are_a_typing_error():
    with pytest.raises(numba.TypingError, match="mean"):
        numba.njit(lambda x: mean(x, x))(np.ones(2))


def test_cached_callers_find_their_subroutines_in_the_next_process(tmp_path):
    """And compile again what is no longer there, or was renamed."""

    def write(inner):
        (tmp_path / "module.py").write_text(MODULE.format(inner=inner))

    def run(*command):
        command = [sys.executable, *(command or ["module.py"])]
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache"), "NUMBA_NUM_THREADS": "2"}
        result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert result.returncode == 0, result.stderr
        return result.stdout.split(" ")[-1].strip(), result.stdout.startswith("[[9.0, 9.0, 9.0], [9.0, 9.0, 9.0]]")

    write("scale")
    assert run() == ("0", True)
    assert run() == ("1", True)
    assert run("-c", "import module") == ("1", True)
    for kernel in ("everywhere", "between"):  # compiled again, where what they call comes from the cache
        for file in (tmp_path / "cache").rglob(f"*{kernel}*"):
            file.unlink()
        assert run()[1]
        assert run() == ("1", True)
    for file in (tmp_path / "cache").rglob("*scale*"):
        file.unlink()
    assert run() == ("1", True)
    write("stretch")
    assert run() == ("0", True)
