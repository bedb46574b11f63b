"""How the time of a training step grows with the batch, the image, the channels and the threads.

The network is `mnist_cnn`, or one of the same layers for larger images or with more channels. One process a library
holds all sizes of a quantity and times them one after the other, in turns with the other libraries. What is read off is
the slope of log time over log quantity: 1 means in proportion; less, that a part of the time does not grow; and -1 over
threads, that twice as many take half the time.
"""
import statistics

import numpy as np

from . import training
from .rounds import compare, ratio

# Quantity: its values, and for each the batch size, the side of an image and the channels of both convolutions.
SWEEPS = {
    "batch size": {n: (n, 28, 32) for n in (16, 32, 64, 128, 256, 512, 1024)},
    "pixels of an image": {side**2: (64, side, 32) for side in (14, 28, 56, 112)},
    "channels": {c: (64, 28, c) for c in (8, 16, 32, 64, 128)},
}
USUAL = (64, 28, 32)
NAMES = {"minigrad": "minigrad", "torch": "PyTorch", "torch_channels_last_fused": "PyTorch at its best"}


def minigrad(*shapes):
    """The steps in minigrad, for shapes written as 64x28x32."""
    return _steps(training.minigrad, shapes)


def torch(*shapes):
    """The steps in PyTorch eager as most people write it."""
    return _steps(training.torch, shapes)


def torch_channels_last_fused(*shapes):
    """The steps in PyTorch with channels-last memory and its fused Adam."""
    return _steps(training.torch_channels_last_fused, shapes)


def _steps(build, shapes):
    steps = {}
    for shape in shapes:
        batch, side, channels = map(int, shape.split("x"))
        steps[shape] = build(batch, 0, 0, side, channels)
    return steps


def measure(libraries, rounds, threads, sweeps=SWEEPS):
    """Time every sweep, and a step on 1, 2, 4, ... `threads` threads.

    Yields
    ------
    (str, dict of int to dict of str to list of float, int or dict of int to int)
        A quantity; for each of its values and each library the milliseconds of a step in each round; and the images of
        a step by value.
    """
    for quantity, shapes in sweeps.items():
        names = {value: "x".join(map(str, shape)) for value, shape in shapes.items()}
        found = compare(libraries, "scaling", *names.values(), rounds=rounds)
        yield quantity, {v: found[name] for v, name in names.items()}, {v: shape[0] for v, shape in shapes.items()}
    usual = "x".join(map(str, USUAL))
    counts = sorted({threads, *(2**i for i in range(threads.bit_length()))})
    yield ("threads", {n: compare(libraries, "scaling", usual, rounds=rounds, threads=n)[usual] for n in counts},
           dict.fromkeys(counts, USUAL[0]))


def medians(times, library):
    """The values of a quantity, and a library's median milliseconds at each."""
    return list(times), [statistics.median(found[library]) for found in times.values()]


def slope(times, library):
    """The slope of log time over log quantity, by least squares; nan for a single value."""
    values, milliseconds = medians(times, library)
    return np.polyfit(np.log(values), np.log(milliseconds), 1)[0] if len(values) > 1 else float("nan")


def text(quantity, times, images):
    """One quantity as a Markdown table: the median milliseconds, the ratios, minigrad's time an image, the slopes."""
    libraries = list(next(iter(times.values())))
    base, *peers = libraries
    names = [NAMES.get(library, library) for library in libraries]
    head = [quantity, *(f"{name}, ms" for name in names), *(f"{base} / {name}" for name in names[1:]),
            f"{base}, µs an image"]
    lines = [f"| {' | '.join(head)} |", f"|{'--:|' * len(head)}"]
    for value, found in times.items():
        middle = [statistics.median(found[library]) for library in libraries]
        cells = [f"{value:,}", *(f"{m:.2f}" for m in middle), *(f"{ratio(found, base, peer):.2f}" for peer in peers),
                 f"{1e3 * middle[0] / images[value]:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    slopes = [f"{slope(times, library):.2f}" for library in libraries]
    lines.append(f"| slope | {' | '.join(slopes)} |{' |' * (len(peers) + 1)}")
    return "\n".join(lines)
