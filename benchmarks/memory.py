"""The memory that a training step of `mnist_cnn` needs: parameters, Adam's means, gradients, activations and scratch.

    python -m benchmarks.memory minigrad 64

is one process, of one library and batch size, that prints megabytes (10^6 bytes). It takes three training steps, so
that libraries are imported, kernels compiled or loaded and threads started; drops model and arrays, and gives freed
memory back to the operating system. The resident set at that moment is the level from which is measured. Then it resets
Linux's high-water mark of the resident set, builds model, optimizer and batch anew, and takes `STEPS` steps. What is
printed is the high-water mark less the level. Needs Linux with glibc (proc_pid_clear_refs(5), malloc_trim(3)).
"""
import ctypes
import gc
import statistics
import subprocess
import sys
from pathlib import Path

from . import training
from .rounds import START

STEPS = 10
PROCESS = Path("/proc/self")


def peak(library, batch):
    """Megabytes that training with this batch size adds to this process at the most."""
    build = getattr(training, library)
    _train(build, batch, 3)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    level = _resident("VmRSS")
    (PROCESS / "clear_refs").write_text("5")  # the high-water mark starts anew from what is resident now
    _train(build, batch, STEPS)
    return (_resident("VmHWM") - level) / 1e6


def measure(libraries, batches, rounds=3):
    """The median peak of a few processes.

    Returns
    -------
    dict of int to dict of str to float
        Megabytes by batch size and library.
    """
    return {batch: {library: statistics.median(_in_its_own_process(library, batch) for _ in range(rounds))
                    for library in libraries} for batch in batches}


def text(found):
    """The peaks as a Markdown table."""
    libraries = list(next(iter(found.values())))
    lines = [f"| batch | {' | '.join(f'{name}, MB' for name in libraries)} |", f"|{'--:|' * (len(libraries) + 1)}"]
    for batch, peaks in found.items():
        cells = [f"{peaks[name]:.0f}" + ("" if name == libraries[0] else f" ({peaks[libraries[0]] / peaks[name]:.2f})")
                 for name in libraries]
        lines.append(f"| {batch} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _train(build, batch, steps):
    step = build(batch)
    for _ in range(steps):
        step()


def _resident(field):
    line = next(line for line in (PROCESS / "status").read_text().splitlines() if line.startswith(field))
    return 1024 * int(line.split()[1])


def _in_its_own_process(library, batch):
    command = [sys.executable, "-m", "benchmarks.memory", library, str(batch)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True, env=START).stdout)


if __name__ == "__main__":
    print(peak(sys.argv[1], int(sys.argv[2])))
