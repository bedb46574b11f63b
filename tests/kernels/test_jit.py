"""How kernels are compiled: what is said, what is cached, and that Python threads may call them at once."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numba
import numpy as np
import pytest
from numba.core import caching
from numpy.testing import assert_array_equal

from minigrad import kernels
from minigrad.kernels import _jit, conv, micro, stretch, transform, winograd_pool

THREE_THREADS = """
import threading
import numpy as np
from minigrad import kernels
x, g = np.ones((4, 2, 8, 8), np.float32), np.ones((4, 8, 8, 8), np.float32)
results = []
def work():
    for _ in range(20):
        results.append(kernels.conv2d_weight_grad(x, g, (8, 2, 3, 3), (1, 1), (1, 1), (1, 1), 1))
workers = [threading.Thread(target=work) for _ in range(3)]
[w.start() for w in workers]
[w.join() for w in workers]
assert len(results) == 60 and all((r == results[0]).all() for r in results)
"""

ONE_KERNEL = "import numpy as np; from minigrad import kernels; print(kernels.relu(np.ones((4, 4), np.float32)).sum())"


def run(program, **environment):
    environment = {**os.environ, **environment}
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=300)


def double(x):
    return 2 * x


@pytest.mark.compiled
def test_compiling_is_announced_once_and_loading_from_the_cache_is_silent(tmp_path):
    program = (
        "import numpy as np; from minigrad import kernels;"
        "x = np.ones((4, 4), np.float32); kernels.matmul(x, x); kernels.matmul(x, x.T); kernels.relu(x)"
    )
    first, second = (run(program, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2))
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert first.stderr.count("compiling kernels") == 1
    assert f"cached in {tmp_path}" in first.stderr
    assert first.stdout == second.stdout == second.stderr == ""


@pytest.mark.compiled
@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("broken", [b"", b"\x80", b"no pickle"], ids=["empty", "cut off", "something else"])
def test_a_broken_file_in_the_cache_is_replaced(ending, broken, tmp_path):
    run(ONE_KERNEL, NUMBA_CACHE_DIR=str(tmp_path))
    (file,) = tmp_path.glob(f"**/*relu_line*.{ending}")
    file.write_bytes(broken)
    mended, after = (run(ONE_KERNEL, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2))
    assert mended.stdout == after.stdout == "16.0\n", mended.stderr + after.stderr
    assert "compiling kernels" in mended.stderr
    assert after.stderr == ""


@pytest.mark.compiled
def test_a_kernel_for_other_types_under_its_name_is_replaced(tmp_path):
    """What two processes leave that save kernels of one function for two types at once."""
    program = ("import numpy as np; from minigrad import kernels;"
               "print(*[kernels.relu(np.full((4, 4), 2, t)).sum() for t in (np.float32, np.float64)])")
    run(program, NUMBA_CACHE_DIR=str(tmp_path))
    one, other = tmp_path.glob("**/*relu_line*.nbc")
    for source, target in ((one, other), (other, one)):
        target.write_bytes(source.read_bytes())
        results = [run(program, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(3)]  # the second may save the other
        assert {result.stdout for result in results} == {"32.0 32.0\n"}, results
        assert "compiling kernels" in results[0].stderr and results[-1].stderr == ""


@pytest.mark.compiled
def test_a_kernel_that_cannot_be_kept_works_all_the_same(tmp_path):
    run(ONE_KERNEL, NUMBA_CACHE_DIR=str(tmp_path))
    (file,) = tmp_path.glob("**/*relu_line*.nbi")
    file.unlink()
    file.mkdir()  # where the index should be: neither reading nor writing works
    result = run(ONE_KERNEL, NUMBA_CACHE_DIR=str(tmp_path))
    assert result.stdout == "16.0\n", result.stderr


@pytest.mark.compiled
def test_without_a_folder_to_write_kernels_work_uncached(monkeypatch, capsys):
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    monkeypatch.setattr(_jit._Announcement, "said", False)
    monkeypatch.setattr(double, "__module__", "minigrad.somewhere")
    monkeypatch.setitem(sys.modules, "minigrad.somewhere", sys.modules[__name__])
    compiled = _jit.kernel(double)
    assert compiled(21) == 42
    assert compiled.stats.cache_path is None


@pytest.mark.compiled
@pytest.mark.parametrize(
    "kernel, changes",
    [(conv.convolve_block, micro), (winograd_pool._convolve_blocks, micro), (stretch._multiply_columns, transform)],
    ids=["directly", "by others", "by a number that it gives"],
)
def test_a_change_of_a_file_recompiles_the_kernels_that_use_it(kernel, changes, monkeypatch, tmp_path):
    """numba itself looks only at a kernel's own file."""

    def digest():
        return _jit._stamped(kernel.compiled.py_func).__closure__[-1].cell_contents

    before, changed = digest(), tmp_path / "changed.py"
    assert digest() == before
    changed.write_text(Path(changes.__file__).read_text() + "# changed\n")
    monkeypatch.setattr(changes, "__file__", str(changed))
    assert digest() != before


@pytest.mark.compiled
def test_python_threads_may_call_kernels_at_once_on_the_pool_that_is_not_thread_safe():
    result = run(THREE_THREADS, NUMBA_THREADING_LAYER="workqueue")
    assert result.returncode == 0, result.stderr


def test_python_threads_may_call_kernels_at_once():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(4, 3, 12, 12)), rng.normal(size=(8, 3, 3, 3))
    settings = (1, 1), (1, 1), (1, 1), 1
    expected, results = kernels.conv2d(x, w, None, *settings), []

    def work():
        for _ in range(10):
            results.append(kernels.conv2d(x, w, None, *settings))

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == 30
    for result in results:
        assert_array_equal(result, expected)


@pytest.mark.compiled
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cols", range(1, micro.PANEL_BYTES // 8 + 1))
@pytest.mark.parametrize("count", [1, micro.FEW, micro.FEW + 1, 5, micro.ROWS])
def test_the_tile_is_the_numpy_loop_that_explains_it(dtype, cols, count):
    """Every number of columns, one or two vectors, whole or cut off; few rows and many."""
    rng = np.random.default_rng(cols)
    cols *= 8 // np.dtype(dtype).itemsize
    x, w, b = (rng.integers(-3, 4, 3000).astype(dtype) for _ in range(3))
    rows, taps = np.minimum(np.arange(micro.ROWS), count - 1), np.array([0, 100, 37])
    expected, y = np.full((2, 1000), 7, dtype)
    for out, tile in ((expected, micro.tile_numpy), (y, _run_tile)):
        tile(out, 3, rows * 80, b, 2, rows * 70, x, 7, rows * 13, taps, 5, 2, w, 11, 67, cols)
    assert_array_equal(y, expected)


@numba.njit
def _run_tile(y, y_at, y_rows, b, b_at, b_rows, x, x_at, x_rows, taps, run, step, w, w_at, w_row, cols):
    micro.tile(y, y_at, y_rows, b, b_at, b_rows, x, x_at, x_rows, taps, run, step, w, w_at, w_row, cols)
