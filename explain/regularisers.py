"""What keeps a made image from being noise: small objects that may be combined, each with one idea.

    L2(1e-3)               a penalty on the distance from grey
    TotalVariation(1e-3)   a penalty on differences between neighbours
    Jitter(16)             before each look, roll the image by a random shift: no pixel is special
    Blur(0.5, every=10)    now and then, smooth it: what the score does not rebuild at once was noise

A penalty is part of the loss; a transform stands between the image and the model, and the gradient passes back through
it; a projection changes the image after a step. A regulariser of one's own is a subclass of `Regulariser` with one of
the three methods.
"""

from dataclasses import dataclass

from minigrad import cat


class Regulariser:
    """What all share: three things to do, none of which is done."""

    @property
    def name(self):
        """Of the penalty, in the trace of losses."""
        return type(self).__name__

    def penalty(self, image):
        """The loss (N,) that is added for the image, a Tensor (N, C, H, W), or None."""
        return None

    def transform(self, image, rng):
        """The image as the model is to see it: a Tensor (N, C, H', W')."""
        return image

    def project(self, images, step):
        """The images, an ndarray in [0, 1], after step number `step`, counted from 1."""
        return images


@dataclass(frozen=True)
class L2(Regulariser):
    """strength * sum of (x - centre)^2: no pixel without a reason. Simonyan et al. 2014.

    The paper's images are mean-subtracted, so theirs is the distance from the mean image; here, from grey.
    """

    strength: float
    centre: float = 0.5

    def __post_init__(self):
        _at_least_zero(self, strength=self.strength)

    def penalty(self, image):
        """One number an image."""
        return self.strength * ((image - self.centre) ** 2).sum((1, 2, 3))


@dataclass(frozen=True)
class TotalVariation(Regulariser):
    """strength * sum of squared differences of neighbours, down and to the right: CS231n's total variation.

    Mahendran and Vedaldi 2015, with beta = 2.
    """

    strength: float

    def __post_init__(self):
        _at_least_zero(self, strength=self.strength)

    def penalty(self, image):
        """One number an image."""
        return self.strength * total_variation(image)


@dataclass(frozen=True)
class Jitter(Regulariser):
    """Roll the image by up to `pixels` each way before the model sees it, and back. Mordvintsev et al. 2015."""

    pixels: int

    def __post_init__(self):
        _at_least_zero(self, pixels=self.pixels)

    def transform(self, image, rng):
        """What leaves on one side comes in on the other."""
        down, right = rng.integers(-self.pixels, self.pixels, size=2, endpoint=True)
        return roll(roll(image, int(down), 2), int(right), 3)


@dataclass(frozen=True)
class Blur(Regulariser):
    """Every so many steps, a Gaussian blur of standard deviation `sigma` pixels. Yosinski et al. 2015."""

    sigma: float = 0.5
    every: int = 1

    def __post_init__(self):
        _at_least_zero(self, sigma=self.sigma)
        if self.every < 1:
            raise ValueError(f"Blur: every is {self.every}, expected at least 1 step")

    def project(self, images, step):
        """Edges are continued by reflection."""
        from scipy.ndimage import gaussian_filter

        return images if step % self.every else gaussian_filter(images, (0, 0, self.sigma, self.sigma))


def total_variation(image):
    """The sum of squared differences between neighbours, down and to the right, of a Tensor (N, C, H, W): (N,)."""
    down, right = image[:, :, 1:] - image[:, :, :-1], image[:, :, :, 1:] - image[:, :, :, :-1]
    return (down**2).sum((1, 2, 3)) + (right**2).sum((1, 2, 3))


def roll(image, shift, dim):
    """`numpy.roll` of a Tensor along one axis."""
    length = image.shape[dim]
    shift %= max(length, 1)
    if not shift:
        return image
    head, tail = ((slice(None),) * dim + (part,) for part in (slice(length - shift, None), slice(length - shift)))
    return cat([image[head], image[tail]], dim)


def _at_least_zero(regulariser, **values):
    for name, value in values.items():
        if not value >= 0:
            raise ValueError(f"{type(regulariser).__name__}: {name} is {value!r}, expected a number of at least 0")
