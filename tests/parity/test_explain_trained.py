"""The trained networks of the experiments, in minigrad and in PyTorch: every method that Captum has right on them."""

import warnings

import numpy as np
import pytest

import explain
import minigrad
from tests.explain import trained
from tests.parity.explained import EPSILON, with_epsilon

torch = pytest.importorskip("torch")
attr = pytest.importorskip("captum.attr")

DATASETS = ["digits", "mnist", "fashion-mnist"]
PRECISION = {np.float64: {"rtol": 1e-6, "atol": 1e-9}, np.float32: {"rtol": 1e-4, "atol": 1e-5}}
SQUARES = np.kron(np.arange(16).reshape(4, 4), np.ones((7, 7), int))[None, None]
WINDOWS = {"sliding_window_shapes": (1, 10, 10), "strides": (1, 2, 2)}


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Captum warns of its hooks on every call
        yield


@pytest.fixture(params=[(d, t) for d in DATASETS for t in PRECISION], ids=lambda p: f"{p[0]}-{p[1].__name__}")
def setting(request):
    """The two networks, images and labels for each, and the tolerance.

    Captum's is in float64 always: in float32 a sum of its own that is rounded across a ReLU's kink turns a path.
    """
    dataset, dtype = request.param
    model, x, y = trained.mnist_cnn(dataset)
    ours = as_dtype(model, dtype)
    theirs, given = twin(as_dtype(model, np.float64)), torch.tensor(x.astype(dtype).astype(np.float64))
    return ours, theirs, x.astype(dtype), y, given, torch.tensor(y), PRECISION[dtype]


def as_dtype(model, dtype):
    """A copy: the trained network is every test's."""
    copy = minigrad.models.mnist_cnn()
    copy.to(dtype).load_state_dict(model.state_dict())
    return copy.eval()


def twin(ours):
    """The network in PyTorch."""
    lib = torch.nn
    features = [
        layer for n in (1, 32) for layer in (lib.Conv2d(n, 32, 3, padding=1), lib.ReLU(), lib.MaxPool2d(2))
    ]
    theirs = lib.Sequential(*features, lib.Flatten(), lib.Linear(1568, 500), lib.ReLU(), lib.Linear(500, 10))
    state = dict(zip(theirs.state_dict(), map(torch.tensor, ours.state_dict().values()), strict=True))
    theirs.to(state["0.weight"].dtype).load_state_dict(state)
    return theirs.eval()


METHODS = {
    "saliency": (explain.saliency, attr.Saliency, {}),
    "input x gradient": (explain.input_x_gradient, attr.InputXGradient, {}),
    "guided backprop": (explain.guided_backprop, attr.GuidedBackprop, {}),
    "deconvolution": (explain.deconvolution, attr.Deconvolution, {}),
    "integrated gradients": (explain.integrated_gradients, attr.IntegratedGradients, {"n_steps": 30}),
    "occlusion": (explain.occlusion, attr.Occlusion, WINDOWS),
    "ablation": (explain.feature_ablation, attr.FeatureAblation, {"feature_mask": SQUARES}),
}


@pytest.mark.parametrize("method", METHODS)
def test_methods_equal_captums(method, setting):
    ours, theirs, x, y, tx, ty, tolerance = setting
    mine, peer, options = METHODS[method]
    given = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    found = mine(ours, x, y, **options).values
    assert found.dtype == x.dtype and np.abs(found).max() > 0.01
    np.testing.assert_allclose(found, peer(theirs).attribute(tx, target=ty, **given).detach(), **tolerance)


def test_grad_cam_and_conductance_equal_captums(setting):
    ours, theirs, x, y, tx, ty, tolerance = setting
    captum = attr.LayerGradCam(theirs, theirs[3]).attribute(tx, target=ty, relu_attributions=True).detach()
    found = explain.grad_cam(ours, x, y, layer="features.3", relu_attributions=True)
    np.testing.assert_allclose(found.extra["map"], captum, **tolerance)
    captum = attr.LayerConductance(theirs, theirs[3]).attribute(tx, target=ty, n_steps=20).detach()
    found = explain.layer_conductance(ours, x, y, layer="features.3", n_steps=20, compat="captum")
    np.testing.assert_allclose(found.values, captum, **tolerance)


@pytest.mark.parametrize("dataset", DATASETS)
def test_lrp_epsilon_equals_captums(dataset):
    model, x, y = trained.mnist_cnn(dataset)
    captum = attr.LRP(with_epsilon(twin(model))).attribute(torch.tensor(x, requires_grad=True), torch.tensor(y))
    np.testing.assert_allclose(explain.lrp(model, x, y, epsilon=EPSILON).values, captum.detach(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("dataset", DATASETS)
def test_captums_deep_lift_loses_a_part_of_the_score(dataset):
    """Each ReLU stands beside its max-pool: Captum uses a stale gradient there, which shows if no baseline is zero."""
    model, x, y = trained.mnist_cnn(dataset)
    baseline = x[::-1].copy()
    tensors = (torch.tensor(a) for a in (x, baseline, y))
    _, delta = attr.DeepLift(twin(model)).attribute(*tensors, return_convergence_delta=True)
    assert np.abs(delta.detach()).max() > 0.1
    assert np.abs(explain.deep_lift(model, x, y, baselines=baseline).delta).max() < 1e-12
