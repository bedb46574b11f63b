"""What every method promises: results that belong to the sample, a model left as it was, the dtype kept."""

from functools import partial

import numpy as np
import pytest

import explain
import minigrad

from . import nets

CELLS = explain.grid_mask(nets.SHAPE, 4)
DEEP, UNIT = {"layer": "3"}, {"layer": "3", "neuron": (1, 1, 2)}
METHODS = {
    "saliency": explain.saliency,
    "input_x_gradient": explain.input_x_gradient,
    "deconvolution": explain.deconvolution,
    "guided_backprop": explain.guided_backprop,
    "integrated_gradients": partial(explain.integrated_gradients, n_steps=5, baselines=0.5),
    "integrated_gradients exact": partial(explain.integrated_gradients, method="exact"),
    "smooth_grad": partial(explain.smooth_grad, n_samples=5),
    "smooth_grad of integrated": partial(
        explain.smooth_grad, method=explain.integrated_gradients, n_samples=3, n_steps=3
    ),
    "vargrad": partial(explain.smooth_grad, n_samples=5, kind="vargrad"),
    "gradient_shap": partial(explain.gradient_shap, n_samples=5, baselines=nets.images(4, seed=7), stdev=0.1),
    "grad_cam": partial(explain.grad_cam, **DEEP),
    "grad_cam_plus_plus": partial(explain.grad_cam_plus_plus, **DEEP),
    "layer_cam": partial(explain.layer_cam, **DEEP),
    "score_cam": partial(explain.score_cam, **DEEP),
    "guided_grad_cam": partial(explain.guided_grad_cam, **DEEP),
    "layer_activation": partial(explain.layer_activation, **DEEP),
    "layer_gradient_x_activation": partial(explain.layer_gradient_x_activation, **DEEP),
    "layer_integrated_gradients": partial(explain.layer_integrated_gradients, n_steps=4, **DEEP),
    "layer_conductance": partial(explain.layer_conductance, n_steps=4, **DEEP),
    "layer_conductance by differences": partial(explain.layer_conductance, n_steps=4, compat="captum", **DEEP),
    "internal_influence": partial(explain.internal_influence, n_steps=4, **DEEP),
    "neuron_gradient": partial(explain.neuron_gradient, **UNIT),
    "neuron_guided_backprop": partial(explain.neuron_guided_backprop, **UNIT),
    "neuron_integrated_gradients": partial(explain.neuron_integrated_gradients, n_steps=4, **UNIT),
    "neuron_conductance": partial(explain.neuron_conductance, n_steps=4, **UNIT),
    "occlusion": partial(explain.occlusion, sliding_window_shapes=4, strides=3),
    "occlusion of everything": partial(explain.occlusion, sliding_window_shapes=4, strides=3, fast=False),
    "feature_ablation": partial(explain.feature_ablation, baselines=0.5),
    "feature_ablation of everything": partial(explain.feature_ablation, feature_mask=CELLS, fast=False),
    "rise": partial(explain.rise, n_samples=20),
    "shapley_values": partial(explain.shapley_values, feature_mask=explain.grid_mask(nets.SHAPE, 6)),
    "shapley_sampling": partial(explain.shapley_sampling, feature_mask=CELLS, n_samples=4),
    "kernel_shap": partial(explain.kernel_shap, feature_mask=CELLS, n_samples=100),
    "lime": partial(explain.lime, n_samples=40),
}
PERTURBING = ("rise", "shapley_sampling", "kernel_shap", "lime")
RANDOM = ("smooth_grad", "smooth_grad of integrated", "vargrad", "gradient_shap", *PERTURBING)


def run(name, model, x, target=None, **options):
    seeded = {"rng": np.random.default_rng(5)} if name in RANDOM else {}
    return METHODS[name](model, x, target, **seeded, **options)


