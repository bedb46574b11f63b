"""`vjp jvp hvp jacobian hessian` against closed forms."""

import numpy as np
import pytest

from minigrad import functional, grad, hessian, hvp, jacobian, jvp, no_grad, tensor, vjp

RNG = np.random.default_rng(0)
A, X, V = RNG.standard_normal((3, 4)), RNG.standard_normal(4), RNG.standard_normal(4)
SYMMETRIC = A.T @ A


def linear(x):
    return tensor(A) @ x


def quadratic(x):
    return 0.5 * (x * (tensor(SYMMETRIC) @ x)).sum()


def outer(a, b):
    return a.unsqueeze(1) * b


def test_of_a_linear_map():
    u = RNG.standard_normal(3)
    y, pulled = vjp(linear, X, u)
    np.testing.assert_allclose(y.data, A @ X)
    np.testing.assert_allclose(pulled.data, A.T @ u)
    np.testing.assert_allclose(vjp(linear, X)[1].data, A.sum(0))
    y, pushed = jvp(linear, X, V)
    np.testing.assert_allclose(y.data, A @ X)
    np.testing.assert_allclose(pushed.data, A @ V)
    np.testing.assert_allclose(jvp(linear, X)[1].data, A.sum(1))
    np.testing.assert_allclose(jacobian(linear, X).data, A)


def test_of_a_quadratic_form():
    y, product = hvp(quadratic, X, V)
    np.testing.assert_allclose(y.item(), 0.5 * X @ SYMMETRIC @ X)
    np.testing.assert_allclose(product.data, SYMMETRIC @ V)
    np.testing.assert_allclose(hvp(quadratic, X)[1].data, SYMMETRIC.sum(0))
    np.testing.assert_allclose(hessian(quadratic, X).data, SYMMETRIC)
    np.testing.assert_allclose(jvp(quadratic, X, V)[1].item(), V @ SYMMETRIC @ X)


def test_of_several_inputs():
    a, b = X[:2], X[:3]
    ja, jb = jacobian(outer, (a, b))
    assert ja.shape == (2, 3, 2) and jb.shape == (2, 3, 3)
    np.testing.assert_allclose(ja.data, np.einsum("ik,j->ijk", np.eye(2), b))
    np.testing.assert_allclose(jb.data, np.einsum("i,jk->ijk", a, np.eye(3)))
    _, (ga, gb) = vjp(outer, (a, b))
    np.testing.assert_allclose(ga.data, np.full(2, b.sum()))
    np.testing.assert_allclose(gb.data, np.full(3, a.sum()))
    _, pushed = jvp(outer, (a, b), (V[:2], V[:3]))
    np.testing.assert_allclose(pushed.data, np.outer(V[:2], b) + np.outer(a, V[:3]))
    _, (ha, hb) = hvp(lambda a, b: outer(a, b).sum(), (a, b), (V[:2], V[:3]))
    np.testing.assert_allclose(ha.data, np.full(2, V[:3].sum()))
    np.testing.assert_allclose(hb.data, np.full(3, V[:2].sum()))


def test_softmax_and_log_sum_exp():
    p = functional.softmax(X).data
    np.testing.assert_allclose(jacobian(functional.softmax, X).data, np.diag(p) - np.outer(p, p), atol=1e-15)
    np.testing.assert_allclose(hessian(lambda x: x.logsumexp(0), X).data, np.diag(p) - np.outer(p, p), atol=1e-15)


def test_through_a_convolution_forward_and_backward_agree():
    x, weight = RNG.standard_normal((2, 2, 4, 4)), RNG.standard_normal((3, 2, 3, 3))
    f = lambda x, w: functional.max_pool2d(functional.conv2d(x, w, padding=1).tanh(), 2)  # noqa: E731
    v = RNG.standard_normal(x.shape), RNG.standard_normal(weight.shape)
    y, pushed = jvp(f, (x, weight), v)
    u = RNG.standard_normal(y.shape)
    _, pulled = vjp(f, (x, weight), u)
    np.testing.assert_allclose((pushed.data * u).sum(), sum((g.data * d).sum() for g, d in zip(pulled, v, strict=True)))


def test_constants_have_derivative_zero():
    constant = lambda x: tensor([1.0, 2.0])  # noqa: E731
    for found in (vjp(constant, X)[1], jvp(lambda x: x * 0 + 1, X)[1], hvp(lambda x: x.sum(), X)[1]):
        np.testing.assert_array_equal(found.data, np.zeros(4))
    np.testing.assert_array_equal(jvp(constant, X)[1].data, [0, 0])
    np.testing.assert_array_equal(jacobian(constant, X).data, np.zeros((2, 4)))
    np.testing.assert_array_equal(hessian(lambda x: x.sum(), X).data, np.zeros((4, 4)))
    assert jacobian(lambda x: x[:0], X).shape == (0, 4)


def test_under_no_grad_they_are_the_same():
    with no_grad():
        np.testing.assert_allclose(jvp(linear, X, V)[1].data, A @ V)
        np.testing.assert_allclose(hessian(quadratic, X).data, SYMMETRIC)
        np.testing.assert_allclose(vjp(linear, X)[1].data, A.sum(0))
        np.testing.assert_allclose(hvp(quadratic, X, V)[1].data, SYMMETRIC @ V)


def test_create_graph_differentiates_once_more():
    cube = lambda x: (x**3).sum()  # noqa: E731
    x = tensor(X, requires_grad=True)
    for found, expected in (
        (vjp(cube, x, create_graph=True)[1].sum(), 6 * X),
        (jvp(cube, x, V, create_graph=True)[1], 6 * X * V),
        (hvp(cube, x, V, create_graph=True)[1].sum(), 6 * V),
        (jacobian(lambda x: x**2, x, create_graph=True).sum(), np.full(4, 2.0)),
        (hessian(cube, x, create_graph=True).sum(), np.full(4, 6.0)),
    ):
        np.testing.assert_allclose(grad(found, x).data, expected)
    assert not vjp(cube, x)[1].requires_grad and not hessian(cube, x).requires_grad
    assert x.grad is None


def test_dtype_stays():
    x = X.astype(np.float32)
    cube = lambda x: (x**3).sum()  # noqa: E731
    for found in (vjp(cube, x)[1], jvp(cube, x)[1], hvp(cube, x)[1], jacobian(cube, x), hessian(cube, x)):
        assert found.dtype == np.float32


def test_errors():
    with pytest.raises(ValueError, match=r"hvp: func gave shape \(3,\), expected a scalar; sum it, or use jacobian"):
        hvp(linear, X)
    with pytest.raises(ValueError, match=r"hessian: func gave shape \(3,\), expected a scalar"):
        hessian(linear, X)
    with pytest.raises(ValueError, match=r"jvp: v has shapes \[\(3,\)\], expected those of the inputs, \[\(4,\)\]"):
        jvp(linear, X, V[:3])
    with pytest.raises(ValueError, match="hvp: v has shapes"):
        hvp(lambda a, b: (a * b).sum(), (X, X), X)
    with pytest.raises(ValueError, match=r"grad: seed has shape \(4,\), expected that of y, \(3,\)"):
        vjp(linear, X, V)
