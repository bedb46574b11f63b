"""One map: alone, over its image, or as a mask of it."""

import numpy as np

from .axes import new_axes
from .scale import OUTLIERS, displayable, flat, full_colour, natural_sign, shades, signed

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
        `outlier_perc`, the per cent of the sum of magnitudes that may be clipped.
    cmap, title : optional
    colorbar : bool
        Beside it; without one the scale is written below.

    Returns
    -------
    Axes
    """
    shown, scale, sign = _prepared("heat_map", values, sign, scale, outlier_perc)
    ax = new_axes(ax)
    image = ax.imshow(shades(shown, scale), cmap=cmap or COLOURS[sign], vmin=-1 if sign == "all" else 0, vmax=1)
    return _finished(ax, image, scale, sign, title, colorbar)


def overlay(values, image, ax=None, *, alpha=0.6, sign=None, scale=None, outlier_perc=OUTLIERS, cmap=None, title=None,
            colorbar=True):  # fmt: skip
    """Draw a map half transparent over the grey image: `alpha` of it everywhere. Other parameters as in `heat_map`.

    image : array (C, H, W) or (H, W), grey or RGB
    """
    shown, scale, sign = _prepared("overlay", values, sign, scale, outlier_perc)
    picture = _fitting("overlay", image, shown)
    ax = new_axes(ax)
    ax.imshow(picture.mean(2), cmap="gray", vmin=0, vmax=1)
    drawn = ax.imshow(
        shades(shown, scale), cmap=cmap or COLOURS[sign], vmin=-1 if sign == "all" else 0, vmax=1, alpha=alpha
    )
    return _finished(ax, drawn, scale, sign, title, colorbar)


def blended(values, image, ax=None, *, sign=None, scale=None, outlier_perc=OUTLIERS, cmap=None, title=None,
            colorbar=True):  # fmt: skip
    """Draw a map over the faded image, as opaque as it is strong: where it says nothing the image is seen.

    Parameters as in `overlay`.
    """
    shown, scale, sign = _prepared("blended", values, sign, scale, outlier_perc)
    picture = _fitting("blended", image, shown)
    ax = new_axes(ax)
    ax.imshow(0.45 + 0.5 * picture.mean(2), cmap="gray", vmin=0, vmax=1)
    strength = shades(shown, scale)
    drawn = ax.imshow(
        strength,
        cmap=cmap or COLOURS[sign],
        vmin=-1 if sign == "all" else 0,
        vmax=1,
        alpha=np.sqrt(np.abs(strength)),
    )
    return _finished(ax, drawn, scale, sign, title, colorbar)


def masked(values, image, ax=None, *, sign="positive", scale=None, outlier_perc=OUTLIERS, title=None, colorbar=False):
    """Draw the image multiplied by the map: what the map has nothing to say about is black.

    Parameters as in `overlay`; a sign of 'all' has no meaning here.
    """
    if sign == "all":
        raise ValueError("masked: sign is 'all', expected 'positive', 'negative' or 'absolute': a pixel is kept or not")
    shown, scale, sign = _prepared("masked", values, sign, scale, outlier_perc)
    picture = _fitting("masked", image, shown)
    ax = new_axes(ax)
    ax.imshow(picture * shades(shown, scale)[..., None])
    return _finished(ax, None, scale, sign, title, colorbar)


def picture(image, ax=None, *, small=False, title=None):
    """Draw an image alone; a small grey one in ink on paper, as the outlines of `grid` are drawn."""
    shown, ax = displayable(image, "picture"), new_axes(ax)
    paper = small and np.ptp(shown, axis=2).max() == 0
    ax.imshow(1 - shown if paper else shown, vmin=0, vmax=1)
    ax.axis("off")
    if title:
        ax.set_title(title, fontsize=10)
    return ax


def range_text(scale, sign):
    """What the colours stand for, in words."""
    number = f"{scale:.2g}"
    return {"all": f"±{number}", "negative": f"0 to -{number}"}.get(sign, f"0 to {number}") if scale else "all zero"


def _prepared(function, values, sign, scale, outlier_perc):
    """The map that is shown (H, W), the magnitude of its full colour, and its sign."""
    values = flat(values, function)
    sign = sign or natural_sign(values)
    shown = signed(values, sign, function)
    if scale is not None and not scale > 0:
        raise ValueError(
            f"{function}: scale is {scale!r}, expected a positive number, the magnitude of the full colour"
        )
    return shown, full_colour(shown, outlier_perc) if scale is None else scale, sign


def _fitting(function, image, shown):
    picture = displayable(image, function)
    if picture.shape[:2] != shown.shape:
        raise ValueError(
            f"{function}: the map is {shown.shape} and the image {picture.shape[:2]} pixels, expected the same; "
            "upsample the map of a layer first"
        )
    return picture


def _finished(ax, image, scale, sign, title, colorbar):
    """No ticks; the scale beside the map, or below it."""
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(color="#cccccc", linewidth=0.6)
    if title:
        ax.set_title(title, fontsize=10)
    if colorbar and image is not None and scale:
        bar = ax.figure.colorbar(image, ax=ax, fraction=0.046, pad=0.03)
        ends = {"all": (-1, 0, 1)}.get(sign, (0, 1))
        bar.set_ticks(ends, labels=[f"{(-1 if sign == 'negative' else 1) * end * scale:.2g}" for end in ends])
        bar.outline.set_visible(False)
        if sign == "all":
            bar.set_label("against the class  |  for it", fontsize=8, color=GREY)
    else:
        ax.set_xlabel(range_text(scale, sign), fontsize=7, color=GREY, labelpad=2)
    return ax
