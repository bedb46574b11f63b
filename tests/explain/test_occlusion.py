"""Occlusion against its definition, and the computation on crops against the whole network."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import explain
import minigrad
from minigrad import functional as F
from minigrad import kernels, nn

from . import nets, trained

pytestmark = pytest.mark.compiled  # hundreds of passes through a network take minutes in plain Python

TARGET = np.array([0, 3, 1])
WINDOWS = [(3, 1), (4, 3), ((2, 5), (2, 3)), ((1, 3, 4), (1, 2, 2)), (12, 1), (1, 1), (7, 5)]


def by_definition(model, x, target, window, stride, baseline):
    """Every window hidden in a copy, one image at a time; windows are cut off at the edge."""
    total, covering = np.zeros(x.shape), np.zeros(x.shape)
    starts = [range(0, -(-(n - w) // s) * s + 1, s) for n, w, s in zip(x.shape[1:], window, stride)]
    for i in range(len(x)):
        score = model(minigrad.Tensor(x[i : i + 1])).data[0, target[i]]
        for corner in np.array(np.meshgrid(*starts, indexing="ij")).reshape(len(window), -1).T:
            place = tuple(slice(a, a + w) for a, w in zip(corner, window))
            hidden = x[i].copy()
            hidden[place] = baseline[i][place]
            total[i][place] += score - model(minigrad.Tensor(hidden[None])).data[0, target[i]]
            covering[i][place] += 1
    return total / covering


@pytest.mark.parametrize("window, stride", [((2, 5, 4), (2, 3, 4)), ((1, 4, 4), (1, 3, 3)), ((2, 12, 3), (1, 1, 2))])
@pytest.mark.parametrize("fast", [True, False])
def test_occlusion_is_the_mean_loss_over_windows(window, stride, fast):
    model, x, baseline = nets.build("cnn"), nets.images(), nets.images(seed=3)
    found = explain.occlusion(
        model, x, TARGET, sliding_window_shapes=window, strides=stride, baselines=baseline, fast=fast
    )
    np.testing.assert_allclose(found.values, by_definition(model, x, TARGET, window, stride, baseline), atol=1e-12)


@pytest.mark.parametrize("name", list(nets.ALL))
def test_crops_give_the_whole_networks_numbers(name):
    model, x = nets.build(name), nets.images()
    for window, stride in WINDOWS:
        options = {"sliding_window_shapes": window, "strides": stride, "baselines": 0.3}
        fast = explain.occlusion(model, x, TARGET, fast=True, **options)
        naive = explain.occlusion(model, x, TARGET, fast=False, **options)
        np.testing.assert_allclose(fast.values, naive.values, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(fast.extra["losses"], naive.extra["losses"], rtol=1e-10, atol=1e-12)
        assert "reach" in fast.extra["recomputed"] and "fast=False" in naive.extra["recomputed"]
    f32 = explain.occlusion(nets.build(name, dtype=np.float32), x.astype(np.float32), TARGET, fast=True, **options)
    assert f32.dtype == np.float32
    np.testing.assert_allclose(f32.values, naive.values, rtol=1e-3, atol=1e-5)


axis = st.tuples(
    st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2)
)  # kernel stride padding dilation


@settings(max_examples=60)
@given(
    conv=st.tuples(axis, axis),
    pool=st.tuples(st.integers(1, 3), st.integers(1, 4), st.booleans(), st.booleans()),
    kind=st.sampled_from(["max", "average", "average without padding", "rectified max"]),
    window=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    size=st.tuples(st.integers(9, 13), st.integers(9, 13)),
    seed=st.integers(0, 99),
)
def test_crops_are_right_for_any_geometry(conv, pool, kind, window, size, seed):
    rng = np.random.default_rng(seed)
    kernel, stride, padding, dilation = zip(*conv)
    weight, bias = rng.normal(size=(4, 1, *kernel)), rng.normal(size=4)
    after = rng.normal(size=(3, 4, 2, 2))
    k, s, padded, ceil = pool
    settings_of_pool = {"kernel_size": k, "stride": s, "padding": k // 2 if padded else 0, "ceil_mode": ceil}

    def model(x):
        y = F.conv2d(x, weight, bias, stride, padding, dilation, groups=2)
        if kind.endswith("max"):
            y = F.max_pool2d(y.relu() if kind.startswith("rect") else y, **settings_of_pool)
        else:
            y = F.avg_pool2d(y.tanh(), count_include_pad=kind == "average", **settings_of_pool)
        y = F.conv2d(y, after, padding=1).relu().flatten(1)
        return F.linear(y, np.random.default_rng(0).normal(size=(3, y.shape[1])), np.zeros(3))

    x = rng.random((2, 2, *size))
    try:
        model(minigrad.Tensor(x))
    except ValueError:
        return  # the window of a layer does not fit
    both = [
        explain.occlusion(model, x, 1, sliding_window_shapes=window, strides=1, fast=fast) for fast in (True, False)
    ]
    np.testing.assert_allclose(both[0].values, both[1].values, rtol=1e-9, atol=1e-11)


def net(forward):
    """A model of two classes from a function of (N, 4, 10, 10) activations."""
    rng = np.random.default_rng(1)
    weight, head = rng.normal(size=(4, 2, 3, 3)), {}

    def model(x):
        y = forward(F.conv2d(x, weight, padding=0))
        y = y.flatten(1) if y.ndim > 2 else y
        return F.linear(y, head.setdefault(y.shape[1], np.random.default_rng(2).normal(size=(2, y.shape[1]))))

    return model


SCALE = np.random.default_rng(3).random((1, 4, 10, 10))
LOCAL = {
    "constant map": lambda y: y * minigrad.tensor(SCALE, requires_grad=True) + 1,
    "two boxes": lambda y: F.max_pool2d(y, 3, 1, 1) + F.relu(y),
    "concatenation of unequal boxes": lambda y: minigrad.cat([F.max_pool2d(y, 3, 1, 1), y, y * 2], 1),
    "relu used twice": lambda y: (lambda z: F.max_pool2d(z, 2) + F.avg_pool2d(z, 2))(y.relu()),
    "softmax over channels": lambda y: F.softmax(y, 1),
    "mean": lambda y: y.mean((2, 3)),
    "interpolation": lambda y: F.interpolate(y, 5, mode="bilinear"),
    "adaptive pooling": lambda y: F.adaptive_avg_pool2d(y, 3),
    "padding": lambda y: F.pad(y, (1, 0, 2, 1)),
    "slice": lambda y: y[:, 1:3],
    "permutation": lambda y: y.permute(0, 2, 3, 1),
    "gate": lambda y: y * y.mean((2, 3)).sigmoid().reshape(y.shape[0], 4, 1, 1),
    "layer norm": lambda y: F.layer_norm(y, (10, 10)),
    "attention": lambda y: F.scaled_dot_product_attention(*(y.reshape(y.shape[0], 4, 100),) * 3),
    "largest": lambda y: y.max((2, 3)) + y.min((2, 3)),
    "division and power": lambda y: y / (y * y + 1) ** 0.5,
}


@pytest.mark.parametrize("name", LOCAL)
@pytest.mark.parametrize("samples", [1, 3])
def test_crops_go_through_other_layers(name, samples):
    model, x = net(LOCAL[name]), nets.images(samples)
    options = {"sliding_window_shapes": (4, 3), "strides": 3}
    fast = explain.occlusion(model, x, 1, fast=True, **options)
    np.testing.assert_allclose(
        fast.values, explain.occlusion(model, x, 1, fast=False, **options), rtol=1e-9, atol=1e-11
    )


FOREIGN = {
    "an op that mixes samples": (lambda y: y - y.sum(0), "Sum in no module"),
    "a constant made from the samples": (lambda y: y * minigrad.Tensor((y.data > 0.1).astype(float)), "Mul"),
    "samples and places in one axis": (lambda y: y.reshape(-1, 100).reshape(*y.shape), "Reshape"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_crops_cannot_follow_is_computed_whole(name):
    forward, reason = FOREIGN[name]
    options = {"sliding_window_shapes": 4, "strides": 3, "batch_size": 2}
    model, x = net(forward), nets.images(2)
    found = explain.occlusion(model, x, 1, **options)
    assert found.extra["recomputed"].startswith("everything: ") and reason in found.extra["recomputed"]
    np.testing.assert_array_equal(found.values, explain.occlusion(model, x, 1, fast=False, **options).values)
    with pytest.raises(ValueError, match=f"occlusion: fast=True, but {reason.split()[0]}.*; leave fast out"):
        explain.occlusion(model, x, 1, fast=True, **options)


def test_every_model_of_the_registry_gives_the_same_numbers_both_ways():
    small = {"num_classes": 3, "rng": np.random.default_rng(0)}
    for name, options, shape in (
        ("mnist_cnn", {"batch_norm": True}, (1, 28, 28)),
        ("lenet5", {}, (1, 28, 28)),
        ("squeezenet1_1", {**small}, (3, 48, 48)),
    ):
        model = minigrad.models.create(name, **options)
        x = np.random.default_rng(1).random((1, *shape), dtype=np.float32)
        both = [explain.occlusion(model, x, 0, sliding_window_shapes=16, strides=8, fast=f) for f in (True, False)]
        np.testing.assert_allclose(
            both[0].values, both[1].values, rtol=1e-3, atol=1e-5 * np.abs(both[1].values).max() + 1e-6
        )


def test_score_and_batch_size_reach_the_crops():
    model, x = nets.build("cnn"), nets.images()
    whole = explain.occlusion(model, x, 2, sliding_window_shapes=5, strides=2, score="probability", fast=False)
    for size in (1, 4, 1000):
        fast = explain.occlusion(model, x, 2, sliding_window_shapes=5, strides=2, score="probability", batch_size=size)
        np.testing.assert_allclose(fast.values, whole.values, rtol=1e-9, atol=1e-12)
        assert fast.forwards == whole.forwards == 3 + 3 * 25
    eval3 = explain.occlusion(
        model, x, 2, sliding_window_shapes=5, strides=2, score="probability", perturbations_per_eval=3
    )
    np.testing.assert_allclose(eval3.values, whole.values, rtol=1e-9, atol=1e-12)


def test_samples_of_any_number_of_axes():
    model = nn.Sequential(nn.Linear(6, 8, rng=np.random.default_rng(0)), nn.ReLU(), nn.Linear(8, 3)).to(np.float64)
    x = np.random.default_rng(1).random((4, 6))
    found = explain.occlusion(model, x, [0, 1, 2, 0], sliding_window_shapes=3, strides=2)
    expected = by_definition(model, x, [0, 1, 2, 0], (3,), (2,), np.zeros(x.shape))
    np.testing.assert_allclose(found.values, expected, atol=1e-12)
    assert "(N, C, H, W)" in found.extra["recomputed"] or "no images" in found.extra["recomputed"]


def test_one_by_one_occlusion_is_ablation():
    model, x = nets.build("branched"), nets.images()
    single = explain.occlusion(model, x, 1, sliding_window_shapes=(1, 1, 1))
    np.testing.assert_allclose(single.values, explain.feature_ablation(model, x, 1).values, atol=1e-12)


def test_the_map_holds_the_probability_and_the_winner_for_each_place():
    model, x = trained.cnn()
    x, labels = x[:3], trained.digits()[1][1500:1503]
    found = explain.occlusion_map(model, x, labels, sliding_window_shapes=3)
    assert found.probability.shape == found.predicted.shape == (3, 4, 4)
    np.testing.assert_array_equal(found.tops, [0, 2, 4, 6])
    for i, j, k in ((0, 0, 0), (1, 2, 1), (2, 3, 3)):
        hidden = x[i : i + 1].copy()
        hidden[..., 2 * j : 2 * j + 3, 2 * k : 2 * k + 3] = 0
        p = F.softmax(model(minigrad.Tensor(hidden)), 1).data[0]
        assert found.probability[i, j, k] == pytest.approx(p[labels[i]], rel=1e-9)
        assert found.predicted[i, j, k] == p.argmax()
    np.testing.assert_allclose(
        found.clean, F.softmax(model(minigrad.Tensor(x)), 1).data[np.arange(3), labels], rtol=1e-9
    )


def test_the_course_patch_has_ten_places_each_way():
    model = minigrad.models.mnist_cnn(rng=np.random.default_rng(0))
    found = explain.occlusion_map(model, np.random.default_rng(0).random((1, 1, 28, 28), dtype=np.float32))
    assert found.probability.shape == (1, 10, 10) and found.lefts[-1] == 18


def test_bad_windows_are_told_apart():
    model, x = nets.build("cnn"), nets.images(2)
    for options, message in (
        ({"sliding_window_shapes": 13}, r"the window \(2, 13, 13\) is larger than a sample \(2, 12, 12\)"),
        ({"sliding_window_shapes": 3, "strides": 4}, r"strides \(2, 4, 4\) go beyond the window \(2, 3, 3\)"),
        ({"sliding_window_shapes": (1, 2, 3, 4)}, r"sliding_window_shapes is \(1, 2, 3, 4\), expected a positive int"),
        ({"sliding_window_shapes": 0}, "sliding_window_shapes is 0, expected a positive integer"),
        ({"sliding_window_shapes": 3, "strides": (1, 0)}, r"strides is \(1, 0\), expected a positive integer"),
        ({"sliding_window_shapes": 3, "baselines": np.zeros(5)}, r"baselines has shape \(5,\), expected a number"),
        ({"sliding_window_shapes": 3, "perturbations_per_eval": 0}, "perturbations_per_eval is 0, expected an integer"),
        ({"sliding_window_shapes": 3, "perturbations_per_eval": 2, "batch_size": 2}, "got batch_size and perturb"),
    ):
        with pytest.raises(ValueError, match="occlusion: .*" + message):
            explain.occlusion(model, x, 0, **options)
    with pytest.raises(ValueError, match=r"occlusion_map: x has shape \(2, 6\), expected images"):
        explain.occlusion_map(lambda t: t, np.zeros((2, 6)))
    with pytest.raises(TypeError, match="occlusion_map: got score='logit', but it always shows probabilities"):
        explain.occlusion_map(model, x, score="logit")
    with pytest.raises(ValueError, match="occlusion_map: the patch .* covers a part of the 2 channels"):
        explain.occlusion_map(model, x, sliding_window_shapes=(1, 3, 3), strides=(1, 2, 2))


def test_progress_shows_a_bar_only_when_asked(capsys):
    model, x = nets.build("cnn"), nets.images(2)
    for fast in (True, False):
        explain.occlusion(model, x, 0, sliding_window_shapes=6, fast=fast)
        assert capsys.readouterr().err == ""
        explain.occlusion(model, x, 0, sliding_window_shapes=6, fast=fast, progress=True)
        assert "occlusion" in capsys.readouterr().err


def test_crops_spare_most_of_the_work(monkeypatch):
    """Of a patch in a large image, the first convolution sees a small part only."""
    seen, boxes = [], kernels.conv2d_boxes

    def counting(x, *operands):
        seen.append(x.size)
        return boxes(x, *operands)

    monkeypatch.setattr(kernels, "conv2d_boxes", counting)
    weight = minigrad.tensor(np.random.default_rng(0).normal(size=(3, 1, 3, 3)))

    def model(x):
        return F.conv2d(x, weight, padding=1).relu().mean((2, 3))

    x = np.random.default_rng(0).random((1, 1, 40, 40))
    explain.occlusion(model, x, 0, sliding_window_shapes=4, strides=4, batch_size=50)
    assert 2 <= len(seen) <= 4 and sum(seen) <= 100 * 4 * 4
