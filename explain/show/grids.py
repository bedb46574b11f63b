"""Many maps on one page: a row for each method, a column for each sample and class."""

import numpy as np

from .axes import new_figure
from .maps import COLOURS, GREY, blended, heat_map, overlay, picture
from .scale import OUTLIERS, displayable

STYLES = {
    "heat_map": lambda values, image, ax, **options: heat_map(values, ax, **options),
    "overlay": overlay,
    "blended": blended,
}
ROUGH_OUTLIERS = 20.0  # a gradient of a photograph has a few very large values


def grid(attributions, *, labels=None, captions=None, classes=None, style=None, cell=None, title=None, figure=None):
    """Draw methods x images x classes: the images on top, below each a column per class, a row per method.

    Parameters
    ----------
    attributions : dict of str to Attribution
        All of the same x and targets. To explain several classes of one image, repeat it in x: neighbours that are the
        same image share its picture.
    labels : sequence of str, optional
        Over the columns; the classes if left out.
    captions : sequence of str, optional
        Over the images, one for each that differs from the one before.
    classes : sequence of str, optional
        Their names.
    style : 'heat_map', 'overlay' or 'blended', optional
        If left out, 'heat_map' for small images, on which the thing's outline is drawn, and for maps that change from
        pixel to pixel; 'blended' for the other maps of photographs.
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
    cell = cell or (1.0 if small else 1.7)
    if style is not None and style not in STYLES:
        raise ValueError(f"grid: style is {style!r}, expected one of {', '.join(STYLES)}")
    labels = [_named(classes, t) for t in first.target] if labels is None else list(labels)
    captions = [""] * len(starts) if captions is None else list(captions)
    if len(labels) != len(x) or len(captions) != len(starts):
        raise ValueError(
            f"grid: got {len(labels)} labels and {len(captions)} captions for {len(x)} samples of "
            f"{len(starts)} images, expected one each"
        )
    page = Page(figure, attributions, len(x), starts, cell, 1 + max(label.count("\n") for label in labels), title)
    for row, (name, attribution) in enumerate(attributions.items()):
        if page.begins(row):
            for caption, i in zip(captions, starts, strict=True):
                picture(x[i], page.head(row, i), small=small)
                page.head(row, i).set_title(caption, fontsize=9, loc="left")
        for i, image in enumerate(x):
            _cell(attribution[i], image, page.map(row, i), style, small)
            if page.begins(row):
                page.map(row, i).set_title(labels[i], fontsize=8)
        page.name_row(row, name.replace("_", " "))
    _legend(page, attributions)
    return page.figure


class Page:
    """Where everything is, in inches: images on top, rows of maps, names at the left, the scales at the foot.

    What would be a long strip is set in blocks beside each other, each with the images on top.
    """

    GAP, APART, FOOT, SIDE = 0.22, 0.22, 0.5, 0.12

    def __init__(self, figure, names, columns, starts, cell, lines, title):
        self.cell, self.starts = cell, starts
        self.margin = 0.078 * max(map(len, names)) + 0.25
        self.top = self.SIDE + 0.4 * bool(title) + 0.25
        self.first = self.top + cell + 0.15 * lines + 0.12
        self.block = self._left(columns - 1) + cell + self.SIDE
        blocks = max(1, round(np.sqrt(len(names) * (cell + self.GAP) / (0.9 * self.block))))
        self.rows = -(-len(names) // blocks)
        self.width = max(self.block * -(-len(names) // self.rows), self.margin + 7.2)
        self.height = self.first + self.rows * (cell + self.GAP) + self.FOOT
        self.figure = new_figure(figure, self.width, self.height)
        self.figure.set_layout_engine("none")  # everything has its place
        self.axes = {}
        if title:
            self.text(self.SIDE, self.SIDE + 0.1, title, fontsize=12)

    def begins(self, row):
        """Whether a block begins with this row."""
        return row % self.rows == 0

    def head(self, row, column):
        """The axes of an image over the block of a row."""
        return self._axes(self._left(column, row), self.top)

    def map(self, row, column):
        """The axes of a map."""
        return self._axes(self._left(column, row), self._top(row))

    def name_row(self, row, name):
        """Write a method's name at its row."""
        self.text(self._left(0, row) - 0.1, self._top(row) + self.cell / 2, name, ha="right", fontsize=9.5)

    def _left(self, column, row=None):
        apart = self.APART * (sum(start <= column for start in self.starts) - 1)
        return self.margin + column * (self.cell + 0.06) + apart + (self.block * (row // self.rows) if row else 0)

    def _top(self, row):
        return self.first + row % self.rows * (self.cell + self.GAP)

    def text(self, left, top, text, **options):
        """Write at a place, in inches from the upper left corner."""
        self.figure.text(left / self.width, 1 - top / self.height, text, va="center", **options)

    def bar(self, left, width):
        """The axes of a scale at the foot."""
        return self.figure.add_axes((left / self.width, 0.17 / self.height, width / self.width, 0.11 / self.height))

    def _axes(self, left, top):
        if (left, top) not in self.axes:
            box = left, self.height - top - self.cell, self.cell, self.cell
            self.axes[left, top] = self.figure.add_axes(
                [v / (self.height if k % 2 else self.width) for k, v in enumerate(box)]
            )
        return self.axes[left, top]


def _cell(values, image, ax, style, small):
    """One map, with the outline of what is in a small image."""
    rough = not small and _is_rough(values)
    options = {"colorbar": False, "outlier_perc": ROUGH_OUTLIERS if rough else OUTLIERS}
    STYLES[style or ("heat_map" if small or rough else "blended")](values, image, ax, **options)
    if small:
        grey = displayable(image).mean(2)
        if grey.max() > grey.min():
            ax.contour(grey, levels=[(grey.max() + grey.min()) / 2], colors="#555555", linewidths=0.5, alpha=0.8)


def _is_rough(values):
    """Whether neighbours differ by a good part of what they are: specks, which an image underneath would hide."""
    a = values.sum(0)
    return np.abs(np.diff(a, axis=1)).sum() > 0.24 * np.abs(a).sum()


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


def _legend(page, attributions):
    """The two scales, once for the whole page."""
    signed = [bool((a.values < 0).any()) for a in attributions.values()]
    left, texts = page.margin, {"all": ("against", "for the class"), "absolute": ("0", "most")}
    for sign in [sign for sign, there in (("all", any(signed)), ("absolute", not all(signed))) if there]:
        ax = page.bar(left + 0.55, 1.1)
        low = -1 if sign == "all" else 0
        ax.imshow(np.linspace(low, 1, 128)[None], cmap=COLOURS[sign], vmin=low, vmax=1, aspect="auto")
        ax.axis("off")
        for place, text, side in ((-0.04, texts[sign][0], "right"), (1.04, texts[sign][1], "left")):
            ax.text(place, 0.5, text, transform=ax.transAxes, ha=side, va="center", fontsize=8, color=GREY)
        left += 2.6 if sign == "all" else 2.2
    note = "below each map: the value of its full colour"
    page.text(left, page.height - 0.225, note, fontsize=8, color=GREY)
