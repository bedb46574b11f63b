"""Optimizers, schedules and clipping: small cases by hand, resuming to the bit, and what they refuse."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from minigrad import optim
from minigrad.tensor import Tensor, tensor

MAKERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
    "Adam": lambda p: optim.Adam(p, lr=0.1, weight_decay=0.01),
    "AdamW": lambda p: optim.AdamW(p, lr=0.1),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.1, momentum=0.5, centered=True),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.1, lr_decay=0.1),
}
EVERY = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def parameters(dtype=np.float32):
    rng = np.random.default_rng(0)
    turned = rng.normal(size=(3, 2)).astype(dtype).T
    return [Tensor(rng.normal(size=(4, 3)).astype(dtype), True), Tensor(turned, True), Tensor(np.array(2, dtype), True)]


def steps(optimizer, count, seed):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        for p in optimizer.parameters:
            p.grad = Tensor(np.asarray(rng.normal(size=p.shape)).astype(p.dtype))
        optimizer.step()


@EVERY
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_step_goes_downhill_in_place_and_keeps_the_dtype(make, dtype):
    ps = parameters(dtype)
    before, arrays = [p.data.copy() for p in ps], [p.data for p in ps]
    optimizer = make(ps)
    for p in ps:
        p.grad = Tensor(np.ones_like(p.data))
    optimizer.step()
    for p, old, array in zip(ps, before, arrays):
        assert p.data is array and p.dtype == dtype and p.version > 0
        assert (p.data < old).all()
        assert_array_equal(p.grad.data, 1)
    assert {v.dtype for s in optimizer.state for v in s.values() if isinstance(v, np.ndarray)} <= {np.dtype(dtype)}


@EVERY
def test_four_steps_are_two_and_two_after_loading(make):
    one, two = make(parameters()), make(parameters())
    steps(one, 2, seed=1)
    steps(two, 2, seed=1)
    two.lr = one.lr = 0.05  # as a schedule would
    state = two.state_dict()
    resumed = make([Tensor(p.data.copy(order="K"), True) for p in two.parameters])
    resumed.load_state_dict(state)
    steps(two, 2, seed=3)  # the copies in `state` do not follow
    steps(one, 2, seed=2)
    steps(resumed, 2, seed=2)
    for p, q in zip(one.parameters, resumed.parameters):
        assert p.data.tobytes() == q.data.tobytes()
    assert {name: np.asarray(value).tolist() for name, value in one.state_dict().items()} == {
        name: np.asarray(value).tolist() for name, value in resumed.state_dict().items()
    }
    assert all(isinstance(value, (np.ndarray, int, float)) for value in state.values())


def test_state_may_come_back_as_arrays_alone():
    one = optim.Adam(parameters())
    steps(one, 1, seed=0)
    two = optim.Adam(parameters())
    two.load_state_dict({name: np.asarray(value) for name, value in one.state_dict().items()})
    assert two.lr == one.lr and [s["step"] for s in two.state] == [1, 1, 1]
    assert two.state[2]["m"].shape == ()


def test_names_name_the_state():
    optimizer = optim.Adam([("body.weight", tensor([1.0], requires_grad=True))])
    steps(optimizer, 1, seed=0)
    assert {"lr", "beta1", "body.weight.m", "body.weight.v", "body.weight.step"} <= set(optimizer.state_dict())


@EVERY
def test_a_parameter_without_a_gradient_is_passed_over(make):
    ps = parameters()
    before = ps[0].data.copy()
    optimizer = make(ps)
    ps[1].grad = Tensor(np.ones_like(ps[1].data))
    optimizer.step()
    assert_array_equal(ps[0].data, before)
    assert ps[0].version == 0 and optimizer.state[0] == {}
    optimizer.zero_grad()
    assert ps[1].grad is None


@EVERY
def test_maximize_goes_the_other_way(make):
    down, up = (make([Tensor(np.zeros(3), True)]) for _ in range(2))
    up.maximize = True
    steps(down, 1, seed=0)
    steps(up, 1, seed=0)
    assert_allclose(up.parameters[0].data, -down.parameters[0].data)


LEAF = tensor([1.0], requires_grad=True)


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: optim.SGD([LEAF], lr=-1), ValueError, "SGD: lr is -1, expected at least 0"),
        (lambda: optim.SGD([LEAF], momentum=-0.1), ValueError, "SGD: momentum is -0.1"),
        (lambda: optim.SGD([LEAF], nesterov=True), ValueError, "nesterov with momentum 0.0 and dampening 0.0"),
        (lambda: optim.SGD([LEAF], momentum=0.9, dampening=0.1, nesterov=True), ValueError, "no dampening"),
        (lambda: optim.Adam([LEAF], betas=(0.9, 1.0)), ValueError, r"Adam: betas is \(0.9, 1.0\), expected two"),
        (lambda: optim.Adam([LEAF], eps=float("nan")), ValueError, "Adam: eps is nan"),
        (lambda: optim.AdamW([LEAF], amsgrad=True), ValueError, "AdamW: amsgrad=True is not supported"),
        (lambda: optim.RMSprop([LEAF], weight_decay=-1), ValueError, "RMSprop: weight_decay is -1"),
        (lambda: optim.Adagrad([LEAF], lr_decay=-1), ValueError, "Adagrad: lr_decay is -1"),
        (lambda: optim.SGD([]), ValueError, "got no parameters; pass model.parameters"),
        (lambda: optim.SGD([LEAF, LEAF]), ValueError, "comes more than once"),
        (lambda: optim.SGD([("a", LEAF), tensor([1.0])]), ValueError, "1 of 2 parameters have a name"),
        (lambda: optim.SGD([LEAF * 2]), ValueError, "parameter 0 is no leaf, it was computed by Mul"),
        (lambda: optim.SGD([tensor([1])]), ValueError, "dtype int64, expected a float"),
        (lambda: optim.SGD(LEAF), TypeError, "got a Tensor, expected a list of Tensors"),
        (lambda: optim.SGD(7), TypeError, "got a int, expected a list"),
        (lambda: optim.SGD({LEAF}), TypeError, "got a set"),
        (lambda: optim.SGD([np.ones(1)]), TypeError, "parameter 0 is a ndarray, expected a Tensor"),
        (lambda: optim.SGD([{"params": [LEAF]}]), TypeError, r"parameter group \(a dict\), not supported"),
        (lambda: optim.StepLR(LEAF, 1), TypeError, "StepLR: got a Tensor, expected an Optimizer"),
        (lambda: optim.StepLR(optim.SGD([LEAF]), 0), ValueError, "step_size is 0"),
        (lambda: optim.StepLR(optim.SGD([LEAF]), 1, per="step"), ValueError, "per is 'step', expected 'epoch' or"),
        (lambda: optim.CosineAnnealingLR(optim.SGD([LEAF]), 0), ValueError, "T_max is 0"),
        (lambda: optim.OneCycleLR(optim.SGD([LEAF]), 1), ValueError, "no length; give total_steps, or epochs and"),
        (lambda: optim.OneCycleLR(optim.SGD([LEAF]), 1, 0), ValueError, "total_steps is 0"),
        (lambda: optim.OneCycleLR(optim.SGD([LEAF]), 1, 9, pct_start=2), ValueError, "pct_start is 2"),
        (lambda: optim.OneCycleLR(optim.SGD([LEAF]), 1, 9, anneal_strategy="x"), ValueError, "anneal_strategy is 'x'"),
        (lambda: optim.OneCycleLR(optim.Adagrad([LEAF]), 1, 9), ValueError, "Adagrad has neither momentum nor beta1"),
        (lambda: optim.Optimizer([LEAF], maximize=False).update(None, None, {}), NotImplementedError, "define update"),
        (lambda: optim.Schedule(optim.SGD([LEAF]), "epoch"), NotImplementedError, "define lr_at"),
    ],
)
def test_what_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda s: s.pop("lr"), r"\['lr'\] missing"),
        (lambda s: s.update({"7.m": np.ones(3)}), "7.m belongs to none of"),
        (lambda s: s.update({"0.m": np.ones(3, np.float32)}), r"0.m is float32 \(3,\), the parameter float32 \(4, 3\)"),
        (lambda s: s.update({"0.m": np.ones((4, 3))}), "0.m is float64"),
    ],
)
def test_a_foreign_state_is_refused_whole(change, message):
    optimizer = optim.Adam(parameters())
    steps(optimizer, 1, seed=0)
    state = optimizer.state_dict()
    change(state)
    optimizer.lr = 0.5
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(state)
    assert optimizer.lr == 0.5 and optimizer.state[0]["step"] == 1


def rates(schedule, count):
    values = [schedule.optimizer.lr]
    for _ in range(count):
        schedule.step()
        values.append(schedule.optimizer.lr)
    return values


def test_schedules_by_hand():
    assert_allclose(rates(optim.StepLR(optim.SGD([LEAF], lr=1.0), 2, 0.5), 5), [1, 1, 0.5, 0.5, 0.25, 0.25])
    assert_allclose(rates(optim.CosineAnnealingLR(optim.SGD([LEAF], lr=1.0), 2, 0.2), 4), [1, 0.6, 0.2, 0.6, 1])
    cycle = optim.OneCycleLR(optim.SGD([LEAF]), 1.0, 5, pct_start=0.6, anneal_strategy="linear", div_factor=5.0)
    assert_allclose(rates(cycle, 4), [0.2, 0.6, 1, 0.500_01, 0.2e-4])


def test_one_cycle_moves_the_momentum_the_other_way():
    sgd, adam = optim.SGD([LEAF]), optim.Adam([LEAF])
    schedules = [optim.OneCycleLR(o, 1.0, epochs=2, steps_per_epoch=5, pct_start=0.5) for o in (sgd, adam)]
    assert sgd.momentum == 0.95 and adam.betas == (0.95, 0.999)
    for schedule in schedules:
        rates(schedule, 4)
    assert_allclose([sgd.lr, sgd.momentum, adam.beta1], [1, 0.85, 0.85])
    with pytest.raises(ValueError, match="OneCycleLR: step 11 of 10"):
        rates(schedules[0], 7)


@pytest.mark.parametrize(
    "make",
    [
        lambda o: optim.StepLR(o, 2),
        lambda o: optim.CosineAnnealingLR(o, 5),
        lambda o: optim.OneCycleLR(o, 0.1, 9, three_phase=True),
    ],
)
def test_a_schedule_resumes(make):
    one, two = (make(optim.SGD([tensor([1.0], requires_grad=True)], lr=0.3)) for _ in range(2))
    rates(one, 3)
    two.load_state_dict(one.state_dict())
    two.optimizer.load_state_dict(one.optimizer.state_dict())
    assert rates(one, 4) == rates(two, 4)
    assert one.optimizer.momentum == two.optimizer.momentum
    with pytest.raises(ValueError, match="load_state_dict: got .*, expected"):
        one.load_state_dict({"last_epoch": 3})


def with_gradients(*grads):
    ps = [tensor([0.0] * len(g), requires_grad=True) for g in grads]
    for p, g in zip(ps, grads):
        p.grad = tensor(g)
    return ps


def test_clipping_keeps_the_direction_and_shared_gradients():
    ps = with_gradients([3.0, 0.0], [4.0])
    ps[1].grad = ps[0].grad = tensor([3.0, 4.0])  # the same Tensor, as a sum's two leaves may have it
    assert optim.clip_grad_norm(ps, 1.0) == pytest.approx(50**0.5)
    for p in ps:
        assert_allclose(p.grad.data, np.array([3, 4]) / 50**0.5, rtol=1e-6)
        assert p.grad.dtype == np.float32


def test_short_gradients_are_left_alone():
    (p,) = with_gradients([0.3, 0.4])
    grad = p.grad
    assert optim.clip_grad_norm(p, 1.0) == pytest.approx(0.5)
    assert p.grad is grad
    assert optim.clip_grad_norm([tensor([1.0], requires_grad=True)], 1.0) == 0


def test_a_length_that_is_no_number():
    ps = with_gradients([np.nan], [1.0])
    with pytest.raises(FloatingPointError, match="clip_grad_norm: the gradients' norm is nan"):
        optim.clip_grad_norm(ps, 1.0, error_if_nonfinite=True)
    assert ps[1].grad.data == 1
    assert np.isnan(optim.clip_grad_norm(ps, 1.0))
    assert np.isnan(ps[1].grad.data).all()
