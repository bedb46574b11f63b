"""One map: alone, over its image, or as a mask of it."""

import numpy as np

from .axes import new_axes
from .scale import OUTLIERS, Shown, displayable

COLOURS = {"all": "RdBu_r", "positive": "Reds", "negative": "Blues", "absolute": "Purples"}
GREY = "#777777"


def heat_map(values, ax=None, *, sign=None, scale=None, outlier_perc=OUTLIERS, cmap=None, title=None, colorbar=True):
    """Draw a map alone.

    Parameters
    ----------
    values : array (C, H, W) or (H, W)
        In any unit; a map of zeros is drawn as one.
    ax : matplotlib Axes, optional
    sign : 'all', 'positive', 'negative' or 'absolute', optional
        What of it is shown; if left out, 'all' for a map that has negative values, else 'absolute'.
    scale : float, optional
        The magnitude of the full colour; give the same to maps that are to be compared. If left out it follows from
        `outlier_perc`, the per cent of the sum of magnitudes that may be clipped; and of a map that is high everywhere
        (RISE) the colours then begin at its lowest value.
    cmap, title : optional
    colorbar : bool
        Beside it; without one the scale is written below.

    Returns
    -------
    Axes
    """
    shown = Shown("heat_map", values, sign, scale, outlier_perc)
    ax = new_axes(ax)
    return _finished(ax, shown, _coloured(ax, shown, cmap), title, colorbar)


def overlay(values, image, ax=None, *, alpha=0.6, sign=None, scale=None, outlier_perc=OUTLIERS, cmap=None, title=None,
            colorbar=True):  # fmt: skip
    """Draw a map half transparent over the grey image: `alpha` of it everywhere. Other parameters as in `heat_map`.

    image : array (C, H, W) or (H, W), grey or RGB
    """
    shown = Shown("overlay", values, sign, scale, outlier_perc)
    ax = new_axes(ax)
    ax.imshow(shown.fitting(image).mean(2), cmap="gray", vmin=0, vmax=1)
    return _finished(ax, shown, _coloured(ax, shown, cmap, alpha=alpha), title, colorbar)


def blended(values, image, ax=None, *, sign=None, scale=None, outlier_perc=OUTLIERS, cmap=None, title=None,
            colorbar=True):  # fmt: skip
    """Draw a map over the faded image, as opaque as it is strong: where it says nothing the image is seen.

    Parameters as in `overlay`.
    """
    shown = Shown("blended", values, sign, scale, outlier_perc)
    ax = new_axes(ax)
    ax.imshow(0.45 + 0.5 * shown.fitting(image).mean(2), cmap="gray", vmin=0, vmax=1)
    drawn = _coloured(ax, shown, cmap, alpha=np.abs(shown.strength) ** 0.7)
    drawn.set_data(np.sign(shown.strength) * (0.5 + 0.5 * np.abs(shown.strength)))  # pale colours would only veil it
    return _finished(ax, shown, drawn, title, colorbar)


def masked(values, image, ax=None, *, sign="positive", scale=None, outlier_perc=OUTLIERS, title=None):
    """Draw the image multiplied by the map: what the map has nothing to say about is black.

    Parameters as in `overlay`; a sign of 'all' has no meaning here.
    """
    if sign == "all":
        raise ValueError("masked: sign is 'all', expected 'positive', 'negative' or 'absolute': a pixel is kept or not")
    shown = Shown("masked", values, sign, scale, outlier_perc)
    ax = new_axes(ax)
    ax.imshow(shown.fitting(image) * shown.strength[..., None])
    return _finished(ax, shown, None, title, False)


def picture(image, ax=None, *, small=False, title=None):
    """Draw an image alone; a small grey one in ink on paper, as the outlines of `grid` are drawn."""
    shown, ax = displayable(image, "picture"), new_axes(ax)
    paper = small and np.ptp(shown, axis=2).max() == 0
    ax.imshow(1 - shown if paper else shown, vmin=0, vmax=1)
    ax.axis("off")
    if title:
        ax.set_title(title, fontsize=10)
    return ax


def _coloured(ax, shown, cmap, alpha=None):
    low = -1 if shown.sign == "all" else 0
    return ax.imshow(shown.strength, cmap=cmap or COLOURS[shown.sign], vmin=low, vmax=1, alpha=alpha)


def _finished(ax, shown, drawn, title, colorbar):
    """No ticks; the scale beside the map, or below it."""
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(color="#cccccc", linewidth=0.6)
    if title:
        ax.set_title(title, fontsize=10)
    if colorbar and drawn is not None and shown.high > shown.low:
        bar = ax.figure.colorbar(drawn, ax=ax, fraction=0.046, pad=0.03)
        places = (-1, 0, 1) if shown.sign == "all" else (0, 1)
        bar.set_ticks(places, labels=[f"{shown.value(place):.2g}" for place in places])
        bar.outline.set_visible(False)
        if shown.sign == "all":
            bar.set_label("against the class  |  for it", fontsize=8, color=GREY)
    else:
        ax.set_xlabel(str(shown), fontsize=7, color=GREY, labelpad=2)
    return ax
