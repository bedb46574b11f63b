"""What a patch does wherever it lies: pictures of an `explain.OcclusionMap`."""

import numpy as np

from .axes import new_figure
from .maps import picture

COLOURS, OTHERS = 10, "#cccccc"  # the classes that win most often have colours of their own


def occlusion_maps(found, x, *, classes=None, figure=None):
    """Each picture, the target's probability for each place of the patch, and the class that wins there.

    Parameters
    ----------
    found : OcclusionMap
    x : ndarray (N, C, H, W) in [0, 1]
        What it was made for.
    classes : sequence of str, optional
        Names for the legend.
    figure : matplotlib Figure, optional

    Returns
    -------
    matplotlib Figure
        Colours of classes are named below, the same in all columns; from eleven classes on, rare ones are grey.
    """
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    count, kinds = len(x), np.unique(found.predicted, return_counts=True)
    named = np.sort(kinds[0][np.argsort(-kinds[1], kind="stable")[:COLOURS]])
    palette = ListedColormap(colormaps["tab10"].colors[: len(named)], under=OTHERS)
    figure = new_figure(figure, max(4.5, 1.2 * count + 1.4), 4.6)
    axes = figure.subplots(3, count, squeeze=False)
    for column, image in enumerate(x):
        picture(image, axes[0, column], small=image.shape[-1] < 64)
        heat = axes[1, column].imshow(found.probability[column], cmap="viridis", vmin=0, vmax=1)
        won = found.predicted[column]
        rank = np.where(np.isin(won, named), np.searchsorted(named, won), -1)
        axes[2, column].imshow(rank, cmap=palette, vmin=-0.5, vmax=len(named) - 0.5)
        axes[0, column].set_title(f"{_name(found.target[column], classes)}\n{found.clean[column]:.0%}", fontsize=8)
    for ax in axes.flat:
        ax.axis("on")
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    for row, label in zip(axes, ("picture", "probability of its\nclass, patch there", "class that wins,\npatch there")):
        row[0].set_ylabel(label, fontsize=8)
    figure.colorbar(heat, ax=axes, shrink=0.3)
    keys = [Patch(color=palette(i), label=_name(k, classes)) for i, k in enumerate(named)]
    keys += [Patch(color=OTHERS, label="another")] * (len(kinds[0]) > COLOURS)
    columns = min(len(keys), int(figure.get_figwidth() / 1.4))
    figure.legend(handles=keys, loc="outside lower center", ncols=columns, fontsize=8, frameon=False)
    return figure


def _name(k, classes):
    return str(k) if classes is None else classes[k]
