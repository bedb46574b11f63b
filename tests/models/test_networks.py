"""The networks of the zoo: sizes, paths, files, and what they say when they are used wrongly."""

import json

import numpy as np
import pytest

import minigrad
from minigrad import Tensor, grad, models, nn

COUNTS = {"cifar_cnn": 549_986, "lenet5": 61_706, "mnist_cnn": 799_078, "resnet18": 11_689_512, "resnet20": 272_474,
          "squeezenet1_0": 1_248_424, "squeezenet1_1": 1_235_496, "vgg11": 132_863_336, "vgg13": 133_047_848,
          "vgg16": 138_357_544, "vgg19": 143_667_240, "vit_b_16": 86_567_656, "vit_tiny": 139_018}  # fmt: skip
# (name, options that make it small, shape of x, classes)
SMALL = [
    ("mnist_cnn", {"batch_norm": True, "dropout": 0.5}, (2, 1, 28, 28), 10),
    ("lenet5", {}, (2, 1, 28, 28), 10),
    ("cifar_cnn", {}, (2, 3, 32, 32), 2),
    ("cifar_cnn", {"num_classes": 4, "batch_norm": False, "mean": [0.1], "std": [0.3]}, (1, 1, 32, 32), 4),
    ("squeezenet1_0", {"num_classes": 5, "dropout": 0.0, "classifier_padding": 1}, (1, 3, 32, 40), 5),
    ("squeezenet1_1", {"num_classes": 5}, (1, 3, 32, 32), 5),
    ("vgg11", {"num_classes": 5, "hidden": 8, "mean": (0.5,), "std": (0.2,)}, (1, 1, 32, 32), 5),
    ("vgg16", {"num_classes": 5, "hidden": 8, "batch_norm": True}, (1, 3, 32, 32), 5),
    ("resnet18", {"num_classes": 5}, (1, 3, 32, 32), 5),
    ("resnet20", {"mean": (0.5,), "std": (0.2,)}, (2, 1, 16, 16), 10),
    ("vit_tiny", {"hidden": 12, "heads": 3, "mlp": 8, "depth": 2, "dropout": 0.1}, (2, 1, 28, 28), 10),
]
small = pytest.mark.parametrize(("name", "options", "shape", "classes"), SMALL,
                                ids=[f"{case[0]}-{i}" for i, case in enumerate(SMALL)])  # fmt: skip


def pixels(shape):
    return np.random.default_rng(0).random(shape).astype(np.float32)


@pytest.fixture
def no_numbers(monkeypatch):
    """Let layers keep their untouched pages of zeros, so that a large network needs neither memory nor time."""
    monkeypatch.setattr("minigrad.nn.layers.weight_layout", lambda array: array)
    monkeypatch.setattr("minigrad.nn.init._draw", lambda *_: None)


def test_every_model_is_counted():
    assert models.names() == sorted(COUNTS)
    assert all(getattr(models, name).__doc__ for name in COUNTS)


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_are_as_many_as_published(name, no_numbers):
    model = models.create(name)
    assert sum(p.size for p in model.parameters()) == COUNTS[name]
    assert model.architecture == {"name": name, "options": {}}


@pytest.mark.parametrize(("name", "count"), [("vgg11", 132_868_840), ("vgg16", 138_365_992)])
def test_vgg_with_batch_norm_has_the_published_count(name, count, no_numbers):
    assert sum(p.size for p in models.create(name, batch_norm=True).parameters()) == count


@pytest.mark.compiled
@small
def test_logits_gradients_and_files(name, options, shape, classes, tmp_path):
    model = models.create(name, **options, rng=np.random.default_rng(0)).eval()
    x = Tensor(pixels(shape), requires_grad=True)
    y = model(x)
    assert y.shape == (shape[0], classes) and y.dtype == np.float32 and np.isfinite(y.data).all()
    g = grad(y.sum(), x)
    assert g.shape == shape and g.dtype == np.float32 and np.abs(g.data).max() > 0
    minigrad.save(tmp_path / "model.safetensors", model)
    again = minigrad.load(tmp_path / "model.safetensors")
    assert again.architecture == json.loads(json.dumps(model.architecture)) and not again.training
    np.testing.assert_array_equal(again(x).data, y.data)


