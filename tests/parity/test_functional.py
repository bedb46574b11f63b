"""`minigrad.functional` against `torch.nn.functional`, with first and second derivatives, to the last corner."""

import hypothesis
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import minigrad
from minigrad import functional as F

from .twice import agree, torch

TF = torch.nn.functional
RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 4, 7, 6))


def same(name, *arrays, order=2, dtypes=(np.float64, np.float32), **settings):
    """The function of this name agrees in both libraries, given the same settings."""
    agree(
        lambda *ts: getattr(F, name)(*ts, **settings),
        lambda *ts: getattr(TF, name)(*ts, **settings),
        *arrays,
        order=order,
        dtypes=dtypes,
    )


CONVOLUTIONS = [
    ((3, 4, 3, 3), {}),
    ((3, 4, 3, 3), {"padding": 1}),
    ((4, 4, 2, 3), {"stride": (2, 1), "padding": (0, 2)}),
    ((6, 2, 3, 2), {"groups": 2, "dilation": (2, 1)}),
    ((4, 1, 3, 3), {"groups": 4, "padding": 1}),
    ((8, 1, 2, 2), {"groups": 4, "stride": 3}),
    ((3, 4, 1, 1), {"stride": 2}),
    ((2, 4, 7, 6), {}),
    ((3, 4, 3, 3), {"padding": "same"}),
    ((3, 4, 2, 4), {"padding": "same"}),
    ((3, 4, 3, 2), {"padding": "same", "dilation": (3, 2)}),
    ((3, 4, 3, 3), {"padding": "valid", "stride": 2}),
    ((5, 4, 3, 3), {"padding": 5, "stride": 4, "dilation": 3}),
]


@pytest.mark.parametrize("shape, settings", CONVOLUTIONS)
def test_conv2d(shape, settings):
    weight, bias = RNG.standard_normal(shape), RNG.standard_normal(shape[0])
    same("conv2d", X, weight, bias, **settings)
    same("conv2d", X, weight, dtypes=(np.float64,), **settings)


@pytest.mark.parametrize(
    "shape, settings",
    [
        ((4, 3, 3, 3), {}),
        ((4, 2, 2, 2), {"stride": 2}),
        ((4, 2, 3, 3), {"stride": 2, "padding": 1, "output_padding": 1}),
        ((4, 1, 3, 2), {"groups": 2, "stride": (3, 2), "output_padding": (2, 0)}),
        ((4, 2, 2, 3), {"dilation": 3, "output_padding": 2}),
        ((4, 3, 1, 1), {"padding": 0}),
        ((4, 1, 3, 3), {"groups": 4, "padding": 2}),
    ],
)
def test_conv_transpose2d(shape, settings):
    weight, bias = RNG.standard_normal(shape), RNG.standard_normal(shape[1] * settings.get("groups", 1))
    same("conv_transpose2d", X, weight, bias, **settings)
    same("conv_transpose2d", X, weight, dtypes=(np.float64,), **settings)


@hypothesis.settings(max_examples=30)
@given(st.data())
def test_conv2d_of_any_geometry(data):
    """Also the adjoint identity <conv(x), y> = <x, conv_transpose(y)>, which im2col slips break."""
    draw = lambda low, high: data.draw(st.integers(low, high))  # noqa: E731
    groups = draw(1, 3)
    n, c, o, h, w, kh, kw = (
        draw(1, 2),
        groups * draw(1, 2),
        groups * draw(1, 2),
        draw(1, 6),
        draw(1, 6),
        draw(1, 3),
        draw(1, 3),
    )
    settings = {k: (draw(low, 3), draw(low, 3)) for k, low in (("stride", 1), ("padding", 0), ("dilation", 1))}
    assume(
        all(
            d * (k - 1) < m + 2 * p
            for d, k, m, p in zip(settings["dilation"], (kh, kw), (h, w), settings["padding"], strict=True)
        )
    )
    rng = np.random.default_rng(draw(0, 99))
    x, weight = rng.standard_normal((n, c, h, w)), rng.standard_normal((o, c // groups, kh, kw))
    same("conv2d", x, weight, groups=groups, dtypes=(np.float64,), **settings)
    y = F.conv2d(x, weight, groups=groups, **settings)
    v = rng.standard_normal(y.shape)
    extra = [
        m + 2 * p - d * (k - 1) - 1 - (out - 1) * s
        for m, p, d, k, out, s in zip(
            (h, w), settings["padding"], settings["dilation"], (kh, kw), y.shape[2:], settings["stride"], strict=True
        )
    ]
    back = F.conv_transpose2d(v, weight, groups=groups, output_padding=extra, **settings)
    np.testing.assert_allclose((y.data * v).sum(), (x * back.data).sum(), rtol=1e-9, atol=1e-9)


POOLINGS = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2},
    {"kernel_size": 3, "stride": 1, "padding": 1},
    {"kernel_size": (3, 2), "stride": (2, 3), "padding": (1, 0)},
    {"kernel_size": 2, "ceil_mode": True},
    {"kernel_size": 3, "stride": 2, "ceil_mode": True},
    {"kernel_size": 3, "stride": 3, "padding": 1, "ceil_mode": True},
    {"kernel_size": (7, 6)},
    {"kernel_size": 1, "stride": 4, "ceil_mode": True},
    {"kernel_size": 2, "stride": 3, "ceil_mode": True},
]


