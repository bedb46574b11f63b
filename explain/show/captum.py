"""What Captum's `visualize_image_attr` draws, by the same names, for those who come from there.

Arrays are (H, W, C) here, as there. Where Captum fails or misleads this does not: a map of zeros is drawn as one, an
image with negative values is rescaled, and nothing is ever shown on a screen.
"""

import numpy as np

from .axes import new_axes
from .scale import displayable, flat, full_colour, shades, signed

METHODS = ("heat_map", "blended_heat_map", "original_image", "masked_image", "alpha_scaling")
SIGNS = {"all": "all", "positive": "positive", "negative": "negative", "absolute_value": "absolute"}
COLOURS = {"all": ("red", "white", "green"), "positive": "Greens", "negative": "Reds", "absolute_value": "Blues"}


def visualize_image_attr(
    attr,
    original_image=None,
    method="heat_map",
    sign="absolute_value",
    plt_fig_axis=None,
    outlier_perc=2,
    cmap=None,
    alpha_overlay=0.5,
    show_colorbar=False,
    title=None,
    fig_size=(6, 6),
    use_pyplot=True,
):
    """Draw one attribution as Captum does.

    Parameters
    ----------
    attr : array (H, W, C) or (H, W)
        Channels are added up.
    original_image : array (H, W, C), optional
        In [0, 1] or, if its largest value is above 1, in [0, 255].
    method : 'heat_map', 'blended_heat_map', 'original_image', 'masked_image' or 'alpha_scaling'
    sign : 'positive', 'absolute_value', 'negative' or 'all'
        'all' is refused by the last two methods, which have no way to show a sign.
    plt_fig_axis : (Figure, Axes), optional
    outlier_perc : float
        See `explain.show.full_colour`.
    cmap, alpha_overlay, show_colorbar, title, fig_size
        As in Captum.
    use_pyplot : bool
        Make the figure with pyplot, which keeps it in its list. Unlike Captum's it is not shown.

    Returns
    -------
    (Figure, Axes)

    Raises
    ------
    ValueError
        For a name that is not among these, or no image where one is needed.
    """
    _check(method, sign, original_image)
    image = None if original_image is None else _as_bytes(np.asarray(original_image))
    attr = np.asarray(attr)
    shown = signed(flat(attr.transpose(2, 0, 1) if attr.ndim == 3 else attr, "visualize_image_attr"), SIGNS[sign])
    strength = shades(shown, full_colour(shown, outlier_perc))
    figure, ax = plt_fig_axis or _figure(fig_size, use_pyplot)
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)
    colours = {"cmap": cmap or _colours(sign), "vmin": -1 if sign == "all" else 0, "vmax": 1}
    drawn = None
    if method == "heat_map":
        drawn = ax.imshow(strength, **colours)
    elif method == "blended_heat_map":
        ax.imshow(image.mean(2), cmap="gray")
        drawn = ax.imshow(strength, alpha=alpha_overlay, **colours)
    elif method == "original_image":
        ax.imshow(image)
    elif method == "masked_image":
        ax.imshow((image * strength[..., None]).astype(int))
    else:
        ax.imshow(np.concatenate([image, (255 * strength[..., None]).astype(int)], axis=2))
    if show_colorbar and drawn is not None:
        figure.colorbar(drawn, ax=ax, orientation="horizontal", fraction=0.046, pad=0.04)
    if title:
        ax.set_title(title)
    return figure, ax


def _check(method, sign, image):
    for name, given, known in (("method", method, METHODS), ("sign", sign, SIGNS)):
        if given not in known:
            raise ValueError(f"visualize_image_attr: {name} is {given!r}, expected one of {', '.join(known)}")
    if image is None and method != "heat_map":
        raise ValueError(f"visualize_image_attr: {method} needs original_image; only heat_map does without")
    if sign == "all" and method in ("masked_image", "alpha_scaling"):
        raise ValueError(
            f"visualize_image_attr: {method} cannot show sign='all'; choose positive, negative or absolute_value"
        )


def _as_bytes(image):
    """(H, W, 3) of integers in 0..255, cut off as Captum does."""
    if image.ndim != 3 or image.shape[2] not in (1, 3):
        raise ValueError(
            f"visualize_image_attr: original_image has shape {image.shape}, expected (H, W, 1) or (H, W, 3)"
        )
    bytes_already = image.max() > 1 and image.min() >= 0 and image.max() <= 255
    shown = image / 255 if bytes_already else image
    return np.clip((displayable(shown.transpose(2, 0, 1), "visualize_image_attr") * 255).astype(int), 0, 255)


def _colours(sign):
    if sign != "all":
        return COLOURS[sign]
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("RdWhGn", COLOURS[sign])


def _figure(size, use_pyplot):
    if use_pyplot:
        ax = new_axes(size=size)
        return ax.figure, ax
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots()
