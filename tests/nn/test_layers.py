"""Layers: what they start from, what they keep, and that they are their functions; PyTorch is not needed."""

import numpy as np
import pytest

from minigrad import functional as F
from minigrad import grad, nn, tensor

IMAGES = np.random.default_rng(0).standard_normal((3, 2, 6, 4)).astype(np.float32)
WEIGHTED = {
    "Linear": (4, 3),
    "Conv2d": (2, 4, 3),
    "ConvTranspose2d": (2, 3, 2),
    "Embedding": (5, 3),
    "MultiheadAttention": (4, 2),
}
PLAIN = {
    "ReLU": ((), F.relu),
    "LeakyReLU": ((0.2,), lambda x: F.leaky_relu(x, 0.2)),
    "ELU": ((0.5,), lambda x: F.elu(x, 0.5)),
    "GELU": (("tanh",), lambda x: F.gelu(x, "tanh")),
    "SiLU": ((), F.silu),
    "Softplus": ((2.0, 3.0), lambda x: F.softplus(x, 2.0, 3.0)),
    "Sigmoid": ((), F.sigmoid),
    "Tanh": ((), F.tanh),
    "Softmax": ((1,), lambda x: F.softmax(x, 1)),
    "LogSoftmax": ((), F.log_softmax),
    "MaxPool2d": ((3, 2, 1, True), lambda x: F.max_pool2d(x, 3, 2, 1, True)),
    "AvgPool2d": ((3, 2, 1, True, False), lambda x: F.avg_pool2d(x, 3, 2, 1, True, False)),
    "AdaptiveAvgPool2d": ((2,), lambda x: F.adaptive_avg_pool2d(x, 2)),
    "Upsample": ((None, 2, "bilinear", True), lambda x: F.interpolate(x, None, 2, "bilinear", True)),
    "ZeroPad2d": ((1,), lambda x: F.pad(x, (1, 1, 1, 1))),
    "Flatten": ((), lambda x: x.flatten(1)),
    "Identity": ((), lambda x: x),
    "Standardize": (
        ([0.1, 0.2], [0.5, 2.0]),
        lambda x: (x - np.array([0.1, 0.2], "f").reshape(2, 1, 1)) / np.array([0.5, 2.0], "f").reshape(2, 1, 1),
    ),
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_layer_is_its_function(name):
    args, f = PLAIN[name]
    layer, x = getattr(nn, name)(*args), tensor(IMAGES)
    assert layer.parameters() == [] and layer.state_dict() == {}
    y = layer(x)
    np.testing.assert_array_equal(y.data, f(x).data)
    assert y.dtype == np.float32


@pytest.mark.parametrize("name", WEIGHTED)
def test_first_weights_come_from_the_generator(name):
    one, same, other = (
        getattr(nn, name)(*WEIGHTED[name], rng=np.random.default_rng(seed)).state_dict() for seed in (0, 0, 1)
    )
    for key in one:
        assert one[key].dtype == np.float32
        np.testing.assert_array_equal(one[key], same[key])
    assert any(not np.array_equal(one[key], other[key]) for key in one)
    assert not all(
        np.array_equal(a, b)
        for a, b in zip(getattr(nn, name)(*WEIGHTED[name]).state_dict().values(), one.values(), strict=True)
    )


@pytest.mark.parametrize("name", [n for n in WEIGHTED if n not in ("Embedding", "MultiheadAttention")])
def test_bias_false_leaves_it_out(name):
    layer = getattr(nn, name)(*WEIGHTED[name], bias=False)
    assert layer.bias is None and list(layer.state_dict()) == ["weight"]


def test_batch_norm_switches_between_its_modes():
    layer = nn.BatchNorm2d(2)
    y = layer(IMAGES).data
    np.testing.assert_allclose(y.mean((0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(y.var((0, 2, 3)), 1, atol=1e-3)
    np.testing.assert_allclose(layer.running_mean.data, 0.1 * IMAGES.mean((0, 2, 3)), rtol=1e-4)
    assert layer.num_batches_tracked.item() == 1
    layer.eval()
    frozen = layer.state_dict()
    one = layer(IMAGES[:1]).data
    np.testing.assert_allclose(layer(IMAGES).data[:1], one, rtol=1e-6)
    assert all(np.array_equal(v, frozen[k]) for k, v in layer.state_dict().items())
    assert set(dict(layer.named_buffers())) == {"running_mean", "running_var", "num_batches_tracked"}
    assert nn.BatchNorm2d(2, track_running_stats=False).state_dict().keys() == {"weight", "bias"}
    assert nn.BatchNorm2d(2, affine=False).parameters() == []


def test_batch_norm_statistics_are_constants_of_the_tape():
    layer, x = nn.BatchNorm2d(2), tensor(IMAGES, requires_grad=True)
    y = layer(x)
    np.testing.assert_allclose(grad(y.sum(), x).data, 0, atol=1e-5)  # the batch's mean is subtracted
    layer.eval()
    expected = np.broadcast_to(1 / np.sqrt(layer.running_var.data + layer.eps)[:, None, None], x.shape)
    np.testing.assert_allclose(grad(layer(x), x).data, expected, rtol=1e-5)


def test_dropout_only_in_training():
    layer = nn.Dropout(0.5, rng=np.random.default_rng(0))
    assert (layer(IMAGES).data == 0).any() and not np.array_equal(layer(IMAGES).data, layer(IMAGES).data)
    np.testing.assert_array_equal(layer.eval()(tensor(IMAGES)).data, IMAGES)


def test_attention_attends():
    layer = nn.MultiheadAttention(4, 2, rng=np.random.default_rng(0))
    x = np.random.default_rng(1).standard_normal((2, 3, 4)).astype(np.float32)
    y = layer(x)
    assert y.shape == (2, 3, 4)
    np.testing.assert_allclose(
        layer(x[:, ::-1].copy()).data[:, ::-1], y.data, atol=1e-6
    )  # order of positions does not matter
    np.testing.assert_allclose(layer(x, x, x).data, y.data)
    assert layer(x, np.concatenate([x, x], 1)).shape == (2, 3, 4)
    assert list(layer.state_dict()) == ["in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"]
    dropped = nn.MultiheadAttention(4, 2, dropout=0.9, rng=np.random.default_rng(0))
    assert not np.allclose(dropped(x).data, y.data)
    np.testing.assert_allclose(dropped.eval()(x).data, y.data)


def test_embedding_padding_starts_and_stays_at_zero():
    layer = nn.Embedding(4, 3, padding_idx=-1)
    np.testing.assert_array_equal(layer.weight.data[3], 0)
    layer([[3, 0]]).sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.data, [[1] * 3, [0] * 3, [0] * 3, [0] * 3])


def test_loss_modules():
    logits, labels = np.array([[1.0, 2.0], [0.5, 0.0]], np.float32), np.array([1, 0])
    assert (
        nn.CrossEntropyLoss(label_smoothing=0.1)(logits, labels).item()
        == F.cross_entropy(logits, labels, label_smoothing=0.1).item()
    )
    assert nn.NLLLoss(reduction="sum")(logits, labels).item() == -2.5
    assert nn.MSELoss()(logits, logits + 2).item() == 4


def test_kaiming_and_xavier_have_their_variances():
    rng = np.random.default_rng(0)
    weight = nn.Parameter(np.zeros((300, 200), np.float32))
    for fill, variance in (
        (nn.init.kaiming_uniform, 2 / 200),
        (nn.init.kaiming_normal, 2 / 200),
        (nn.init.xavier_uniform, 2 / 500),
        (nn.init.xavier_normal, 2 / 500),
    ):
        version = weight.version
        fill(weight, rng)
        np.testing.assert_allclose(weight.data.var(), variance, rtol=0.03)
        assert weight.version > version and weight.dtype == np.float32
    nn.init.kaiming_normal(weight, rng, a=1.0)
    np.testing.assert_allclose(weight.data.var(), 1 / 200, rtol=0.03)
    nn.init.constant(weight, 3)
    assert (weight.data == 3).all()
    nn.init.uniform(weight, -1, 2, rng)
    assert weight.data.min() >= -1 and weight.data.max() <= 2 and abs(weight.data.mean() - 0.5) < 0.02
    nn.init.normal(weight, 5, 0.1, rng)
    np.testing.assert_allclose([weight.data.mean(), weight.data.std()], [5, 0.1], rtol=0.01)


def test_first_weights_keep_the_memory_order_of_the_kernels():
    weight = nn.Conv2d(3, 4, 3).weight
    strides = weight.data.strides
    nn.init.kaiming_normal(weight, np.random.default_rng(0))
    assert weight.data.strides == strides


@pytest.mark.parametrize("padding", ["same", (1, 1)])
def test_a_network_of_layers_trains_on_one_batch(padding):
    rng = np.random.default_rng(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=padding, rng=rng),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 3, rng=rng),
    )
    losses = []
    for _ in range(30):
        model.zero_grad()
        loss = F.cross_entropy(model(IMAGES), [0, 1, 2])
        loss.backward()
        losses.append(loss.item())
        for p in model.parameters():
            p.data -= 0.1 * p.grad.data
    assert losses[-1] < 0.1 * losses[0]
