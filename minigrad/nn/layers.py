"""The layers with weights in them, with the constructor arguments of `torch.nn`.

Every one takes `rng`, a np.random.Generator for its first weights (a fresh one if None), and starts as PyTorch's does.
"""
import numpy as np

from .. import functional as F
from ..functional.arguments import generator
from ..kernels import weight_layout
from ..kernels.geometry import pair
from ..tensor import Tensor
from . import init
from .module import Module, Parameter


class Linear(Module):
    """x @ weight.T + bias for x of shape (..., in_features)."""

    def __init__(self, in_features, out_features, bias=True, *, rng=None):
        _check_sizes("Linear", in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.weight = _weight(out_features, in_features)
        self.bias = _vector(out_features) if bias else None
        init.torch_default(self.weight, self.bias, generator("Linear", rng))

    def forward(self, x):
        """(..., in_features) to (..., out_features)."""
        return F.linear(x, self.weight, self.bias)


class Conv2d(Module):
    """Cross-correlation of images (N, in_channels, H, W) with out_channels filters."""

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True, *,
                 rng=None):
        _check_sizes("Conv2d", in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"Conv2d: groups={groups} must divide in_channels={in_channels} and "
                             f"out_channels={out_channels}")
        self.kernel_size = pair(kernel_size, "Conv2d: kernel_size")
        self.stride, self.dilation = pair(stride, "Conv2d: stride"), pair(dilation, "Conv2d: dilation")
        self.padding = padding if isinstance(padding, str) else pair(padding, "Conv2d: padding")
        self.groups = groups
        self.weight = _weight(out_channels, in_channels // groups, *self.kernel_size)
        self.bias = _vector(out_channels) if bias else None
        init.torch_default(self.weight, self.bias, generator("Conv2d", rng))

    def forward(self, x):
        """(N, in_channels, H, W) to (N, out_channels, H', W')."""
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class ConvTranspose2d(Module):
    """The transposed convolution, which enlarges images by `stride`."""

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, output_padding=0, groups=1,
                 bias=True, dilation=1, *, rng=None):
        _check_sizes("ConvTranspose2d", in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"ConvTranspose2d: groups={groups} must divide in_channels={in_channels} and "
                f"out_channels={out_channels}"
            )
        self.kernel_size = pair(kernel_size, "ConvTranspose2d: kernel_size")
        self.stride, self.padding, self.output_padding = stride, padding, output_padding
        self.groups, self.dilation = groups, dilation
        self.weight = _weight(in_channels, out_channels // groups, *self.kernel_size)
        self.bias = _vector(out_channels) if bias else None
        init.torch_default(self.weight, self.bias, generator("ConvTranspose2d", rng))

    def forward(self, x):
        """(N, in_channels, H, W) to (N, out_channels, H', W')."""
        return F.conv_transpose2d(x, self.weight, self.bias, self.stride, self.padding, self.output_padding,
                                  self.groups, self.dilation)


class BatchNorm2d(Module):
    """Each channel normalised, by the batch or in evaluation by running statistics. Ioffe and Szegedy 2015."""

    axes = 4

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True):
        _check_sizes(type(self).__name__, num_features=num_features)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.weight = Parameter(np.ones(num_features, np.float32)) if affine else None
        self.bias = _vector(num_features) if affine else None
        self.running_mean = Tensor(np.zeros(num_features, np.float32)) if track_running_stats else None
        self.running_var = Tensor(np.ones(num_features, np.float32)) if track_running_stats else None
        self.num_batches_tracked = Tensor(np.zeros((), np.int64)) if track_running_stats else None

    def forward(self, x):
        """The shape stays."""
        if len(x.shape) != self.axes and not (self.axes == 2 and len(x.shape) == 3):
            raise ValueError(f"{type(self).__name__}: x has shape {x.shape}, expected {self.axes} axes, channels "
                             "second")
        momentum = self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.data = self.num_batches_tracked.data + 1
            momentum = 1 / float(self.num_batches_tracked.data) if momentum is None else momentum
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, self.training, momentum,
                            self.eps)


