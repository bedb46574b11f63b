"""Gradient methods, class activation maps, layers and neurons beside Captum; where Captum errs, what it returns."""

import warnings
from functools import partial

import numpy as np
import pytest

import explain
from tests.explain import nets

torch = pytest.importorskip("torch")
attr = pytest.importorskip("captum.attr")

F64 = {"rtol": 1e-6, "atol": 1e-9}
F32 = {"rtol": 1e-4, "atol": 1e-6}
NETS = list(nets.ALL)
FIRST = {"cnn": "0", "strided": "2", "normed": "5", "smooth": "3", "branched": "third"}  # a convolution inside each
RULES = ["gausslegendre", "riemann_left", "riemann_right", "riemann_middle", "riemann_trapezoid"]


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Captum warns of its hooks on every call
        yield


def pair(name, dtype=np.float64):
    """A network in both libraries, inputs, and targets that differ between the samples."""
    ours = nets.build(name, dtype=dtype)
    theirs = nets.ALL[name](torch).to(torch.float64 if dtype == np.float64 else torch.float32).eval()
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    return ours, theirs, nets.images(dtype=dtype), np.array([0, 3, 1])


def close(ours, theirs, **tolerances):
    theirs = theirs.detach().numpy()
    assert ours.values.dtype == theirs.dtype
    np.testing.assert_allclose(ours.values, theirs, **tolerances)


def inputs(x, target):
    return torch.tensor(x, requires_grad=True), torch.tensor(target)


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, F64), (np.float32, F32)], ids=["float64", "float32"])
@pytest.mark.parametrize("name", NETS)
def test_gradients_equal_captums(name, dtype, tolerance):
    ours, theirs, x, target = pair(name, dtype)
    t = inputs(x, target)
    close(explain.saliency(ours, x, target), attr.Saliency(theirs).attribute(*t), **tolerance)
    close(
        explain.saliency(ours, x, target, absolute=False), attr.Saliency(theirs).attribute(*t, abs=False), **tolerance
    )
    close(explain.input_x_gradient(ours, x, target), attr.InputXGradient(theirs).attribute(*t), **tolerance)


@pytest.mark.parametrize("name", ["cnn", "strided", "normed", "smooth"])
def test_relu_rules_equal_captums(name):
    ours, theirs, x, target = pair(name)
    t = inputs(x, target)
    close(explain.guided_backprop(ours, x, target), attr.GuidedBackprop(theirs).attribute(*t), **F64)
    close(explain.deconvolution(ours, x, target), attr.Deconvolution(theirs).attribute(*t), **F64)


@pytest.mark.parametrize("method", RULES)
@pytest.mark.parametrize("name", NETS)
def test_integrated_gradients_equal_captums(name, method):
    ours, theirs, x, target = pair(name)
    baseline = nets.images(seed=5)
    found = explain.integrated_gradients(
        ours, x, target, baselines=baseline, n_steps=20, method=method, compat="captum"
    )
    values, delta = attr.IntegratedGradients(theirs).attribute(
        *inputs(x, target)[:1],
        torch.tensor(baseline),
        torch.tensor(target),
        n_steps=20,
        method=method,
        return_convergence_delta=True,
    )
    close(found, values, **F64)
    np.testing.assert_allclose(found.delta, delta.detach(), rtol=1e-5, atol=1e-7)


def test_integrated_gradients_equal_captums_in_float32():
    ours, theirs, x, target = pair("smooth", np.float32)
    close(
        explain.integrated_gradients(ours, x, target),
        attr.IntegratedGradients(theirs).attribute(inputs(x, target)[0], target=torch.tensor(target)),
        **F32,
    )


def test_captums_trapezoid_loses_a_part_of_a_linear_model():
    """Its weights add up to (n - 1) / n: at 50 steps 2 % are missing, where nothing should be."""
    import minigrad

    linear = minigrad.nn.Sequential(minigrad.nn.Flatten(), minigrad.nn.Linear(288, 5)).to(np.float64)
    theirs = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(288, 5)).double()
    theirs.load_state_dict({k: torch.tensor(v) for k, v in linear.state_dict().items()})
    x = nets.images()
    right = x * linear[1].weight.data[2].reshape(1, *nets.SHAPE)
    captum = attr.IntegratedGradients(theirs).attribute(torch.tensor(x), target=2, method="riemann_trapezoid")
    np.testing.assert_allclose(captum.detach(), 0.98 * right, rtol=1e-6)
    ours = partial(explain.integrated_gradients, linear, x, 2, method="riemann_trapezoid")
    np.testing.assert_allclose(ours().values, right, rtol=1e-12)
    np.testing.assert_allclose(ours().delta, 0, atol=1e-12)
    close(ours(compat="captum"), captum, **F64)


