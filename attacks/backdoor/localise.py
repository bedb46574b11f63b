"""Where is the trigger? A mask that was found, beside the one that was planted."""
import numpy as np


def binarised(mask, level=0.5):
    """The pixels (H, W) where a mask is at least `level` times its largest value.

    Relative, since a search for small masks leaves them half transparent where that suffices.
    """
    mask = np.asarray(mask)
    if mask.ndim != 2 or not mask.size or not (mask.min() >= 0 and np.isfinite(mask.max())):
        raise ValueError(f"binarised: mask has shape {mask.shape}, expected (H, W) with finite values of at least 0")
    return (mask >= level * mask.max()) & (mask > 0)


def iou(mask, planted, level=0.5):
    """Intersection over union of a found mask and the planted one: 1 where they agree, 0 where they do not touch.

    Parameters
    ----------
    mask : array (H, W)
        Found. Booleans are taken as they are, numbers through `binarised` at `level`.
    planted : array of bool (H, W)

    Returns
    -------
    float in [0, 1]
    """
    mask, planted = np.asarray(mask), np.asarray(planted)
    if planted.dtype != bool or mask.shape != planted.shape or not planted.any():
        raise ValueError(f"iou: mask has shape {mask.shape}, planted is {planted.dtype} of shape {planted.shape}, "
                         "expected equal shapes (H, W) and booleans, at least one True, for the planted one")
    found = mask if mask.dtype == bool else binarised(mask, level)
    return float((found & planted).sum() / (found | planted).sum())
