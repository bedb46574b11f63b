"""Every kernel as its formula: NumPy, slow and obvious.

These are the definitions. The compiled kernels have the same names and signatures and are tested against them; a reader
who wants to know what a kernel computes reads it here. Arrays in, arrays out, float32 or float64; the dtype that comes
in goes out. Settings of windows are (height, width) tuples.
"""

from minigrad.kernels.reference.boxes import changed_boxes, conv2d_boxes, cut_boxes, linear_boxes, paste_boxes
from minigrad.kernels.reference.conv import conv2d, conv2d_input_grad, conv2d_weight_grad
from minigrad.kernels.reference.conv_pool import (
    conv2d_relu_max_pool2d,
    conv2d_relu_max_pool2d_grads,
    conv2d_relu_max_pool2d_input_grad,
)
from minigrad.kernels.reference.optim import adam_step, sgd_step
from minigrad.kernels.reference.pool import (
    avg_pool2d,
    avg_pool2d_grad,
    collect_winners,
    max_pool2d,
    max_pool2d_winners,
    relu_max_pool2d,
    relu_max_pool2d_winners,
    route_winners,
)
from minigrad.kernels.reference.simple import (
    batch_norm,
    batch_norm_grads,
    channel_affine,
    channel_dot,
    channel_moments,
    channel_sum,
    concat_channels,
    cross_entropy,
    cross_entropy_grad,
    matmul,
    relu,
    relu_gate,
)

__all__ = [
    "adam_step",
    "avg_pool2d",
    "avg_pool2d_grad",
    "batch_norm",
    "batch_norm_grads",
    "channel_affine",
    "channel_dot",
    "changed_boxes",
    "channel_moments",
    "channel_sum",
    "collect_winners",
    "concat_channels",
    "conv2d",
    "conv2d_boxes",
    "conv2d_input_grad",
    "conv2d_relu_max_pool2d",
    "conv2d_relu_max_pool2d_grads",
    "conv2d_relu_max_pool2d_input_grad",
    "conv2d_weight_grad",
    "cross_entropy",
    "cross_entropy_grad",
    "cut_boxes",
    "linear_boxes",
    "matmul",
    "max_pool2d",
    "max_pool2d_winners",
    "paste_boxes",
    "relu",
    "relu_gate",
    "relu_max_pool2d",
    "relu_max_pool2d_winners",
    "route_winners",
    "sgd_step",
]