@pytest.mark.parametrize("settings", POOLINGS)
def test_pooling(settings):
    same("max_pool2d", X, **settings)
    same("avg_pool2d", X, **settings)
    same("avg_pool2d", X, count_include_pad=False, **settings)


@hypothesis.settings(max_examples=30)
@given(st.data())
def test_pooling_of_any_geometry(data):
    draw = lambda low, high: data.draw(st.integers(low, high))  # noqa: E731
    h, w, kernel = draw(1, 8), draw(1, 8), (draw(1, 4), draw(1, 4))
    settings = {
        "kernel_size": kernel,
        "stride": (draw(1, 4), draw(1, 4)),
        "padding": tuple(draw(0, k // 2) for k in kernel),
        "ceil_mode": data.draw(st.booleans()),
    }
    assume(all(n + 2 * p >= k for n, p, k in zip((h, w), settings["padding"], kernel, strict=True)))
    x = np.random.default_rng(draw(0, 99)).integers(0, 3, (1, 2, h, w)).astype(float)  # many ties
    same("max_pool2d", x, dtypes=(np.float64,), **settings)
    same("avg_pool2d", x, dtypes=(np.float64,), count_include_pad=data.draw(st.booleans()), **settings)


def test_max_pool_gives_ties_to_the_first_and_keeps_nan():
    same("max_pool2d", np.zeros((1, 2, 5, 5)), kernel_size=3, stride=2, padding=1)
    same("max_pool2d", np.maximum(X, 0), kernel_size=2)
    broken = X.copy()
    broken[0, 0, 2, 2], broken[0, 1, 0, 0] = np.nan, -np.inf
    same("max_pool2d", broken, kernel_size=3, stride=2, order=1)


@pytest.mark.parametrize("size", [1, (1, 1), 3, (7, 6), (5, 4), (2, None), (9, 13), (None, 1)])
def test_adaptive_avg_pool2d(size):
    same("adaptive_avg_pool2d", X, output_size=size)


ACTIVATIONS = {
    "relu": [{}],
    "leaky_relu": [{}, {"negative_slope": 0.3}, {"negative_slope": -0.1}],
    "elu": [{}, {"alpha": 0.5}],
    "silu": [{}],
    "gelu": [{}, {"approximate": "tanh"}],
    "softplus": [{}, {"beta": 2.5, "threshold": 3.0}, {"beta": 0.1}],
    "sigmoid": [{}],
    "tanh": [{}],
    "softmax": [{"dim": 0}, {"dim": -1}, {"dim": 1}],
    "log_softmax": [{"dim": 0}, {"dim": 1}],
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    for settings in ACTIVATIONS[name]:
        same(name, 3 * RNG.standard_normal((3, 5)), **settings)
        same(name, np.array([[-1e4, -90.0, -25.0, 25.0, 90.0, 1e4]]), **settings)
        same(name, np.array([[1.2, -0.0], [1.2, 0.0]]), order=1, **settings)  # kinks have no second derivative


def test_softplus_is_straight_only_above_its_threshold():
    same("softplus", np.array([19.9, 20.0, 20.1, 25.0]), order=1)
    same("softplus", np.array([7.9, 8.0, 8.1]), beta=2.5, threshold=20, order=1)


@pytest.mark.parametrize("shape", [(5, 3), (2, 5, 3), (3,), (2, 1, 4, 3), (0, 3)])
def test_linear(shape):
    weight, bias = RNG.standard_normal((4, 3)), RNG.standard_normal(4)
    same("linear", RNG.standard_normal(shape), weight, bias)
    same("linear", RNG.standard_normal(shape), weight)


@pytest.mark.parametrize(
    "subscripts, shapes",
    [
        ("ij,jk->ik", ((2, 3), (3, 4))),
        ("ij,jk", ((2, 3), (3, 4))),
        ("ii", ((3, 3),)),
        ("ii->i", ((3, 3),)),
        ("iij->ij", ((3, 3, 2),)),
        ("ba", ((2, 3),)),
        ("i,j->ij", ((2,), (3,))),
        ("bij,bjk->bik", ((2, 3, 4), (2, 4, 2))),
        ("...ij,...jk->...ik", ((2, 3, 4), (2, 4, 2))),
        ("...i->...", ((2, 3, 4),)),
        ("i...,i...->...", ((2, 3, 4), (2, 3, 4))),
        ("ij,ij->", ((2, 3), (2, 3))),
        ("ij->", ((2, 3),)),
        ("i,ij,j->", ((2,), (2, 3), (3,))),
        ("aib,bj->jia", ((2, 3, 4), (4, 2))),
        ("iij,jj->i", ((2, 2, 3), (3, 3))),
        (",ij->ij", ((), (2, 3))),
        ("iii->i", ((2, 2, 2),)),
        ("a b , b -> a", ((2, 3), (3,))),
        ("...,...->...", ((2, 3), (2, 3))),
        ("ij,kl->ik", ((2, 3), (2, 2))),
    ],
)
def test_einsum(subscripts, shapes):
    arrays = [RNG.standard_normal(s) for s in shapes]
    agree(lambda *ts: F.einsum(subscripts, *ts), lambda *ts: torch.einsum(subscripts, *ts), *arrays)


def test_embedding():
    weight, indices = RNG.standard_normal((5, 3)), np.array([[0, 4, 4], [2, 1, 0]])
    for settings in ({}, {"padding_idx": 4}, {"padding_idx": -5}):
        agree(
            lambda w, s=settings: F.embedding(indices, w, **s),
            lambda w, s=settings: TF.embedding(torch.tensor(indices), w, **s),
            weight,
        )
    agree(lambda w: F.embedding(3, w), lambda w: TF.embedding(torch.tensor(3), w), weight)


Q, K, V = RNG.standard_normal((2, 3, 4, 5)), RNG.standard_normal((2, 3, 6, 5)), RNG.standard_normal((2, 3, 6, 2))


def test_attention():
    name = "scaled_dot_product_attention"
    same(name, Q, K, V)
    same(name, Q, K, V, scale=0.3)
    same(name, Q, K, V, is_causal=True)
    same(name, Q[0, 0], K[0, 0], V[0, 0])
    same(name, Q, K[:1, :1], V[:1, :1])
    keep = RNG.random((2, 1, 4, 6)) > 0.4
    keep[..., 0] = True
    agree(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=keep),
        lambda q, k, v: TF.scaled_dot_product_attention(q, k, v, attn_mask=torch.tensor(keep)),
        Q,
        K,
        V,
    )
    agree(
        lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, attn_mask=m),
        lambda q, k, v, m: TF.scaled_dot_product_attention(q, k, v, attn_mask=m),
        Q,
        K,
        V,
        RNG.standard_normal((4, 6)),
    )


def test_attention_of_a_row_that_may_look_nowhere():
    keep = np.array([[True, False], [False, False]])
    agree(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=keep),
        lambda q, k, v: TF.scaled_dot_product_attention(q, k, v, attn_mask=torch.tensor(keep)),
        Q[0, 0, :2],
        K[0, 0, :2],
        V[0, 0, :2],
        order=1,
    )


