"""The functions against their definitions, and their derivatives against finite differences; PyTorch is not needed."""

import numpy as np
import pytest

from minigrad import Tensor, check_grads, grad, tensor
from minigrad import functional as F

RNG = np.random.default_rng(0)
X, ROWS = RNG.permutation(np.linspace(-2, 2, 60)).reshape(1, 3, 4, 5), RNG.standard_normal((4, 3))
LABELS = np.array([0, 2, 1, 2])
DIFFERENTIABLE = {
    "conv2d": lambda: (
        lambda x, w, b: F.conv2d(x, w, b, (1, 2), "valid", 1),
        X,
        RNG.standard_normal((2, 3, 2, 2)),
        RNG.standard_normal(2),
    ),
    "conv2d same": lambda: (
        lambda x, w: F.conv2d(x, w, padding="same", groups=3),
        X,
        RNG.standard_normal((3, 1, 2, 3)),
    ),
    "conv_transpose2d": lambda: (
        lambda x, w, b: F.conv_transpose2d(x, w, b, 2, 1, (1, 0), 3),
        X,
        RNG.standard_normal((3, 2, 3, 2)),
        RNG.standard_normal(6),
    ),
    "conv_transpose2d far": lambda: (
        lambda x, w: F.conv_transpose2d(x, w, stride=1, dilation=3, output_padding=2),
        X,
        RNG.standard_normal((3, 1, 2, 2)),
    ),
    "max_pool2d": lambda: (lambda x: F.max_pool2d(x, 3, 2, 1, True), X),
    "avg_pool2d": lambda: (lambda x: F.avg_pool2d(x, 3, 2, 1, True, False), X),
    "adaptive_avg_pool2d": lambda: (lambda x: F.adaptive_avg_pool2d(x, (3, None)), X),
    "interpolate": lambda: (lambda x: F.interpolate(x, scale_factor=(1.5, 0.7), mode="bicubic"), X),
    "pad": lambda: (lambda x: F.pad(x, (1, -2, 2, 0)), X),
    "pad reflect": lambda: (lambda x: F.pad(x, (2, -1, 1, 3), "reflect"), X),
    "pad replicate": lambda: (lambda x: F.pad(x, (2, 7), "replicate"), X),
    "linear": lambda: (F.linear, X, RNG.standard_normal((2, 5)), RNG.standard_normal(2)),
    "einsum": lambda: (lambda a, b: F.einsum("iij,j...->i...", a, b), RNG.standard_normal((2, 2, 3)), ROWS.T),
    "embedding": lambda: (lambda w: F.embedding([[3, 0], [0, 0]], w), ROWS),
    "attention": lambda: (
        lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m),
        ROWS,
        ROWS[::-1],
        ROWS[:, :2],
        RNG.standard_normal((4, 4)),
    ),
    "attention causal": lambda: (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        ROWS,
        ROWS[::-1],
        ROWS[:, :2],
    ),
    "cross_entropy": lambda: (lambda x: F.cross_entropy(x, LABELS, [1.0, 2.0, 0.5], 1, label_smoothing=0.1), ROWS),
    "cross_entropy soft": lambda: (lambda x, t: F.cross_entropy(x, t, label_smoothing=0.1), ROWS, np.abs(ROWS)),
    "nll_loss": lambda: (lambda x: F.nll_loss(x, LABELS, reduction="none"), ROWS),
    "mse_loss": lambda: (F.mse_loss, ROWS, ROWS + 1),
    "l1_loss": lambda: (F.l1_loss, ROWS, ROWS + 1),
    "binary": lambda: (F.binary_cross_entropy_with_logits, ROWS, np.abs(ROWS)),
    "batch_norm": lambda: (lambda x, w, b: F.batch_norm(x, None, None, w, b, True, eps=0.1), ROWS, ROWS[0], ROWS[1]),
    "batch_norm images": lambda: (lambda x: F.batch_norm(x, None, None, training=True, eps=0.1), X),
    "layer_norm": lambda: (lambda x, w, b: F.layer_norm(x, (4, 5), w, b, 0.1), X, X[0, 0], X[0, 1]),
    "dropout": lambda: (lambda x: F.dropout(x, 0.5, rng=np.random.default_rng(0)), ROWS),
    "logsumexp": lambda: (lambda x: F.logsumexp(x, (0, 1)), ROWS),
}


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_derivatives(name):
    f, *xs = DIFFERENTIABLE[name]()
    check_grads(f, *xs)


