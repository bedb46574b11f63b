"""Optimizers, schedules and clipping beside PyTorch's, step by step."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from minigrad import optim
from minigrad.tensor import Tensor

torch = pytest.importorskip("torch")

OPTIMIZERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "maximize": True}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.1, "maximize": True}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.3}),
    ("RMSprop", {}),
    ("RMSprop", {"alpha": 0.8, "momentum": 0.9, "weight_decay": 0.1}),
    ("RMSprop", {"centered": True, "eps": 1e-2, "maximize": True}),
    ("RMSprop", {"centered": True, "momentum": 0.5}),
    ("Adagrad", {}),
    ("Adagrad", {"lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.2, "eps": 1e-3}),
]
SCHEDULES = [
    ("StepLR", {"step_size": 3}),
    ("StepLR", {"step_size": 1, "gamma": 0.7}),
    ("CosineAnnealingLR", {"T_max": 7}),
    ("CosineAnnealingLR", {"T_max": 6, "eta_min": 0.01}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 30}),
    ("OneCycleLR", {"max_lr": 0.5, "epochs": 3, "steps_per_epoch": 10, "pct_start": 0.25, "anneal_strategy": "linear"}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 30, "three_phase": True, "div_factor": 5.0}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 30, "cycle_momentum": False, "final_div_factor": 7.0}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 30, "pct_start": 0.0, "base_momentum": 0.6, "max_momentum": 0.8}),
]


def twins(shapes, dtype=np.float64):
    """The same parameters twice."""
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape).astype(dtype) for shape in shapes]
    ours = [Tensor(a.copy(), True) for a in arrays]
    return ours, [torch.from_numpy(a.copy()).requires_grad_() for a in arrays]


def give_gradients(ours, theirs, rng, scale=1.0):
    for p, q in zip(ours, theirs):
        if rng.random() < 0.2:
            p.grad = q.grad = None
            continue
        g = (scale * rng.normal(size=p.shape)).astype(p.dtype)
        p.grad, q.grad = Tensor(g), torch.from_numpy(g.copy())


@pytest.mark.parametrize("name, settings", OPTIMIZERS)
@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 2e-5), (np.float64, 1e-12)])
def test_optimizers(name, settings, dtype, tolerance):
    ours, theirs = twins([(4, 5), (3,), (2, 3, 4, 5)], dtype)
    one, two = getattr(optim, name)(ours, **settings), getattr(torch.optim, name)(theirs, **settings)
    rng = np.random.default_rng(1)
    for _ in range(12):
        give_gradients(ours, theirs, rng)
        one.step()
        two.step()
        for p, q in zip(ours, theirs):
            assert_allclose(p.data, q.detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_defaults(name):
    ours, theirs = twins([(2,)])
    one, two = getattr(optim, name)(ours), getattr(torch.optim, name)(theirs)
    expected = {k: v for k, v in two.defaults.items() if k not in ("betas", "amsgrad", "decoupled_weight_decay")}
    for setting, value in expected.items():
        if setting not in ("foreach", "capturable", "differentiable", "fused"):
            assert getattr(one, setting) == value, setting
    assert getattr(one, "betas", None) == two.defaults.get("betas")


@pytest.mark.parametrize("name, settings", SCHEDULES)
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@pytest.mark.filterwarnings("ignore:Detected call of:UserWarning")
def test_schedules(name, settings, optimizer):
    ours, theirs = twins([(2,)])
    one, two = getattr(optim, optimizer)(ours, lr=0.3), getattr(torch.optim, optimizer)(theirs, lr=0.3)
    schedule, twin = getattr(optim, name)(one, **settings), getattr(torch.optim.lr_scheduler, name)(two, **settings)
    for _ in range(31):
        group = two.param_groups[0]
        momentum = group["momentum"] if optimizer == "SGD" else group["betas"][0]
        assert_allclose(one.lr, group["lr"], rtol=1e-12, atol=1e-17)
        assert_allclose(one.momentum if optimizer == "SGD" else one.beta1, momentum, rtol=1e-12)
        if schedule.last_epoch < 30:
            schedule.step()
            twin.step()


def test_a_cycle_with_momentum_trains_the_same():
    ours, theirs = twins([(4, 5)])
    one, two = optim.SGD(ours, lr=0.1), torch.optim.SGD(theirs, lr=0.1)
    schedule = optim.OneCycleLR(one, 0.5, 12)
    twin = torch.optim.lr_scheduler.OneCycleLR(two, 0.5, 12)
    rng = np.random.default_rng(1)
    for _ in range(12):
        give_gradients(ours, theirs, rng)
        for stepped in (one, two, schedule, twin):
            stepped.step()
    assert_allclose(ours[0].data, theirs[0].detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.5, 0.5, 0.0, float("inf")])
@pytest.mark.parametrize("scale", [1e-3, 10.0])
def test_clipping(norm_type, scale):
    ours, theirs = twins([(4, 5), (3,), (2, 3)])
    give_gradients(ours, theirs, np.random.default_rng(2), scale)
    total = optim.clip_grad_norm(ours, 0.7, norm_type)
    assert_allclose(total, torch.nn.utils.clip_grad_norm_(theirs, 0.7, norm_type).item(), rtol=1e-12)
    for p, q in zip(ours, theirs):
        if q.grad is not None:
            assert_allclose(p.grad.data, q.grad.numpy(), rtol=1e-12)
