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