LOGITS, LABELS = RNG.standard_normal((6, 4)), np.array([0, 3, 1, 1, 2, 0])
DENSE_LOGITS, DENSE_LABELS = RNG.standard_normal((2, 4, 3, 2)), RNG.integers(0, 4, (2, 3, 2))
WEIGHT = np.array([0.5, 1.0, 2.0, 0.0])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(
    "settings", [{}, {"weight": WEIGHT}, {"ignore_index": 1}, {"weight": WEIGHT, "ignore_index": 0}]
)
@pytest.mark.parametrize("logits, target", [(LOGITS, LABELS), (DENSE_LOGITS, DENSE_LABELS), (LOGITS[:1], LABELS[:1])])
def test_losses_of_classification(logits, target, settings, reduction):
    def both(name, **more):
        def theirs(x):
            weight = torch.tensor(settings["weight"], dtype=x.dtype) if "weight" in settings else None
            return getattr(TF, name)(
                x, torch.tensor(target), **{**settings, **more, "weight": weight}, reduction=reduction
            )

        order = 2 if len(logits) > 1 else 1  # the only row may be ignored, and NaN has no second derivative
        agree(
            lambda x: getattr(F, name)(x, target, **settings, **more, reduction=reduction), theirs, logits, order=order
        )

    both("nll_loss")
    both("cross_entropy")
    both("cross_entropy", label_smoothing=0.2)
    both("cross_entropy", label_smoothing=1.0)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("logits", [LOGITS, DENSE_LOGITS])
