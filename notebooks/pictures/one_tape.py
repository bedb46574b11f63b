"""Make the README's picture: python notebooks/pictures/one_tape.py runs/mnist/model.safetensors"""
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import minigrad
from minigrad.functional import relu
from minigrad.ops import ReLU


def guided(op, g, y, x):
    """Guided backpropagation: a ReLU passes on only what is positive, both ways."""
    return (lambda: relu(g) * (x.data > 0),)


def main(path):
    """Draw digits, gradients, and the same walk with another rule."""
    model = minigrad.load(path)
    test = minigrad.data.load("mnist", "test")
    images = np.stack([test.images[np.flatnonzero(test.labels == digit)[0]] for digit in (2, 3, 4, 5, 7, 8)])
    x = minigrad.tensor(images, requires_grad=True)
    top = model(x).max(1)
    gradient = minigrad.grad(top, x).data
    rule = minigrad.grad(top, x, rules=lambda t: guided if isinstance(t.op, ReLU) else None).data
    rows = {"image": (images, "gray", 0, 1), "grad(y, x)": (gradient, "RdBu_r", -1, 1),
            "grad(y, x, rules=guided)": (rule, "RdBu_r", -1, 1)}
    figure, axes = plt.subplots(3, len(images), figsize=(7.2, 3.9), layout="constrained")
    for line, (title, (maps, colours, low, high)) in zip(axes, rows.items(), strict=True):
        line[0].set_title(title, loc="left", fontsize=10, family="monospace")
        for ax, values in zip(line, maps[:, 0], strict=True):
            scale = 1 if low == 0 else np.abs(values).max()
            ax.imshow(values / scale, cmap=colours, vmin=low, vmax=high)
            ax.set_axis_off()
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    main(sys.argv[1])
