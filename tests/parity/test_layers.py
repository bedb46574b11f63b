"""Layers against `torch.nn`: weights travel both ways, and outputs, gradients and running statistics agree."""

import numpy as np
import pytest

import minigrad
from minigrad import nn

from .twice import TOLERANCE, torch

RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((3, 4, 6, 5))
LAYERS = {
    "Linear": [((5, 3), {}), ((5, 3), {"bias": False})],
    "Conv2d": [
        ((4, 6, 3), {}),
        ((4, 6, (3, 2)), {"stride": (2, 1), "padding": (1, 0), "groups": 2, "bias": False}),
        ((4, 3, 3), {"padding": "same", "dilation": 2}),
    ],
    "ConvTranspose2d": [
        ((4, 3, 3), {}),
        ((4, 6, 3), {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2, "dilation": 2}),
    ],
    "BatchNorm2d": [
        ((4,), {}),
        ((4,), {"eps": 1e-2, "momentum": 0.4}),
        ((4,), {"affine": False}),
        ((4,), {"momentum": None}),
        ((4,), {"track_running_stats": False}),
    ],
    "LayerNorm": [((5,), {}), (((6, 5),), {"eps": 0.1}), ((5,), {"elementwise_affine": False})],
    "ReLU": [((), {})],
    "LeakyReLU": [((0.2,), {})],
    "ELU": [((0.7,), {})],
    "GELU": [((), {}), ((), {"approximate": "tanh"})],
    "SiLU": [((), {})],
    "Softplus": [((), {"beta": 2})],
    "Sigmoid": [((), {})],
    "Tanh": [((), {})],
    "Softmax": [((), {"dim": 1})],
    "LogSoftmax": [((), {"dim": 1})],
    "MaxPool2d": [((2,), {}), ((3, 2, 1), {"ceil_mode": True})],
    "AvgPool2d": [((2,), {}), ((3, 2), {"padding": 1, "count_include_pad": False})],
    "AdaptiveAvgPool2d": [(((3, 2),), {})],
    "Upsample": [((), {"scale_factor": 2}), ((), {"size": (4, 9), "mode": "bilinear", "align_corners": True})],
    "ZeroPad2d": [((1,), {}), (((1, 0, 2, 1),), {})],
    "Flatten": [((), {}), ((0, 2), {})],
    "Identity": [((), {})],
    "Dropout": [((0.0,), {})],
}


def pair(name, args, settings):
    """Our layer and torch's, in float64, ours with torch's weights."""
    ours = getattr(nn, name)(*args, **settings).to(np.float64)
    theirs = getattr(torch.nn, name)(*args, **settings).double()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, dtype=torch.float64)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def check(ours, theirs, *arrays):
    """Outputs, and gradients for the inputs and every parameter."""
    xs = [minigrad.tensor(a, requires_grad=True) for a in arrays]
    ts = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, t = ours(*xs), theirs(*ts)
    t = t[0] if isinstance(t, tuple) else t
    np.testing.assert_allclose(y.data, t.detach().numpy(), **TOLERANCE[np.float64])
    u = RNG.standard_normal(y.shape)
    y.backward(u)
    t.backward(torch.tensor(u))
    grads = {name: p.grad for name, p in ours.named_parameters()}
    grads_torch = {name: p.grad for name, p in theirs.named_parameters()}
    assert grads.keys() == grads_torch.keys()
    for a, b in [*zip(xs, ts, strict=True)]:
        np.testing.assert_allclose(a.grad.data, b.grad.numpy(), **TOLERANCE[np.float64])
    for name in grads:
        np.testing.assert_allclose(grads[name].data, grads_torch[name].numpy(), err_msg=name, **TOLERANCE[np.float64])


def check_states(ours, theirs):
    state, state_torch = ours.state_dict(), theirs.state_dict()
    assert state.keys() == state_torch.keys()
    for key, value in state_torch.items():
        assert state[key].dtype == value.numpy().dtype and state[key].shape == tuple(value.shape), key
        np.testing.assert_allclose(state[key], value.numpy(), rtol=1e-12, atol=1e-12, err_msg=key)


@pytest.mark.parametrize("name, args, settings", [(n, *case) for n, cases in LAYERS.items() for case in cases])
def test_a_layer_with_its_weights_in_both_directions(name, args, settings):
    ours, theirs = pair(name, args, settings)
    check_states(ours, theirs)
    for training in (True, False):
        ours.train(training), theirs.train(training)
        for parameter in (*ours.parameters(), *theirs.parameters()):
            parameter.grad = None
        check(ours, theirs, IMAGES)
        check_states(ours, theirs)
    with torch.no_grad():
        for part in (*theirs.parameters(), *theirs.buffers()):
            part.zero_()
    theirs.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in ours.state_dict().items()})
    theirs.eval(), ours.eval()
    np.testing.assert_allclose(
        ours(IMAGES).data, theirs(torch.tensor(IMAGES)).detach().numpy(), **TOLERANCE[np.float64]
    )


