"""Results that wait: nobody can tell, whatever is read or overwritten, and when."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import minigrad
from minigrad import functional as F
from minigrad import grad, kernels, no_grad, tensor
from minigrad.deferred import Deferred
from minigrad.tensor import Op

RNG = np.random.default_rng(0)
X, W, B = (RNG.normal(size=shape).astype(np.float32) for shape in ((2, 1, 8, 8), (4, 1, 3, 3), (4,)))


def network(requires_grad=True):
    """The steps of a small network: image, convolved, rectified, pooled."""
    x = tensor(X, requires_grad=requires_grad)
    convolved = F.conv2d(x, tensor(W, requires_grad=True), tensor(B, requires_grad=True), padding=1)
    rectified = F.relu(convolved)
    return x, convolved, rectified, F.max_pool2d(rectified, 2)


def fail(*given):
    raise AssertionError("this array need not be made")


def test_what_a_pool_reads_is_never_made(monkeypatch):
    for name in ("relu", "relu_gate", "max_pool2d", "max_pool2d_winners", "conv2d", "relu_max_pool2d_winners"):
        monkeypatch.setattr(kernels, name, fail)
    x, convolved, rectified, pooled = network()
    grad(pooled, [x, *convolved.inputs[1:]])
    assert all(type(t._data) is Deferred and t._data.array is None for t in (convolved, rectified))
    monkeypatch.setattr(kernels, "route_winners", fail)
    x, convolved, _, pooled = network(requires_grad=False)
    grad(pooled, convolved.inputs[1:])
    with no_grad():
        network()


def test_what_is_dear_is_made_once(monkeypatch):
    """A convolution of many channels does not wait; its rectifier does, for the pool."""
    for name in ("relu", "relu_gate", "max_pool2d", "max_pool2d_winners", "conv2d_relu_max_pool2d"):
        monkeypatch.setattr(kernels, name, fail)
    x, w = tensor(RNG.normal(size=(2, 8, 6, 6)), requires_grad=True), tensor(RNG.normal(size=(3, 8, 3, 3)))
    convolved = F.conv2d(x, w)
    assert type(convolved._data) is np.ndarray
    for stride in (2, 1):
        grad(F.max_pool2d(F.relu(convolved), 2, stride), [x, convolved])


def test_reading_the_steps_in_between_changes_nothing():
    alone = network()
    seen = network()
    for t in seen:
        assert t.data.shape == t.shape
    assert_array_equal(alone[-1].data, seen[-1].data)
    assert_array_equal(seen[2].data, np.maximum(seen[1].data, 0))
    leaves, others = ([y[0], *y[1].inputs[1:]] for y in (alone, seen))
    for ours, theirs in zip(grad(alone[-1], leaves), grad(seen[-1], others), strict=True):
        np.testing.assert_allclose(ours.data, theirs.data, rtol=1e-6, atol=1e-6)


def test_gradients_of_inner_tensors_are_read_like_any_other():
    _, convolved, rectified, pooled = network()
    to_convolved, to_rectified = grad(pooled, [convolved, rectified])
    window = (2, 2), (2, 2), (0, 0), False
    _, winners = kernels.max_pool2d_winners(rectified.data, *window)
    routed = kernels.route_winners(np.ones(pooled.shape, np.float32), winners, rectified.shape, *window)
    assert_array_equal(to_rectified.data, routed)
    assert_array_equal(to_convolved.data, to_rectified.data * (convolved.data > 0))


def test_what_waits_does_not_see_its_source_overwritten():
    _, convolved, rectified, _ = network()
    expected = np.maximum(convolved.detach().data.copy(), 0)
    convolved.data[...] = 7
    assert_array_equal(rectified.data, expected)
    for write in (lambda t: t.reshape(2, -1).data, lambda t: t.permute(0, 2, 3, 1).data, lambda t: t.detach().data,
                  lambda t: t[:, 1:].data, lambda t: t.numpy()):
        _, convolved, rectified, _ = network()
        write(convolved)[...] = 7
        assert_array_equal(rectified.data, expected)


def test_a_tape_whose_hidden_arrays_were_overwritten_raises():
    x, convolved, rectified, pooled = network()
    grad(pooled, x)
    convolved.data[...] = 7
    with pytest.raises(RuntimeError, match="grad: the input of ReLU in no module .* was overwritten"):
        grad(pooled, x)
    x, convolved, rectified, pooled = network()
    flat = pooled.flatten(1)
    rectified.data[...] = 7
    with pytest.raises(RuntimeError, match="was overwritten"):
        grad(flat, x)
    x, convolved, rectified, pooled = network()
    rows = convolved.permute(0, 2, 3, 1)
    rows.data[...] = 7  # the same memory, under another name
    with pytest.raises(RuntimeError, match="grad: the input of ReLU in no module .* was overwritten"):
        grad(pooled, x)


def test_a_convolution_that_waits_keeps_the_weights_it_was_given():
    """Whether the weights are moved by an optimizer, by hand, or replaced."""
    for move in (lambda p: minigrad.optim.SGD([p], lr=1.0).step(), lambda p: setattr(p, "data", p.data * 0),
                 lambda p: p.data.fill(7), lambda p: p.numpy().fill(7), lambda p: p.detach().data.fill(7)):
        _, convolved, rectified, pooled = network()
        expected = network()[1].data
        weight = convolved.inputs[1]
        pooled.sum().backward()
        assert type(convolved._data) is Deferred and convolved._data.array is None
        move(weight)
        assert_array_equal(convolved.data, expected)
        assert_array_equal(rectified.data, np.maximum(expected, 0))


def test_a_batch_that_is_overwritten_from_outside_was_copied():
    images, filters = X.copy(), W.copy()
    convolved = F.conv2d(images, filters, padding=1)
    images[...] = 0
    filters[...] = 0
    assert_array_equal(convolved.data, F.conv2d(X, W, padding=1).data)


def test_gradients_share_no_memory_with_a_seed_that_an_op_made():
    a = tensor(np.ones((3, 4), np.float32), requires_grad=True)
    seed = tensor(np.ones((3, 4), np.float32)) * 2
    grad(a + 1.0, a, seed).data[...] = 0
    assert_array_equal(seed.data, np.full((3, 4), 2))


def test_a_channel_sum_that_came_for_free_is_nobody_elses():
    _, convolved, _, pooled = network()
    _, bias = grad(pooled, convolved.inputs[1:], create_graph=True)
    expected = bias.data.copy()
    bias.data[...] = 5
    assert_array_equal(bias.op(*bias.inputs).data, expected)


def test_images_that_no_kernel_takes_are_refused_at_the_call():
    x = tensor(X.astype(np.float16)) * 1
    with pytest.raises(NotImplementedError):
        F.relu(x)


@pytest.mark.parametrize("attempt", range(5))
def test_threads_may_read_while_others_compute(attempt):
    x, convolved, _, pooled = network()
    expected = F.max_pool2d(F.relu(F.conv2d(X, W, B, padding=1)), 2).data
    kinds = (lambda: convolved.data, lambda: F.max_pool2d(F.relu(convolved), 2).data, lambda: grad(pooled, x).data)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda kind: [kind() for _ in range(200)], kinds))
    assert_array_equal(pooled.data, expected)


def test_who_no_longer_waits_is_forgotten():
    _, convolved, _, _ = network()
    for _ in range(20):
        F.relu(convolved)
        convolved.reshape(2, -1)
    assert len(convolved.unseen.readers) <= 1 and len(convolved.unseen.tensors) == 1


class Same(Op):
    """An op of somebody else's, which returns what it is given."""

    def forward(self, x):
        return x

    def vjp(self, g, y, x):
        return (lambda: g,)


