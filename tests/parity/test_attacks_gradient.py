"""Gradient attacks beside Foolbox on the very same model: a torch function asks minigrad for values and gradients."""

import warnings

import numba
import numpy as np
import pytest

import minigrad
from attacks.gradient import bim, fgsm, pgd
from attacks.norms import L1, in_float64
from tests.attacks import subjects

if numba.config.DISABLE_JIT:
    pytest.skip("Foolbox cannot be imported without numba's compiler", allow_module_level=True)
torch = pytest.importorskip("torch")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    foolbox = pytest.importorskip("foolbox")

MODEL = subjects.cnn(np.float64)
X = subjects.images(20, np.float64)[0]
Y = subjects.predicted(MODEL, X)
TARGETS = (Y + 1) % subjects.CLASSES
EPS = {"linf": 0.05, "l2": 0.3, "l1": 1.0}


class Bridge(torch.autograd.Function):
    """minigrad's model inside torch's graph."""

    @staticmethod
    def forward(ctx, x):
        ctx.leaf = minigrad.Tensor(x.detach().numpy().copy(), requires_grad=True)
        ctx.logits = MODEL(ctx.leaf)
        return torch.tensor(ctx.logits.data)

    @staticmethod
    def backward(ctx, g):
        return torch.tensor(minigrad.grad(ctx.logits, ctx.leaf, g.numpy()).data)


class Bridged(torch.nn.Module):
    def forward(self, x):
        return Bridge.apply(x)


def theirs(attack, eps, targeted=False):
    model = foolbox.PyTorchModel(Bridged().eval(), bounds=(0, 1), device="cpu")
    wanted = torch.tensor(TARGETS if targeted else Y)
    criterion = (foolbox.criteria.TargetedMisclassification if targeted else foolbox.criteria.Misclassification)(wanted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return attack(model, torch.tensor(X), criterion, epsilons=eps)[1].numpy()


def last(attack, **options):
    """The image at the end of the walk, also of failures."""
    images = []
    attack(MODEL, X, TARGETS if options.get("targeted") else Y, callback=lambda step, now, entry:
           images.append(now.copy()), **options)  # fmt: skip
    return images[-1]


@pytest.mark.parametrize("norm, name", [("linf", "LinfFastGradientAttack"), ("l2", "L2FastGradientAttack")])
def test_fgsm_equals_foolboxs(norm, name):
    expected = theirs(getattr(foolbox.attacks, name)(), EPS[norm])
    np.testing.assert_allclose(last(fgsm, eps=EPS[norm], norm=norm), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("norm, name", [("linf", "LinfBasicIterativeAttack"), ("l2", "L2BasicIterativeAttack")])
def test_bim_equals_foolboxs(norm, name, targeted):
    expected = theirs(getattr(foolbox.attacks, name)(), EPS[norm], targeted)
    np.testing.assert_allclose(last(bim, eps=EPS[norm], norm=norm, targeted=targeted), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("norm, name, steps", [("linf", "LinfProjectedGradientDescentAttack", 40),
                                               ("l2", "L2ProjectedGradientDescentAttack", 50)])  # fmt: skip
def test_pgd_from_x_equals_foolboxs_with_its_defaults(norm, name, steps):
    attack = getattr(foolbox.attacks, name)
    expected = theirs(attack(random_start=False), EPS[norm])
    found = last(pgd, eps=EPS[norm], norm=norm, random_start=False)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    some = theirs(attack(random_start=False, steps=7, abs_stepsize=0.01), EPS[norm])
    found = last(pgd, eps=EPS[norm], norm=norm, random_start=False, steps=7, abs_stepsize=0.01)
    np.testing.assert_allclose(found, some, rtol=0, atol=1e-9)


def test_every_iterate_equals_foolboxs():
    images = []
    pgd(MODEL, X, Y, eps=0.05, random_start=False, callback=lambda step, now, entry: images.append(now.copy()), steps=6)
    for steps in range(1, 7):
        attack = foolbox.attacks.LinfProjectedGradientDescentAttack(random_start=False, steps=steps)
        np.testing.assert_allclose(images[steps], theirs(attack, 0.05), rtol=0, atol=1e-12)


def test_in_l1_the_true_projection_leaves_a_higher_loss_than_foolboxs_rescaling():
    def rate(x):
        assert (L1().distance(in_float64(x, X)) <= EPS["l1"] + 1e-9).all()
        return (subjects.predicted(MODEL, x) != Y).mean()

    shrunk = theirs(foolbox.attacks.L1ProjectedGradientDescentAttack(random_start=False), EPS["l1"])
    assert rate(last(pgd, eps=EPS["l1"], norm="l1", random_start=False)) > rate(shrunk)
