"""From numbers to shades: which sign of a map is shown, and which value gets the full colour.

A map's unit is that of the score, and its largest values are often a few single pixels; if those set the scale,
everything else is pale. So the full colour stands for the value up to which the sorted magnitudes add up to 98 % of
their sum (the rule of Captum's `visualize_image_attr`); the few above it are clipped. Zero is always the neutral
colour.
"""

import numpy as np

SIGNS = ("all", "positive", "negative", "absolute")
OUTLIERS = 2.0  # per cent of the sum of magnitudes that may lie in values beyond the scale


def flat(values, function="flat"):
    """A map (H, W), or (C, H, W) summed over its channels, as float64."""
    values = np.asarray(values, np.float64)
    if values.ndim not in (2, 3):
        raise ValueError(
            f"{function}: the map has shape {values.shape}, expected one sample's, (C, H, W) or (H, W); "
            "of a batch take one: attribution[0]"
        )
    if not np.isfinite(values).all():
        raise ValueError(f"{function}: the map holds NaN or infinity")
    return values.sum(0) if values.ndim == 3 else values


def signed(values, sign, function="signed"):
    """The part of a map that is to be seen: 'all', 'positive', 'negative' (as magnitudes) or 'absolute'."""
    if sign not in SIGNS:
        raise ValueError(f"{function}: sign is {sign!r}, expected one of {', '.join(SIGNS)}")
    return {
        "all": lambda: values,
        "positive": lambda: np.maximum(values, 0),
        "negative": lambda: np.maximum(-values, 0),
        "absolute": lambda: np.abs(values),
    }[sign]()


def natural_sign(values):
    """'all' for a map that has negative values, else 'absolute'."""
    return "all" if (np.asarray(values) < 0).any() else "absolute"


def full_colour(values, outlier_perc=OUTLIERS):
    """The magnitude that gets the full colour; 0 for a map of zeros.

    Parameters
    ----------
    values : ndarray
    outlier_perc : float in [0, 100)
        How much of the sum of magnitudes may lie beyond it; 0 is the largest magnitude.
    """
    if not 0 <= outlier_perc < 100:
        raise ValueError(f"full_colour: outlier_perc is {outlier_perc!r}, expected a number from 0 to below 100")
    magnitudes = np.sort(np.abs(values), axis=None)
    total = np.cumsum(magnitudes)
    return float(magnitudes[np.flatnonzero(total >= total[-1] * (0.01 * (100 - outlier_perc)))[0]])


def shades(values, scale):
    """The map in [-1, 1]: 1 is the full colour. A map of zeros stays one, whatever its scale."""
    values = np.asarray(values, np.float64)
    return np.clip(values / scale, -1, 1) if scale > 0 else np.zeros(values.shape)


class Shown:
    """A map as it is drawn.

    Attributes
    ----------
    sign : str
    strength : ndarray (H, W)
        In [-1, 1] or [0, 1]; 1 is the full colour.
    low, high : float
        The magnitudes of no colour and of the full colour.
    """

    def __init__(self, function, values, sign=None, scale=None, outlier_perc=OUTLIERS):
        self.function, values = function, flat(values, function)
        self.sign = sign or natural_sign(values)
        shown = signed(values, self.sign, function)
        if scale is not None and not scale > 0:
            raise ValueError(
                f"{function}: scale is {scale!r}, expected a positive number, the magnitude of the full colour"
            )
        self.high = full_colour(shown, outlier_perc) if scale is None else float(scale)
        lifted = scale is None and self.sign == "absolute" and self.high > shown.min() > self.high / 2
        self.low = float(shown.min()) if lifted else 0.0
        self.strength = shades(shown - self.low, self.high - self.low)

    def value(self, place):
        """What a strength stands for."""
        magnitude = self.low + place * (self.high - self.low)
        return -magnitude if self.sign == "negative" else magnitude

    def __str__(self):
        if not self.high:
            return "all zero"
        if self.sign == "all":
            return f"±{self.high:.2g}"
        low, high = (f"{self.value(place):.{2 + bool(self.low)}g}" for place in (0, 1))
        return f"{low.removeprefix('-') if not self.low else low} to {high}"

    def fitting(self, image):
        """The image (H, W, 3), which must have the map's size."""
        image = displayable(image, self.function)
        if image.shape[:2] != self.strength.shape:
            raise ValueError(
                f"{self.function}: the map is {self.strength.shape} and the image {image.shape[:2]} pixels, expected "
                "the same; upsample the map of a layer first"
            )
        return image


def displayable(image, function="displayable"):
    """An image (C, H, W) or (H, W), grey or RGB, as (H, W, 3) in [0, 1]; what goes beyond is rescaled, not clipped."""
    image = np.asarray(image, np.float64)
    image = image[None] if image.ndim == 2 else image
    if image.ndim != 3 or image.shape[0] not in (1, 3):
        raise ValueError(f"{function}: the image has shape {image.shape}, expected (1, H, W), (3, H, W) or (H, W)")
    low, high = image.min(), image.max()
    if low < 0 or high > 1:
        image = (image - low) / (high - low) if high > low else np.clip(image, 0, 1)
    return np.broadcast_to(image, (3, *image.shape[1:])).transpose(1, 2, 0)