def test_an_op_of_unknown_habits_may_share_memory():
    _, convolved, _, _ = network()
    expected = np.maximum(convolved.detach().data.copy(), 0)
    _, convolved, _, _ = network()
    same = Same()(convolved)
    rectified = F.relu(same)
    convolved.data[...] = 7
    assert_array_equal(rectified.data, expected)


def test_copies_and_pickles_hold_the_numbers():
    *_, rectified, pooled = network()
    for twin in (copy.deepcopy(rectified), pickle.loads(pickle.dumps(rectified))):
        assert_array_equal(twin.data, np.maximum(twin.inputs[0].data, 0))
    assert_array_equal(copy.copy(pooled).data, pooled.data)


def test_second_derivatives_pass_through_what_waits():
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(1, 1, 6, 6)), rng.normal(size=(2, 1, 3, 3))
    minigrad.check_grads(lambda x, w: F.max_pool2d(F.relu(F.conv2d(x, w) * F.conv2d(x, w)), 2), x, w, order=2)


def test_any_number_may_wait_for_one_another():
    """Reading is recursive, but only so far."""
    w = tensor((RNG.normal(size=(32, 32, 3, 3)) / 17).astype(np.float32))
    with no_grad():
        y = tensor(np.ones((1, 32, 6, 6), np.float32)) * 1.0
        for _ in range(400):
            y = F.relu(F.conv2d(y, w, padding=1))
    assert y.data.shape == (1, 32, 6, 6)


@pytest.mark.parametrize("pool", [2, 3])
def test_many_channels_meet_their_pool_too(pool, monkeypatch):
    """The second convolution of a network, by Winograd's algorithm: the same numbers whether it waits or not."""
    images, weights, bias = (RNG.normal(size=shape).astype(np.float32) for shape in
                             ((3, 32, 12, 12), (32, 32, 3, 3), (32,)))

    def step():
        x, w, b = (tensor(a, requires_grad=True) for a in (images, weights, bias))
        y = F.max_pool2d(F.relu(F.conv2d(x * 1.0, w, b, padding=1)), pool)
        return [y.data, *(g.data for g in grad((y * y).sum(), [x, w, b]))]

    waiting = step()
    monkeypatch.setattr(minigrad.ops.Conv2d, "may_wait", lambda *given: False)
    monkeypatch.setattr(minigrad.ops.Gate, "may_wait", lambda *given: False)
    for ours, theirs in zip(waiting, step(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)
    assert_array_equal(waiting[0], step()[0])