@pytest.mark.parametrize("name", METHODS)
def test_the_same_numbers_for_any_batch_size_and_order(name):
    model, x, target = nets.build("cnn"), nets.images(5), np.array([0, 4, 2, 1, 3])
    together = run(name, model, x, target)
    scale = np.abs(together.values).max()
    for size in (1, 3):
        part = run(name, model, x, target, batch_size=size)
        np.testing.assert_allclose(part.values, together.values, rtol=1e-9, atol=1e-12 * scale)
        if together.delta is not None:
            np.testing.assert_allclose(part.delta, together.delta, rtol=1e-9, atol=1e-12)
    order = np.array([3, 0, 4, 2, 1])
    turned = run(name, model, x[order], target[order])
    np.testing.assert_allclose(turned.values, together.values[order], rtol=1e-9, atol=1e-12 * scale)
    alone = run(name, model, x[2:3], 2)
    np.testing.assert_allclose(alone.values, together.values[2:3], rtol=1e-9, atol=1e-12 * scale)


@pytest.mark.parametrize("name", METHODS)
def test_the_model_and_the_input_are_left_as_they_were(name):
    model, x = nets.build("cnn", dtype=np.float32), nets.images(2, dtype=np.float32)
    model.train()
    model[3].training = False
    before = {k: a.tobytes() for k, a in model.state_dict().items()}
    x.flags.writeable = False
    found = run(name, model, x)
    assert found.dtype == np.float32 and found.method == METHODS_OF.get(name, name)
    assert {k: a.tobytes() for k, a in model.state_dict().items()} == before
    assert [m.training for m in model.modules()] == [True] * 4 + [False] + [True] * 5
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert found.forwards > 0 and found.seconds > 0
    for call in (lambda: run(name, model, x, 99), lambda: run(name, model, x * np.nan)):
        with pytest.raises(ValueError):
            call()
    assert {k: a.tobytes() for k, a in model.state_dict().items()} == before
    assert [m.training for m in model.modules()] == [True] * 4 + [False] + [True] * 5


METHODS_OF = {
    "integrated_gradients exact": "integrated_gradients",
    "smooth_grad of integrated": "smooth_grad",
    "vargrad": "smooth_grad",
    "layer_conductance by differences": "layer_conductance",
    "occlusion of everything": "occlusion",
    "feature_ablation of everything": "feature_ablation",
}


@pytest.mark.parametrize("name", METHODS)
def test_an_interrupted_call_leaves_the_model_as_it_was(name):
    class Interrupted(minigrad.nn.Module):
        """Raises in its second or a later pass."""

        def __init__(self):
            self.net, self.passes = nets.build("cnn"), 0

        def members(self):
            return self.net.members()

        def forward(self, x):
            self.passes += 1
            if self.passes > 1:
                raise KeyboardInterrupt
            return self.net(x)

    model = Interrupted().train()
    with pytest.raises(KeyboardInterrupt):
        run(name, model, nets.images(3), batch_size=1)
    assert all(m.training for m in model.modules())


