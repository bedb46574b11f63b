"""Many maps on one page: a row for each method, a column for each sample and class."""

import numpy as np

from .axes import new_figure
from .maps import COLOURS, GREY, blended, heat_map, overlay, picture
from .scale import displayable

STYLES = {
    "heat_map": lambda values, image, ax: heat_map(values, ax, colorbar=None),
    "overlay": lambda values, image, ax: overlay(values, image, ax, colorbar=None),
    "blended": lambda values, image, ax: blended(values, image, ax, colorbar=None),
}


def grid(attributions, *, labels=None, classes=None, style=None, cell=None, title=None, figure=None):
    """Draw methods x images x classes: a row per method, a column per sample, the images beside their samples.

    Parameters
    ----------
    attributions : dict of str to Attribution
        All of the same x and targets. To explain several classes of one image, repeat it in x: neighbours that are the
        same image share its picture.
    labels : sequence of str, optional
        Over the columns; the classes if left out.
    classes : sequence of str, optional
        Their names.
    style : 'heat_map', 'overlay' or 'blended', optional
        'heat_map' for small images, on which the thing's outline is drawn, 'blended' for photographs.
    cell : float, optional
        Inches of a picture.
    title : str, optional
    figure : matplotlib Figure, optional

    Returns
    -------
    Figure
    """
    first = _same_samples(attributions)
    x = first.x
    starts = [i for i in range(len(x)) if i == 0 or not np.array_equal(x[i], x[i - 1])]
    small = max(x.shape[2:]) < 64
    style, cell = style or ("heat_map" if small else "blended"), cell or (0.95 if small else 1.6)
    if style not in STYLES:
        raise ValueError(f"grid: style is {style!r}, expected one of {', '.join(STYLES)}")
    names = [_named(classes, t) for t in first.target] if labels is None else list(labels)
    lines = 1 + max(name.count("\n") for name in names)
    widths = [w for i in range(len(x)) for w in ([0.18] * (i in starts and i > 0) + [1] * (i in starts) + [1])]
    margin = 0.085 * max(map(len, attributions)) + 0.2
    head, foot, gap = 0.2 * lines + 0.15 + 0.45 * bool(title), 0.55, 0.2
    width = margin + cell * sum(widths) * 1.05 + 0.1
    height = head + (cell + gap) * len(attributions) + foot
    figure = new_figure(figure, width, height)
    axes = figure.subplots(
        len(attributions),
        len(widths),
        squeeze=False,
        width_ratios=widths,
        gridspec_kw={
            "left": margin / width,
            "right": 1 - 0.1 / width,
            "top": 1 - head / height,
            "bottom": foot / height,
            "hspace": gap / cell,
            "wspace": 0.05,
        },
    )
    for ax in axes.flat:
        ax.axis("off")
    for k, (name, attribution) in enumerate(attributions.items()):
        columns = iter(axes[k])
        for i, image in enumerate(x):
            if i in starts:
                if i:
                    next(columns)
                ax = next(columns)
                if k == 0:
                    picture(image, ax, small=small)
                    ax.set_title("image", fontsize=8, color=GREY)
            ax = next(columns)
            _cell(attribution[i], image, ax, style, small)
            if k == 0:
                ax.set_title(names[i], fontsize=8)
        middle = axes[k, 0].get_position()
        figure.text(
            (margin - 0.12) / width,
            (middle.y0 + middle.y1) / 2,
            name.replace("_", " "),
            ha="right",
            va="center",
            fontsize=9,
        )
    _legend(figure, attributions, width, height, margin)
    if title:
        figure.text(0.1 / width, 1 - 0.12 / height, title, va="top", fontsize=11)
    return figure


def _cell(values, image, ax, style, small):
    """One map, with the outline of what is in a small image."""
    ax.axis("on")
    STYLES[style](values, image, ax)
    if small:
        grey = displayable(image).mean(2)
        if grey.max() > grey.min():
            ax.contour(grey, levels=[(grey.max() + grey.min()) / 2], colors="#555555", linewidths=0.5, alpha=0.8)


def _same_samples(attributions):
    """The first of the attributions; all must explain the same images and classes, at their size."""
    if not attributions:
        raise ValueError("grid: attributions is empty, expected a dict of name to Attribution")
    (name, first), *_ = attributions.items()
    if first.x.ndim != 4:
        raise ValueError(f"grid: {name} explains x of shape {first.x.shape}, expected images (N, C, H, W)")
    for other, a in attributions.items():
        if not np.array_equal(a.x, first.x) or not np.array_equal(a.target, first.target):
            raise ValueError(
                f"grid: {other} explains other samples or classes than {name}; expected the same for all rows"
            )
        if a.values.ndim != 4 or a.values.shape[2:] != first.x.shape[2:]:
            raise ValueError(
                f"grid: the maps of {other} have shape {a.values.shape}, expected the images' size {first.x.shape[2:]}"
            )
    return first


def _named(classes, target):
    return str(classes[target]) if classes is not None else f"class {target}"


def _legend(figure, attributions, width, height, margin):
    """The two scales, once for the whole page."""
    signs = [
        sign
        for sign in ("all", "absolute")
        if any((a.values < 0).any() == (sign == "all") for a in attributions.values())
    ]
    texts = {"all": ("against the class", "for it"), "absolute": ("0", "most")}
    for i, sign in enumerate(signs):
        left = (margin + 1.15 + 3.6 * i) / width
        ax = figure.add_axes((left, 0.24 / height, 1.3 / width, 0.11 / height))
        low = -1 if sign == "all" else 0
        ax.imshow(np.linspace(low, 1, 128)[None], cmap=COLOURS[sign], vmin=low, vmax=1, aspect="auto")
        ax.axis("off")
        for place, text, side in ((-0.04, texts[sign][0], "right"), (1.04, texts[sign][1], "left")):
            ax.text(place, 0.5, text, transform=ax.transAxes, ha=side, va="center", fontsize=8, color=GREY)
    note = "Each map has its own scale: below it, the value of the full colour."
    figure.text((margin + 3.6 * len(signs)) / width, 0.295 / height, note, va="center", fontsize=8, color=GREY)
