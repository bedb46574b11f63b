"""The functions of a neural network, named as in `torch.nn.functional`.

Each checks what it is given, then applies one op, or composes several where no paper gives a rule for the whole.
Images are (N, C, H, W); a setting such as `stride` is an integer or a pair (vertical, horizontal); `x` may be a Tensor
or an ndarray.
"""
from ..ops.arrange import cat, gather, stack
from ..ops.methods import logsumexp, maximum, minimum, where
from .activation import elu, gelu, leaky_relu, log_softmax, relu, sigmoid, silu, softmax, softplus, tanh
from .linear import einsum, embedding, linear, scaled_dot_product_attention
from .loss import binary_cross_entropy_with_logits, cross_entropy, l1_loss, mse_loss, nll_loss
from .norm import batch_norm, dropout, layer_norm
from .windows import adaptive_avg_pool2d, avg_pool2d, conv2d, conv_transpose2d, interpolate, max_pool2d, pad

__all__ = [
    "adaptive_avg_pool2d", "avg_pool2d", "batch_norm", "binary_cross_entropy_with_logits", "cat", "conv2d",
    "conv_transpose2d", "cross_entropy", "dropout", "einsum", "elu", "embedding", "gather", "gelu", "interpolate",
    "l1_loss", "layer_norm", "leaky_relu", "linear", "log_softmax", "logsumexp", "max_pool2d", "maximum", "minimum",
    "mse_loss", "nll_loss", "pad", "relu", "scaled_dot_product_attention", "sigmoid", "silu", "softmax", "softplus",
    "stack", "tanh", "where",
]