def test_captums_guided_backprop_misses_functional_relus_and_clips_sums_over_branches():
    """The first branched ReLU feeds a convolution, a skip and a concatenation; a function is no module, so it is
    missed.
    """
    ours, theirs, x, target = pair("branched")
    captum = attr.GuidedBackprop(theirs).attribute(*inputs(x, target)).numpy()
    assert not np.allclose(explain.guided_backprop(ours, x, target).values, captum, rtol=1e-3)


@pytest.mark.parametrize("kind", ["smoothgrad", "smoothgrad_sq", "vargrad"])
@pytest.mark.parametrize("method", ["saliency", "integrated_gradients"])
def test_noise_tunnel_equals_captums_with_the_same_noise(method, kind, monkeypatch):
    ours, theirs, x, target = pair("smooth")
    noise = np.random.default_rng(3).normal(0, 0.2, (4, *x.shape))
    rows = torch.tensor(
        noise.swapaxes(0, 1).reshape(-1, *x.shape[1:])
    )  # Captum's order: all draws of a sample together
    monkeypatch.setattr(torch, "normal", lambda mean, std: mean + rows)
    inner = {"saliency": attr.Saliency, "integrated_gradients": attr.IntegratedGradients}[method](theirs)
    baselines = {"baselines": nets.images(seed=8)} if method == "integrated_gradients" else {}
    captum = attr.NoiseTunnel(inner).attribute(
        torch.tensor(x, requires_grad=True),
        nt_type=kind,
        nt_samples=4,
        stdevs=0.2,
        target=torch.tensor(target),
        **{k: torch.tensor(v) for k, v in baselines.items()},
    )
    found = explain.smooth_grad(ours, x, target, method=getattr(explain, method), kind=kind, noise=noise, **baselines)
    close(found, captum, rtol=1e-6, atol=1e-8)


def test_gradient_shap_equals_captums_with_the_same_draws(monkeypatch):
    ours, theirs, x, target = pair("normed")
    rng, pool, n = np.random.default_rng(4), nets.images(6, seed=9), 5
    choices, u, noise = rng.integers(6, size=(n, 3)), rng.random((n, 3)), rng.normal(0, 0.1, (n, *x.shape))
    monkeypatch.setattr(
        torch, "normal", lambda mean, std: mean + torch.tensor(noise.swapaxes(0, 1).reshape(-1, *x.shape[1:]))
    )
    monkeypatch.setattr(np.random, "choice", lambda count, size: choices.T.ravel())
    monkeypatch.setattr(np.random, "uniform", lambda low, high, size: u.T.ravel())
    captum = attr.GradientShap(theirs).attribute(
        torch.tensor(x), torch.tensor(pool), n_samples=n, stdevs=0.1, target=torch.tensor(target)
    )
    close(explain.gradient_shap(ours, x, target, baselines=pool, draws=(choices, u, noise)), captum, **F64)


@pytest.mark.parametrize("name", ["cnn", "strided", "normed", "smooth", "branched"])
def test_grad_cam_equals_captums(name):
    ours, theirs, x, target = pair(name)
    layer = theirs.get_submodule(FIRST[name])
    for relu in (False, True):
        captum = attr.LayerGradCam(theirs, layer).attribute(*inputs(x, target), relu_attributions=relu)
        found = explain.grad_cam(ours, x, target, layer=FIRST[name], relu_attributions=relu, upsample="nearest")
        np.testing.assert_allclose(found.extra["map"], captum.detach(), **F64)
        close(found, attr.LayerAttribution.interpolate(captum, x.shape[2:]), **F64)
    if name != "branched":
        captum = attr.GuidedGradCam(theirs, layer).attribute(*inputs(x, target))
        close(explain.guided_grad_cam(ours, x, target, layer=FIRST[name], upsample="nearest"), captum, **F64)


