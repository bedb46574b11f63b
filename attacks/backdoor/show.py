"""Pictures of what was planted and of what was found; nothing is shown, figures and axes are returned."""
import numpy as np

from ..show import draw
from .anomaly import SUSPICIOUS

ORANGE, BLUE = "#e07b28", "#2a6fb0"


def cleansed(found, figure=None):
    """Above, the trigger found for each class as it is mixed in (mask times pattern); below, its mask; then the norms.

    Parameters
    ----------
    found : Cleansed
    figure : matplotlib Figure, optional

    Returns
    -------
    matplotlib Figure
    """
    classes = len(found.masks)
    if figure is None:
        import matplotlib.pyplot as plt

        figure = plt.figure(layout="constrained")
    figure.set_size_inches(max(1.1 * classes, 4) + 0.6, 4.6)
    grid = figure.add_gridspec(3, classes, height_ratios=(1, 1, 1.6))
    suspects, index = found.flagged, found.index
    for k in range(classes):
        top, below = (figure.add_subplot(grid[row, k]) for row in (0, 1))
        draw(top, found.masks[k] * found.patterns[k])
        draw(below, found.masks[k][None])
        top.set_title(f"class {k}", fontsize=9, color=ORANGE if k in suspects else "black")
        if not k:
            top.set_ylabel("mask x pattern", fontsize=8)
            below.set_ylabel("mask", fontsize=8)
    ax = figure.add_subplot(grid[2, :])
    bars = ax.bar(range(classes), found.norms, color=[ORANGE if k in suspects else BLUE for k in range(classes)])
    labels = [f"{n:.1f}" + (f"\nindex {i:.1f}" if np.isfinite(i) else "") for n, i in zip(found.norms, index)]
    ax.bar_label(bars, labels, fontsize=8)
    ax.axhline(np.median(found.norms), color="#777777", linewidth=0.8, linestyle="--")
    ax.set(ylabel="norm of the mask (pixels)", xlabel="class; dashed: the median of the norms",
           ylim=(0, 1.3 * max(found.norms.max(), 1e-9)))
    ax.set_xticks(range(classes))
    ax.set_xlim(-0.5, classes - 0.5)  # each bar below its mask
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_title(_verdict(found, suspects, index), fontsize=10, loc="left")
    return figure


def _verdict(found, suspects, index):
    if suspects:
        return "A far smaller trigger than usual: " + ", ".join(f"class {k} (index {index[k]:.1f})" for k in suspects)
    if len(found.masks) < 3:
        return f"The smaller mask is {found.ratio:.2f} of the other; of two classes none can be an outlier"
    return f"No class has an index above {SUSPICIOUS:g}"


def suspicion(found, planted=None, ax=None):
    """Histogram of the scores, in parts of all samples of a kind: planted or not, if that is known.

    Parameters
    ----------
    found : Suspicion
    planted : array of bool (N,), optional
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    if not found.scored.any():
        raise ValueError(f"suspicion: {found.detector} was stopped before any sample had a score; run it again")
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.subplots(figsize=(5, 3), layout="constrained")[1]
    kinds = {"all samples": found.scored} if planted is None else {
        "others": found.scored & ~np.asarray(planted), "planted": found.scored & np.asarray(planted)}
    edges = np.linspace(np.nanmin(found.scores), np.nanmax(found.scores) + 1e-12, 41)
    for (name, members), colour in zip(kinds.items(), (BLUE, ORANGE)):
        share = np.full(members.sum(), 1 / max(1, members.sum()))
        ax.hist(found.scores[members], edges, weights=share, alpha=0.6, color=colour,
                label=f"{name} ({members.sum()})")
    title = f"{found.detector}: {found.flagged.sum()} of {len(found)} flagged"
    if planted is not None:
        title += f", AUROC {found.auroc(planted):.3f}"
    ax.set_title(title, fontsize=9, loc="left")
    ax.set(xlabel="score (higher: more suspicious)", ylabel="part of its kind")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=8, frameon=False)
    return ax
