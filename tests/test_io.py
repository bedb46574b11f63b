"""Models and checkpoints on disk: nothing is lost, nothing half written is kept, nothing damaged is loaded."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors import numpy as safetensors

from minigrad import data, io, models

ROOT = Path(__file__).parent.parent


@pytest.fixture
def model():
    return models.create("lenet5", rng=np.random.default_rng(0))


def test_a_model_comes_back(model, tmp_path):
    metrics = {"accuracy": np.float32(0.25), "loss": [0.1, float("inf")], "best": np.int64(3), "done": np.bool_(True)}
    io.save(tmp_path / "new" / "folder" / "m.safetensors", model, dataset="digits", metrics=metrics, seed=7)
    loaded = io.load(str(tmp_path / "new" / "folder" / "m.safetensors"))
    assert type(loaded) is type(model) and not loaded.training
    assert loaded.metadata == {"architecture": {"name": "lenet5", "options": {}}, "dataset": "digits", "seed": 7,
                               "metrics": {"accuracy": 0.25, "loss": [0.1, float("inf")], "best": 3, "done": True}}
    state = model.state_dict()
    assert loaded.state_dict().keys() == state.keys()
    for name, array in loaded.state_dict().items():
        np.testing.assert_array_equal(array, state[name])
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["m.safetensors"]


def test_the_file_is_plain_safetensors(model, tmp_path):
    io.save(tmp_path / "m.safetensors", model, dataset="digits")
    theirs = safetensors.load_file(tmp_path / "m.safetensors")
    assert theirs.keys() == model.state_dict().keys()
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(theirs[name], array)
    header = header_of(tmp_path / "m.safetensors")["__metadata__"]
    assert header["minigrad_format"] == "1" and header["dataset"] == '"digits"' and len(header["minigrad_sha256"]) == 64


def header_of(path):
    content = path.read_bytes()
    return json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])


def test_a_model_of_ones_own_is_saved_and_told_apart(tmp_path):
    class Own:
        def state_dict(self):
            return {"w": np.ones(2, np.float32)}

    io.save(tmp_path / "own.safetensors", Own())
    np.testing.assert_array_equal(io.load_state(tmp_path / "own.safetensors")["w"], [1, 1])
    with pytest.raises(ValueError, match=r"own.safetensors does not say how to build its model; .*load_state_dict"):
        io.load(tmp_path / "own.safetensors")


@pytest.mark.parametrize("architecture, message", [
    ({"name": "lenet6", "options": {}}, "does not fit the model 'lenet6' it names: .*lenet5"),
    ({"name": "lenet5", "options": {"colour": 1}}, "does not fit the model 'lenet5' it names: .*colour"),
    ({"name": "lenet5", "options": None}, "does not say how to build its model"),
    ({"name": "mnist_cnn", "options": {}}, "does not fit the model 'mnist_cnn' it names: .*nothing was loaded"),
    ("lenet5", "does not say how to build its model"),
])
def test_an_architecture_that_does_not_fit_is_named(model, tmp_path, architecture, message):
    model.architecture = architecture
    io.save(tmp_path / "m.safetensors", model)
    with pytest.raises(ValueError, match=f"load: {tmp_path}/m.safetensors {message}"):
        io.load(tmp_path / "m.safetensors")


@pytest.mark.parametrize("error, name, metadata, message", [
    (ValueError, "m", {}, "save: path is .*/m, expected a name that ends in .safetensors; for instance .*m.safeten"),
    (ValueError, "m.pth", {}, "expected a name that ends in .safetensors"),
    (ValueError, "m.safetensors", {"architecture": 1}, "name 'architecture', which the model itself fills"),
    (ValueError, "m.safetensors", {"minigrad_sha256": 1}, "name 'minigrad_sha256', which the format uses"),
    (TypeError, "m.safetensors", {"metrics": {"a", "b"}}, "save: metrics is set, expected what JSON holds"),
    (TypeError, "m.safetensors", {"metrics": [np.zeros(2)]}, "save: metrics is list, expected what JSON holds"),
])
def test_save_refuses(model, tmp_path, error, name, metadata, message):
    with pytest.raises(error, match=message):
        io.save(tmp_path / name, model, **metadata)
    assert not list(tmp_path.iterdir())


ARRAYS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(lambda name: name != "__metadata__"),
    st.sampled_from("f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 ? >f4 >i8".split()).flatmap(
        lambda kind: hnp.arrays(np.dtype(kind), hnp.array_shapes(min_dims=0, min_side=0, max_side=4))), max_size=4)
META = st.dictionaries(st.sampled_from("epoch step rng history x".split()), st.recursive(
    st.none() | st.booleans() | st.integers(-2**130, 2**130) | st.floats(allow_nan=False) | st.text(), st.lists))


@given(ARRAYS, META)
def test_checkpoints_keep_every_bit(tmp_path_factory, arrays, meta):
    path = tmp_path_factory.getbasetemp() / "checkpoint"
    io.save_checkpoint(path, arrays, meta)
    found, found_meta = io.load_checkpoint(path)
    assert found_meta == meta and found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].shape == array.shape and found[name].dtype == array.dtype.newbyteorder("=")
        assert found[name].tobytes() == array.astype(found[name].dtype).tobytes() and found[name].flags.writeable


def test_checkpoints_keep_arrays_that_do_not_lie_in_c_order(tmp_path):
    array = np.arange(24.0).reshape(2, 3, 4)
    arrays = {"permuted": array.transpose(2, 0, 1), "strided": array[:, ::2, ::-1],
              "repeated": np.broadcast_to(3.0, (2, 2))}
    io.save_checkpoint(tmp_path / "c", arrays, {})
    for name, found in io.load_checkpoint(tmp_path / "c")[0].items():
        np.testing.assert_array_equal(found, arrays[name])


def test_a_random_generator_goes_on_where_it_was(tmp_path):
    rng = np.random.default_rng(0)
    rng.normal(size=3)
    io.save_checkpoint(tmp_path / "c", {}, {"rng": rng.bit_generator.state})
    again = np.random.default_rng()
    again.bit_generator.state = io.load_checkpoint(tmp_path / "c")[1]["rng"]
    np.testing.assert_array_equal(again.normal(size=5), rng.normal(size=5))


@pytest.mark.parametrize("error, arrays, meta, message", [
    (ValueError, {"w": np.zeros(2, complex)}, {}, "save_checkpoint: w is complex128, expected floats"),
    (ValueError, {"w": np.array(["a"])}, {}, "w is <U1"),
    (ValueError, {"w": np.array([None])}, {}, "w is object"),
    (TypeError, {3: np.zeros(2)}, {}, r"a name is 3, expected text; use str\(\)"),
    (TypeError, {}, {3: 4}, "a name is 3, expected text"),
    (ValueError, {"__metadata__": np.zeros(2)}, {}, "the name '__metadata__', which the format uses"),
    (ValueError, {}, {"minigrad_format": 1}, "name 'minigrad_format', which the format uses"),
])
def test_save_checkpoint_refuses(tmp_path, error, arrays, meta, message):
    with pytest.raises(error, match=message):
        io.save_checkpoint(tmp_path / "c", arrays, meta)
    assert not list(tmp_path.iterdir())


def small_checkpoint(path):
    io.save_checkpoint(path, {"w": np.arange(3, dtype=np.float32), "n": np.array(5)}, {"epoch": 1})
    return path.read_bytes()


def test_a_flipped_bit_anywhere_is_noticed_or_harmless(tmp_path):
    path = tmp_path / "c"
    content = small_checkpoint(path)
    refused = 0
    for position in range(len(content)):
        flipped = bytearray(content)
        flipped[position] ^= 1 << position * 5 % 8
        path.write_bytes(flipped)
        try:
            arrays, meta = io.load_checkpoint(path)
        except ValueError as error:
            assert str(path) in str(error)
            refused += 1
            continue
        # harmless: only the white space that pads the header can change unnoticed
        assert meta == {"epoch": 1} and arrays["n"] == 5 and arrays["w"].tolist() == [0, 1, 2]
    assert refused > 0.95 * len(content)


def test_every_shorter_file_is_refused(tmp_path):
    path = tmp_path / "c"
    content = small_checkpoint(path)
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=f"load_checkpoint: {path} is (empty|damaged, cut short or not)"):
            io.load_checkpoint(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(ValueError, match="is damaged"):
        io.load_checkpoint(path)


def test_changed_numbers_are_refused_by_each_reader(model, tmp_path):
    path = tmp_path / "m.safetensors"
    io.save(path, model)
    content = bytearray(path.read_bytes())
    content[-1] ^= 64
    path.write_bytes(content)
    for read in (io.load, io.load_state, io.load_checkpoint):
        with pytest.raises(ValueError, match=rf"{read.__name__}: {path} is damaged: its content has SHA-256 \w+, its"):
            read(path)


def test_a_newer_format_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(io, "FORMAT", "2")
    io.save_checkpoint(tmp_path / "c", {}, {})
    monkeypatch.undo()
    with pytest.raises(ValueError, match="has format 2, this minigrad reads 1; install a newer one"):
        io.load_checkpoint(tmp_path / "c")


@pytest.mark.parametrize("read, name, message", [
    (io.load, "m.pth", "ends in '.pth', expected .safetensors; load_state reads it"),
    (io.load, "m.txt", "ends in '.txt', expected .safetensors$"),
    (io.load_state, "m.h5", "ends in '.h5', expected .safetensors or .pth or .pt$"),
    (io.load_state, "m", "ends in 'nothing', expected"),
])
def test_other_endings_are_refused(tmp_path, read, name, message):
    with pytest.raises(ValueError, match=f"{read.__name__}: {tmp_path / name} {message}"):
        read(tmp_path / name)


@pytest.mark.parametrize("read, name", [(io.load, "m.safetensors"), (io.load_state, "m.safetensors"),
                                        (io.load_state, "m.pth"), (io.load_checkpoint, "c")])
def test_missing_folders_and_empty_files_are_named(tmp_path, read, name):
    path = tmp_path / name
    with pytest.raises(FileNotFoundError, match=f"{read.__name__}: {path} does not exist; check the path"):
        read(path)
    path.mkdir()
    with pytest.raises(FileNotFoundError, match=f"{path} is a folder, expected a file"):
        read(path)
    path.rmdir()
    path.touch()
    with pytest.raises(ValueError, match=f"{path} is empty; get a fresh copy"):
        read(path)


def write_safetensors(path, dtype, shape, content, metadata=None):
    header = {"w": {"dtype": dtype, "shape": shape, "data_offsets": [0, len(content)]}}
    text = json.dumps(header | ({"__metadata__": metadata} if metadata else {})).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content)


def test_load_state_reads_every_type_of_other_programs(tmp_path):
    values = np.array([1.5, -2.0, 0.0])
    for code, kind in io.DTYPES.items():
        if code != "BF16":
            expected = values.astype(kind)
            write_safetensors(tmp_path / "m.safetensors", code, [3], expected.tobytes(), {"format": "pt"})
            found = io.load_state(tmp_path / "m.safetensors")["w"]
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected)
    write_safetensors(tmp_path / "m.safetensors", "BF16", [3], values.astype("f4").view("u2")[1::2].tobytes())
    found = io.load_state(tmp_path / "m.safetensors")["w"]
    assert found.dtype == np.float32 and found.tolist() == values.tolist()


def test_load_state_refuses_types_numpy_lacks(tmp_path):
    write_safetensors(tmp_path / "m.safetensors", "F8_E4M3", [2], b"ab")
    with pytest.raises(ValueError, match="m.safetensors holds F8_E4M3, expected F64, .*; convert it to F32"):
        io.load_state(tmp_path / "m.safetensors")


def test_load_checkpoint_refuses_files_of_others(tmp_path):
    write_safetensors(tmp_path / "m.safetensors", "F32", [1], b"abcd")
    with pytest.raises(ValueError, match="was not written by minigrad; its arrays can be read by load_state"):
        io.load_checkpoint(tmp_path / "m.safetensors")


@pytest.mark.parametrize("path", ["file/m.safetensors", "folder.safetensors", "/proc/none/m.safetensors"])
def test_a_file_that_cannot_be_written_is_named_and_nothing_is_left(model, tmp_path, path):
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "folder.safetensors").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OSError, match=f"save: cannot write .*{path}: .*; choose a file in a folder you may write to"):
        io.save(tmp_path / path, model)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_keeps_the_old_file_and_leaves_no_other(tmp_path, monkeypatch, failure):
    content = small_checkpoint(tmp_path / "c")

    def fail(*args):
        raise failure

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(failure), match="cannot write .*: No space left" if isinstance(failure, OSError) else None):
        io.save_checkpoint(tmp_path / "c", {"w": np.zeros(1000)}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["c"] and (tmp_path / "c").read_bytes() == content


def test_a_symbolic_link_stays_one(tmp_path):
    small_checkpoint(tmp_path / "c")
    (tmp_path / "latest").symlink_to("c")
    io.save_checkpoint(tmp_path / "latest", {}, {"epoch": 2})
    assert (tmp_path / "latest").is_symlink() and io.load_checkpoint(tmp_path / "c")[1] == {"epoch": 2}


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_killed_process_leaves_the_old_file_whole(tmp_path, moment):
    """Killed when the new content is written but not safe, and when it is safe but not yet in its place."""
    content = small_checkpoint(tmp_path / "c")
    code = (f"import os, signal, numpy as np\nfrom minigrad import io\n"
            f"os.{moment} = lambda *args: os.kill(os.getpid(), signal.SIGKILL)\n"
            f"io.save_checkpoint({str(tmp_path / 'c')!r}, {{'w': np.zeros(100_000)}}, {{'epoch': 2}})")
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=120).returncode == -signal.SIGKILL
    assert (tmp_path / "c").read_bytes() == content
    assert io.load_checkpoint(tmp_path / "c")[1] == {"epoch": 1}
    assert len(list(tmp_path.iterdir())) == 2  # the temporary file gives the moment away: it was in the middle
    io.save_checkpoint(tmp_path / "c", {}, {"epoch": 3})
    assert io.load_checkpoint(tmp_path / "c")[1] == {"epoch": 3}


def test_the_squeezenet_of_the_shared_data_loads():
    folder = Path(os.environ.get("MINIGRAD_DATA", "")) / "squeezenet1_0"
    if not (folder / "model.safetensors").is_file():
        pytest.skip("squeezenet1_0/model.safetensors is not in MINIGRAD_DATA")
    state = io.load_state(folder / "model.safetensors")
    assert sum(array.size for array in state.values()) == 1_248_424 and len(state) == 52
    assert state["features.0.weight"].shape == (96, 3, 7, 7) and state["classifier.1.bias"].dtype == np.float32


def test_a_loaded_model_computes_the_same(model, tmp_path):
    images = data.load("digits").images[:1]
    io.save(tmp_path / "m.safetensors", model)
    np.testing.assert_array_equal(io.load(tmp_path / "m.safetensors")(images).data, model.eval()(images).data)


def test_the_same_model_gives_the_same_bytes(model, tmp_path):
    files = [tmp_path / f"{name}.safetensors" for name in "abc"]
    for file in files:
        io.save(file, model, one=1, two=2, three=3, four=4)
    assert len({file.read_bytes() for file in files}) == 1
