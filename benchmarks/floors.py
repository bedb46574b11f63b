"""What a kernel that does little but read and write cannot be faster than: the time that moving its bytes takes.

A rectifier, a pool, batch norm and an optimizer's step read each of their arrays at least once and write the result. At
the speed of a triad over arrays of that size (`peaks`) this takes some part of PyTorch's time; where it is more than
the goal, the goal is out of reach on this machine. Nothing is said of arrays that are smaller than the triad's
smallest, which lie in nearer caches.
"""
import math

import numpy as np

from . import kernels, peaks

ROUNDS = 9


def measure(network, batch):
    """Milliseconds, at the least, of the calls of `benchmarks.kernels` that memory limits.

    Returns
    -------
    dict of str to float
    """
    roofs, limits = peaks.Peaks(sides=()), peaks.caches()
    for _ in range(ROUNDS):
        roofs.measure_bandwidth(peaks.SECONDS)
    calls = {call: size for call, size in moved(network, batch).items() if size >= limits["L2"] // 2}
    return {call: size / roofs.bandwidth[peaks.place(size, limits)] / 1e6 for call, size in calls.items()}


def moved(network, batch):
    """Bytes that these calls read and write if they touch every array once."""
    from minigrad import models, ops

    found = {}
    for name, layer in kernels.named_layers(network, batch):
        if isinstance(layer.op, (ops.ReLU, ops.MaxPool2d, ops.BatchNorm)):
            x, y = (np.float32().nbytes * math.prod(shape) for shape in (layer.inputs[0], layer.output))
            found[f"{name}: forward"] = x + y
            kept = x
            if isinstance(layer.op, ops.MaxPool2d):
                kept = y // np.float32().nbytes  # who won
                found[f"{name}: forward, winners noted"] = x + y + kept
            found[f"{name}: gradient"] = y + kept + x  # its cotangent, what was kept, and what x gets back
    weights = sum(p.data.nbytes for p in models.create(network).parameters())
    return found | {"Adam: step": 7 * weights}  # of four arrays; but for the gradient they are written back