@small
def test_the_seed_decides_the_weights(name, options, shape, classes):
    first, same, other = (models.create(name, **options, rng=np.random.default_rng(seed)).parameters()
                          for seed in (0, 0, 1))  # fmt: skip
    assert all(np.array_equal(p.data, q.data) for p, q in zip(first, same))
    assert not all(np.array_equal(p.data, q.data) for p, q in zip(first, other))


@pytest.mark.compiled
@pytest.mark.parametrize(("name", "options", "shape", "paths"), [
    ("cifar_cnn", {}, (2, 3, 32, 32), {
        "features.0": (2, 3, 32, 32), "features.7": (2, 32, 16, 16), "classifier.4": (2, 2)}),
    ("squeezenet1_0", {"num_classes": 5}, (1, 3, 63, 63), {
        "standardize": (1, 3, 63, 63), "features.2": (1, 96, 14, 14), "features.3.squeeze": (1, 16, 14, 14),
        "features.3.expand3x3_activation": (1, 64, 14, 14), "features.12": (1, 512, 3, 3),
        "classifier.1": (1, 5, 3, 3)}),
    ("vgg11", {"num_classes": 5, "hidden": 8}, (1, 3, 32, 32), {
        "features.20": (1, 512, 1, 1), "avgpool": (1, 512, 7, 7), "classifier.6": (1, 5)}),
    ("resnet20", {}, (2, 3, 16, 16), {
        "layer1.0.relu": (2, 16, 16, 16), "layer1.0.relu#2": (2, 16, 16, 16), "layer2.0.downsample.0": (2, 32, 8, 8),
        "layer3.2": (2, 64, 4, 4), "avgpool": (2, 64, 1, 1), "fc": (2, 10)}),
    ("vit_tiny", {}, (2, 1, 28, 28), {
        "conv_proj": (2, 64, 7, 7), "encoder.layers.encoder_layer_3.self_attention": (2, 50, 64),
        "encoder.layers.encoder_layer_0.mlp.1": (2, 50, 128), "encoder.ln": (2, 50, 64), "heads.head": (2, 10)}),
])  # fmt: skip
def test_activations_are_nodes_of_the_tape_under_their_paths(name, options, shape, paths):
    model = models.create(name, **options).eval()
    x = Tensor(pixels(shape), requires_grad=True)
    y, activations = model.named_activations(x)
    assert {path: activations[path].shape for path in paths} == paths
    assert {path.removesuffix("#2") for path in activations} <= {path for path, _ in model.named_modules()}
    for path in paths:
        assert activations[path].scope.startswith(path.removesuffix("#2"))
        assert grad(y.sum(), activations[path]).shape == paths[path]


def test_pixels_are_standardised_without_a_key():
    model = models.resnet20(mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7)).eval()
    assert not [key for key in model.state_dict() if "standard" in key]
    x = pixels((1, 3, 8, 8))
    _, activations = model.named_activations(x)
    expected = (x[0] - np.reshape([0.1, 0.2, 0.3], (3, 1, 1))) / np.reshape([0.5, 0.6, 0.7], (3, 1, 1))
    np.testing.assert_allclose(activations["standardize"].data[0], expected, rtol=1e-5, atol=1e-6)


def test_a_layer_may_be_replaced_as_for_transfer_learning():
    model = models.resnet20().eval()
    model.fc = nn.Linear(64, 3)
    model.layer3 = nn.Sequential(model.layer3[0])
    assert model(pixels((1, 3, 16, 16))).shape == (1, 3)


@pytest.mark.compiled
@pytest.mark.parametrize("name", ["cifar_cnn", "resnet20", "vit_tiny"])
def test_a_few_steps_of_descent_lower_the_loss(name):
    shape = (8, 1, 28, 28) if name == "vit_tiny" else (8, 3, 32, 32) if name == "cifar_cnn" else (8, 3, 16, 16)
    options = {} if name == "resnet20" else {"dropout": 0.0}
    model = models.create(name, num_classes=2, **options, rng=np.random.default_rng(0)).train()
    x, labels, losses = pixels(shape), np.arange(8) % 2, []
    for _ in range(4):
        loss = minigrad.functional.cross_entropy(model(x), labels)
        losses.append(loss.item())
        model.zero_grad()
        loss.backward()
        for parameter in model.parameters():
            parameter.data = parameter.data - np.float32(0.02) * parameter.grad.data
    assert losses[-1] < losses[0]


