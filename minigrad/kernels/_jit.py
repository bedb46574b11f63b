"""The decorators that compiled kernels wear, and the flags they stand for.

numba compiles a kernel at its first call and keeps the machine code beside the source (or in NUMBA_CACHE_DIR), so the
next process only loads it. The flags, and why:

* ``error_model="numpy"``: a division by zero gives inf or nan, as NumPy does; the check for it would block SIMD.
* ``fastmath={"reassoc", "contract", "nsz"}``: sums may be regrouped into vector lanes and a * b + c may be fused.
  NaN and inf stay what they are, which full fastmath does not promise.
* ``nogil``: other Python threads go on while a kernel runs.
* ``cache``: left out, without a word, where no folder can be written (a read-only installation without a home). A
  file there that cannot be read, as after a power cut, is replaced; one that cannot be written is done without.

`kernel` is for serial functions, which may become part of other kernels (`subroutine`: which others only call).
`parallel_kernel` is for the outermost loop, a `numba.prange` over threads; it is called from Python only, and one at a
time: numba's fallback thread pool aborts the process when two Python threads enter it, and two crowds of threads on the
same cores gain nothing anyway.

Between two parallel loops GNU OpenMP lets idle threads spin for milliseconds. On a machine with other work to do they
spin in the way of the threads they wait for; with too short a spin they fall asleep while Python goes from one kernel
to the next, and to wake them costs more than a small kernel. Measured for a training step (batch 64) and a saliency map
of 16 images on two cores of an AMD Zen 4, in milliseconds:

    GOMP_SPINCOUNT                   1000        10000        20000       300000 (OpenMP's own)
    idle machine                7.8   2.2    7.0   1.7    6.8   1.8    6.4   1.8
    beside one busy process    12.7   4.3   19.7   7.8   24.8  11.0   15.7   5.7
    beside ten                   70    23    100    44    116    63    210    90

So 20000 is the default here, unless GOMP_SPINCOUNT or OMP_WAIT_POLICY say otherwise: on a crowded machine set 1000. GNU
OpenMP reads it when the first parallel kernel runs.
"""

import contextlib
import functools
import gc
import hashlib
import os
import re
import sys
import threading
import types
from pathlib import Path

import numba
from numba.core import event
from numba.core.sigutils import normalize_signature

_FLAGS = {"error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz"}, "nogil": True}
_one_parallel_region = threading.Lock()
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")


def kernel(function):
    """Compile a serial function of arrays and numbers; other kernels may call it."""
    return _compile(function)


def ordered_kernel(function):
    """A serial function whose sums are taken as they are written: where ``(a - b) - c`` is not ``a - (b + c)``."""
    return _compile(function, fastmath=False)


def inlined_kernel(function):
    """A serial function that is written into every caller before that is compiled, and is never compiled on its own.

    For what works on `lanes`, which should not leave their registers. It costs less compile time than LLVM's inlining.
    """
    return _compile(function, inline="always")


def parallel_kernel(function):
    """Compile a function that holds a `numba.prange`; calls from several Python threads take turns.

    The compiled function itself (its ``signatures``, its ``stats``) is the wrapper's attribute ``compiled``.
    """
    compiled = _compile(function, parallel=True)

    @functools.wraps(function)
    def one_at_a_time(*arguments):
        with _one_parallel_region:
            return compiled(*arguments)

    one_at_a_time.compiled = compiled
    return one_at_a_time


def threads():
    """How many threads the next parallel kernel will use (NUMBA_NUM_THREADS, `numba.set_num_threads`)."""
    return numba.get_num_threads()


def _compile(function, **flags):
    if numba.config.DISABLE_JIT:
        return function
    function = _stamped(function)
    try:
        compiled = numba.njit(cache=True, **_FLAGS | flags)(function)
    except RuntimeError:  # "no locator available": numba found no folder that it may write
        compiled = numba.njit(**_FLAGS | flags)(function)
    compiled.add_overload = functools.partial(_add_overload, compiled)
    cache = compiled._cache
    cache.load_overload = functools.partial(_load_overload, cache)
    cache.save_overload = functools.partial(_save_overload, cache)
    return compiled