class BatchNorm1d(BatchNorm2d):
    """Batch norm for (N, C) or (N, C, L)."""

    axes = 2


class LayerNorm(Module):
    """Each sample normalised over its last axes. Ba et al. 2016."""

    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True):
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps = eps
        self.weight = Parameter(np.ones(self.normalized_shape, np.float32)) if elementwise_affine else None
        self.bias = Parameter(np.zeros(self.normalized_shape, np.float32)) if elementwise_affine else None

    def forward(self, x):
        """The shape stays."""
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)


class Embedding(Module):
    """A table of vectors, read by index."""

    def __init__(self, num_embeddings, embedding_dim, padding_idx=None, *, rng=None):
        _check_sizes("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(f"Embedding: padding_idx is {padding_idx}, expected one of the {num_embeddings} rows")
        self.padding_idx = padding_idx
        self.weight = Parameter(np.empty((num_embeddings, embedding_dim), np.float32))
        init.normal(self.weight, 0, 1, generator("Embedding", rng))
        if padding_idx is not None:
            self.weight.data[padding_idx] = 0

    def forward(self, indices):
        """Integers of any shape to vectors of shape (*indices, embedding_dim)."""
        return F.embedding(indices, self.weight, self.padding_idx)


class MultiheadAttention(Module):
    """Self- or cross-attention in several heads, for sequences (N, L, E). Vaswani et al. 2017.

    PyTorch's layer with ``batch_first=True``; weights have its names. Returns the output alone.
    """

    def __init__(self, embed_dim, num_heads, dropout=0.0, bias=True, *, rng=None):
        _check_sizes("MultiheadAttention", embed_dim=embed_dim, num_heads=num_heads)
        if embed_dim % num_heads:
            raise ValueError(f"MultiheadAttention: num_heads={num_heads} must divide embed_dim={embed_dim}")
        rng = generator("MultiheadAttention", rng)
        self.num_heads, self.dropout, self.rng = num_heads, dropout, rng
        self.in_proj_weight = _weight(3 * embed_dim, embed_dim)
        self.in_proj_bias = _vector(3 * embed_dim) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, rng=rng)
        init.xavier_uniform(self.in_proj_weight, rng)
        if bias:
            init.constant(self.out_proj.bias, 0)

    def forward(self, query, key=None, value=None):
        """(N, L, E) to (N, L, E); key is query, and value is key, where they are left out."""
        key = query if key is None else key
        value = key if value is None else value
        embed = self.out_proj.in_features
        for name, x in (("query", query), ("key", key), ("value", value)):
            if len(x.shape) != 3 or x.shape[-1] != embed:
                raise ValueError(
                    f"MultiheadAttention: {name} has shape {x.shape}, expected (N, L, {embed}); check "
                    "embed_dim, or for one sequence pass x[None]"
                )
        heads = []
        for i, x in enumerate((query, key, value)):
            part = slice(i * embed, (i + 1) * embed)
            h = F.linear(x, self.in_proj_weight[part], None if self.in_proj_bias is None else self.in_proj_bias[part])
            heads.append(h.reshape(*h.shape[:2], self.num_heads, -1).transpose(1, 2))  # (N, heads, L, E / heads)
        y = F.scaled_dot_product_attention(*heads, dropout_p=self.dropout if self.training else 0.0, rng=self.rng)
        return self.out_proj(y.transpose(1, 2).reshape(*query.shape))


def _weight(*shape):
    return Parameter(weight_layout(np.zeros(shape, np.float32)))


def _vector(size):
    return Parameter(np.zeros(size, np.float32))


def _check_sizes(layer, **sizes):
    for name, size in sizes.items():
        if not isinstance(size, (int, np.integer)) or size < 1:
            raise ValueError(f"{layer}: {name} is {size!r}, expected an integer of at least 1")
