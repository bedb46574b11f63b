"""Where an attack may go: the ball around each image, cut by the bounds of the pixels and by a mask.

Two facts of rounding are settled here, once. In float32 the sum x + 0.3 is often a little more than 0.3 away from x,
and a perturbation scaled to length eps is half of the time a little longer. So limits are rounded toward x, and what
is still too long is shortened by a few units in the last place: an image that a ball has confined is inside, measured
in its own dtype or in float64.
"""
import numpy as np

from .norms import Linf, flat, in_float64, per_sample, toward


class Ball:
    """All images within `eps` of x in a norm, inside `bounds`, and equal to x where the mask is False.

    Parameters
    ----------
    norm : Norm
    x : ndarray of shape (N, ...)
    eps : float or array of shape (N,)
    bounds : (low, high)
    mask : boolean array that broadcasts to x's shape, optional
    """

    def __init__(self, norm, x, eps, bounds, mask=None):
        dtype = x.dtype.type
        self.norm, self.x = norm, x
        self.eps = np.broadcast_to(_rounded_down(eps, dtype), len(x))
        self.mask = None if mask is None else np.broadcast_to(mask, x.shape)
        low, high = (np.full_like(x, bound) for bound in bounds)
        if isinstance(norm, Linf):
            reach = self.eps.reshape(-1, *(1,) * (x.ndim - 1))  # float64, as it is
            low, high = np.maximum(low, toward(x, -reach)), np.minimum(high, toward(x, reach))
        if mask is not None:
            low, high = np.where(self.mask, low, x), np.where(self.mask, high, x)
        self.low, self.high = low, high

    def confine(self, y, index):
        """The images y of the samples at `index`, brought into their balls."""
        if isinstance(self.norm, Linf):
            return np.clip(y, self.low[index], self.high[index])
        x, eps, low, high = self.x[index], self.eps[index], self.low[index], self.high[index]
        y = np.clip(x + self.norm.project_in_box(y - x, eps, low - x, high - x), low, high)
        over = self._size(y, x) > eps
        if over.any():
            y[over] = self._shortened(y[over], x[over], eps[over])
        y[eps == 0] = x[eps == 0]  # a length that underflows to 0 is not 0
        return y

    def step(self, g, y, size, index):
        """A step of length `size` (N,) from y, uphill along the gradient g, blind to what the mask hides."""
        if self.mask is not None:
            g = np.where(self.mask[index], g, 0)
        return self.norm.steepest_in_box(g, size, y, self.low[index], self.high[index])

    def random(self, rngs, index):
        """For each sample at `index` a random image of its ball, from the sample's own generator in `rngs`."""
        d = [self.norm.random((1, *self.x.shape[1:]), self.eps[i], rngs[i]) for i in index]
        return self.confine((self.x[index] + np.concatenate(d)).astype(self.x.dtype), index)

    def _size(self, y, x):
        return np.maximum(self.norm.distance(in_float64(y, x)), self.norm.distance(y - x))

    def _shortened(self, y, x, eps):
        d = in_float64(y, x)
        slack = 1 - 16 * np.finfo(x.dtype).eps
        return toward(x, d * per_sample(slack * eps / self.norm.distance(d), d))


class SharedBall:
    """Where one change for all images may be: within `eps` itself, and so that every image with it is in its own ball.

    The second does not follow from the first: x + d is rounded, and the image may be farther from x than d is long.

    Parameters
    ----------
    norm, x, eps, bounds : as of `Ball`, eps one number
    """

    def __init__(self, norm, x, eps, bounds):
        room = bounds[1] - bounds[0]
        self.change, self.images = Ball(norm, np.zeros_like(x[:1]), eps, (-room, room)), Ball(norm, x, eps, bounds)

    def confine(self, d):
        """The change d (1, ...), brought into the ball."""
        return self.change.confine(d, [0])

    def added(self, d, index=slice(None)):
        """The images at `index` with the change."""
        return self.images.confine(self.images.x[index] + d, index)


def _rounded_down(eps, dtype):
    """eps in a dtype that may not hold it, not above it: float32(0.3) is 0.3 and a hundred-millionth."""
    eps = np.asarray(eps, np.float64)
    near = eps.astype(dtype)
    return np.where(near > eps, np.nextafter(near, dtype(0)), near).astype(np.float64)


def as_mask(attack, mask, shape):
    """A mask as booleans that broadcast to `shape`, the images'; None stays None."""
    if mask is None:
        return None
    mask = np.asarray(mask)
    if mask.dtype != bool:
        raise TypeError(f"{attack}: mask has dtype {mask.dtype}, expected bool, True where the attack may change a "
                        "value; of a heat map take a threshold: heat > 0.5, or top_region(heat, 0.1)")
    try:
        fits = np.broadcast_shapes(mask.shape, shape) == tuple(shape)
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"{attack}: mask has shape {mask.shape}, which does not broadcast to the images' {shape}")
    return mask


def top_region(heat, fraction):
    """The part of the pixels where a heat map is largest, as a mask to attack inside of, or to paint over.

    Parameters
    ----------
    heat : array_like of shape (N, C, H, W)
        Of several channels the sum decides, so that a pixel is in or out as a whole.
    fraction : float in [0, 1]
        Of the pixels; rounded to a whole number of them, ties go to the first.

    Returns
    -------
    ndarray of bool, shape (N, 1, H, W)
    """
    heat = np.asarray(heat)
    if heat.ndim != 4:
        raise ValueError(f"top_region: heat has shape {heat.shape}, expected (N, C, H, W)")
    if not 0 <= fraction <= 1:
        raise ValueError(f"top_region: fraction is {fraction!r}, expected a number in [0, 1]")
    summed = heat.sum(1, keepdims=True)
    order = np.argsort(-flat(summed), axis=1, kind="stable")
    region = np.zeros(flat(summed).shape, bool)
    np.put_along_axis(region, order[:, :round(fraction * order.shape[1])], True, 1)
    return region.reshape(summed.shape)
