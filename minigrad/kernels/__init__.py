"""Arrays in, arrays out: every loop of the library that has to be fast, compiled by numba.

Each public function here has a twin of the same name and signature in `minigrad.kernels.reference`, written in plain
NumPy to be read; the tests hold the two together. Four-dimensional arrays are (N, C, H, W) by shape and channels-last
in memory: kernels accept any strides, and return an (N, H, W, C)-contiguous array seen as (N, C, H, W).
"""

from minigrad.kernels.avg_pool import avg_pool2d, avg_pool2d_grad
from minigrad.kernels.box_conv import conv2d_boxes
from minigrad.kernels.boxes import changed_boxes, cut_boxes, linear_boxes, paste_boxes
from minigrad.kernels.channels import channel_affine, channel_dot
from minigrad.kernels.concat import concat_channels
from minigrad.kernels.conv import conv2d, conv2d_input_grad
from minigrad.kernels.conv_grad import channel_sum, conv2d_weight_grad
from minigrad.kernels.conv_pool import (
    conv2d_relu_max_pool2d,
    conv2d_relu_max_pool2d_grads,
    conv2d_relu_max_pool2d_input_grad,
)
from minigrad.kernels.elementwise import relu, relu_gate
from minigrad.kernels.linear import matmul
from minigrad.kernels.memory import keep_freed_memory
from minigrad.kernels.norm import batch_norm, batch_norm_grads, channel_moments
from minigrad.kernels.optim import adam_step, sgd_step
from minigrad.kernels.pool import max_pool2d, relu_max_pool2d
from minigrad.kernels.softmax import cross_entropy, cross_entropy_grad
from minigrad.kernels.weights import weight_layout
from minigrad.kernels.winners import collect_winners, max_pool2d_winners, relu_max_pool2d_winners, route_winners

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
    "weight_layout",
]

keep_freed_memory()
