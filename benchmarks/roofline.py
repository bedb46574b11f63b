"""How near the kernels of a training step come to what this machine can do. Williams, Waterman & Patterson 2009.

A kernel that does F operations and has to move B bytes cannot be faster than the machine's operations a second, nor
than F / B times its bytes a second: a roof over its arithmetic intensity F / B. Every kernel is called again and again
with the arguments that it had in a training step of `mnist_cnn`, so its arrays are where they fit, in the caches of the
cores (L2), the shared one (L3) or in memory, and the roof that counts is the one of that place. In a training step,
other kernels come between, and arrays have to be fetched from farther away. Of roofs and kernels the fastest of all
calls counts: what a machine can do that others share.
"""
import math
from dataclasses import dataclass, field

from . import costs, peaks, training, worker


@dataclass
class Call:
    """A kernel, the shapes it works on, what it does and moves, and the milliseconds of each round's fastest call."""

    name: str
    shape: str
    flops: float
    bytes: float
    run: object
    times: list = field(default_factory=list)

    @property
    def milliseconds(self):
        """Those of the fastest call."""
        return min(self.times)

    @property
    def gflops(self):
        """Billions of operations a second."""
        return self.flops / self.milliseconds / 1e6

    @property
    def bandwidth(self):
        """Billions of bytes a second."""
        return self.bytes / self.milliseconds / 1e6

    @property
    def intensity(self):
        """Operations a byte."""
        return self.flops / self.bytes

    @property
    def label(self):
        """The name and the largest shape, or for a product both."""
        largest = max(self.shape.split(", "), key=lambda shape: math.prod(map(int, shape.split("x"))))
        return f"{self.name} {self.shape if self.name == 'matmul' else largest}"


def calls(batch, batch_norm=False):
    """The kernels of a training step that `costs.COSTS` knows, each shape once, and the names of those it does not."""
    from minigrad.kernels.wrapped import wrapped

    train = training.minigrad(batch, int(batch_norm))
    train()
    found, unknown = {}, set()

    def wrap(name, kernel):
        def keep(*given, **options):
            result = kernel(*given, **options)
            if name in costs.COSTS:
                shape = _shape(given)
                found.setdefault((name, shape), Call(
                    name, shape, costs.flops(name, result, given), costs.traffic(name, result, given),
                    lambda: kernel(*given, **options)))
            else:
                unknown.add(name)
            return result

        return keep

    with wrapped(wrap):
        train()
    return list(found.values()), sorted(unknown)


def measure(batch, batch_norm=False, rounds=9, seconds=0.03, **sizes):
    """Measure roofs and kernels in turns.

    Returns
    -------
    (list of Call, Peaks, list of str)
        The kernels, the slowest first; the roofs; kernels that have no formula.
    """
    found, unknown = calls(batch, batch_norm)
    roofs = peaks.Peaks(**sizes)
    for _ in range(rounds):
        roofs.measure(3 * seconds)
        for call in found:
            call.times.append(worker.measured(call.run, seconds, min))
    return sorted(found, key=lambda call: -call.milliseconds), roofs, unknown


def reached(call, roofs, limits):
    """The part of its roof that a kernel reaches."""
    return call.gflops / min(roofs.roof[1], call.intensity * roofs.bandwidth[peaks.place(call.bytes, limits)])


def text(found, roofs, unknown):
    """The roofs in words, the kernels, fastest calls, as a Markdown table, and what is missing from it."""
    limits = peaks.caches()
    lines = ["float32 product of matrices: " + ", ".join(f"{rate:.0f} GFLOP/s ({name})"
                                                         for name, rate in roofs.gflops.items()),
             "triad: " + ", ".join(f"{rate:.0f} GB/s ({level})" for level, rate in roofs.bandwidth.items()), "",
             "| kernel | works on | ms | GFLOP | MB | FLOP/byte | GFLOP/s | GB/s | arrays fit | of the roof |",
             "|---|---|--:|--:|--:|--:|--:|--:|---|--:|"]
    for call in found:
        lines.append(f"| {call.name} | {call.shape} | {call.milliseconds:.3f} | {call.flops / 1e9:.4f} "
                     f"| {call.bytes / 1e6:.2f} | {call.intensity:.2f} | {call.gflops:.1f} | {call.bandwidth:.1f} "
                     f"| {peaks.place(call.bytes, limits)} | {reached(call, roofs, limits):.0%} |")
    if unknown:
        lines.append(f"no formula in benchmarks/costs.py, left out: {', '.join(unknown)}")
    return "\n".join(lines)


def _shape(given):
    """The shapes of the arrays given, each once, vectors only if there is nothing else."""
    shapes = dict.fromkeys(a.shape for a in given if hasattr(a, "shape"))
    wide = [shape for shape in shapes if len(shape) > 1] or list(shapes)
    return ", ".join("x".join(map(str, shape)) for shape in wide)