def softmax(x, axis=1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def test_cross_entropy_is_the_mean_surprise():
    surprise = -np.log(softmax(ROWS)[np.arange(4), LABELS])
    np.testing.assert_allclose(F.cross_entropy(ROWS, LABELS).item(), surprise.mean())
    np.testing.assert_allclose(F.cross_entropy(ROWS, LABELS, reduction="none").data, surprise)
    np.testing.assert_allclose(F.nll_loss(F.log_softmax(ROWS), LABELS, reduction="sum").item(), surprise.sum())
    np.testing.assert_allclose(F.cross_entropy(ROWS, np.eye(3)[LABELS]).item(), surprise.mean())
    x = tensor(ROWS, requires_grad=True)
    np.testing.assert_allclose(grad(F.cross_entropy(x, LABELS), x).data, (softmax(ROWS) - np.eye(3)[LABELS]) / 4)


def test_cross_entropy_with_weights_ignored_rows_and_smoothing():
    weight, log_p = np.array([1.0, 2.0, 0.5]), np.log(softmax(ROWS))
    counted = LABELS != 1
    mean = -(weight[LABELS] * log_p[np.arange(4), LABELS])[counted].sum() / weight[LABELS][counted].sum()
    np.testing.assert_allclose(F.cross_entropy(ROWS, LABELS, weight, ignore_index=1).item(), mean)
    target = 0.7 * np.eye(3)[LABELS] + 0.1
    np.testing.assert_allclose(
        F.cross_entropy(ROWS, LABELS, label_smoothing=0.3).item(), -(target * log_p).sum(1).mean()
    )
    np.testing.assert_allclose(
        F.cross_entropy(ROWS, np.eye(3)[LABELS], label_smoothing=0.3).item(), -(target * log_p).sum(1).mean()
    )


def test_a_batch_without_a_counted_row_is_nan_but_its_gradient_zero():
    x = tensor(ROWS, requires_grad=True)
    loss = F.cross_entropy(x, np.full(4, -100), label_smoothing=0.1)
    assert np.isnan(loss.item())
    np.testing.assert_array_equal(grad(loss, x).data, np.zeros((4, 3)))
    weightless = F.cross_entropy(x, np.zeros(4, int), weight=[0.0, 1.0, 1.0], label_smoothing=0.1)
    assert np.isnan(weightless.item())
    np.testing.assert_array_equal(grad(weightless, x).data, np.zeros((4, 3)))


def test_labels_of_any_integer_dtype_and_container():
    expected = F.cross_entropy(ROWS, LABELS).item()
    for target in (LABELS.astype(np.uint8), LABELS.astype(np.int32), LABELS.tolist(), tensor(LABELS)):
        assert F.cross_entropy(ROWS, target).item() == expected


def test_binary_cross_entropy_keeps_its_digits():
    x, t = np.array([25.0, -25.0, 0.0]), np.array([1.0, 0.0, 0.5])
    loss = F.binary_cross_entropy_with_logits(x, t, "none").data
    np.testing.assert_allclose(loss[[0, 2]], [np.log1p(np.exp(-25)), np.log(2)], rtol=1e-14)
    np.testing.assert_allclose(loss[1], np.log1p(np.exp(-25)), atol=1e-14)


def test_dropout_keeps_the_mean_and_repeats_with_its_generator():
    x = tensor(np.ones((200, 200), np.float32), requires_grad=True)
    y = F.dropout(x, 0.3, rng=np.random.default_rng(1))
    assert set(np.unique(y.data)) == {np.float32(0), np.float32(1 / 0.7)}
    assert abs(y.data.mean() - 1) < 0.01
    np.testing.assert_array_equal(grad(y.sum(), x).data, y.data)
    np.testing.assert_array_equal(F.dropout(x, 0.3, rng=np.random.default_rng(1)).data, y.data)
    assert not np.array_equal(F.dropout(x, 0.3).data, F.dropout(x, 0.3).data)
    assert F.dropout(x, 0.3, training=False) is x and F.dropout(x, 0.0) is x
    assert not F.dropout(x, 1.0).data.any()


def test_attention_by_its_formula():
    q, k, v = RNG.standard_normal((3, 2, 4, 5))
    weights = softmax(q @ k.transpose(0, 2, 1) / 5**0.5, -1)
    np.testing.assert_allclose(F.scaled_dot_product_attention(q, k, v).data, weights @ v)
    past = np.tri(4, dtype=bool)
    masked = F.scaled_dot_product_attention(q, k, v, past).data
    np.testing.assert_allclose(masked, F.scaled_dot_product_attention(q, k, v, is_causal=True).data)
    np.testing.assert_allclose(masked, F.scaled_dot_product_attention(q, k, v, np.where(past, 0, -np.inf)).data)
    np.testing.assert_allclose(masked[:, 0], v[:, 0])
    changed = v.copy()
    changed[:, 3] += 1
    np.testing.assert_array_equal(F.scaled_dot_product_attention(q, k, changed, past).data[:, :3], masked[:, :3])
    dropped = F.scaled_dot_product_attention(q, k, v, dropout_p=0.5, rng=np.random.default_rng(0)).data
    kept = np.random.default_rng(0).random((2, 4, 4), np.float32) >= 0.5
    np.testing.assert_allclose(dropped, (weights * kept * 2) @ v)


@pytest.mark.parametrize("mask", [np.zeros((4, 4), bool), np.full((4, 4), -np.inf)])
def test_attention_that_may_see_nothing_is_zero(mask):
    q = tensor(ROWS, requires_grad=True)
    with np.errstate(all="raise"):
        y = F.scaled_dot_product_attention(q, q, q, mask)
        g = grad(y, q, anomaly=True)
    assert not y.data.any() and not g.data.any()


def test_batch_norm_moves_its_statistics_by_the_unbiased_variance():
    mean, var = tensor(np.zeros(3)), tensor(np.ones(3))
    y = F.batch_norm(ROWS, mean, var, training=True, momentum=0.25, eps=0)
    np.testing.assert_allclose(y.data, (ROWS - ROWS.mean(0)) / ROWS.std(0))
    np.testing.assert_allclose(mean.data, 0.25 * ROWS.mean(0))
    np.testing.assert_allclose(var.data, 0.75 + 0.25 * ROWS.var(0, ddof=1))
    np.testing.assert_allclose(F.batch_norm(ROWS, mean, var, eps=0).data, (ROWS - mean.data) / np.sqrt(var.data))
    single = tensor(np.zeros(3, np.float32)), tensor(np.ones(3, np.float32))
    F.batch_norm(ROWS, *single, training=True)
    assert single[0].dtype == single[1].dtype == np.float32


def test_embedding_reads_rows_and_spares_the_padding():
    weight = tensor(ROWS, requires_grad=True)
    y = F.embedding([[0, 3], [3, 3]], weight, padding_idx=0)
    np.testing.assert_array_equal(y.data, ROWS[[[0, 3], [3, 3]]])
    np.testing.assert_array_equal(grad(y, weight).data, np.array([0, 0, 0, 3])[:, None] * np.ones((1, 3)))
    assert F.embedding(np.zeros((0, 2), int), weight).shape == (0, 2, 3) and F.embedding(2, weight).shape == (3,)


@pytest.mark.parametrize("mode, numpy_mode", [("constant", "constant"), ("reflect", "reflect"), ("replicate", "edge")])
def test_pad_is_numpys(mode, numpy_mode):
    np.testing.assert_array_equal(
        F.pad(X, (1, 2, 3, 0), mode).data, np.pad(X, ((0, 0), (0, 0), (3, 0), (1, 2)), numpy_mode)
    )
    np.testing.assert_array_equal(F.pad(X, (-1, 0, 0, -2), mode).data, X[:, :, :-2, 1:])
    np.testing.assert_array_equal(F.pad(np.arange(5), (1, 1), mode).data, np.pad(np.arange(5), 1, numpy_mode))


def test_einsum_is_numpys():
    a, b = RNG.standard_normal((2, 3, 3)), RNG.standard_normal((3, 2))
    for subscripts in ("bii->b", "bij,jk", "bij,jk->kb", "...i,ik->...k", "bij->", "bij,ij->b"):
        operands = [a, *([b if "k" in subscripts else a[0]] * subscripts.count(","))]
        np.testing.assert_allclose(
            F.einsum(subscripts, *operands).data, np.einsum(subscripts, *operands), err_msg=subscripts
        )


def test_arrays_will_do_for_tensors_and_empty_batches_pass():
    weight = np.ones((2, 3, 3, 3), np.float32)
    for x in (np.zeros((0, 3, 8, 8), np.float32), tensor(np.zeros((0, 3, 8, 8), np.float32), requires_grad=True)):
        y = F.max_pool2d(F.relu(F.conv2d(x, weight, padding=1)), 2)
        y = F.batch_norm(y, tensor([0.0, 0.0]), tensor([1.0, 1.0]))
        y = F.linear(y.flatten(1), np.ones((5, 32), np.float32))
        assert (
            isinstance(y, Tensor)
            and y.shape == (0, 5)
            and F.cross_entropy(y, np.zeros(0, int), reduction="sum").item() == 0
        )
    assert grad(y.sum(), x).shape == x.shape
    for f in (
        lambda x: F.avg_pool2d(x, 2),
        lambda x: F.adaptive_avg_pool2d(x, 2),
        lambda x: F.interpolate(x, 4),
        lambda x: F.pad(x, (1, 1)),
        lambda x: F.conv_transpose2d(x, np.ones((3, 1, 2, 2), np.float32)),
        lambda x: F.layer_norm(x, (8, 8)),
        lambda x: F.softmax(x, 1),
        lambda x: F.max_pool2d(x, 2),
    ):
        assert len(grad(f(x).sum(), x)) == 0


def test_numpy_names_are_understood():
    np.testing.assert_allclose(F.softmax(ROWS, axis=0).data, softmax(ROWS, 0))
    np.testing.assert_allclose(tensor(ROWS).mean(axis=1, keepdims=True).data, ROWS.mean(1, keepdims=True))
    assert F.cat([ROWS, ROWS], axis=1).shape == (4, 6) and tensor(ROWS).max(axis=0).shape == (3,)


@pytest.mark.parametrize("hole", [np.nan, -np.inf])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_what_an_ignored_row_holds_does_not_matter(hole, smoothing):
    rows = np.array([[0.0, 1.0, 2.0], [1.0, 2.0, 3.0]])
    whole = F.cross_entropy(rows, [-100, 1], label_smoothing=smoothing).item()
    rows[0, 0] = hole
    with np.errstate(invalid="ignore"):
        assert F.cross_entropy(rows, [-100, 1], label_smoothing=smoothing).item() == whole


def test_batch_norm_moves_statistics_that_are_plain_arrays():
    mean, var = np.zeros(3), np.ones(3)
    x = np.random.default_rng(0).random((4, 3, 2, 2))
    F.batch_norm(x, mean, var, training=True)
    np.testing.assert_allclose(mean, 0.1 * x.mean((0, 2, 3)))
    np.testing.assert_allclose(var, 0.9 + 0.1 * x.var((0, 2, 3), ddof=1))
