"""What a Tensor is made from, what it shows, and what it refuses."""

import copy
import operator
import pickle

import numpy as np
import pytest

import minigrad
from minigrad import Tensor, grad, tensor


@pytest.mark.parametrize(
    "data, dtype",
    [
        (1.5, np.float32),
        ([1.0, 2], np.float32),
        (2, np.int64),
        ([1, 2], np.int64),
        (True, bool),
        ([], np.float32),
        (np.ones(2), np.float64),
        (np.float64(1), np.float64),
        (np.float32(1), np.float32),
        (np.ones(2, np.float16), np.float16),
        (np.ones(2, np.uint8), np.uint8),
    ],
)
def test_dtypes(data, dtype):
    assert tensor(data).dtype == dtype and Tensor(data).dtype == dtype
    assert tensor(tensor(data)).dtype == dtype
    assert tensor(data, dtype=np.float64).dtype == np.float64


def test_tensor_copies_and_the_class_does_not():
    array = np.ones(2)
    assert not np.shares_memory(tensor(array).data, array)
    assert not np.shares_memory(tensor(Tensor(array)).data, array)
    assert Tensor(array).data is array and Tensor(array).numpy() is array


def test_assigned_data_keeps_the_dtype_rule():
    t = tensor([1.0, 2.0])
    t.data = [3.0, 4.0]
    assert t.dtype == np.float32 and t.version == 1
    t.data -= 1
    assert t.version == 2


def test_facts():
    t = tensor(np.zeros((2, 3)))
    assert (t.shape, t.ndim, t.size, len(t)) == ((2, 3), 2, 6, 2)
    assert [row.shape for row in t] == [(3,), (3,)]
    assert np.asarray(t).shape == (2, 3) and np.asarray(t, np.float32).dtype == np.float32
    assert (
        tensor([3.0]).item() == 3.0
        and float(tensor(2.0)) == 2.0
        and int(tensor(2)) == 2
        and bool(tensor(1.0))
        and not tensor([0])
    )
    assert t.detach().data is t.data and not tensor([1.0], requires_grad=True).detach().requires_grad


def test_repr():
    x = tensor([1.0, 2.0], requires_grad=True)
    assert repr(x) == "tensor([1., 2.], dtype=float32, requires_grad=True)"
    assert repr(x * 2) == "tensor([2., 4.], dtype=float32, op=Mul())"
    assert repr(tensor([1])) == "tensor([1], dtype=int64)"
    assert "Conv2d(stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1)" == repr(minigrad.ops.Conv2d())


def test_copies_of_leaves():
    x = tensor([1.0, 2.0], requires_grad=True)
    for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert twin is not x and twin.requires_grad and not np.shares_memory(twin.data, x.data)
        np.testing.assert_array_equal(grad((twin * twin).sum(), twin).data, [2, 4])


def test_errors():
    with pytest.raises(TypeError, match="Tensor: data has dtype <U1; expected bool, integer or float"):
        tensor(["a"])
    with pytest.raises(TypeError, match="data has dtype complex128"):
        tensor(1j)
    with pytest.raises(TypeError, match="data has dtype object"):
        Tensor(None)
    with pytest.raises(
        ValueError, match=r"item: the tensor has 2 elements \(shape \(2,\)\), expected 1; reduce it or index it"
    ):
        tensor([1, 2]).item()
    with pytest.raises(ValueError, match=r"bool: the truth of 2 elements is ambiguous \(shape \(2,\)\)"):
        bool(tensor([1, 2]) > 1)
    with pytest.raises(TypeError, match=r"len: a tensor of shape \(\) has no length"):
        len(tensor(1.0))
    with pytest.raises(TypeError, match="requires_grad needs a float dtype, data has bool"):
        tensor([True], requires_grad=True)


def test_comparing_with_an_array_is_refused_where_it_would_always_be_false():
    """`np.mean(model(x).argmax(1) == labels)` would be 0.0 without a word."""
    predicted, labels = tensor([1, 2]), np.array([1, 0])
    for compare in (
        lambda: predicted == labels,
        lambda: labels == predicted,
        lambda: predicted != labels,
        lambda: predicted == 1,
        lambda: predicted == np.int64(1),
    ):
        with pytest.raises(TypeError, match=r"==: compares a Tensor with .*write x.eq\(y\) to compare elements"):
            compare()
    assert predicted.eq(labels).data.tolist() == [True, False]
    assert predicted is not None and predicted != None and predicted != "a"  # noqa: E711
    assert predicted == predicted and predicted != tensor([1, 2]) and predicted in {predicted, tensor(1)}


def test_in_looks_for_elements():
    assert 2 in tensor([1, 2]) and 3 not in tensor([1, 2]) and tensor(1) in tensor([1, 2])


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "pow", "matmul"])
def test_in_place_operators_do_not_lose_an_update(name):
    """`p -= 0.1 * p.grad` would give the name p to a new tensor, and nothing would be learned."""
    apply = getattr(operator, f"i{name}")
    leaf, other = tensor([1.0, 2.0], requires_grad=True), tensor([3.0, 4.0])
    with pytest.raises(TypeError, match=r"=: would give the name to a new tensor .* write x.data"):
        apply(leaf, other)
    for x in (leaf * 1, tensor([1.0, 2.0])):
        before = x.data.copy()
        y = apply(x, other)
        np.testing.assert_array_equal(y.data, getattr(operator, name)(before, other.data))
        np.testing.assert_array_equal(x.data, before)


def test_an_op_asks_for_tensors():
    with pytest.raises(TypeError, match=r"Add: got Tensor, ndarray, expected Tensors; wrap arrays in minigrad.tensor"):
        minigrad.ops.Add()(tensor([1.0]), np.ones(1))
