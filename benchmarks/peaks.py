"""The roofs of this machine, with the threads that minigrad uses: operations and, by cache level, bytes a second.

Operations are those of a float32 product of square matrices, in NumPy's BLAS and in minigrad, of a size that fits a
core's cache and of a large one; the roof is the fastest of the four. Bytes are those of a triad ``a = b + s * c``
(McCalpin's STREAM) over arrays that fit the caches of the cores together (L2), the cache that they share (L3), or no
cache: two arrays read and one written, as STREAM counts. Of all
calls the fastest counts.
"""
import time
from pathlib import Path

import numba
import numpy as np

from .worker import measured

SIDES = (384, 1536)  # of the matrices
SECONDS = 0.1


def caches():
    """The bytes of the caches that `numba.get_num_threads` cores have: {"L2": of all of them, "L3": shared}.

    Where the operating system does not tell, 1 MiB a core and 32 MiB.
    """
    sizes = {"2": 2**20, "3": 2**25}
    for folder in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        level, kind, size = ((folder / name).read_text().strip() for name in ("level", "type", "size"))
        if kind != "Instruction":
            sizes[level] = int(size.removesuffix("K")) * 1024
    return {"L2": sizes["2"] * numba.get_num_threads(), "L3": sizes["3"]}


def place(size, limits):
    """The smallest of "L2", "L3" and "memory" that holds so many bytes."""
    return next((level for level, limit in limits.items() if size <= limit), "memory")


class Peaks:
    """The highest rates seen so far; `measure` may raise them."""

    def __init__(self, sides=SIDES, limits=None):
        rng, parts = np.random.default_rng(0), numba.get_num_threads()
        self.squares = [rng.standard_normal((side, side), np.float32) for side in sides]
        limits = limits or caches()
        sizes = {"L2": limits["L2"] // 2, "L3": limits["L3"] // 2, "memory": 12 * limits["L3"]}  # of three arrays
        self.arrays = {level: [np.ones(size // 12, np.float32) for _ in range(3)] for level, size in sizes.items()}
        self.repeats = {level: max(1, sizes["L3"] // size) for level, size in sizes.items()}
        self.parts, self.gflops, self.bandwidth = parts, {}, {}

    def measure(self, seconds=SECONDS):
        """Measure everything once more, for about `seconds` each."""
        from threadpoolctl import threadpool_limits

        from minigrad import kernels

        with threadpool_limits(self.parts, user_api="blas"):
            self._multiply("NumPy's BLAS", np.matmul, seconds)
        time.sleep(SECONDS)  # until the threads of BLAS no longer spin
        self._multiply("minigrad.kernels.matmul", kernels.matmul, seconds)
        self.measure_bandwidth(seconds)

    def measure_bandwidth(self, seconds=SECONDS):
        """Measure bytes only."""
        for level, arrays in self.arrays.items():
            repeats = self.repeats[level]
            spent = measured(lambda a=arrays, r=repeats: triad(*a, np.float32(0.5), self.parts, r), seconds, min)
            _raise(self.bandwidth, level, repeats * sum(a.nbytes for a in arrays) / spent / 1e6)

    def _multiply(self, name, product, seconds):
        for a in self.squares:
            spent = measured(lambda a=a: product(a, a), seconds, min)
            _raise(self.gflops, f"{name}, {len(a)}x{len(a)}", 2 * len(a) ** 3 / spent / 1e6)

    @property
    def roof(self):
        """Who was fastest at the product of matrices, and its GFLOP/s."""
        return max(self.gflops.items(), key=lambda item: item[1])


def _raise(peaks, name, rate):
    peaks[name] = max(rate, peaks.get(name, 0))


@numba.njit(parallel=True, fastmath=True, cache=True)
def triad(a, b, c, scale, parts, repeats):
    """Write ``b + s * c`` into a, `repeats` times, s going up from `scale` in steps of one."""
    for t in numba.prange(parts):
        part = slice(t * len(a) // parts, (t + 1) * len(a) // parts)
        x, y, z = a[part], b[part], c[part]
        for r in range(repeats):
            s = scale + np.float32(r)
            for i in range(len(x)):
                x[i] = y[i] + s * z[i]