def test_cross_entropy_of_probabilities(logits, weight, smoothing, reduction):
    soft = np.exp(RNG.standard_normal(logits.shape))
    soft /= soft.sum(1, keepdims=True)
    agree(
        lambda x, t: F.cross_entropy(x, t, weight, reduction=reduction, label_smoothing=smoothing),
        lambda x, t: TF.cross_entropy(
            x,
            t,
            None if weight is None else torch.tensor(weight, dtype=x.dtype),
            reduction=reduction,
            label_smoothing=smoothing,
        ),
        logits,
        soft,
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_a_loss_without_a_counted_row_is_nan(smoothing):
    target = np.full(6, -100)
    for name, more in (("cross_entropy", {"label_smoothing": smoothing}), ("nll_loss", {})):
        agree(
            lambda x, n=name, m=more: getattr(F, n)(x, target, **m),
            lambda x, n=name, m=more: getattr(TF, n)(x, torch.tensor(target), **m),
            LOGITS,
            order=0,
        )
        agree(
            lambda x, n=name, m=more: getattr(F, n)(x, target, reduction="sum", **m),
            lambda x, n=name, m=more: getattr(TF, n)(x, torch.tensor(target), reduction="sum", **m),
            LOGITS,
        )


def test_cross_entropy_of_huge_logits():
    same_labels = np.array([0, 1])
    agree(
        lambda x: F.cross_entropy(x, same_labels),
        lambda x: TF.cross_entropy(x, torch.tensor(same_labels)),
        np.array([[1e4, -1e4], [1e4, -1e4]]),
    )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses_of_regression(reduction):
    a, b = RNG.standard_normal((2, 3, 4))
    same("mse_loss", a, b, reduction=reduction)
    same("l1_loss", a, b, reduction=reduction)
    same("l1_loss", a, a, reduction=reduction)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_binary_cross_entropy_with_logits(reduction):
    x, target = np.array([-1e4, -40.0, -21.0, -1.0, 0.0, 0.5, 15.0, 21.0, 25.0, 40.0, 1e4]), np.linspace(1, 0, 11)
    for t in (target, np.ones(11), np.zeros(11)):
        same("binary_cross_entropy_with_logits", x, t, reduction=reduction)


@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 2), (2, 3, 4, 2)])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm(shape, affine):
    x = RNG.standard_normal(shape) * 2 + 1
    weights = [RNG.standard_normal(3), RNG.standard_normal(3)] if affine else []
    mean, var = RNG.standard_normal(3), RNG.uniform(0.5, 2, 3)
    for training in (True, False):
        running, running_torch = [], []

        def ours(x, *affine, training=training, running=running):
            running[:] = [minigrad.tensor(mean, x.dtype), minigrad.tensor(var, x.dtype)]
            return F.batch_norm(x, *running, *affine, training=training, momentum=0.3, eps=1e-3)

        def theirs(x, *affine, training=training, running=running_torch):
            running[:] = [torch.tensor(mean, dtype=x.dtype), torch.tensor(var, dtype=x.dtype)]
            return TF.batch_norm(x, *running, *affine, training=training, momentum=0.3, eps=1e-3)

        for dtype in (np.float64, np.float32):
            agree(ours, theirs, x, *weights, dtypes=(dtype,))
            for a, b in zip(running, running_torch, strict=True):
                assert a.dtype == dtype
                np.testing.assert_allclose(a.data, b.numpy(), rtol=1e-12 if dtype == np.float64 else 1e-5)
    agree(
        lambda x: F.batch_norm(x, None, None, training=True), lambda x: TF.batch_norm(x, None, None, training=True), x
    )