@pytest.mark.parametrize("name", NETS)
def test_layers_equal_captums(name):
    ours, theirs, x, target = pair(name)
    layer, path, t = theirs.get_submodule(FIRST[name]), FIRST[name], inputs(x, target)
    baseline = nets.images(seed=5)
    close(explain.layer_activation(ours, x, layer=path), attr.LayerActivation(theirs, layer).attribute(t[0]), **F64)
    close(
        explain.layer_gradient_x_activation(ours, x, target, layer=path),
        attr.LayerGradientXActivation(theirs, layer).attribute(*t),
        **F64,
    )
    for ours_method, theirs_method in (
        (explain.layer_integrated_gradients, attr.LayerIntegratedGradients),
        (explain.layer_conductance, attr.LayerConductance),
        (explain.internal_influence, attr.InternalInfluence),
    ):
        captum = theirs_method(theirs, layer).attribute(t[0], torch.tensor(baseline), t[1], n_steps=10)
        close(ours_method(ours, x, target, layer=path, baselines=baseline, n_steps=10, compat="captum"), captum, **F64)


@pytest.mark.parametrize("name", NETS)
def test_neurons_equal_captums(name):
    ours, theirs, x, target = pair(name)
    layer, path, t = theirs.get_submodule(FIRST[name]), FIRST[name], inputs(x, target)
    unit, units = (1, 2, 2), (1, slice(1, 3), 2)
    for neuron in (unit, units, lambda a: a[:, 1, 2, 2]):
        close(
            explain.neuron_gradient(ours, x, layer=path, neuron=neuron),
            attr.NeuronGradient(theirs, layer).attribute(t[0], neuron),
            **F64,
        )
        close(
            explain.neuron_integrated_gradients(ours, x, layer=path, neuron=neuron, n_steps=10),
            attr.NeuronIntegratedGradients(theirs, layer).attribute(t[0], neuron, n_steps=10),
            **F64,
        )
    for method, compat in (("riemann_trapezoid", "captum"), ("gausslegendre", None)):
        captum = attr.NeuronConductance(theirs, layer).attribute(t[0], unit, target=t[1], n_steps=10, method=method)
        close(
            explain.neuron_conductance(
                ours, x, target, layer=path, neuron=unit, n_steps=10, method=method, compat=compat
            ),
            captum,
            **F64,
        )


@pytest.mark.parametrize("name", ["cnn", "strided", "smooth"])
def test_neuron_guided_backprop_equals_captums(name):
    ours, theirs, x, target = pair(name)
    captum = attr.NeuronGuidedBackprop(theirs, theirs.get_submodule(FIRST[name])).attribute(
        inputs(x, target)[0], (1, 2, 2)
    )
    close(explain.neuron_guided_backprop(ours, x, layer=FIRST[name], neuron=(1, 2, 2)), captum, **F64)


def test_captums_conductance_of_several_units_multiplies_sums():
    """The sum over units of dF/dy dy/dx is not the sum of dF/dy times the sum of dy/dx, which is what Captum
    computes.
    """
    ours, theirs, x, target = pair("smooth")
    layer, t, steps = theirs.get_submodule("3"), inputs(x, target), {"n_steps": 10, "method": "gausslegendre"}
    captum = attr.NeuronConductance(theirs, layer)
    both = captum.attribute(t[0], (slice(1, 3), 2, 2), target=t[1], **steps).detach().numpy()
    apart = sum(captum.attribute(t[0], (c, 2, 2), target=t[1], **steps).detach().numpy() for c in (1, 2))
    assert not np.allclose(both, apart, rtol=0.1)
    found = explain.neuron_conductance(ours, x, target, layer="3", neuron=(slice(1, 3), 2, 2), **steps)
    np.testing.assert_allclose(found.values, apart, **F64)


def test_captums_conductance_is_not_complete_on_a_linear_model():
    """Gauss-Legendre points lie inside (0, 1), so differences between them leave out both ends of the path."""
    import minigrad

    rng = np.random.default_rng(0)
    nn = minigrad.nn
    ours = nn.Sequential(nn.Flatten(), nn.Linear(288, 4, rng=rng), nn.Linear(4, 5, rng=rng)).to(np.float64)
    theirs = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(288, 4), torch.nn.Linear(4, 5)).double()
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    x = nets.images()
    complete = explain.layer_conductance(ours, x, 1, layer="1")
    np.testing.assert_allclose(complete.delta, 0, atol=1e-12)
    captum = attr.LayerConductance(theirs, theirs[1]).attribute(torch.tensor(x), target=1).detach().numpy()
    lost = 1 - captum.sum(1) / complete.values.sum(1)
    np.testing.assert_allclose(lost, 0.0011, atol=1e-4)
