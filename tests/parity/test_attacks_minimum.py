"""Minimum-norm attacks beside Foolbox's on the same network in float64: the same iterates where it follows the papers.

Foolbox sees minigrad's network through a torch function whose backward pass is minigrad's. Constants are powers of two
where Foolbox rounds them to float32.
"""

import numpy as np
import pytest

import minigrad
from attacks.carlini import carlini_wagner
from attacks.ddn import ddn
from attacks.deepfool import deepfool
from attacks.ead import ead
from attacks.fmn import fmn
from attacks.norms import as_norm
from tests.attacks import subjects

torch = pytest.importorskip("torch")
foolbox = pytest.importorskip("foolbox")
LP = foolbox.attacks

SEARCH = {"steps": 30, "binary_search_steps": 4, "initial_const": 0.25, "confidence": 0.25}


class Bridge(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, model):
        ctx.leaf = minigrad.Tensor(x.detach().numpy(), requires_grad=True)
        ctx.output = model(ctx.leaf)
        return torch.from_numpy(ctx.output.data.copy())

    @staticmethod
    def backward(ctx, g):
        return torch.from_numpy(minigrad.grad(ctx.output, ctx.leaf, g.numpy()).data.copy()), None


class Watched(torch.nn.Module):
    """minigrad's network for Foolbox; `seen` are the images that it was asked about."""

    def __init__(self, model):
        super().__init__()
        self.model, self.seen = model, []

    def forward(self, x):
        self.seen.append(x.detach().numpy().copy())
        return Bridge.apply(x, self.model)


def scene(low=0.1, high=0.9, samples=6):
    model = subjects.cnn(np.float64, seed=1)
    x = np.random.default_rng(1).uniform(low, high, (samples, 1, 8, 8)).clip(0, 1)
    return model, x, subjects.predicted(model, x)


def of_foolbox(attack, model, x, y):
    """Foolbox's images, and all that it looked at on the way."""
    watched = Watched(model).eval()
    labels = foolbox.criteria.Misclassification(torch.from_numpy(y))
    images = attack.run(foolbox.PyTorchModel(watched, bounds=(0, 1), device="cpu"), torch.from_numpy(x), labels)
    return images.numpy(), watched.seen


def ours(attack, model, x, y, **options):
    seen = []
    result = attack(model, x, y, callback=lambda step, images, entry: seen.append(images.copy()), **options)
    return result, seen


@pytest.mark.parametrize("low, high", [(0.1, 0.9), (-0.3, 1.3)])
@pytest.mark.parametrize("norm, peer", [("l2", LP.L2DeepFoolAttack), ("linf", LP.LinfDeepFoolAttack)])
def test_deepfool(norm, peer, low, high):
    """To within the 1e-8 that Foolbox adds to every norm; with pixels inside the box, and many at its walls."""
    model, x, y = scene(low, high)
    theirs, _ = of_foolbox(peer(), model, x, y)
    result = deepfool(model, x, y, norm=norm)
    np.testing.assert_allclose(result.x_adv, theirs, rtol=0, atol=2e-7)
    assert result.success.all()


@pytest.mark.parametrize("attack, peer", [(carlini_wagner, LP.L2CarliniWagnerAttack), (ead, LP.EADAttack)])
def test_searches_of_the_constant_one_image_at_a_time(attack, peer):
    """Foolbox decides on the sum over the batch whether to go on, so its results are asked for one by one."""
    model, x, y = scene(samples=3)
    theirs = np.concatenate([of_foolbox(peer(**SEARCH), model, x[i:i + 1], y[i:i + 1])[0] for i in range(len(x))])
    result = attack(model, x, y, **SEARCH)
    np.testing.assert_allclose(result.x_adv, theirs, rtol=0, atol=1e-10)
    assert result.success.all()


def test_every_iterate_of_ddn():
    model, x, y = scene()
    _, theirs = of_foolbox(LP.DDNAttack(steps=40, gamma=2.0**-4), model, x, y)
    _, images = ours(ddn, model, x, y, steps=40, gamma=2.0**-4)
    np.testing.assert_allclose(images[:-1], theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize("norm, peer", [("linf", LP.LInfFMNAttack), ("l1", LP.L1FMNAttack)])
def test_every_iterate_of_fmn_inside_the_box(norm, peer):
    model, x, y = scene(0.45, 0.55)
    _, theirs = of_foolbox(peer(steps=30, max_stepsize=0.05), model, x, y)
    _, images = ours(fmn, model, x, y, norm=norm, steps=30, max_stepsize=0.05)
    assert np.min(images) > 0 and np.max(images) < 1
    np.testing.assert_allclose(images[:-1], theirs, rtol=0, atol=1e-10)


def test_fmn_in_l2_with_the_projection_that_foolbox_leaves_out(monkeypatch):
    """Foolbox 3.3 divides the norms by themselves; with the authors' projection in its place the iterates agree."""
    model, x, y = scene(0.45, 0.55)
    peer, options = LP.L2FMNAttack(steps=30, max_stepsize=0.05), {"norm": "l2", "steps": 30, "max_stepsize": 0.05}
    _, images = ours(fmn, model, x, y, **options)
    assert np.abs(np.array(of_foolbox(peer, model, x, y)[1]) - images[:-1]).max() > 1e-3

    def project(x, x0, epsilon):
        change = (x - x0).numpy()
        length = np.linalg.norm(change.reshape(len(change), -1), axis=1)
        factor = np.minimum(1, epsilon.numpy() / np.maximum(length, 1e-12))
        return x0 + type(x)(torch.from_numpy(change * factor[:, None, None, None]))

    monkeypatch.setattr(peer, "project", project)
    np.testing.assert_allclose(images[:-1], of_foolbox(peer, model, x, y)[1], rtol=0, atol=1e-10)


@pytest.mark.parametrize("attack, peer, options", [
    (deepfool, LP.L2DeepFoolAttack, {}),
    (ddn, LP.DDNAttack, {"steps": 50}),
    (fmn, LP.L2FMNAttack, {"steps": 50}),
    (carlini_wagner, LP.L2CarliniWagnerAttack, {"steps": 40, "binary_search_steps": 4, "initial_const": 1.0,
                                                "abort_early": False}),
])  # fmt: skip
def test_never_farther_than_foolbox_with_the_same_budget(attack, peer, options):
    model, x, y = scene(0.0, 1.0, 8)
    theirs, _ = of_foolbox(peer(**options), model, x, y)
    result = attack(model, x, y, **options)
    assert result.success.all()
    assert result.distance["l2"].mean() <= 1.02 * as_norm("test", "l2").distance(theirs - x).mean()


@pytest.mark.parametrize("attack, peer", [(carlini_wagner, LP.L2CarliniWagnerAttack), (ead, LP.EADAttack)])
def test_failures_are_black_images_there_and_the_best_found_here(attack, peer):
    model, x, y = scene()
    options = {"steps": 2, "binary_search_steps": 1, "initial_const": 2.0**-10}
    theirs, _ = of_foolbox(peer(**options), model, x, y)
    result = attack(model, x, y, **options)
    assert (result.status == "failed").all()
    assert (theirs == 0).all() and (result.x_adv != 0).all()
