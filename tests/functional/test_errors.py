"""Whatever a beginner gets wrong is answered by name: the function, what came, what was expected, how to mend it."""

import operator

import numpy as np
import pytest

from minigrad import functional as F
from minigrad import nn, tensor

IMAGES, WEIGHT = np.zeros((1, 3, 8, 8), np.float32), np.zeros((4, 3, 3, 3), np.float32)
ROWS = np.zeros((2, 5), np.float32)
X = tensor(np.zeros((2, 3), np.float32), requires_grad=True)
LABELS = np.array([0, 1])


def half(a):
    return np.asarray(a, np.float16)


VALUE_ERRORS = {
    r"batch_norm: x has shape \(2, 0, 4, 4\), expected at least one channel": lambda: F.batch_norm(
        np.zeros((2, 0, 4, 4), np.float32), None, None
    ),
    r"cross_entropy: label_smoothing is 'a', expected a number in \[0, 1\]": lambda: F.cross_entropy(
        X, LABELS, label_smoothing="a"
    ),
    # shapes that do not fit
    r"conv2d: x has 3 channels, weight expects 8 \(x \(1, 3, 8, 8\), weight \(16, 8, 3, 3\), groups 1\); check "
    "in_channels": lambda: F.conv2d(IMAGES, np.zeros((16, 8, 3, 3), np.float32)),
    r"conv2d: x has shape \(3, 8, 8\), expected \(N, C, H, W\); for one image pass x\[None\]": lambda: F.conv2d(
        IMAGES[0], WEIGHT
    ),
    r"conv2d: x has shape \(2, 5\), expected \(N, C, H, W\)": lambda: F.conv2d(ROWS, WEIGHT),
    r"conv2d: weight has shape \(4, 3\), expected 4 axes": lambda: F.conv2d(IMAGES, WEIGHT[..., 0, 0]),
    r"conv2d: bias has shape \(3,\), expected \(4,\) for weight \(4, 3, 3, 3\)": lambda: F.conv2d(
        IMAGES, WEIGHT, np.zeros(3, np.float32)
    ),
    r"conv2d: groups is 3, expected a positive divisor of 4": lambda: F.conv2d(IMAGES, WEIGHT[:, :1], groups=3),
    r"conv2d: groups is 0, expected": lambda: F.conv2d(IMAGES, WEIGHT, groups=0),
    r"conv2d: weight has shape \(0, 3, 3, 3\), expected no axis of length 0": lambda: F.conv2d(IMAGES, WEIGHT[:0]),
    r"conv2d: the window reaches over 17 elements .* \(x \(1, 3, 8, 8\)\)": lambda: F.conv2d(
        IMAGES, WEIGHT, dilation=8
    ),
    r"conv2d: got kernel 3, stride 0, .*expected": lambda: F.conv2d(IMAGES, WEIGHT, stride=0),
    r"conv2d: got kernel 3, stride 1, padding -1": lambda: F.conv2d(IMAGES, WEIGHT, padding=-1),
    r"conv2d: padding is 'same' with stride \(2, 2\), expected numbers, 'valid', or 'same' with stride 1": lambda: (
        F.conv2d(IMAGES, WEIGHT, padding="same", stride=2)
    ),
    r"conv2d: padding is 'full'": lambda: F.conv2d(IMAGES, WEIGHT, padding="full"),
    r"conv_transpose2d: x has 3 channels, weight expects 4 .*check in_channels": lambda: F.conv_transpose2d(
        IMAGES, WEIGHT
    ),
    r"conv_transpose2d: output_padding \(2, 2\) must be below stride \(2, 2\) or dilation \(1, 1\)": lambda: (
        F.conv_transpose2d(IMAGES, WEIGHT[:3], stride=2, output_padding=2)
    ),
    r"conv_transpose2d: the output would have size \(0, 0\); lower padding \(5, 5\)": lambda: F.conv_transpose2d(
        IMAGES, WEIGHT[:3], padding=5
    ),
    r"conv_transpose2d: got stride \(0, 0\), .*expected stride and dilation of at least 1": lambda: F.conv_transpose2d(
        IMAGES, WEIGHT[:3], stride=0
    ),
    r"conv_transpose2d: got .*padding \(-1, -1\)": lambda: F.conv_transpose2d(IMAGES, WEIGHT[:3], padding=-1),
    r"conv_transpose2d: bias has shape \(4,\), expected \(3,\)": lambda: F.conv_transpose2d(
        IMAGES, WEIGHT[:3], np.zeros(4, np.float32)
    ),
    r"max_pool2d: x has shape \(3, 8, 8\), expected \(N, C, H, W\)": lambda: F.max_pool2d(IMAGES[0], 2),
    r"max_pool2d: got padding 2 for kernel_size 3, expected 0 to 1 \(half the kernel\).*\(x \(1, 3, 8, 8\)\)": lambda: (
        F.max_pool2d(IMAGES, 3, padding=2)
    ),
    r"max_pool2d: got kernel_size 2 and stride 0, expected at least 1": lambda: F.max_pool2d(IMAGES, 2, 0),
    r"avg_pool2d: no window of kernel_size 9 fits into size 8": lambda: F.avg_pool2d(IMAGES, 9),
    r"adaptive_avg_pool2d: output_size is \(0, 2\) for x \(1, 3, 8, 8\), expected at least 1 pixel": lambda: (
        F.adaptive_avg_pool2d(IMAGES, (0, 2))
    ),
    r"adaptive_avg_pool2d: output_size is \(2, 2\) for x \(1, 3, 0, 8\)": lambda: F.adaptive_avg_pool2d(
        IMAGES[:, :, :0], 2
    ),
    r"interpolate: mode is 'cubic', expected 'nearest', 'bilinear' or 'bicubic'": lambda: F.interpolate(
        IMAGES, 4, mode="cubic"
    ),
    r"interpolate: got size=None and scale_factor=None, expected exactly one": lambda: F.interpolate(IMAGES),
    r"interpolate: got size=4 and scale_factor=2, expected exactly one": lambda: F.interpolate(IMAGES, 4, 2),
    r"interpolate: align_corners has no meaning for mode 'nearest'": lambda: F.interpolate(
        IMAGES, 4, align_corners=True
    ),
    r"interpolate: from \(8, 8\) to \(0, 4\); expected at least one pixel": lambda: F.interpolate(IMAGES, (0, 4)),
    r"interpolate: from \(8, 8\) to \(0, 0\)": lambda: F.interpolate(IMAGES, scale_factor=0.01),
    r"interpolate: scale_factor is -1, expected a positive number or a pair": lambda: F.interpolate(
        IMAGES, scale_factor=-1
    ),
    r"interpolate: scale_factor is \(1, 2, 3\), expected a positive number or a pair": lambda: F.interpolate(
        IMAGES, scale_factor=(1, 2, 3)
    ),
    r"pad: got 3 widths, expected a pair for each of up to 2 axes": lambda: F.pad(ROWS, (1, 1, 1)),
    r"pad: got 6 widths": lambda: F.pad(ROWS, (1, 1) * 3),
    r"pad: widths \(-3, -3\) crop more than there is of x \(2, 5\)": lambda: F.pad(ROWS, (-3, -3)),
    r"pad: widths \(-6, 4\) crop more": lambda: F.pad(ROWS, (-6, 4)),
    r"pad: reflect can add at most 4 to an axis of length 5, got \(5, 0\)": lambda: F.pad(ROWS, (5, 0), mode="reflect"),
    r"pad: mode is 'circular', expected 'constant', 'reflect' or 'replicate'": lambda: F.pad(
        ROWS, (1, 1), mode="circular"
    ),
    r"linear: x has shape \(2, 5\), weight \(3, 4\) expects its last axis to be 4; check in_features, or flatten x "
    "first": lambda: F.linear(ROWS, np.zeros((3, 4), np.float32)),
    r"linear: bias has shape \(2,\), expected \(3,\) for weight \(3, 5\)": lambda: F.linear(
        ROWS, np.zeros((3, 5), np.float32), np.zeros(2, np.float32)
    ),
    r"embedding: indices span -1..1, expected 0..1 \(weight \(2, 5\)\)": lambda: F.embedding([1, -1], ROWS),
    r"embedding: padding_idx is 2, expected a row of weight \(2, 5\)": lambda: F.embedding([1], ROWS, padding_idx=2),
    r"embedding: weight has shape \(5,\), expected \(number of embeddings, dimension\)": lambda: F.embedding(
        [1], ROWS[0]
    ),
    r"einsum: 'ij,jk->ik' names 2 operands, got 1": lambda: F.einsum("ij,jk->ik", ROWS),
    r"einsum: term 'ijk' of 'ijk->i' names 3 axes, the operand has shape \(2, 5\)": lambda: F.einsum("ijk->i", ROWS),
    r"einsum: axis 'j' of 'ij,jk' has lengths 5 and 2": lambda: F.einsum("ij,jk", ROWS, ROWS),
    r"einsum: the output 'ik' of 'ij->ik' must name axes of the operands, each once": lambda: F.einsum("ij->ik", ROWS),
    r"einsum: the output 'ii' of 'ij->ii'": lambda: F.einsum("ij->ii", ROWS),
    r"scaled_dot_product_attention: query \(2, 5\), key \(2, 4\) and value \(2, 5\) do not fit": lambda: (
        F.scaled_dot_product_attention(ROWS, ROWS[:, :4], ROWS)
    ),
    r"scaled_dot_product_attention: query \(5,\)": lambda: F.scaled_dot_product_attention(ROWS[0], ROWS, ROWS),
    r"scaled_dot_product_attention: give attn_mask or is_causal, not both": lambda: F.scaled_dot_product_attention(
        ROWS, ROWS, ROWS, np.ones((2, 2), bool), is_causal=True
    ),
    r"scaled_dot_product_attention: attn_mask has shape \(3, 3\), which does not broadcast to the scores' \(2, "
    r"2\)": lambda: F.scaled_dot_product_attention(ROWS, ROWS, ROWS, np.ones((3, 3), bool)),
    # losses
    r"cross_entropy: target holds label 5, expected 0..4 \(or ignore_index -100\) for scores of shape \(2, 5\); "
    "classes count from 0": lambda: F.cross_entropy(ROWS, [0, 5]),
    r"nll_loss: target holds label -1, expected 0..4": lambda: F.nll_loss(ROWS, [0, -1]),
    r"cross_entropy: target has shape \(3,\), expected \(2,\) for scores of shape \(2, 5\)": lambda: F.cross_entropy(
        ROWS, [0, 1, 2]
    ),
    r"cross_entropy: target has shape \(2, 5\), expected \(2,\).*not a one-hot vector": lambda: F.cross_entropy(
        ROWS, np.eye(2, 5, dtype=int)
    ),
    r"cross_entropy: target probabilities have shape \(2,\), expected that of the logits, \(2, 5\); class indices "
    "must be integers": lambda: F.cross_entropy(ROWS, np.array([0.0, 1.0], np.float32)),
    r"cross_entropy: logits have shape \(5,\), expected \(N, C\)": lambda: F.cross_entropy(ROWS[0], 1),
    r"nll_loss: log_probabilities have shape \(5,\), expected \(N, C\)": lambda: F.nll_loss(ROWS[0], 1),
    r"cross_entropy: label_smoothing is 2, expected a number in \[0, 1\]": lambda: F.cross_entropy(
        ROWS, LABELS, label_smoothing=2
    ),
    r"cross_entropy: weight has shape \(3,\), expected \(5,\), one number a class": lambda: F.cross_entropy(
        ROWS, LABELS, np.ones(3)
    ),
    r"cross_entropy: the batch is empty; its mean is undefined": lambda: F.cross_entropy(ROWS[:0], np.zeros(0, int)),
    r"cross_entropy: the batch is empty; its mean": lambda: F.cross_entropy(ROWS[:0], ROWS[:0]),
    r"nll_loss: reduction is 'avg', expected 'mean', 'sum' or 'none'": lambda: F.nll_loss(
        ROWS, LABELS, reduction="avg"
    ),
    r"mse_loss: x has shape \(2, 5\), target \(2, 1\); expected equal shapes": lambda: F.mse_loss(ROWS, ROWS[:, :1]),
    r"l1_loss: x has shape \(2, 5\), target \(5,\); expected equal shapes": lambda: F.l1_loss(ROWS, ROWS[0]),
    r"mse_loss: reduction is None": lambda: F.mse_loss(ROWS, ROWS, reduction=None),
    r"mse_loss: the batch is empty": lambda: F.mse_loss(ROWS[:0], ROWS[:0]),
    r"binary_cross_entropy_with_logits: x has shape \(2, 5\), target \(\)": lambda: F.binary_cross_entropy_with_logits(
        ROWS, 1.0
    ),
    # activations and normalisation
    r"softmax: dim 2 is out of range for x of shape \(2, 5\), which has 2 axes": lambda: F.softmax(ROWS, 2),
    r"softmax: dim is 0 for x of shape \(\), expected one axis": lambda: F.softmax(np.float32(1.0), 0),
    r"log_softmax: dim is \(0, 1\) for x of shape \(2, 5\), expected one axis": lambda: F.log_softmax(ROWS, (0, 1)),
    r"softmax: x of shape \(2, 0\) has nothing along dim 1": lambda: F.softmax(ROWS[:, :0], 1),
    r"gelu: approximate is True, expected 'none' or 'tanh'": lambda: F.gelu(ROWS, True),
    r"softplus: beta is 0, expected more than 0": lambda: F.softplus(ROWS, 0),
    r"dropout: p is 1.5, expected a probability in \[0, 1\]": lambda: F.dropout(ROWS, 1.5),
    r"batch_norm: x has shape \(5,\), expected \(N, C\), \(N, C, L\) or \(N, C, H, W\)": lambda: F.batch_norm(
        ROWS[0], None, None
    ),
    r"batch_norm: running_mean has shape \(3,\), expected \(5,\) for x \(2, 5\); check num_features": lambda: (
        F.batch_norm(ROWS, tensor(np.zeros(3, np.float32)), tensor(np.zeros(5, np.float32)))
    ),
    r"batch_norm: training needs more than one value per channel, x has shape \(1, 5\); use a larger batch or "
    r"model.eval\(\)": lambda: F.batch_norm(ROWS[:1], None, None, training=True),
    r"batch_norm: training needs more than one value per channel, x has shape \(0, 5\)": lambda: F.batch_norm(
        ROWS[:0], None, None, training=True
    ),
    r"batch_norm: give weight and bias both or neither": lambda: F.batch_norm(ROWS, None, None, weight=ROWS[0]),
    r"batch_norm: give running_mean and running_var both or neither": lambda: F.batch_norm(ROWS, tensor(ROWS[0]), None),
    r"layer_norm: x has shape \(2, 5\), which does not end in normalized_shape \(2,\)": lambda: F.layer_norm(ROWS, 2),
    r"layer_norm: weight or bias has shape \(2,\), expected normalized_shape \(5,\)": lambda: F.layer_norm(
        ROWS, 5, np.zeros(2, np.float32)
    ),
    # methods
    r"add: shapes \(2, 3\) and \(2,\) do not broadcast: aligned at the right, two lengths must be equal or one of "
    "them 1": lambda: X + np.zeros(2),
    r"lt: shapes \(2, 3\) and \(2,\) do not broadcast": lambda: X < np.zeros(2),
    r"where: shapes \(2, 3\) and \(2,\) do not broadcast": lambda: F.where(True, X, np.zeros(2)),
    r"where: condition \(4,\) does not broadcast with a and b, of shape \(2, 3\)": lambda: F.where(
        np.ones(4, bool), X, 0
    ),
    r"matmul: a of shape \(2, 3\) and b of shape \(2, 3\) do not fit: the last axis of a": lambda: X @ X,
    r"matmul: a of shape \(2, 3\) and b of shape \(\) do not fit": lambda: X @ tensor(1.0),
    r"matmul: the leading axes of a \(2, 1, 3\) and b \(4, 3, 2\) do not broadcast": lambda: (
        X.reshape(2, 1, 3) @ np.zeros((4, 3, 2), np.float32)
    ),
    r"sum: dim 2 is out of range for x of shape \(2, 3\), which has 2 axes": lambda: X.sum(2),
    r"mean: an axis occurs twice in dim \[0, 0\]": lambda: X.mean((0, -2)),
    r"max: x of shape \(0, 3\) has no element to choose from": lambda: X[:0].max(),
    r"argmax: x of shape \(0, 3\) has no element to choose from": lambda: X[:0].argmax(0),
    r"argmax: dim 5 is out of range": lambda: X.argmax(5),
    r"argmax: dim is \(0, 1\), expected one axis": lambda: X.argmax((0, 1)),
    r"logsumexp: x of shape \(2, 0\) has no element": lambda: X[:, :0].logsumexp(1),
    r"reshape: x of shape \(2, 3\) has 6 elements, which do not fill \(4, 2\)": lambda: X.reshape(4, 2),
    r"reshape: .* do not fill \(4, -1\)": lambda: X.reshape(4, -1),
    r"reshape: .* do not fill \(-1, -1\)": lambda: X.reshape(-1, -1),
    r"reshape: .* do not fill \(-2, -3\)": lambda: X.reshape(-2, -3),
    r"reshape: .* do not fill \(0, -1\)": lambda: X.reshape(0, -1),
    r"flatten: dim 2 is out of range": lambda: X.flatten(2),
    r"flatten: start_dim 1 comes after end_dim 0 \(x \(2, 3\)\)": lambda: X.flatten(1, 0),
    r"squeeze: dim 2 is out of range": lambda: X.squeeze(2),
    r"unsqueeze: dim 4 is out of range for x of shape \(2, 3\), expected -3..2": lambda: X.unsqueeze(4),
    r"permute: dims \(0,\) must name each of the 2 axes of x \(2, 3\) once": lambda: X.permute(0),
    r"permute: dim 3 is out of range": lambda: X.permute(0, 3),
    r"permute: an axis occurs twice": lambda: X.permute(0, 0),
    r"transpose: dim 2 is out of range": lambda: X.transpose(0, 2),
    r"expand: x of shape \(2, 3\) does not broadcast to \(4, 3\)": lambda: X.expand(4, 3),
    r"expand: .* does not broadcast to \(-1, 2, 3\)": lambda: X.expand(-1, 2, 3),
    r"gather: index spans 0..3, expected 0..2 \(axis 1 of x \(2, 3\)\)": lambda: X.gather(1, [[0, 3]]),
    r"gather: index is int64 of shape \(2,\), expected integers with 2 axes": lambda: X.gather(1, [0, 1]),
    r"gather: index is float64": lambda: X.gather(1, [[0.5]]),
    r"gather: index of shape \(3, 1\) is longer than x \(2, 3\) along an axis other than 1": lambda: X.gather(
        1, [[0], [1], [0]]
    ),
    r"cat: shapes \(2, 3\) and \(3, 2\) differ outside of dim 0": lambda: F.cat([X, X.T]),
    r"cat: got tensors of shapes \[\], expected at least one": lambda: F.cat([]),
    r"cat: got tensors of shapes \[\(\)\].*use stack": lambda: F.cat([X.sum()]),
    r"stack: expected tensors of one shape, got \[\(2, 3\), \(3, 2\)\]": lambda: F.stack([X, X.T]),
    # layers
    r"linear: x has shape \(2, 3\), weight \(4, 5\) expects its last axis to be 5": lambda: nn.Linear(5, 4)(X),
    r"BatchNorm2d: x has shape \(2, 3\), expected 4 axes, channels second": lambda: nn.BatchNorm2d(3)(X),
    r"BatchNorm1d: x has shape \(1, 3, 8, 8\), expected 2 axes": lambda: nn.BatchNorm1d(3)(IMAGES),
    r"Conv2d: groups=2 must divide in_channels=3 and out_channels=4": lambda: nn.Conv2d(3, 4, 3, groups=2),
    r"ConvTranspose2d: groups=2 must divide in_channels=3": lambda: nn.ConvTranspose2d(3, 4, 3, groups=2),
    r"Linear: in_features is 0, expected an integer of at least 1": lambda: nn.Linear(0, 4),
    r"Linear: out_features is 2.0, expected an integer": lambda: nn.Linear(4, 2.0),
    r"MultiheadAttention: num_heads=3 must divide embed_dim=4": lambda: nn.MultiheadAttention(4, 3),
    r"MultiheadAttention: query has shape \(2, 5\), expected \(N, L, 4\); check embed_dim, or for one sequence pass "
    r"x\[None\]": lambda: nn.MultiheadAttention(4, 2)(ROWS),
    r"Embedding: padding_idx is 5, expected one of the 5 rows": lambda: nn.Embedding(5, 2, 5),
    r"Dropout: p is -0.1, expected a probability": lambda: nn.Dropout(-0.1),
    r"Standardize: std is 0, expected positive numbers": lambda: nn.Standardize(0.5, 0),
    r"Standardize: x has shape \(1, 3, 8, 8\), expected \(N, 2, H, W\): mean and std are of 2 channels": lambda: (
        nn.Standardize([0, 0], [1, 1])(IMAGES)
    ),
    r"Standardize: mean \[0, 0, 0\] and std \[1, 1\] are of different lengths": lambda: nn.Standardize(
        [0, 0, 0], [1, 1]
    ),
}
TYPE_ERRORS = {
    r"conv2d: stride: got b'ab', expected an int or a \(height, width\) pair": lambda: F.conv2d(
        IMAGES, WEIGHT, stride=b"ab"
    ),
    r"conv2d: stride: got \{1: 1, 2: 2\}, expected an int": lambda: F.conv2d(IMAGES, WEIGHT, stride={1: 1, 2: 2}),
    r"conv2d: groups: got 1.0, expected an int": lambda: F.conv2d(IMAGES, WEIGHT, groups=1.0),
    r"max_pool2d: ceil_mode is array\(\[1, 0\]\), expected True or False": lambda: F.max_pool2d(
        IMAGES, 2, ceil_mode=np.array([1, 0])
    ),
    r"dropout: rng is int, expected a np.random.Generator; use np.random.default_rng\(3\)": lambda: F.dropout(
        ROWS, rng=3
    ),
    r"Linear: rng is RandomState, expected a np.random.Generator": lambda: nn.Linear(
        2, 2, rng=np.random.RandomState(0)
    ),
    r"Dropout: rng is int": lambda: nn.Dropout(rng=0),
    r"conv2d: x has dtype uint8, expected a float; convert it with x.astype\(np.float32\)": lambda: F.conv2d(
        IMAGES.astype(np.uint8), WEIGHT
    ),
    r"conv2d: x has dtype float16, expected float32 or float64": lambda: F.conv2d(half(IMAGES), half(WEIGHT)),
    r"conv2d: x is float32 but weight is float64, expected one dtype; convert one of them, e.g. "
    r"x.astype\(np.float64\)": lambda: F.conv2d(IMAGES, WEIGHT.astype(float)),
    r"conv2d: weight is of type list, expected a Tensor, an ndarray or a number; convert it with "
    "minigrad.tensor": lambda: F.conv2d(IMAGES, [1.0]),
    r"conv2d: x is of type list": lambda: F.conv2d([[1.0]], WEIGHT),
    r"conv2d: stride: got 1.5, expected an int or a \(height, width\) pair of ints": lambda: F.conv2d(
        IMAGES, WEIGHT, stride=1.5
    ),
    r"conv2d: padding: got \(1, 1, 1\), expected": lambda: F.conv2d(IMAGES, WEIGHT, padding=(1, 1, 1)),
    r"conv_transpose2d: output_padding: got 'a', expected": lambda: F.conv_transpose2d(
        IMAGES, WEIGHT[:3], output_padding="a"
    ),
    r"max_pool2d: kernel_size: got None, expected": lambda: F.max_pool2d(IMAGES, None),
    r"adaptive_avg_pool2d: output_size: got \(1, 2, 3\), expected": lambda: F.adaptive_avg_pool2d(IMAGES, (1, 2, 3)),
    r"adaptive_avg_pool2d: output_size: got .*2.5.*, expected an int": lambda: F.adaptive_avg_pool2d(IMAGES, 2.5),
    r"interpolate: size: got 2.5, expected": lambda: F.interpolate(IMAGES, 2.5),
    r"pad: pad is 2, expected integers \(left, right\[, top, bottom": lambda: F.pad(ROWS, 2),
    r"pad: pad is \(0.5, 1\), expected integers": lambda: F.pad(ROWS, (0.5, 1)),
    r"relu: x has dtype int64, expected a float": lambda: F.relu(np.array([1])),
    r"linear: x is float32 but weight is float64": lambda: F.linear(ROWS, np.zeros((3, 5))),
    r"linear: x has dtype int64": lambda: nn.Linear(2, 2)(np.ones((1, 2), int)),
    r"embedding: indices have dtype float32, expected integers; indices come first, then weight": lambda: F.embedding(
        ROWS, ROWS
    ),
    r"embedding: weight has dtype int64, expected a float": lambda: F.embedding([0], np.ones((2, 2), int)),
    r"einsum: operand 1 is of type str": lambda: F.einsum("i,i", ROWS[0], "a"),
    r"scaled_dot_product_attention: query is float32 but key is float64": lambda: F.scaled_dot_product_attention(
        ROWS, ROWS.astype(float), ROWS
    ),
    r"scaled_dot_product_attention: attn_mask has dtype int64, expected bool": lambda: F.scaled_dot_product_attention(
        ROWS, ROWS, ROWS, np.ones((2, 2), int)
    ),
    r"cross_entropy: logits has dtype int64, expected a float; convert it with logits.astype": lambda: F.cross_entropy(
        np.ones((2, 3), int), LABELS
    ),
    r"nll_loss: target has dtype float64, expected integer class indices; convert it with "
    r"target.astype\(np.int64\)": lambda: F.nll_loss(ROWS, [0.0, 1.0]),
    r"cross_entropy: target has dtype bool, expected integer class indices": lambda: F.cross_entropy(
        ROWS, [True, False]
    ),
    r"mse_loss: target is of type NoneType, expected a Tensor": lambda: F.mse_loss(ROWS, None),
    r"batch_norm: x is float64 but running_mean is float32": lambda: F.batch_norm(
        ROWS.astype(float), tensor(ROWS[0]), tensor(ROWS[0])
    ),
    r"add: the operand is of type list, expected a Tensor, an ndarray or a number": lambda: X + [1.0, 2.0, 3.0],
    r"mul: the operand is of type NoneType": lambda: X * None,
    r"gt: the operand is of type str": lambda: X > "a",
    r"matmul: b is of type list": lambda: X @ [[1.0]],
    r"exp: x has dtype int64, expected a float; convert it with x.to\(np.float32\)": lambda: tensor([1]).exp(),
    r"mean: x has dtype int64": lambda: tensor([1]).mean(),
    r"var: x has dtype int64": lambda: tensor([1]).var(),
    r"logsumexp: x has dtype int64": lambda: tensor([1]).logsumexp(0),
    r"sum: dim is \[0.5\], expected integers": lambda: X.sum(0.5),
    r"reshape: got \(2.0, 3\), expected integers": lambda: X.reshape(2.0, 3),
    r"permute: got \('a', 'b'\), expected integers": lambda: X.permute("a", "b"),
    r"transpose: got dim0=0, dim1=None, expected two axes or none": lambda: X.transpose(0),
    r"transpose: got dim0=\(1, 0\), dim1=None, .*use permute": lambda: X.transpose((1, 0)),
    r"clip: min and max are both None, expected numbers": lambda: X.clip(),
    r"clip: min and max are Tensor, expected numbers.*for limits that are tensors use maximum and minimum": lambda: (
        X.clip(X)
    ),
    r"clip: x has dtype int64, expected a float": lambda: tensor([1, 2]).clip(0.5, 1),
    r"where: condition has dtype float32, expected bool; write \(x > 0\), say": lambda: F.where(X, X, X),
    r"where: the operand is of type str": lambda: F.where(X > 0, X, "a"),
    r"cat: tensors\[1\] is of type str": lambda: F.cat([X, "a"]),
    r"stack: tensors\[0\] is of type dict": lambda: F.stack([{}]),
    r"Flatten: x is of type list": lambda: nn.Flatten()([1.0]),
    r"Standardize: x has dtype uint8, expected a float": lambda: nn.Standardize(0.5, 0.5)(IMAGES.astype(np.uint8)),
    r"Conv2d: kernel_size: got 'a', expected an int": lambda: nn.Conv2d(3, 4, "a"),
}
OTHER_ERRORS = {
    r"add: Python integer 300 out of bounds for uint8": (OverflowError, lambda: tensor(np.ones(2, np.uint8)) + 300),
    r"index 2 is out of bounds for axis 0 with size 2": (IndexError, lambda: X[2]),
    r"too many indices": (IndexError, lambda: X[0, 0, 0]),
    r"does not support item assignment": (TypeError, lambda: operator.setitem(X, 0, 1)),
}


@pytest.mark.parametrize("message", VALUE_ERRORS)
def test_values_out_of_range_and_shapes_that_do_not_fit(message):
    with pytest.raises(ValueError, match=message):
        VALUE_ERRORS[message]()


@pytest.mark.parametrize("message", TYPE_ERRORS)
def test_wrong_types_and_dtypes(message):
    with pytest.raises(TypeError, match=message):
        TYPE_ERRORS[message]()


@pytest.mark.parametrize("message", OTHER_ERRORS)
def test_errors_that_are_numpys_or_pythons(message):
    kind, call = OTHER_ERRORS[message]
    with pytest.raises(kind, match=message):
        call()
