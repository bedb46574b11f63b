"""Module: how parts are found and named, called and logged, saved and loaded."""

import copy
import pickle

import numpy as np
import pytest

from minigrad import Tensor, functional, grad, nn, no_grad, tape, tensor


class Block(nn.Module):
    """Parts in every kind of place."""

    def __init__(self):
        self.weight = nn.Parameter(np.ones(2, np.float32))
        self.steps = Tensor(np.zeros(1, np.float32))
        self.layers = [nn.Linear(2, 2), nn.ReLU()]
        self.named = {"a": nn.Linear(2, 2), "b": (nn.Parameter(np.zeros(3, np.float32)), 5)}
        self._private = nn.Linear(2, 2)
        self.alias = self.layers[0]

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.named["a"](x) * self.weight


def test_parts_are_found_under_the_path_one_would_write():
    block = Block()
    assert [n for n, _ in block.named_parameters()] == [
        "weight",
        "layers.0.weight",
        "layers.0.bias",
        "named.a.weight",
        "named.a.bias",
        "named.b.0",
    ]
    assert [n for n, _ in block.named_buffers()] == ["steps"]
    assert [n for n, _ in block.named_modules()] == ["", "layers.0", "layers.1", "named.a"]
    assert block.modules()[0] is block and len(block.parameters()) == 6
    assert "alias.weight" in block.state_dict() and "_private.weight" not in block.state_dict()


def test_parts_may_be_added_and_removed_at_any_time():
    block = Block()
    block.extra = nn.Linear(1, 1)
    block.layers.append(nn.Linear(2, 2, bias=False))
    del block.named["a"]
    names = dict(block.named_parameters())
    assert "extra.bias" in names and "layers.2.weight" in names and "named.a.weight" not in names


def test_train_and_eval_reach_everything():
    model = nn.Sequential(nn.Dropout(0.5), nn.Sequential(nn.BatchNorm2d(1)))
    assert all(m.training for m in model.modules())
    assert model.eval() is model and not any(m.training for m in model.modules())
    assert all(m.training for m in model.train().modules())


def test_activations_are_nodes_of_the_tape():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    x = np.ones((2, 2), np.float32)
    y, acts = model.named_activations(x)
    assert list(acts) == ["0", "1", "2"] and acts["2"] is y
    assert all(t in tape(y) for t in acts.values())
    np.testing.assert_allclose(grad(y.sum(), acts["1"]).data, np.tile(model[2].weight.data, (2, 1)))
    np.testing.assert_array_equal(model(x).data, y.data)


def test_a_module_called_again_gets_a_number():
    class Net(nn.Module):
        def __init__(self):
            self.relu, self.layers = nn.ReLU(), [nn.Linear(2, 2), nn.Linear(2, 2)]

        def forward(self, x):
            for layer in self.layers:
                x = self.relu(layer(x)) + x  # a skip connection
            return functional.relu(x)  # no module: no activation

    model = Net()
    y, acts = model.named_activations(tensor(np.ones((1, 2), np.float32), requires_grad=True))
    assert list(acts) == ["layers.0", "relu", "layers.1", "relu#2"]
    assert [t.scope for t in tape(y) if t.op] == ["layers.0", "relu", "", "layers.1", "relu", "", ""]
    assert acts["relu"] is not acts["relu#2"] and all(grad(y.sum(), t).shape == (1, 2) for t in acts.values())


def test_activations_of_lists_and_nested_models():
    model = nn.Sequential(
        {"body": nn.Sequential(nn.Identity(), nn.Sequential(nn.ReLU(), nn.Tanh())), "head": nn.Softmax()}
    )
    y, acts = model.named_activations(tensor(np.ones((1, 2), np.float32)))
    assert list(acts) == ["body.0", "body.1.0", "body.1.1", "body.1", "body", "head"]
    assert acts["body.1"] is acts["body.1.1"] is acts["body"]
    inner, inner_acts = model[0].named_activations(tensor(np.ones((1, 2), np.float32)))
    assert list(inner_acts) == ["0", "1.0", "1.1", "1"] and inner.data.shape == (1, 2)
    assert [t.scope for t in tape(model(tensor(np.ones(2), requires_grad=True))) if t.op] == [
        "body.1.0",
        "body.1.1",
        "head",
    ]


def test_without_a_tape_activations_have_their_paths_all_the_same():
    model = nn.Sequential(nn.Identity(), nn.Sequential(nn.ReLU()))
    x = np.ones((1, 2), np.float32)
    with no_grad():
        assert model(x).scope == ""
        assert list(model.named_activations(x)[1]) == ["0", "1.0", "1"]


def test_a_model_that_raises_leaves_no_trace():
    model = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="linear: x has shape"):
        model.named_activations(np.ones((1, 3), np.float32))
    assert (tensor([1.0], requires_grad=True) * 2).scope == ""
    assert list(model.named_activations(np.ones((1, 2), np.float32))[1]) == ["0"]


