"""Pictures of attributions. Matplotlib lives in this folder only, and is imported when something is drawn.

    heat_map(values)            the map alone
    overlay(values, image)      the map's colours, half transparent, over the grey image
    blended(values, image)      the image, faded, and coloured where the map has something to say
    masked(values, image)       the image where the map is strong, dark elsewhere
    grid(attributions)          methods x images x classes
    curves(measurement)         a metric's curve beside its controls
    cascade(measurements)       maps, and their likeness, while a model is randomised
    occlusion_maps(found, x)    what a patch does wherever it lies
    error_curves(errors, steps) how far each rule of quadrature is from the exact integral
    visualize_image_attr        what Captum's function of that name draws

A map with both signs has symmetric colours, red for what speaks for the class and blue for what speaks against it, and
zero is white; one without has a sequential scale. What the full colour stands for is written beside or below each map.
Values are one sample's, (C, H, W) or (H, W); channels are added up. Everything draws into the axes it is given, or
makes some, and returns them; nothing is shown or saved.
"""

from .captum import visualize_image_attr
from .errors import error_curves
from .grids import grid
from .lines import cascade, curves
from .maps import blended, heat_map, masked, overlay, picture
from .occluded import occlusion_maps
from .scale import full_colour

__all__ = [
    "blended", "cascade", "curves", "error_curves", "full_colour", "grid", "heat_map", "masked", "occlusion_maps",
    "overlay", "picture", "visualize_image_attr",
]  # fmt: skip
