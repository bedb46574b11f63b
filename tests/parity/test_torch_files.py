"""Files that PyTorch writes are read as PyTorch reads them, and the other way round."""

import numpy as np
import pytest

from minigrad import io

torch = pytest.importorskip("torch")


def read(tmp_path, value, **options):
    torch.save(value, tmp_path / "weights.pth", **options)
    return io.load_state(tmp_path / "weights.pth")


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name, value in expected.items():
        value = value.detach()
        value = (value.float() if value.dtype == torch.bfloat16 else value).numpy()
        assert found[name].dtype == value.dtype and found[name].shape == value.shape
        np.testing.assert_array_equal(found[name], value)


@pytest.fixture
def network():
    torch.manual_seed(0)
    nn = torch.nn
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Linear(8, 4), nn.Embedding(5, 2))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_the_state_of_a_network(tmp_path, network, protocol):
    assert_same(read(tmp_path, network.state_dict(), pickle_protocol=protocol), network.state_dict())


@pytest.mark.parametrize("dtype", "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool cfloat".split())
def test_every_type(tmp_path, dtype):
    numbers = torch.arange(-3, 3).reshape(2, 3).to(getattr(torch, dtype))
    state = {"numbers": numbers, "scalar": numbers[1, 2]}
    assert_same(read(tmp_path, state), state)


def test_every_way_to_lie_in_memory(tmp_path):
    base = torch.arange(24.0).reshape(2, 3, 4)
    state = {"base": base, "again": base, "t": base.permute(2, 0, 1), "part": base[1, ::2, 1:3], "row": base[0, 1],
             "expanded": base[0, 0].expand(3, 4), "channels_last": base[None].to(memory_format=torch.channels_last),
             "empty": torch.zeros(0, 3), "scalar": torch.tensor(2.5), "none": torch.zeros(())}
    found = read(tmp_path, state)
    assert_same(found, state)
    assert np.shares_memory(found["base"], found["again"]) and np.shares_memory(found["base"], found["part"])


def test_a_training_checkpoint(tmp_path, network):
    optimizer = torch.optim.Adam(network.parameters())
    network[3](torch.ones(1, 8)).sum().backward()
    optimizer.step()
    checkpoint = {"epoch": 3, "loss": 0.5, "done": False, "note": None, "state_dict": network.state_dict(),
                  "optimizer": optimizer.state_dict(), "history": [(1, 2.0), (2, 1.0)]}
    assert_same(read(tmp_path, checkpoint), network.state_dict())


def test_parameters_and_plain_dicts(tmp_path, network):
    state = dict(network.named_parameters())
    assert_same(read(tmp_path, state), state)


def test_a_pickled_network_is_refused_and_named(tmp_path, network):
    with pytest.raises(ValueError, match=r"asks for torch.nn.modules.container.Sequential; .*model.state_dict\(\)"):
        read(tmp_path, network)


def test_numpy_inside_is_refused_and_named(tmp_path):
    with pytest.raises(ValueError, match="weights.pth asks for numpy.*_reconstruct"):
        read(tmp_path, {"w": np.zeros(3)})


def test_the_old_format_says_how_to_convert(tmp_path, network):
    with pytest.raises(ValueError, match=r"before 1.6; .* torch.save\(torch.load\(path, weights_only=True\), new_path"):
        read(tmp_path, network.state_dict(), _use_new_zipfile_serialization=False)


def test_our_files_load_into_a_network_of_theirs(tmp_path, network):
    from safetensors.torch import load_file

    arrays = {name: value.numpy() for name, value in network.state_dict().items()}
    io.save_checkpoint(tmp_path / "weights.safetensors", arrays, {})
    theirs = load_file(tmp_path / "weights.safetensors")
    for name, value in network.state_dict().items():
        assert torch.equal(theirs[name], value)


def test_safetensors_of_theirs(tmp_path):
    from safetensors.torch import save_file

    state = {dtype: torch.arange(-2, 4).to(getattr(torch, dtype)) for dtype in "float16 bfloat16 bool int8".split()}
    save_file(state, tmp_path / "weights.safetensors", metadata={"format": "pt"})
    assert_same(io.load_state(tmp_path / "weights.safetensors"), dict(sorted(state.items())))
