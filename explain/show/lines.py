"""Curves of metrics: the mean over samples and where it may lie, beside the controls."""

import numpy as np

from .axes import new_axes, new_figure
from .maps import GREY, heat_map, picture

CYCLE = ("#c0392b", "#7f8c8d", "#2a6fb0", "#27ae60", "#8e44ad", "#e07b28", "#16a085", "#b8860b")


def curves(measurement, ax=None, *, title=None):
    """Draw a metric's mean curve with the band of its 95 % interval, and those of the controls thinner.

    Parameters
    ----------
    measurement : Measurement
        With a curve: of `metrics.deletion`, `insertion`, `pixel_flipping`, `road` or `mprt`.
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes
    """
    if measurement.curve is None:
        raise ValueError(f"curves: {measurement.metric} has no curve, only a value per sample")
    ax = new_axes(ax, (5.5, 3.6))
    for i, (name, m) in enumerate([(measurement.method, measurement), *measurement.controls.items()]):
        _band(ax, m, f"{name}: {m.mean:.3g}" if not i else f"({name}): {m.mean:.3g}", CYCLE[i % len(CYCLE)], bold=not i)
    _dress(ax, measurement)
    ax.set_title(
        title or f"{measurement.metric.replace('_', ' ')} ({measurement.better} is better)", loc="left", fontsize=11
    )
    ax.legend(frameon=False, fontsize=8)
    return ax


def cascade(measurements, *, index=0, figure=None):
    """Draw what happens to the maps of several methods while a model's layers are randomised, one after the other.

    Parameters
    ----------
    measurements : dict of str to Measurement, or sequence of Measurement
        Of `metrics.mprt`, with the same model and order.
    index : int
        The sample whose maps are shown above the curves.
    figure : matplotlib Figure, optional

    Returns
    -------
    Figure
    """
    named = dict(measurements) if isinstance(measurements, dict) else {m.method: m for m in measurements}
    layers = next(iter(named.values())).curve[0]
    if any(m.metric != "mprt" or m.curve[0] != layers for m in named.values()):
        raise ValueError("cascade: the measurements are not of mprt with the same layers and order; make them so")
    columns = len(layers) + 2
    figure = new_figure(figure, 1.15 * columns + 1.4, 1.15 * len(named) + 3.6)
    figure.set_layout_engine("constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[1.15 * len(named) + 0.4, 3.1])
    axes = above.subplots(len(named), columns, squeeze=False)
    heads = ["image", "trained", *(f"{'+ ' if i else ''}{path}" for i, path in enumerate(layers))]
    for row, (name, m) in zip(axes, named.items(), strict=True):
        x, maps = m.extra["x"][index], m.extra["maps"][:, index]
        picture(x, row[0], small=max(x.shape[1:]) < 64)
        for ax, values in zip(row[1:], maps, strict=True):
            heat_map(values, ax, colorbar=False)
        row[0].text(-0.08, 0.5, name.replace("_", " "), transform=row[0].transAxes, ha="right", va="center", fontsize=9)
    for ax, head in zip(axes[0], heads, strict=True):
        ax.set_title(head, fontsize=8)
    above.suptitle("Shuffle the weights of one layer after the other: a map that explains the model must change",
                   fontsize=11, x=0.01, ha="left")  # fmt: skip
    ax = below.subplots()
    for i, (name, m) in enumerate(named.items()):
        _band(ax, m, name.replace("_", " "), CYCLE[i % len(CYCLE)], bold=True)
    for (name, m), line in zip(next(iter(named.values())).controls.items(), (":", "--", "-.")):
        if not np.isnan(m.mean):
            ax.plot(m.curve[0], np.nanmean(m.curve[1], 0), line, color=GREY, linewidth=1, label=f"({name})")
    _dress(ax, next(iter(named.values())))
    ax.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _band(ax, measurement, label, colour, bold):
    """The mean curve, and for the bold one the band of its 95 % interval."""
    places, y = measurement.curve
    mean = np.nanmean(y, 0)
    ax.plot(places, mean, color=colour, linewidth=1.8 if bold else 1, alpha=1 if bold else 0.7, label=label,
            marker="o" if isinstance(places[0], str) else None, markersize=3)  # fmt: skip
    if bold and len(y) > 1:
        ends = [measurement.__class__(column, "", "").interval() for column in y.T]
        low, high = np.array(ends).T
        ax.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)


AXES = {
    "deletion": ("part of the pixels removed", "score"),
    "insertion": ("part of the pixels put back", "score"),
    "pixel_flipping": ("part of the pixels removed", "score"),
    "road": ("part of the pixels removed", "(least first - most first) / 2"),
    "mprt": ("layers randomised so far", "rank correlation with the original map"),
}


def _dress(ax, measurement):
    across, up = AXES.get(measurement.metric, ("", ""))
    order = measurement.settings.get("order")
    across = {"independent": "layer randomised"}.get(order, across)
    up = str(measurement.settings.get("score", up)) if up == "score" else up
    ax.set_xlabel(across)
    ax.set_ylabel(up)
    ax.grid(color="#dddddd", linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)
    if measurement.metric == "mprt":
        ax.set_ylim(min(-0.1, ax.get_ylim()[0]), 1.05)
        ax.axhline(0, color="#bbbbbb", linewidth=0.8)