@pytest.mark.compiled
@pytest.mark.parametrize(("name", "options"), [("vgg16", {"hidden": 8}), ("squeezenet1_0", {})])
def test_deep_networks_start_with_a_signal_that_neither_fades_nor_grows(name, options):
    model = models.create(name, num_classes=5, **options, rng=np.random.default_rng(0)).eval()
    _, activations = model.named_activations(pixels((1, 3, 64, 64)))
    last = max((path for path in activations if path.startswith("features.")), key=lambda p: int(p.split(".")[1]))
    assert 0.03 < activations[last].data.std() < 30


def test_older_names_in_published_checkpoints_are_understood():
    model = models.vit_tiny(depth=1)
    state = {key.replace("mlp.0", "mlp.linear_1").replace("mlp.3", "mlp.linear_2"): array + 1
             for key, array in model.state_dict().items()}  # fmt: skip
    model.load_state_dict(state)
    expected = state["encoder.layers.encoder_layer_0.mlp.linear_2.weight"]
    np.testing.assert_array_equal(model.encoder.layers[0].mlp[3].weight.data, expected)


def test_a_checkpoint_may_lack_the_count_of_batches_and_nothing_else():
    model = models.resnet20()
    state = {key: array for key, array in model.state_dict().items() if "num_batches" not in key}
    assert model.load_state_dict(state) == ([], [])
    del state["bn1.running_var"]
    with pytest.raises(ValueError, match="missing: bn1.running_var"):
        model.load_state_dict(state)


def test_a_checkpoint_of_another_model_says_what_does_not_fit():
    model = models.squeezenet1_0(num_classes=5)
    before = model.state_dict()
    with pytest.raises(ValueError, match=r"features.0.weight: shape \(64, 3, 3, 3\), expected \(96, 3, 7, 7\)"):
        model.load_state_dict(models.squeezenet1_1(num_classes=5).state_dict())
    with pytest.raises(ValueError, match=r"classifier.1.weight: shape \(6, 512, 1, 1\), expected \(5, 512, 1, 1\)"):
        model.load_state_dict(models.squeezenet1_0(num_classes=6).state_dict())
    with pytest.raises(ValueError, match="missing: features.0.weight"):
        model.load_state_dict(models.resnet20().state_dict())
    assert all(np.array_equal(before[key], array) for key, array in model.state_dict().items())


@pytest.mark.parametrize(("build", "message"), [
    (lambda: models.create("squeezenet"), r"there is no model 'squeezenet'; did you mean 'squeezenet1_\d'"),
    (lambda: models.vit_tiny(image_size=30), "patch_size is 4, expected a divisor of image_size 30"),
    (lambda: models.vit_tiny(heads=3), "num_heads=3 must divide embed_dim=64"),
    (lambda: models.resnet20(mean=0.5), r"mean is 0.5, std \(0.25, 0.25, 0.25\), expected as many numbers in both"),
    (lambda: models.vgg11(mean=(0.5,)), "expected as many numbers in both as an image has channels"),
    (lambda: models.cifar_cnn(num_classes=0), "out_features is 0, expected an integer of at least 1"),
    (lambda: models.cifar_cnn(dropout=2), "p is 2, expected a probability"),
    (lambda: models.vit_tiny()(pixels((1, 1, 32, 32))), r"x has shape \(1, 1, 32, 32\), expected images of 28x28"),
    (lambda: models.resnet20()(pixels((1, 1, 8, 8))), r"Standardize: x has shape \(1, 1, 8, 8\), expected \(N, 3, "),
    (lambda: models.squeezenet1_1(num_classes=2)(pixels((1, 3, 4, 4))), "max_pool2d|conv2d"),
])  # fmt: skip
def test_wrong_values_name_what_was_expected(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(("build", "message"), [
    (lambda: models.vgg11(classes=10), "vgg11: got an unexpected keyword argument 'classes'; its options are num_cl"),
    (lambda: models.lenet5(1, 2), "lenet5: too many positional arguments; its options are rng"),
    (lambda: models.resnet20(rng=0), r"resnet20: rng is 0, expected a numpy Generator; pass np.random.default_rng\("),
])  # fmt: skip
def test_wrong_options_name_the_right_ones(build, message):
    with pytest.raises(TypeError, match=message):
        build()


def test_options_may_be_positional_and_reach_the_architecture():
    model = models.mnist_cnn(True, dropout=0.25)
    assert model.architecture == {"name": "mnist_cnn", "options": {"batch_norm": True, "dropout": 0.25}}