@pytest.mark.parametrize("name", METHODS)
def test_a_batch_normalised_network_is_explained_in_evaluation_mode(name):
    """Otherwise a sample's map would depend on its neighbours, and the running statistics would move."""
    given = getattr(METHODS[name], "keywords", {})
    options = {k: v for k, v in {"layer": "5", "neuron": (1, 1, 1)}.items() if k in given}
    model, x = nets.build("normed").train(), nets.images(3)
    together = run(name, model, x, 1, **options)
    np.testing.assert_allclose(run(name, model, x[:1], 1, **options).values, together.values[:1], rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(model[1].running_mean.data, nets.build("normed")[1].running_mean.data)


BASELINES = {
    "integrated_gradients": explain.integrated_gradients,
    "deep_lift": explain.deep_lift,
    "deep_lift_shap": explain.deep_lift_shap,
    "gradient_shap": explain.gradient_shap,
    "kernel_shap": explain.kernel_shap,
    "occlusion": lambda *given, **options: explain.occlusion(*given, sliding_window_shapes=4, **options),
}


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_is_checked_like_x(name):
    model, x = nets.build("cnn"), nets.images(1)
    for wrong, said in ((np.nan, "NaN or infinity"), (np.inf, "NaN or infinity"), (255, r"goes from 255 to 255")):
        with pytest.raises(ValueError, match=f"baselines (holds )?{said}"):
            BASELINES[name](model, x, 0, baselines=wrong)
    with pytest.raises(TypeError, match="baselines is 'black', expected a number or an array of numbers"):
        BASELINES[name](model, x, 0, baselines="black")
    rng = {"rng": np.random.default_rng(0)} if "shap" in name and name != "deep_lift_shap" else {}
    given = [BASELINES[name](model, x, 0, baselines=b, bounds=None, **rng).values for b in (3, 3)]
    assert np.isfinite(given).all()


def test_no_baseline_is_zero():
    model, x = nets.build("cnn"), nets.images(1)
    found = [explain.integrated_gradients(model, x, 0, baselines=b).values for b in (None, 0)]
    np.testing.assert_array_equal(*found)


def test_a_method_of_a_model_in_training_mode_is_evaluated_and_left_alone():
    model, x = nets.build("normed").train(), nets.images()
    before = {k: a.tobytes() for k, a in model.state_dict().items()}
    found = explain.saliency(model.forward, x, 0)
    assert {k: a.tobytes() for k, a in model.state_dict().items()} == before
    assert all(m.training for m in model.modules())
    np.testing.assert_array_equal(found.values, explain.saliency(model, x, 0).values)


def test_what_was_explained_is_kept():
    model, x = nets.build("cnn"), nets.images()
    found, original = explain.saliency(model, x, 0), x.copy()
    x[:] = 0
    np.testing.assert_array_equal(found.x, original)


@pytest.mark.parametrize("name", ["lime", "kernel_shap", "shapley_sampling", "gradient_shap", "rise", "smooth_grad"])
def test_a_generator_is_a_generator(name):
    with pytest.raises(TypeError, match=f"{name}: rng is int, expected a np.random.Generator"):
        needs = {"baselines": 0} if name == "gradient_shap" else {}
        getattr(explain, name)(nets.build("cnn"), nets.images(1), 0, rng=0, **needs)


@pytest.mark.parametrize("method", [explain.gradient_shap, explain.lime])
def test_smooth_grad_of_a_random_method_is_one_function_of_its_generator(method):
    model, x = nets.build("cnn"), nets.images()
    options = {"method": method, "n_samples": 3, **({"baselines": 0} if method is explain.gradient_shap else {})}

    def values(x, **more):
        return explain.smooth_grad(model, x, 1, rng=np.random.default_rng(1), **options, **more).values

    np.testing.assert_array_equal(values(x), values(x))
    np.testing.assert_allclose(values(x, batch_size=1), values(x), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(values(x[[2]]), values(x)[[2]], rtol=1e-9, atol=1e-12)


def test_smooth_grad_shares_a_baseline_whose_length_happens_to_be_that_of_the_batch():
    model, x = nets.build("cnn"), nets.images(2)  # 2 samples, 2 channels
    options = {"method": explain.integrated_gradients, "n_samples": 2, "baselines": nets.images(1, seed=3)[0]}
    noise = np.zeros((2, 1, *x.shape[1:]))
    found = explain.smooth_grad(model, x, 1, noise=noise, **options)
    right = explain.integrated_gradients(model, x, 1, baselines=options["baselines"])
    np.testing.assert_allclose(found.values, right.values, rtol=1e-9, atol=1e-12)


def test_labels_of_a_mask_that_are_far_too_large():
    x = nets.images(1)
    mask = explain.grid_mask(x.shape, 4)
    with pytest.raises(ValueError, match=r"with gaps \(none is \[3\]\)"):
        explain.lime(nets.build("cnn"), x, 0, feature_mask=np.where(mask == 3, 10**12, mask))


def test_lrp_refuses_settings_that_mean_nothing():
    model, x = nets.build("cnn"), nets.images(1)
    for name, value in (("epsilon", -1), ("epsilon", np.nan), ("gamma", -0.1)):
        with pytest.raises(ValueError, match=f"lrp: {name} is .*, expected a number of at least 0"):
            explain.lrp(model, x, 0, **{name: value})
    with pytest.raises(ValueError, match="composite 'epsilon_gamma_box' needs the range of x"):
        explain.lrp(model, 5 * x - 2, 0, composite="epsilon_gamma_box", bounds=None)


def test_layers_and_neurons_that_are_none():
    model, x = nets.build("cnn"), nets.images(1)
    with pytest.raises(ValueError, match="layer '' is the model itself; name a part of it, such as '0'"):
        explain.layer_activation(model, x, layer="")
    with pytest.raises(ValueError, match="chooses no unit"):
        explain.neuron_gradient(model, x, layer="0", neuron=(slice(0, 0), 0, 0))
