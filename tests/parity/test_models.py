"""Every network of the zoo equals PyTorch's: weights travel both ways, and logits and gradients agree."""

import numpy as np
import pytest

from minigrad import Tensor, grad, load_state, models

torch = pytest.importorskip("torch")
from benchmarks import torch_zoo as zoo  # noqa: E402

# (name, options here, PyTorch's network, shape of x): as small as each network allows.
SMALL = [
    ("squeezenet1_0", {"num_classes": 7}, lambda: zoo.SqueezeNet("1_0", 7), (2, 3, 43, 48)),
    ("squeezenet1_0", {"num_classes": 7, "classifier_padding": 1}, lambda: zoo.SqueezeNet("1_0", 7, 1),
     (1, 3, 40, 40)),
    ("squeezenet1_1", {"num_classes": 7}, lambda: zoo.SqueezeNet("1_1", 7), (2, 3, 40, 35)),
    ("vgg11", {"num_classes": 7, "hidden": 16}, lambda: zoo.Vgg("vgg11", 7, hidden=16), (2, 3, 32, 33)),
    ("vgg13", {"num_classes": 7, "hidden": 16, "batch_norm": True}, lambda: zoo.Vgg("vgg13", 7, True, 16),
     (2, 3, 32, 32)),
    ("resnet18", {"num_classes": 7}, lambda: zoo.ResNet(False, 7), (2, 3, 33, 40)),
    ("resnet20", {"num_classes": 7}, lambda: zoo.ResNet(True, 7), (3, 3, 16, 12)),
    ("vit_tiny", {}, lambda: zoo.ViT(28, 4, 4, 64, 4, 128, 10, ((0.5,), (0.25,))), (2, 1, 28, 28)),
    ("vit_tiny", {"image_size": 32, "patch_size": 8, "mean": zoo.HALF[0], "std": zoo.HALF[1], "heads": 2, "depth": 2},
     lambda: zoo.ViT(32, 8, 2, 64, 2, 128, 10, zoo.HALF), (3, 3, 32, 32)),
]  # fmt: skip
LARGE = [
    ("squeezenet1_0", {}, lambda: zoo.SqueezeNet("1_0")),
    ("squeezenet1_1", {}, lambda: zoo.SqueezeNet("1_1")),
    *[(name, {"batch_norm": norm}, lambda name=name, norm=norm: zoo.Vgg(name, 1000, norm))
      for name in zoo.VGG for norm in (False, True)],
    ("resnet18", {}, lambda: zoo.ResNet(False, 1000)),
    ("vit_b_16", {}, lambda: zoo.ViT()),
]  # fmt: skip
pytestmark = pytest.mark.compiled
small = pytest.mark.parametrize(("name", "options", "build", "shape"), SMALL,
                                ids=[f"{case[0]}-{i}" for i, case in enumerate(SMALL)])  # fmt: skip


def torch_network(build, dtype=torch.float32):
    """PyTorch's network with weights and batch-norm statistics drawn at random, in eval mode."""
    torch.manual_seed(0)
    network = build().to(dtype).eval()
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):  # so that something is left at the last layer
            torch.nn.init.kaiming_normal_(layer.weight)
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
            torch.nn.init.normal_(layer.bias)
            torch.nn.init.normal_(layer.running_mean)
            torch.nn.init.uniform_(layer.running_var, 0.5, 2)
    return network


def assert_near(ours, theirs, dtype, what, scale=0.0):
    """Within rounding of the largest element (or of `scale`, if larger): the zeros of a gradient carry its noise."""
    theirs = theirs.detach().numpy()
    assert ours.dtype == dtype and ours.shape == theirs.shape and np.abs(theirs).max() > 0, what
    rounding = 1e-10 if dtype == np.float64 else 2e-4
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=rounding * max(np.abs(theirs).max(), scale), err_msg=what)


def compare(model, network, x, dtype, parameters=False):
    """Logits and the gradient of their weighted sum, with respect to the pixels and, if asked, every parameter."""
    inputs, pixels = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    ours, theirs = model(inputs), network(pixels)
    assert_near(ours.data, theirs, dtype, "logits")
    seed = np.random.default_rng(1).normal(size=ours.shape).astype(dtype)
    named = dict(model.named_parameters()) if parameters else {}
    gradients = grad(ours, [inputs, *named.values()], seed)
    theirs.backward(torch.tensor(seed))
    # The bias of a convolution before batch norm has the gradient zero, of which only the noise is left to compare.
    scale = 1e-3 * max(np.abs(g.data).max() for g in gradients)
    for name, ours, theirs in zip(["x", *named], gradients, [pixels, *network.parameters()], strict=False):
        assert_near(ours.data, theirs.grad, dtype, f"gradient of {name}", scale)


@small
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logits_and_input_gradients_equal_pytorchs(name, options, build, shape, dtype):
    network = torch_network(build, torch.float32 if dtype == np.float32 else torch.float64)
    model = models.create(name, **options).to(dtype).eval()
    model.load_state_dict(network.state_dict())
    compare(model, network, np.random.default_rng(0).random(shape).astype(dtype), dtype)


@small
def test_training_equals_pytorchs(name, options, build, shape):
    """Batch statistics, the gradient of every parameter, and the running statistics afterwards; without dropout."""
    network = torch_network(build, torch.float64).train()
    for layer in network.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
    model = models.create(name, **options, **({} if name.startswith("resnet") else {"dropout": 0.0})).to(np.float64)
    model.load_state_dict(network.state_dict())
    shape = (4, *shape[1:])
    compare(model, network, np.random.default_rng(0).random(shape), np.float64, parameters=True)
    for key, array in model.state_dict().items():
        np.testing.assert_allclose(array, network.state_dict()[key].numpy(), rtol=1e-10, err_msg=key)


@small
def test_weights_travel_to_pytorch_and_back_through_a_file(name, options, build, shape, tmp_path):
    model = models.create(name, **options, rng=np.random.default_rng(0)).eval()
    network = build().eval()
    assert list(model.state_dict()) == list(network.state_dict())
    network.load_state_dict({key: torch.tensor(array) for key, array in model.state_dict().items()})
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    again = models.create(name, **options, rng=np.random.default_rng(1)).eval()
    again.load_state_dict(load_state(tmp_path / "weights.pth"))
    x = np.random.default_rng(0).random(shape).astype(np.float32)
    np.testing.assert_array_equal(again(x).data, model(x).data)
    assert_near(model(x).data, network(torch.tensor(x)), np.float32, "logits")


@pytest.mark.parametrize(("name", "options", "build"), LARGE, ids=[f"{c[0]}-{i}" for i, c in enumerate(LARGE)])
def test_names_and_shapes_of_the_full_networks_equal_pytorchs(name, options, build, monkeypatch):
    """Neither side holds a number: PyTorch's network is on the device `meta`, ours keeps untouched pages of zeros."""
    monkeypatch.setattr("minigrad.nn.layers.weight_layout", lambda array: array)
    monkeypatch.setattr("minigrad.nn.init._draw", lambda *_: None)
    with torch.device("meta"):
        theirs = {key: tuple(t.shape) for key, t in build().state_dict().items()}
    model = models.create(name, **options)
    ours = {key: t.shape for key, t in [*model.named_parameters(), *model.named_buffers()]}
    assert ours == theirs