def test_layer_norm():
    x, weight, bias = RNG.standard_normal((3, 4, 5)), RNG.standard_normal((4, 5)), RNG.standard_normal((4, 5))
    agree(
        lambda x, w, b: F.layer_norm(x, (4, 5), w, b, 1e-3),
        lambda x, w, b: TF.layer_norm(x, (4, 5), w, b, 1e-3),
        x,
        weight,
        bias,
    )
    agree(lambda x: F.layer_norm(x, (5,)), lambda x: TF.layer_norm(x, (5,)), x)
    agree(lambda x, w: F.layer_norm(x, (5,), w), lambda x, w: TF.layer_norm(x, (5,), w), x, weight[0], order=1)
    agree(lambda x, b: F.layer_norm(x, (5,), bias=b), lambda x, b: TF.layer_norm(x, (5,), bias=b), x, bias[0], order=1)
    agree(lambda x: F.layer_norm(x, (1,)), lambda x: TF.layer_norm(x, (1,)), x[..., :1])


@pytest.mark.parametrize(
    "settings",
    [
        {"size": 5},
        {"size": (14, 3)},
        {"size": (7, 6)},
        {"size": (1, 1)},
        {"scale_factor": 2},
        {"scale_factor": 1.7},
        {"scale_factor": (0.4, 2.3)},
        {"scale_factor": 0.5},
        {"scale_factor": 1 / 3},
        {"size": (21, 49)},
    ],
)
def test_interpolate(settings):
    same("interpolate", X, mode="nearest", **settings)
    for mode in ("bilinear", "bicubic"):
        same("interpolate", X, mode=mode, align_corners=False, **settings)
        same("interpolate", X, mode=mode, align_corners=True, **settings)


def test_nearest_picks_the_same_pixel_for_every_pair_of_sizes():
    for n in range(1, 30):
        x = np.arange(n, dtype=np.float32).reshape(1, 1, 1, n)
        for m in range(1, 100):
            ours, theirs = F.interpolate(x, size=(1, m)), TF.interpolate(torch.tensor(x), size=(1, m))
            np.testing.assert_array_equal(ours.data, theirs.numpy(), err_msg=f"{n} -> {m}")
        for factor in (0.3, 0.7, 1.1, 1.5, 2.9, 3.0, 3.3, 4.7):
            if int(n * factor):
                ours, theirs = (
                    F.interpolate(x, scale_factor=(1, factor)),
                    TF.interpolate(torch.tensor(x), scale_factor=(1.0, factor)),
                )
                np.testing.assert_array_equal(ours.data, theirs.numpy(), err_msg=f"{n} * {factor}")


@pytest.mark.parametrize(
    "widths, settings",
    [
        ((1, 2), {}),
        ((1, 2, 0, 3), {"value": 1.5}),
        ((0, 0, 1, 1, 2, 0), {}),
        ((-1, -2, 1, 0), {"value": -1.0}),
        ((-2, 3), {}),
        ((0, 0), {}),
        ((1, 2, 3, 0), {"mode": "reflect"}),
        ((5, 5, 6, 6), {"mode": "reflect"}),
        ((-1, 2, 0, 1), {"mode": "reflect"}),
        ((1, 2, 3, 0), {"mode": "replicate"}),
        ((9, 0, 0, 8), {"mode": "replicate"}),
        ((-1, 2, 0, -3), {"mode": "replicate"}),
    ],
)
def test_pad(widths, settings):
    agree(lambda x: F.pad(x, widths, **settings), lambda x: TF.pad(x, widths, **settings), X)


def test_dropout_extremes():
    same("dropout", X, p=0.0, training=True)
    same("dropout", X, p=1.0, training=True)
    same("dropout", X, p=0.7, training=False)