def test_state_dict_copies_and_loading_writes_in_place():
    model, other = Block(), Block()
    state = model.state_dict()
    state["weight"][...] = 7
    assert model.weight.data[0] == 1
    array, version = other.weight.data, other.weight.version
    assert other.load_state_dict(state) == ([], [])
    assert other.weight.data is array and array[0] == 7 and other.weight.version > version
    for key, value in other.state_dict().items():
        np.testing.assert_array_equal(value, state[key])


def test_loading_converts_dtypes_and_keeps_memory_order():
    model = nn.Conv2d(3, 4, 3)
    strides = model.weight.data.strides
    model.load_state_dict({"weight": np.ones((4, 3, 3, 3)), "bias": tensor(np.zeros(4))})
    assert model.weight.dtype == np.float32 and model.weight.data.strides == strides


def test_loading_what_does_not_fit_changes_nothing():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    before = model.state_dict()
    state = {**model.state_dict(), "0.weight": np.ones((3, 4)), "9.weight": np.ones(1), "1.bias": np.ones(3)}
    del state["0.bias"]
    with pytest.raises(
        ValueError,
        match=r"load_state_dict: the state does not fit this Sequential; nothing was loaded. 0.weight: shape "
        r"\(3, 4\), expected \(3, 2\); missing: 0.bias; unexpected: 9.weight. Is it the same",
    ):
        model.load_state_dict(state)
    with pytest.raises(ValueError, match="0.weight: shape"):
        model.load_state_dict(state, strict=False)
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[key])
    del state["0.weight"]
    assert model.load_state_dict(state, strict=False) == (["0.weight", "0.bias"], ["9.weight"])
    np.testing.assert_array_equal(model.state_dict()["1.bias"], np.ones(3))
    with pytest.raises(ValueError, match="and 2 more"):
        nn.Sequential(*[nn.Linear(1, 1) for _ in range(5)]).load_state_dict({})


def test_freezing():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    model[0].requires_grad_(False)
    y = model(np.ones((1, 2), np.float32))
    y.backward()
    assert model[0].weight.grad is None and model[1].weight.grad is not None
    assert len(model.parameters()) == 4
    model.zero_grad()
    assert model[1].weight.grad is None


def test_to_converts_floats_only():
    model = nn.BatchNorm2d(2).to(np.float64)
    assert {k: v.dtype for k, v in model.state_dict().items()} == {
        "weight": np.float64,
        "bias": np.float64,
        "running_mean": np.float64,
        "running_var": np.float64,
        "num_batches_tracked": np.int64,
    }
    assert model(np.ones((2, 2, 1, 1))).dtype == np.float64
    with pytest.raises(TypeError, match="to: dtype is int64, expected a float"):
        model.to(np.int64)


def test_copies_of_models():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Dropout(0.5, rng=np.random.default_rng(0)))
    x = np.ones((1, 1, 4, 4), np.float32)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        twin[0].weight.data += 1
        assert not np.allclose(twin.eval()(x).data, model.eval()(x).data)
        assert [n for n, _ in twin.named_parameters()] == [n for n, _ in model.named_parameters()]


def test_sequential():
    layers = nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)
    model = nn.Sequential(*layers)
    assert len(model) == 3 and list(model) == list(layers) and model[-1] is layers[2]
    assert [n for n, _ in model[1:].named_parameters()] == ["2.weight", "2.bias"]
    np.testing.assert_array_equal(nn.Sequential()([1]), [1])
    scaled = nn.Sequential(lambda x: x * 2, nn.ReLU())
    assert scaled(tensor([1.0])).item() == 2
    with pytest.raises(
        TypeError, match=r"Sequential: layer 0 is list, expected a Module or a function; write Sequential\(\*layers\)"
    ):
        nn.Sequential([nn.ReLU()])


def test_repr():
    text = repr(nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU())))
    assert (
        text == "Sequential(\n  (0): Linear(in_features=2, out_features=3)\n  (1): Sequential(\n    (0): ReLU()\n  )\n)"
    )
    assert "layers" in repr(Block())


def test_errors():
    with pytest.raises(NotImplementedError, match=r"Module has no forward: define forward\(self, x\)"):
        nn.Module()(1)
    with pytest.raises(ValueError, match="get_submodule: no module at 'layer.0'; nearest: 'layers.0'"):
        Block().get_submodule("layer.0")
    assert Block().get_submodule("layers.1").__class__ is nn.ReLU
    with pytest.raises(AttributeError, match="has no attribute 'wieght'"):
        Block().wieght  # noqa: B018


def test_any_leaf_that_requires_a_gradient_is_learned_and_kept_results_are_no_parts():
    class Scale(nn.Module):
        def __init__(self):
            self.factor = tensor([2.0], requires_grad=True)
            self.offset = tensor([1.0])

        def forward(self, x):
            self.kept = x * self.factor + self.offset
            return self.kept

    model = Scale()
    model(tensor([3.0])).backward()
    assert [n for n, _ in model.named_parameters()] == ["factor"] and model.factor.grad.item() == 3
    assert [n for n, _ in model.named_buffers()] == ["offset"]
    assert list(model.state_dict()) == ["factor", "offset"]