@pytest.mark.parametrize("momentum", [0.1, 0.5, None])
@pytest.mark.parametrize(
    "name, shape", [("BatchNorm2d", (3, 4, 2, 5)), ("BatchNorm1d", (5, 4)), ("BatchNorm1d", (3, 4, 6))]
)
def test_running_statistics_over_many_batches(name, shape, momentum):
    ours, theirs = pair(name, (4,), {"momentum": momentum})
    for k in range(4):
        x = RNG.standard_normal(shape) * (k + 1) + k
        check(ours, theirs, x)
        check_states(ours, theirs)
        for parameter in (*ours.parameters(), *theirs.parameters()):
            parameter.grad = None
    assert ours.num_batches_tracked.item() == 4
    ours.eval(), theirs.eval()
    check(ours, theirs, x)
    check_states(ours, theirs)


@pytest.mark.parametrize("bias", [True, False])
def test_multihead_attention(bias):
    ours = nn.MultiheadAttention(6, 3, bias=bias).to(np.float64)
    theirs = torch.nn.MultiheadAttention(6, 3, bias=bias, batch_first=True).double()
    ours.load_state_dict(theirs.state_dict())
    check_states(ours, theirs)
    query, key, value = RNG.standard_normal((2, 4, 6)), RNG.standard_normal((2, 5, 6)), RNG.standard_normal((2, 5, 6))
    check(ours, theirs, query, key, value)
    ours.zero_grad(), theirs.zero_grad()
    check(ours, lambda_module(theirs), query)


def lambda_module(attention):
    """torch's attention of a sequence to itself, its parameters under the same names."""
    attention.forward = (lambda forward: lambda x, *more: forward(x, *(more or (x, x))))(attention.forward)
    return attention


@pytest.mark.parametrize("padding_idx", [None, 2, -1])
def test_embedding(padding_idx):
    ours, theirs = pair("Embedding", (5, 3), {"padding_idx": padding_idx})
    indices = np.array([[0, 2, 4], [4, 4, 1]])
    y, t = ours(indices), theirs(torch.tensor(indices))
    np.testing.assert_array_equal(y.data, t.detach().numpy())
    u = RNG.standard_normal(y.shape)
    y.backward(u), t.backward(torch.tensor(u))
    np.testing.assert_allclose(ours.weight.grad.data, theirs.weight.grad.numpy())


@pytest.mark.parametrize(
    "name, args",
    [
        ("CrossEntropyLoss", {"weight": [1.0, 2.0, 0.5], "label_smoothing": 0.1, "ignore_index": 1}),
        ("NLLLoss", {"weight": [1.0, 2.0, 0.5], "reduction": "sum"}),
        ("CrossEntropyLoss", {"reduction": "none"}),
    ],
)
def test_losses(name, args):
    logits, target = RNG.standard_normal((4, 3)), np.array([0, 1, 2, 2])
    ours, theirs = dict(args), dict(args)
    if "weight" in args:
        ours["weight"], theirs["weight"] = np.array(args["weight"]), torch.tensor(args["weight"], dtype=torch.float64)
    y, t = (
        getattr(nn, name)(**ours)(logits, target),
        getattr(torch.nn, name)(**theirs)(torch.tensor(logits), torch.tensor(target)),
    )
    np.testing.assert_allclose(y.data, t.numpy(), rtol=1e-12)
    np.testing.assert_allclose(
        nn.MSELoss()(logits, logits * 2).data,
        torch.nn.MSELoss()(torch.tensor(logits), torch.tensor(logits * 2)).numpy(),
    )


def test_a_whole_network_keeps_its_keys_and_numbers():
    def build(nn):
        return nn.Sequential(
            nn.Conv2d(4, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.Sequential(nn.MaxPool2d(2), nn.Flatten()),
            nn.Dropout(0.0),
            nn.Linear(36, 5, bias=False),
            nn.LayerNorm(5),
        )

    ours, theirs = build(nn).to(np.float64), build(torch.nn).double()
    ours.load_state_dict(theirs.state_dict())
    check(ours, theirs, IMAGES)
    check_states(ours, theirs)


def test_first_weights_spread_as_pytorchs():
    """The same distribution: compare minimum, maximum and standard deviation over many weights."""
    torch.manual_seed(0)
    for name, args in (
        ("Linear", (200, 300)),
        ("Conv2d", (20, 50, 3)),
        ("ConvTranspose2d", (50, 20, 3)),
        ("Embedding", (200, 100)),
    ):
        ours, theirs = getattr(nn, name)(*args, rng=np.random.default_rng(0)), getattr(torch.nn, name)(*args)
        for key, value in theirs.state_dict().items():
            a, b = ours.state_dict()[key], value.numpy()
            if a.size > 1000:
                np.testing.assert_allclose(
                    [a.std(), np.abs(a).mean(), a.mean()], [b.std(), np.abs(b).mean(), b.mean()], rtol=0.05, atol=0.02
                )
            assert a.dtype == b.dtype == np.float32
    ours, theirs = nn.MultiheadAttention(60, 3).state_dict(), torch.nn.MultiheadAttention(60, 3).state_dict()
    for key, value in theirs.items():
        np.testing.assert_allclose(ours[key].std(), value.numpy().std(), rtol=0.1, atol=1e-12)
