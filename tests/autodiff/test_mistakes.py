"""The mistakes that engines written for teaching make, most of them found in a published one: one test for each.

A reference cycle, recursion, exponential walks, wrong un-broadcasting, aliased gradients, overwritten values, float64
that creeps in, ties, overlapping windows, ops off the tape, `=` for `+=`, overflow, index slips, gradients nobody
asked for, and gradient checks in float32. What is told apart by its op is in the op table; here are the cases that
need more than one.
"""

import gc
import time
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad import Op, Tensor, check_grads, functional, grad, nn, no_grad, ops, replay, tape, tensor
from minigrad.check import KinkError


def leaf(*values, dtype=np.float64):
    return tensor(np.array(values, dtype), requires_grad=True)


@pytest.fixture
def no_collector():
    """Only reference counts free memory inside this test."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


# 1 reference cycles


def network():
    return nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3)
    )


@pytest.mark.parametrize(
    "use", ["forward", "grad", "backward", "create_graph", "activations", "anomaly", "replay", "error"]
)
def test_1_a_loss_dies_with_its_last_name(no_collector, use):
    model, x = network(), tensor(np.random.default_rng(0).random((2, 1, 6, 6), np.float32), requires_grad=True)
    model(x)  # compiling a kernel for the first time leaves cycles of numba's own, which hold its arguments
    y, activations = model.named_activations(x) if use == "activations" else (model(x), {})
    loss = functional.cross_entropy(y, np.array([0, 2]))
    if use == "grad":
        grad(loss, x)
    if use == "backward":
        loss.backward()
    if use == "anomaly":
        loss.backward(anomaly=True)
    if use == "create_graph":
        grad((grad(loss, x, create_graph=True) ** 2).sum(), x)
    if use == "replay":
        replay(loss, {x: x.data + 1})
    if use == "error":
        try:
            grad(loss, leaf(1.0))
        except ValueError:
            pass
    died = [weakref.ref(t) for t in tape(loss) if t.op]
    assert len(died) >= 7  # a tensor for each layer, and the loss
    del loss, y, activations
    assert [ref() for ref in died] == [None] * len(died)


def test_1_a_gradient_does_not_hold_the_tape_it_came_from(no_collector):
    x = leaf(1.0, 2.0)
    y = (x.exp() * 2).sum()
    died = weakref.ref(y)
    y.backward()
    del y
    assert died() is None and x.grad is not None


# 2 recursion

DEEP = 50_000


@pytest.fixture(scope="module")
def deep():
    x = leaf(1.0)
    y = x
    for _ in range(DEEP):
        y = -y
    return x, y


def test_2_a_deep_chain_can_be_walked(deep):
    x, y = deep
    assert len(tape(y)) == DEEP + 1
    assert grad(y, x).item() == 1
    assert replay(y, {x: [3.0]}).item() == 3


def test_2_a_deep_chain_can_be_walked_twice(deep):
    x, y = deep
    v = leaf(2.0)
    g = grad(y, x, v, create_graph=True)
    assert grad(g, v).item() == 1


def test_2_a_deep_chain_can_be_dropped(no_collector):
    y = leaf(1.0)
    start = weakref.ref(y)
    for _ in range(DEEP):
        y = -y
    del y
    assert start() is None


# 3 and 11 reused nodes


class Counted(Op):
    """x + x, counting the calls of its vjp."""

    calls = []

    def forward(self, a, b):
        return a + b

    def vjp(self, g, y, a, b):
        self.calls.append(y)
        return lambda: g, lambda: g


def test_3_a_sixty_deep_diamond_is_walked_once():
    x = leaf(1.0)
    y = x
    for _ in range(60):
        y = Counted()(y, y)
    Counted.calls.clear()
    start = time.perf_counter()
    assert grad(y, x).item() == 2.0**60
    assert len(Counted.calls) == 60
    assert time.perf_counter() - start < 5  # the other way would take years


def test_3_11_every_use_of_a_tensor_counts():
    x = leaf(2.0)
    a = x * x
    b = a + x
    y = a * b + b
    np.testing.assert_allclose(grad(y, x).item(), 4 * 8 + 3 * 4 + 2 * 2 + 1)  # of x^4 + x^3 + x^2 + x
    check_grads(lambda x: (x * x) * (x * x + x) + x * x + x, [2.0])


# 4 broadcasting


@st.composite
def broadcastable(draw):
    shape = draw(st.lists(st.integers(0, 3), max_size=4))

    def part():
        kept = shape[draw(st.integers(0, len(shape))) :]
        return tuple(1 if draw(st.booleans()) else n for n in kept)

    return part(), part()


@given(broadcastable(), st.sampled_from(["add", "sub", "mul", "div", "pow", "maximum", "where"]))
def test_4_gradients_of_broadcast_operands(shapes, name):
    rng = np.random.default_rng(0)
    a, b = (tensor(rng.uniform(0.5, 2, s), requires_grad=True) for s in shapes)
    apply = {
        "add": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "mul": lambda a, b: a * b,
        "div": lambda a, b: a / b,
        "pow": lambda a, b: a**b,
        "maximum": lambda a, b: a.maximum(b),
        "where": lambda a, b: functional.where(np.broadcast_to(a.data > b.data, np.broadcast_shapes(*shapes)), a, b),
    }[name]
    y = apply(a, b)
    assert y.shape == np.broadcast_shapes(*shapes)
    seed = rng.standard_normal(y.shape)
    ga, gb = grad(y, [a, b], seed)
    assert (ga.shape, gb.shape) == shapes
    full = [tensor(np.broadcast_to(t.data, y.shape).copy(), requires_grad=True) for t in (a, b)]
    for g, wide, t in zip((ga, gb), grad(apply(*full), full, seed), (a, b), strict=True):
        copies = np.broadcast_to(np.arange(t.size).reshape(t.shape), y.shape).ravel()
        np.testing.assert_allclose(
            g.data.ravel(), np.bincount(copies, wide.data.ravel(), t.size), rtol=1e-9, atol=1e-12
        )


def test_4_empty_and_zero_dimensional():
    for shape in ((0,), (2, 0), ()):
        x = tensor(np.ones(shape), requires_grad=True)
        for y in (x + 1, (x * x).sum(), x.exp(), x.reshape(-1), x.expand(3, *shape), x[None], x.sum() * x):
            assert grad(y, x).shape == shape
    assert grad(tensor(np.ones((0, 3)), requires_grad=True).sum(0).sum(), [], allow_unused=True) == []


# 5 aliasing


def test_5_gradients_do_not_share_memory():
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = a + b
    y.backward()
    a.grad.data[...] = 99
    np.testing.assert_array_equal(b.grad.data, [1, 1])
    seed = np.ones(2)
    ga, gb = grad(y, [a, b], Tensor(seed))
    ga.data[...], gb.data[...] = 5, 6
    np.testing.assert_array_equal(seed, [1, 1])
    np.testing.assert_array_equal(ga.data, [5, 5])


@pytest.mark.parametrize(
    "f",
    [
        lambda a, b: a + a,
        lambda a, b: a.reshape(2, 1) + b,
        lambda a, b: a.sum() + b.sum(),
        lambda a, b: (a + b)[None].transpose(),
    ],
)
def test_5_accumulating_never_writes_into_what_was_handed_out(f):
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    first = grad(f(a, b), [a, b], allow_unused=True)
    f(a, b).backward()
    kept = a.grad
    before = kept.data.copy()
    f(a, b).backward()
    np.testing.assert_array_equal(kept.data, before)
    np.testing.assert_array_equal(a.grad.data, 2 * first[0].data)
    for g in first:
        if g is not None:
            g.data[...] = 0  # writeable, and nobody else's


def test_5_the_gradient_of_a_view_is_its_own():
    x = leaf(1.0, 2.0)
    for y in (x.reshape(1, 2), x[::-1], x.expand(3, 2), x[None]):
        g = grad(y, x)
        assert not np.shares_memory(g.data, x.data)
        g.data += 1


# 6 overwritten values: in test_grad


# 7 float64 creep

CHAINS = {
    "scalars": lambda x: 0.5 * x + 1 - x / 3 + 2**x - (x - 1.5) ** 2,
    "numpy scalars": lambda x: np.float64(2) * x + x * np.float32(3) - np.float64(1) / (x + 3) + x ** np.float64(2),
    "zero-dimensional arrays": lambda x: np.array(2.0) * x + x - np.array(0.1),
    "reductions": lambda x: x.mean() + x.var() + x.std() + x.logsumexp(0) + x.max() + x.min(),
    "extremes": lambda x: x.maximum(0.3) + x.minimum(0.2) + x.clip(-0.5, 0.5) + abs(x),
    "where": lambda x: functional.where(x > 0, x, 0.1 * x) + functional.where(x > 0, 1.5, x),
    "activations": lambda x: sum(
        f(x)
        for f in (
            functional.gelu,
            functional.silu,
            functional.elu,
            functional.softplus,
            functional.leaky_relu,
            functional.sigmoid,
            functional.tanh,
            lambda x: functional.gelu(x, "tanh"),
            lambda x: functional.softmax(x, 0),
            lambda x: functional.log_softmax(x, 0),
        )
    ),
    "layer norm": lambda x: functional.layer_norm(x, x.shape),
    "dropout": lambda x: functional.dropout(x, 0.3, rng=np.random.default_rng(0)),
    "losses": lambda x: (
        functional.mse_loss(x, np.zeros(4))
        + functional.cross_entropy(x[None], [1], np.ones(4), label_smoothing=0.1)
        + functional.l1_loss(x, 2 * x.data)
        + functional.binary_cross_entropy_with_logits(x, np.array([0, 1, 1, 0]))
    ),
    "attention": lambda x: functional.scaled_dot_product_attention(
        *[x.reshape(2, 2)] * 3, attn_mask=np.zeros((2, 2)), scale=0.3
    ),
    "resampling": lambda x: (
        functional.interpolate(x.reshape(1, 1, 2, 2), scale_factor=1.5, mode="bicubic").sum()
        + functional.adaptive_avg_pool2d(x.reshape(1, 1, 2, 2), 1).sum()
        + functional.pad(x, (1, 1), value=0.7).sum()
    ),
    "seed": lambda x: x * 1,
}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_7_a_dtype_stays_through_two_derivatives(name, dtype):
    x = tensor(np.array([0.3, -0.4, 1.1, -1.2], dtype), requires_grad=True)
    y = CHAINS[name](x)
    assert y.dtype == dtype
    g = grad(y, x, create_graph=True)
    assert g.dtype == dtype
    if g.requires_grad:
        assert grad(g, x, allow_unused=True) is None or grad(g, x).dtype == dtype
    y.backward()
    y.backward()
    assert x.grad.dtype == dtype


def test_7_a_mix_of_dtypes_gives_each_input_its_own():
    a, b = leaf(1.0, dtype=np.float32), leaf(2.0, dtype=np.float64)
    y = a * b
    assert y.dtype == np.float64
    ga, gb = grad(y, [a, b])
    assert (ga.dtype, gb.dtype) == (np.float32, np.float64)


def test_7_a_model_in_float32_stays_there():
    model, x = network(), np.random.default_rng(0).random((2, 1, 6, 6), np.float32)
    y, activations = model.named_activations(x)
    functional.cross_entropy(y, [0, 1]).backward()
    assert {t.dtype for t in activations.values()} == {np.dtype(np.float32)}
    assert {p.grad.dtype for p in model.parameters()} == {np.dtype(np.float32)}
    assert {b.dtype for name, b in model.named_buffers() if "running" in name} == {np.dtype(np.float32)}


def test_7_numpy_on_the_left_makes_a_tensor_and_not_an_array_of_objects():
    x, array = leaf(1.0, 2.0), np.array([3.0, 4.0])
    for y, expected in (
        (array * x, [3, 8]),
        (array + x, [4, 6]),
        (array - x, [2, 2]),
        (array / x, [3, 2]),
        (array @ x, 11),
        (array**x, [3, 16]),
        (np.eye(2) @ x, [1, 2]),
        (np.float32(2) * x, [2, 4]),
        (np.float64(2) - x, [1, 0]),
    ):
        assert isinstance(y, Tensor) and y.requires_grad
        np.testing.assert_allclose(y.data, expected)
    for truth in (array > x, x < array, np.float64(1.5) > x):
        assert isinstance(truth, Tensor) and truth.dtype == bool


def test_7_integers_are_data_not_variables():
    n = tensor([1, 2, 3])
    assert (
        n.dtype == np.int64
        and (n + 1).dtype == np.int64
        and (n / 2).dtype == np.float32
        and (n * 0.5).dtype == np.float32
    )
    assert n.sum().dtype == np.int64 and (n > 1).sum().item() == 2 and ((n > 1) + 1).data.tolist() == [1, 2, 2]
    with pytest.raises(TypeError, match="requires_grad needs a float dtype, data has int64"):
        tensor([1, 2], requires_grad=True)
    x = leaf(0.5, 0.5, 0.5, dtype=np.float32)
    g = grad(x * n, x)
    assert g.dtype == np.float32 and g.data.tolist() == [1, 2, 3]


# 8 and 9 ties and overlapping windows


def test_8_ties_after_a_relu_go_to_the_first_and_are_then_stopped():
    x = tensor(-np.ones((1, 1, 4, 4)), requires_grad=True)
    h = functional.relu(x)
    y = functional.max_pool2d(h, 2).sum()
    gx, gh = grad(y, [x, h])
    np.testing.assert_array_equal(gh.data[0, 0], [[1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(gx.data, 0)
    np.testing.assert_array_equal(grad(x.max(), x).data, np.full((1, 1, 4, 4), 1 / 16))


def test_9_overlapping_windows_add_up():
    x = np.zeros((1, 1, 1, 5))
    x[..., 2] = 1
    x = tensor(x, requires_grad=True)
    np.testing.assert_array_equal(grad(functional.max_pool2d(x, (1, 3), 1).sum(), x).data[0, 0, 0], [0, 0, 3, 0, 0])
    np.testing.assert_allclose(grad(functional.avg_pool2d(x, (1, 3), 1).sum(), x).data[0, 0, 0] * 3, [1, 2, 3, 2, 1])
    np.testing.assert_array_equal(
        grad(functional.conv2d(x, np.ones((1, 1, 1, 3))).sum(), x).data[0, 0, 0], [1, 2, 3, 2, 1]
    )


# 10 every public function stays on the tape

IMAGES, ROWS = np.random.default_rng(0).random((2, 2, 4, 4)), np.random.default_rng(0).random((3, 4))
PUBLIC = {
    "adaptive_avg_pool2d": lambda f: (f, IMAGES, 2),
    "avg_pool2d": lambda f: (f, IMAGES, 2),
    "max_pool2d": lambda f: (f, IMAGES, 2),
    "batch_norm": lambda f: (f, IMAGES, None, None),
    "binary_cross_entropy_with_logits": lambda f: (f, ROWS, ROWS),
    "cat": lambda f: (lambda x: f([x, x]), ROWS),
    "stack": lambda f: (lambda x: f([x, x]), ROWS),
    "conv2d": lambda f: (f, IMAGES, IMAGES),
    "conv_transpose2d": lambda f: (f, IMAGES, IMAGES),
    "cross_entropy": lambda f: (f, ROWS, [0, 1, 2]),
    "nll_loss": lambda f: (f, ROWS, [0, 1, 2]),
    "dropout": lambda f: (f, ROWS),
    "einsum": lambda f: (lambda x: f("ij->j", x), ROWS),
    "embedding": lambda f: (lambda w: f([0, 1], w), ROWS),
    "gather": lambda f: (f, ROWS, 1, [[0], [1], [2]]),
    "interpolate": lambda f: (f, IMAGES, 8),
    "l1_loss": lambda f: (f, ROWS, ROWS + 1),
    "mse_loss": lambda f: (f, ROWS, ROWS + 1),
    "layer_norm": lambda f: (f, ROWS, 4),
    "linear": lambda f: (f, ROWS, ROWS),
    "logsumexp": lambda f: (f, ROWS, 1),
    "maximum": lambda f: (f, ROWS, 0.5),
    "minimum": lambda f: (f, ROWS, 0.5),
    "pad": lambda f: (f, ROWS, (1, 1)),
    "scaled_dot_product_attention": lambda f: (f, ROWS, ROWS, ROWS),
    "where": lambda f: (lambda x: f(x > 0.5, x, 0), ROWS),
}


@pytest.mark.parametrize("name", functional.__all__)
def test_10_every_public_function_is_recorded(name):
    f, x, *rest = PUBLIC.get(name, lambda f: (f, ROWS))(getattr(functional, name))
    x = tensor(x, requires_grad=True)
    y = f(x, *rest)
    assert y.requires_grad and grad(y, x).shape == x.shape
    with no_grad():
        assert not f(x, *rest).requires_grad


def test_10_every_method_is_recorded():
    settings = {
        "to": (np.float32,),
        "astype": (np.float32,),
        "pow": (2,),
        "maximum": (0.5,),
        "minimum": (0.5,),
        "matmul": (ROWS.T,),
        "clip": (0, 0.5),
        "clamp": (0, 0.5),
        "logsumexp": (1,),
        "reshape": (4, 3),
        "view": (-1,),
        "unsqueeze": (0,),
        "permute": (1, 0),
        "expand": (2, 3, 4),
        "gather": (1, [[0], [1], [2]]),
        "__getitem__": (0,),
        "__pow__": (2,),
        "__rpow__": (2,),
        "__matmul__": (ROWS.T,),
        "__rmatmul__": (ROWS.T,),
    }
    constant = {"argmax", "eq", "ne", "__lt__", "__le__", "__gt__", "__ge__"}
    x = tensor(ROWS, requires_grad=True)
    for name in ops._METHODS:
        if name in constant or name == "T" or name.startswith("__i"):
            continue
        y = getattr(x, name)(
            *settings.get(name, (2.0,) if name.startswith("__") and name not in ("__neg__", "__abs__") else ())
        )
        assert y.requires_grad and grad(y, x).shape == x.shape, name
    assert x.T.requires_grad
    for name in constant:
        assert not getattr(x, name)(*(() if name == "argmax" else (0.5,))).requires_grad


# 12 overflow


def test_12_functions_of_huge_numbers_stay_finite():
    x = leaf(-1e4, -100.0, 0.0, 100.0, 1e4)
    for f in (
        functional.sigmoid,
        functional.tanh,
        functional.softplus,
        functional.elu,
        functional.silu,
        functional.gelu,
        lambda x: functional.softmax(x, 0),
        lambda x: functional.log_softmax(x, 0),
        lambda x: x.logsumexp(0),
        lambda x: functional.cross_entropy(x[None], [1]),
        lambda x: functional.binary_cross_entropy_with_logits(x, np.ones(5)),
    ):
        with np.errstate(all="raise", under="ignore"):
            y = f(x)
            g = grad(y, x, anomaly=True)
        assert np.isfinite(y.data).all() and np.isfinite(g.data).all()


def test_12_the_branch_not_taken_gives_no_nan():
    x = leaf(-1.0, 4.0)
    y = functional.where(x > 0, functional.where(x > 0, x, 1.0).sqrt(), 0)
    np.testing.assert_array_equal(grad(y, x).data, [0, 0.25])
    base = leaf(-2.0, 0.0)
    np.testing.assert_array_equal(
        grad(base ** tensor(np.array([2.0, 2.0])), base).data, [-4, 0]
    )  # the log of -2 is not asked for


# 13 index slips: the op table and tests/parity compare with dense matrices and the adjoint identity


# 14 what nobody asked for


def test_14_only_the_derivatives_asked_for_are_computed():
    ran = []

    class Watched(Op):
        def forward(self, *xs):
            return sum(xs)

        def vjp(self, g, y, *xs):
            return tuple(lambda i=i: ran.append(i) or g for i in range(len(xs)))

    x, w, b, constant = leaf(1.0), leaf(2.0), leaf(3.0), tensor(np.array([4.0]))
    y = Watched()(x, w, b, constant)
    grad(y, x)
    assert ran == [0]
    grad(y * 2, [w, b])
    assert ran == [0, 1, 2]
    y.backward()
    assert ran == [0, 1, 2, 0, 1, 2]
    h = Watched()(x * 2, w)
    ran.clear()
    grad(h, h)
    assert ran == []


def test_14_the_gradient_of_the_pixels_is_computed_only_if_wanted():
    model = network()
    batch = np.random.default_rng(0).random((2, 1, 6, 6), np.float32)
    kinds = []
    for x in (batch, tensor(batch, requires_grad=True)):
        y = model(x)
        asked = [p for p in model.parameters()] if x is batch else [x]
        found = grad(y.sum(), asked, create_graph=True)
        kinds.append({type(t.op).__name__ for g in found for t in tape(g) if t.op})
    assert "Conv2dWeight" in kinds[0] and "Conv2dInput" not in kinds[0]
    assert "Conv2dInput" in kinds[1] and "Conv2dWeight" not in kinds[1]


# 15 checking in float32


def test_15_checks_run_in_float64():
    seen = set()

    def f(x):
        seen.add(x.dtype)
        return (x * x).sum()

    check_grads(f, np.array([1.0, 2.0], np.float32))
    assert seen == {np.dtype(np.float64)}


# identity


def test_a_tensor_is_a_key():
    a, b = leaf(1.0), leaf(1.0)
    assert a == a and a != b and len({a, b, a}) == 2
    assert {a: 1}[a] == 1 and a in [b, a] and b not in (a,)
    assert a.eq(b).item() is True and a.ne(b).item() is False
    assert not isinstance(a == b, Tensor)


# check_grads itself


class WrongSquare(Op):
    """x ** 2 with a derivative that is off by `first`, or right once and wrong at second order."""

    def __init__(self, first=0.0, second=0.0):
        object.__setattr__(self, "errors", (first, second))

    def forward(self, x):
        return x * x

    def vjp(self, g, y, x):
        first, second = self.errors
        return (lambda: (2 + first) * g * (WrongIdentity(second)(x)),)


class WrongIdentity(Op):
    def __init__(self, error):
        object.__setattr__(self, "error", error)

    def forward(self, x):
        return x

    def vjp(self, g, y, x):
        return (lambda: (1 + self.error) * g,)


def test_check_grads_passes_what_is_right():
    check_grads(WrongSquare(), [1.0, -2.0, 0.0])
    check_grads(lambda a, b: (a * b, a.sum()), np.ones((2, 3)), np.ones(3))
    check_grads(lambda x: x * 0 + 1, [1.0])
    with no_grad():
        check_grads(lambda x: x.exp(), [1.0])


@pytest.mark.parametrize("error", [1.0, 1e-2, 1e-5, -1e-5])
def test_check_grads_catches_a_wrong_derivative(error):
    with pytest.raises(AssertionError, match="check_grads: order 1: the tape says .* finite differences"):
        check_grads(WrongSquare(first=error), [1.0, -2.0])
    with pytest.raises(AssertionError, match="check_grads: order 2"):
        check_grads(WrongSquare(second=error), [1.0, -2.0])
    check_grads(WrongSquare(second=error), [1.0, -2.0], order=1)


def test_check_grads_catches_one_wrong_element_of_many():
    class OneWrong(Op):
        def forward(self, x):
            return x * 2

        def vjp(self, g, y, x):
            factor = np.full(x.shape, 2.0)
            factor.flat[7] = 2.001
            return (lambda: g * factor,)

    with pytest.raises(AssertionError, match="order 1"):
        check_grads(OneWrong(), np.ones(100))


def test_check_grads_catches_a_dropped_and_a_transposed_derivative():
    class Dropped(Op):
        def forward(self, a, b):
            return a * b

        def vjp(self, g, y, a, b):
            return lambda: g * b, None

    class Transposed(Op):
        def forward(self, x):
            return x.T

        def vjp(self, g, y, x):
            return (lambda: g,)

    with pytest.raises(AssertionError, match="order 1"):
        check_grads(Dropped(), [1.0], [2.0])
    with pytest.raises(AssertionError, match="order 1"):
        check_grads(Transposed(), np.arange(9.0).reshape(3, 3))


@pytest.mark.parametrize(
    "f, x",
    [
        (functional.relu, [0.0, 1.0]),
        (abs, [1e-5]),
        (lambda x: x.max(), [1.0, 1.0]),
        (lambda x: functional.max_pool2d(x, 2), np.ones((1, 1, 2, 2))),
        (lambda x: x.clip(0, 1), [1.0]),
    ],
)
def test_check_grads_reports_a_kink(f, x):
    with pytest.raises(KinkError, match="finite differences do not settle.*move the point"):
        check_grads(f, x)


def test_check_grads_refuses_what_is_not_finite():
    with np.errstate(all="ignore"), pytest.raises(AssertionError, match="both must be finite"):
        check_grads(lambda x: x.log(), [-1.0])
