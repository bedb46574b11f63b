"""Where the milliseconds of a training step go: the time spent in each kernel, and what is left for Python."""
import statistics
import time
from collections import defaultdict

from . import training


def step(batch, batch_norm=False, rounds=100):
    """The kernels of a training step of `mnist_cnn`, the slowest first.

    Returns
    -------
    list of (name, calls, milliseconds)
        A row for each kernel and shape of what it works on, means over the steps; then what the kernels leave of the
        step as ``"Python and NumPy around them"``, and all of it as ``"whole step"``.
    """
    from minigrad.kernels.wrapped import wrapped

    train = training.minigrad(batch, int(batch_norm))
    for _ in range(10):
        train()
    spent, whole = defaultdict(list), []
    with wrapped(lambda name, kernel: _timed(name, kernel, spent)):
        for _ in range(rounds):
            start = time.perf_counter()
            train()
            whole.append(time.perf_counter() - start)
    rows = [(name, len(times) // rounds, 1e3 * sum(times) / rounds) for name, times in spent.items()]
    rows.sort(key=lambda row: -row[2])
    total = 1e3 * statistics.mean(whole)
    return [*rows, ("Python and NumPy around them", 0, total - sum(row[2] for row in rows)), ("whole step", 1, total)]


def text(rows):
    """The rows as a Markdown table."""
    total = rows[-1][2]
    lines = ["| kernel | works on | calls | ms | of the step |", "|---|---|--:|--:|--:|"]
    for name, calls, milliseconds in rows:
        kernel, _, shape = name.partition(": ")
        lines.append(f"| {kernel} | {shape} | {calls or ''} | {milliseconds:.2f} | {milliseconds / total:.0%} |")
    return "\n".join(lines)


def _timed(name, kernel, spent):
    """The kernel, with its times kept under its name and the shape of the largest array it is given."""
    def timed(*given, **options):
        start = time.perf_counter()
        result = kernel(*given, **options)
        seconds = time.perf_counter() - start
        largest = max((a for a in given if hasattr(a, "shape")), key=lambda a: a.size, default=None)
        spent[f"{name}: {'x'.join(map(str, getattr(largest, 'shape', ())))}"].append(seconds)
        return result

    return timed
