"""How wrong a rule of quadrature is, against the number of its steps."""

import numpy as np

from .axes import new_axes
from .lines import CYCLE


def error_curves(errors, n_steps, ax=None, *, title="Integrated gradients: true error of each rule"):
    """Draw what `explain.quadrature_errors` found, both axes logarithmic, with the median and the range over samples.

    Parameters
    ----------
    errors : dict of str to ndarray of shape (len(n_steps), N)
        Parts of one: 0.01 is one percent of the sum of the absolute exact values.
    n_steps : sequence of int
        Those the errors were measured at.
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes
    """
    wrong = {name: np.shape(found)[0] for name, found in errors.items() if np.shape(found)[0] != len(n_steps)}
    if wrong:
        raise ValueError(f"error_curves: errors hold {wrong} numbers of steps, n_steps has {len(n_steps)}")
    ax = new_axes(ax, (5.5, 3.6))
    for i, (name, found) in enumerate(errors.items()):
        colour = CYCLE[i % len(CYCLE)]
        ax.fill_between(n_steps, found.min(1), found.max(1), color=colour, alpha=0.12, linewidth=0)
        ax.plot(n_steps, np.median(found, 1), color=colour, marker="o", markersize=3, label=name)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xticks(n_steps, [str(n) for n in n_steps])
    ax.minorticks_off()
    ax.set_xlabel("n_steps")
    ax.set_ylabel("error / sum of |exact values|")
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25)
    ax.set_title(title, loc="left", fontsize=11)
    ax.legend(frameon=False, fontsize=8)
    return ax
