"""The kernels beside PyTorch's own: pooling to its last corner, moments, the rectifier and the optimizer steps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minigrad import kernels
from minigrad.kernels.geometry import conv_output_size, pool_output_size

torch = pytest.importorskip("torch")
F = torch.nn.functional

PAIRS = st.tuples(st.integers(1, 4), st.integers(1, 4))
FORMATS = st.sampled_from(["contiguous_format", "channels_last"])


@st.composite
def configurations(draw):
    """Any window on any image; whether it fits is for both libraries to say."""
    kernel_size, stride = draw(PAIRS), draw(PAIRS)
    padding = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    shape = draw(st.integers(1, 2)), draw(st.integers(1, 3)), draw(st.integers(1, 9)), draw(st.integers(1, 9))
    x = np.random.default_rng(draw(st.integers(0, 2**32))).integers(-2, 3, shape).astype(np.float64)
    return x, kernel_size, stride, padding, draw(st.booleans())


def to_torch(x, memory_format, requires_grad=False):
    x = torch.from_numpy(np.ascontiguousarray(x)).contiguous(memory_format=getattr(torch, memory_format))
    return x.requires_grad_(requires_grad)


def either_both_or_none(ours, theirs):
    """Both results, or None if both refuse the settings; one alone refusing fails."""
    try:
        expected = theirs()
    except RuntimeError:
        with pytest.raises(ValueError, match="pool_output_size: .*; "):
            ours()
        return None
    return ours(), expected


@given(configurations(), FORMATS, st.sampled_from([None, np.nan, -np.inf, np.inf]))
def test_max_pooling(configuration, memory_format, special):
    x, *window, ceil_mode = configuration
    if special is not None:
        x[np.random.default_rng(0).random(x.shape) < 0.4] = special
    x_torch = to_torch(x, memory_format, requires_grad=True)
    both = either_both_or_none(
        lambda: kernels.max_pool2d(x, *window, ceil_mode),
        lambda: F.max_pool2d(x_torch, *window, 1, ceil_mode, return_indices=True),
    )
    if both is None:
        return
    y, (expected, winners) = both
    assert_array_equal(y, expected.detach().numpy())
    y, taps = kernels.max_pool2d_winners(x, *window, ceil_mode)
    assert_array_equal(y, expected.detach().numpy())
    g = np.random.default_rng(1).integers(-9, 10, y.shape).astype(np.float64)
    expected.backward(to_torch(g, memory_format))
    assert_array_equal(kernels.route_winners(g, taps, x.shape, *window, ceil_mode), x_torch.grad.numpy())
    v = np.random.default_rng(2).normal(size=x.shape)
    read = np.take_along_axis(v.reshape(*x.shape[:2], -1), winners.flatten(2).numpy(), 2).reshape(y.shape)
    assert_array_equal(kernels.collect_winners(v, taps, *window, ceil_mode), read)


@given(configurations(), FORMATS, st.booleans())
def test_average_pooling(configuration, memory_format, count_include_pad):
    x, *window, ceil_mode = configuration
    x_torch = to_torch(x, memory_format, requires_grad=True)
    both = either_both_or_none(
        lambda: kernels.avg_pool2d(x, *window, ceil_mode, count_include_pad),
        lambda: F.avg_pool2d(x_torch, *window, ceil_mode, count_include_pad),
    )
    if both is None:
        return
    y, expected = both
    assert_allclose(y, expected.detach().numpy(), rtol=1e-12, atol=1e-14)
    g = np.random.default_rng(1).normal(size=y.shape)
    expected.backward(to_torch(g, memory_format))
    dx = kernels.avg_pool2d_grad(g, x.shape, *window, ceil_mode, count_include_pad)
    assert_allclose(dx, x_torch.grad.numpy(), rtol=1e-12, atol=1e-14)


@given(st.integers(1, 12), st.integers(1, 4), st.integers(1, 4), st.integers(0, 2), st.integers(1, 3), st.booleans())
def test_output_sizes(size, kernel, stride, padding, dilation, ceil_mode):
    x = torch.zeros(1, 1, 1, size)
    try:
        expected = F.conv2d(x, torch.zeros(1, 1, 1, kernel), None, (1, stride), (0, padding), (1, dilation)).shape[-1]
    except RuntimeError:
        with pytest.raises(ValueError, match="conv_output_size"):
            conv_output_size(size, kernel, stride, padding, dilation)
    else:
        assert conv_output_size(size, kernel, stride, padding, dilation) == expected
    try:
        expected = F.max_pool2d(x, (1, kernel), (1, stride), (0, padding), 1, ceil_mode).shape[-1]
    except RuntimeError:
        with pytest.raises(ValueError, match="pool_output_size"):
            pool_output_size(size, kernel, stride, padding, ceil_mode)
    else:
        assert pool_output_size(size, kernel, stride, padding, ceil_mode) == expected


@pytest.mark.parametrize("shape", [(7,), (3, 4, 5, 6), (70, 8, 16, 16)])
def test_relu_and_moments(shape):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    x.flat[::5], x.flat[1::7] = 0, np.nan
    g = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    assert_array_equal(kernels.relu(x), F.relu(torch.from_numpy(x)).numpy())
    x = np.nan_to_num(x)  # PyTorch's gate lets a NaN's gradient through, ours, as documented, does not
    gate = torch.ops.aten.threshold_backward(torch.from_numpy(g), torch.from_numpy(x), 0).numpy()
    assert_array_equal(kernels.relu_gate(g, x), gate)
    if len(shape) == 4:
        variance, mean = torch.var_mean(torch.from_numpy(x), (0, 2, 3), correction=0)
        assert_allclose(kernels.channel_moments(x), np.stack([mean, variance]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-6), (np.float64, 1e-14)])
@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_adam_steps(dtype, tolerance, decoupled, weight_decay):
    param, *grads = np.random.default_rng(0).normal(size=(6, 50)).astype(dtype)
    twin = torch.from_numpy(param.copy()).requires_grad_()
    make = torch.optim.AdamW if decoupled else torch.optim.Adam
    optimizer = make([twin], lr=1e-2, betas=(0.8, 0.99), eps=1e-7, weight_decay=weight_decay)
    m, v = np.zeros_like(param), np.zeros_like(param)
    for step, grad in enumerate(grads, 1):
        twin.grad = torch.from_numpy(grad)
        optimizer.step()
        kernels.adam_step(
            param, grad, m, v,
            lr=1e-2, beta1=0.8, beta2=0.99, eps=1e-7, weight_decay=weight_decay, decoupled=decoupled, step=step,
        )  # fmt: skip
        assert_allclose(param, twin.detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-6), (np.float64, 1e-14)])
@pytest.mark.parametrize(
    "momentum, dampening, nesterov", [(0, 0, False), (0.9, 0, False), (0.9, 0.3, False), (0.9, 0, True)]
)
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_sgd_steps(dtype, tolerance, momentum, dampening, nesterov, weight_decay):
    param, *grads = np.random.default_rng(0).normal(size=(6, 50)).astype(dtype)
    twin, buf = torch.from_numpy(param.copy()).requires_grad_(), np.empty_like(param)
    settings = {"momentum": momentum, "dampening": dampening, "nesterov": nesterov, "weight_decay": weight_decay}
    optimizer = torch.optim.SGD([twin], lr=0.1, **settings)
    for step, grad in enumerate(grads):
        twin.grad = torch.from_numpy(grad)
        optimizer.step()
        kernels.sgd_step(param, grad, buf, lr=0.1, **settings, first=step == 0)
        assert_allclose(param, twin.detach().numpy(), rtol=tolerance, atol=tolerance)
