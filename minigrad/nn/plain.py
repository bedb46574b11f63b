"""The layers without weights: functions of `minigrad.functional` with their settings, to stand in a model."""

import numpy as np

from .. import functional as F
from ..functional.arguments import floats, generator
from ..ops.elementwise import as_tensor
from .module import Module


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, x):
        """The shape stays."""
        return F.relu(x)


class LeakyReLU(Module):
    """x where x > 0, else negative_slope * x."""

    def __init__(self, negative_slope=0.01):
        self.negative_slope = negative_slope

    def forward(self, x):
        """The shape stays."""
        return F.leaky_relu(x, self.negative_slope)


class ELU(Module):
    """x where x > 0, else alpha * (exp(x) - 1)."""

    def __init__(self, alpha=1.0):
        self.alpha = alpha

    def forward(self, x):
        """The shape stays."""
        return F.elu(x, self.alpha)


class GELU(Module):
    """x times the normal distribution function of x."""

    def __init__(self, approximate="none"):
        self.approximate = approximate

    def forward(self, x):
        """The shape stays."""
        return F.gelu(x, self.approximate)


class SiLU(Module):
    """x * sigmoid(x)."""

    def forward(self, x):
        """The shape stays."""
        return F.silu(x)


class Softplus(Module):
    """log(1 + exp(beta * x)) / beta."""

    def __init__(self, beta=1.0, threshold=20.0):
        self.beta, self.threshold = beta, threshold

    def forward(self, x):
        """The shape stays."""
        return F.softplus(x, self.beta, self.threshold)


class Sigmoid(Module):
    """1 / (1 + exp(-x))."""

    def forward(self, x):
        """The shape stays."""
        return F.sigmoid(x)


class Tanh(Module):
    """Hyperbolic tangent."""

    def forward(self, x):
        """The shape stays."""
        return F.tanh(x)


class Softmax(Module):
    """Probabilities from scores along `dim`."""

    def __init__(self, dim=-1):
        self.dim = dim

    def forward(self, x):
        """The shape stays."""
        return F.softmax(x, self.dim)


class LogSoftmax(Module):
    """Log-probabilities from scores along `dim`."""

    def __init__(self, dim=-1):
        self.dim = dim

    def forward(self, x):
        """The shape stays."""
        return F.log_softmax(x, self.dim)


class MaxPool2d(Module):
    """The largest value of each window."""

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False):
        self.kernel_size, self.stride, self.padding, self.ceil_mode = kernel_size, stride, padding, ceil_mode

    def forward(self, x):
        """(N, C, H, W) to (N, C, H', W')."""
        return F.max_pool2d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode)


class AvgPool2d(Module):
    """The mean of each window."""

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, x):
        """(N, C, H, W) to (N, C, H', W')."""
        return F.avg_pool2d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)


class AdaptiveAvgPool2d(Module):
    """Means over windows laid so that the output has `output_size`."""

    def __init__(self, output_size):
        self.output_size = output_size

    def forward(self, x):
        """(N, C, H, W) to (N, C, *output_size)."""
        return F.adaptive_avg_pool2d(x, self.output_size)


class Upsample(Module):
    """Images resized to `size` or by `scale_factor`."""

    def __init__(self, size=None, scale_factor=None, mode="nearest", align_corners=False):
        self.size, self.scale_factor, self.mode, self.align_corners = size, scale_factor, mode, align_corners

    def forward(self, x):
        """(N, C, H, W) to (N, C, H', W')."""
        return F.interpolate(x, self.size, self.scale_factor, self.mode, self.align_corners)


class ZeroPad2d(Module):
    """Zeros around images: an integer, or (left, right, top, bottom)."""

    def __init__(self, padding):
        self.padding = (padding,) * 4 if isinstance(padding, int) else tuple(padding)

    def forward(self, x):
        """(N, C, H, W) to (N, C, top + H + bottom, left + W + right)."""
        return F.pad(x, self.padding)


class Dropout(Module):
    """Elements zeroed with probability p in training, drawn from `rng`. Srivastava et al. 2014."""

    def __init__(self, p=0.5, *, rng=None):
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout: p is {p}, expected a probability in [0, 1]")
        self.p = p
        self.rng = generator("Dropout", rng)

    def forward(self, x):
        """The shape stays."""
        return F.dropout(x, self.p, self.training, rng=self.rng)


class Flatten(Module):
    """All axes from start_dim to end_dim made one."""

    def __init__(self, start_dim=1, end_dim=-1):
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x):
        """(N, C, H, W) to (N, C * H * W)."""
        return as_tensor(x, what="Flatten: x").flatten(self.start_dim, self.end_dim)


class Identity(Module):
    """x itself."""

    def forward(self, x):
        """The shape stays."""
        return x


class Standardize(Module):
    """(x - mean) / std per channel, as a model's first layer: models take pixels in [0, 1].

    Parameters
    ----------
    mean, std : float or sequence of C floats
        Constants of the data, in the units of x; they are not part of the state dict.
    """

    def __init__(self, mean, std):
        self.mean, self.std = ([float(v) for v in np.atleast_1d(a)] for a in (mean, std))
        if not min(self.std, default=0) > 0:
            raise ValueError(f"Standardize: std is {std}, expected positive numbers")
        if 1 != len(self.mean) != len(self.std) != 1:
            raise ValueError(f"Standardize: mean {mean} and std {std} are of different lengths; expected one number a "
                             "channel")

    def forward(self, x):
        """(N, C, H, W), the shape stays."""
        x = floats("Standardize", x)
        expected = max(len(self.mean), len(self.std))
        if expected > 1 and x.shape[-3:-2] != (expected,):  # else a grey image would be repeated for every channel
            raise ValueError(f"Standardize: x has shape {x.shape}, expected (N, {expected}, H, W): mean and std are of "
                             f"{expected} channels; for a grey image pass np.repeat(x, {expected}, 1)")
        mean, std = (np.array(v, x.dtype).reshape(-1, 1, 1) for v in (self.mean, self.std))
        return (x - mean) / std


class CrossEntropyLoss(Module):
    """`functional.cross_entropy` with its settings."""

    def __init__(self, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
        self.weight, self.ignore_index = weight, ignore_index
        self.reduction, self.label_smoothing = reduction, label_smoothing

    def forward(self, logits, target):
        """Logits (N, C) and labels (N,) to a number."""
        return F.cross_entropy(logits, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing)


class NLLLoss(Module):
    """`functional.nll_loss` with its settings."""

    def __init__(self, weight=None, ignore_index=-100, reduction="mean"):
        self.weight, self.ignore_index, self.reduction = weight, ignore_index, reduction

    def forward(self, log_probabilities, target):
        """Log-probabilities (N, C) and labels (N,) to a number."""
        return F.nll_loss(log_probabilities, target, self.weight, self.ignore_index, self.reduction)


class MSELoss(Module):
    """`functional.mse_loss` with its settings."""

    def __init__(self, reduction="mean"):
        self.reduction = reduction

    def forward(self, x, target):
        """Two tensors of one shape to a number."""
        return F.mse_loss(x, target, self.reduction)