def _load_overload(cache, signature, context):
    """A kernel from the disk, or None. If its files cannot be read, they are emptied, and the kernel is compiled.

    So they are if they hold a kernel for other types: two processes that save at once may choose one name for two.
    """
    try:
        found = type(cache).load_overload(cache, signature, context)
        if found is None or found.signature.args == normalize_signature(signature)[0]:
            return found
    except Exception:  # what is no pickle may raise anything
        pass
    with contextlib.suppress(OSError):
        cache.flush()
    return None


def _save_overload(cache, *result):
    """Keep a kernel on the disk, unless that is full or the like: the kernel works all the same."""
    with contextlib.suppress(OSError):
        type(cache).save_overload(cache, *result)


def _add_overload(compiled, result):
    """What must happen before a kernel is loaded must happen before its callers are: numba's cache does not say so."""
    result.library._reload_init.update(result.reload_init)
    type(compiled).add_overload(compiled, result)


def _stamped(function):
    """The same function with one more closure cell: a digest of the other kernel files that its own file imports from,
    and of those that say how kernels are compiled.

    numba recompiles a cached function when its own file or its closure changes, but not when a function that it calls
    from another file does. The cell, which the function never reads, closes that gap.
    """
    files = _kernel_files(function.__code__.co_filename, set()) - {function.__code__.co_filename}
    files |= {__file__, str(Path(__file__).with_name("subroutine.py"))}
    digest = hashlib.sha256("".join(_text(file) for file in sorted(files)).encode()).hexdigest()
    code = function.__code__.replace(co_freevars=(*function.__code__.co_freevars, "digest"))
    cells = (*(function.__closure__ or ()), types.CellType(digest))
    return functools.update_wrapper(
        types.FunctionType(code, function.__globals__, function.__name__, function.__defaults__, cells), function
    )


def _kernel_files(file, known):
    """The file, and those of the kernel modules that it imports from, be it numbers, and that these import from."""
    known.add(file)
    for name in _imports(file):
        imported = sys.modules.get(name)
        if imported is not None and imported.__file__ not in known:
            _kernel_files(imported.__file__, known)
    return known


@functools.cache
def _imports(file):
    """The names of the kernel modules that a file may import from."""
    package = __name__.rpartition(".")[0]
    found = re.findall(rf"^from {package}((?:\.\w+)?) import (.*)$", _text(file), re.MULTILINE)
    parts = [[module] if module else [f".{name.strip()}" for name in names.split(",")] for module, names in found]
    return [package + part for each in parts for part in each]


@functools.cache
def _text(file):
    return Path(file).read_text(encoding="utf-8") if Path(file).is_file() else ""  # a notebook's cell is none


class _Announcement(event.Listener):
    """One line on stderr before the first kernel that is not in the cache is compiled."""

    said = False

    def on_start(self, happening):
        dispatcher = happening.data["dispatcher"]
        if self.said or not dispatcher.py_func.__module__.startswith(__name__.partition(".")[0] + "."):
            return
        self.said = True
        folder = dispatcher.stats.cache_path
        kept = f"once; cached in {folder}" if folder else "in every process: found no folder to cache them in"
        print(f"minigrad: compiling kernels for this CPU ({kept}) ...", file=sys.stderr, flush=True)

    def on_end(self, happening):
        pass


class _NoCollection(event.Listener):
    """No search for garbage while a kernel is compiled.

    It would walk through the compiler's millions of small objects time and again, for a tenth of the time.
    """

    depth, enabled = 0, False

    def on_start(self, happening):
        if self.depth == 0:
            self.enabled = gc.isenabled()
            gc.disable()
        self.depth += 1

    def on_end(self, happening):
        self.depth -= 1
        if self.depth == 0 and self.enabled:
            gc.enable()


for _listener in (_Announcement(), _NoCollection()):
    event.register("numba:compile", _listener)
