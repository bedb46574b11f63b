"""Optimizer steps: compiled against their definition, in any memory order."""

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes
from numpy.testing import assert_allclose, assert_array_equal

from minigrad import kernels
from minigrad.kernels import elementwise, reference

ADAM = {"lr": 1e-2, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8}
SGD = {"lr": 1e-1, "momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False}
DTYPES = st.sampled_from([np.float32, np.float64])
LAYOUTS = {
    "contiguous": lambda x: x.copy(),
    "turned": lambda x: x.T.copy().T,
    "strided": lambda x: np.repeat(x, 2, -1)[..., ::2],
}


def close(result, expected):
    eps = np.finfo(expected.dtype).eps
    assert result.dtype == expected.dtype
    assert_allclose(result, expected, rtol=64 * eps, atol=64 * eps)


def run(step, arrays, grads, layouts, **settings):
    """Three steps on arrays laid out in memory one way each; what they hold afterwards."""
    arrays = [LAYOUTS[layout](a) for layout, a in zip(layouts, arrays)]
    for count, grad in enumerate(grads, 1):
        moving = {"step": count} if step.__name__ == "adam_step" else {"first": count == 1}
        step(arrays[0], LAYOUTS[layouts[-1]](grad), *arrays[1:], **settings, **moving)
    return arrays


@given(
    array_shapes(min_dims=1, max_dims=4, max_side=5),
    DTYPES,
    st.lists(st.sampled_from(sorted(LAYOUTS)), min_size=4, max_size=4),
    st.sampled_from([0.0, 0.1]),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_adam_is_its_definition(shape, dtype, layouts, weight_decay, decoupled, seed):
    param, *grads = np.random.default_rng(seed).normal(size=(4, *shape)).astype(dtype)
    arrays = param, np.zeros_like(param), np.zeros_like(param)
    settings = {**ADAM, "weight_decay": weight_decay, "decoupled": decoupled}
    results = run(kernels.adam_step, arrays, grads, layouts, **settings)
    expected = run(reference.adam_step, arrays, grads, ["contiguous"] * 4, **settings)
    for result, value in zip(results, expected):
        close(result, value)


@given(
    array_shapes(min_dims=1, max_dims=4, max_side=5),
    DTYPES,
    st.lists(st.sampled_from(sorted(LAYOUTS)), min_size=3, max_size=3),
    st.sampled_from([0.0, 0.1]),
    st.sampled_from([(0.0, 0.0, False), (0.9, 0.0, False), (0.9, 0.5, False), (0.9, 0.0, True)]),
    st.integers(0, 2**32),
)
def test_sgd_is_its_definition(shape, dtype, layouts, weight_decay, rolling, seed):
    param, *grads = np.random.default_rng(seed).normal(size=(4, *shape)).astype(dtype)
    buf = np.full_like(param, np.nan)  # what a buffer holds before the first step does not matter
    settings = {**SGD, "weight_decay": weight_decay, **dict(zip(("momentum", "dampening", "nesterov"), rolling))}
    results = run(kernels.sgd_step, (param, buf), grads, layouts, **settings)
    expected = run(reference.sgd_step, (param, buf), grads, ["contiguous"] * 3, **settings)
    for result, value in zip(results, expected):
        close(result, value)


def test_sgd_without_momentum_needs_no_buffer():
    param = np.ones(3, np.float32)
    kernels.sgd_step(param, np.ones(3, np.float32), None, **SGD, first=True)
    assert_allclose(param, 0.9, rtol=1e-6)


@pytest.mark.parametrize("size", [0, 1])
def test_nothing_and_a_single_number(size):
    param, grad, m, v = np.ones((4, size))
    kernels.adam_step(param, grad, m, v, **ADAM, weight_decay=0.0, decoupled=False, step=1)
    assert param.shape == (size,) and (param < 1).all()


def test_a_gradient_may_be_read_only():
    param, grad = np.ones(3), np.broadcast_to(np.float64(2), 3)
    kernels.sgd_step(param, grad, None, **SGD, first=True)
    assert_allclose(param, 0.8)
    assert_array_equal(grad, 2)


@pytest.mark.compiled
@pytest.mark.skipif(bool(numba.config.BOUNDSCHECK), reason="bounds checks move the end of the SIMD loop")
def test_any_number_of_threads_gives_the_same_bytes():
    def step():
        param, grad, m, v = np.random.default_rng(0).uniform(size=(4, elementwise.SERIAL + 77)).astype(np.float32)
        kernels.adam_step(param, grad, m, v, **ADAM, weight_decay=0.1, decoupled=True, step=3)
        kernels.sgd_step(param, grad, m, **{**SGD, "momentum": 0.9, "nesterov": True}, first=False)
        kernels.sgd_step(param, grad, None, **SGD, first=False)
        return param.tobytes() + m.tobytes() + v.tobytes()

    together, team = step(), numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        assert step() == together
    finally:
        numba.set_num_threads(team)
