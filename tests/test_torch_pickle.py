"""PyTorch files made by hand: those that are wrong, and those that want more than to be read.

What PyTorch itself writes is in tests/parity/test_torch_files.py.
"""

import builtins
import os
import pickle
import struct
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad import io, torch_pickle

FOUR = np.arange(4, dtype="<f4").tobytes()


def push(value):
    """The instructions that put a plain value onto the stack."""
    return value if isinstance(value, Instructions) else pickle.dumps(value, 2)[2:-1]


def name(text):
    return f"c{text.rsplit('.', 1)[0]}\n{text.rsplit('.', 1)[1]}\n".encode()


class Instructions(bytes):
    """A value that is on the stack after these instructions."""


DEEP = Instructions(b")" + b"\x85" * 100_000)


def storage(kind="torch.FloatStorage", key="0", count=4):
    return b"(" + push("storage") + name(kind) + push(key) + push("cpu") + push(count) + b"tQ"


def tensor(size=(4,), stride=(1,), offset=0, **of):
    return (name("torch._utils._rebuild_tensor_v2") + b"(" + storage(**of) + push(offset) + push(size) + push(stride)
            + push(False) + name("collections.OrderedDict") + b")Rt" + b"R")


def state(**values):
    return b"\x80\x02}(" + b"".join(push(key) + value for key, value in values.items()) + b"u."


def write(path, program, storages=None, compression=zipfile.ZIP_STORED, **entries):
    entries = {"data.pkl": program, "version": b"3\n"} | entries
    entries |= {f"data/{key}": content for key, content in (storages or {"0": FOUR}).items()}
    with zipfile.ZipFile(path, "w", compression) as file:
        for entry, content in entries.items():
            file.writestr(f"archive/{entry}", content)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.pth"


def test_a_tensor_made_by_hand(path):
    write(path, state(w=tensor(), t=tensor((2, 2), (1, 2)), tail=tensor((2,), (1,), 2), none=tensor((0, 3), (3, 1))))
    found = io.load_state(path)
    assert found["w"].tolist() == [0, 1, 2, 3] and found["t"].tolist() == [[0, 2], [1, 3]]
    assert found["tail"].tolist() == [2, 3] and found["none"].shape == (0, 3)
    found["w"][3] = 9
    assert found["tail"].tolist() == [2, 9]  # one storage, as in PyTorch


@pytest.mark.parametrize("order, code", [(b"little", "<"), (b"big", ">")])
@pytest.mark.parametrize("kind", [kind for kind in torch_pickle.DTYPES if kind != "BFloat16Storage"])
def test_every_storage_in_both_byte_orders(path, kind, order, code):
    expected = np.array([0, 1, 1, 0], torch_pickle.DTYPES[kind])
    raw = expected.astype(f"{code}{torch_pickle.DTYPES[kind]}").tobytes()
    write(path, state(w=tensor(kind=f"torch.{kind}")), {"0": raw}, byteorder=order)
    found = io.load_state(path)["w"]
    assert found.dtype == expected.dtype and found.dtype.isnative
    np.testing.assert_array_equal(found, expected)


def test_bfloat16_is_the_upper_half_of_float32(path):
    values = np.array([1.5, -2, 0, 3e38], np.float32)
    raw = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    write(path, state(w=tensor(kind="torch.BFloat16Storage")), {"0": raw})
    np.testing.assert_allclose(io.load_state(path)["w"], values, rtol=2**-8)


@pytest.mark.parametrize("program, message", [
    (state(w=tensor((5,))), "reads number 4 of a storage of 4"),
    (state(w=tensor((4,), (1,), 1)), "reads number 4 of a storage of 4"),
    (state(w=tensor((2, 2), (3, 1))), "reads number 4 of a storage of 4"),
    (state(w=tensor((2,), (2**62,))), "reads number 4611686018427387904 of a storage of 4"),
    (state(w=tensor((2**40,), (1,))), "reads number 1099511627775 of a storage"),
    (state(w=tensor((2**40,), (0,))), "4398046511104 bytes out of a storage of 16; .*contiguous"),
    (state(w=tensor((2**40, 2**40, 2**40), (0, 0, 0))), "bytes out of a storage of 16"),
    (state(w=tensor((4,), (-1,), 3)), "expected numbers from 0 up"),
    (state(w=tensor((4,), (1,), -1)), "expected numbers from 0 up"),
    (state(w=tensor((-4,))), "expected numbers from 0 up"),
    (state(w=tensor((2, 2), (1,))), "expected numbers from 0 up"),
    (state(w=tensor((1.0,))), "expected numbers from 0 up"),
    (state(w=tensor(DEEP)), "is damaged or forged .*RecursionError"),
    (state(w=tensor((1,) * 100, (1,) * 100)), "weights.pth .*dimension"),
    (state(w=tensor((0, 2**62, 2**62), (1, 1, 1))), "weights.pth .*(maximum|too big)"),
    (state(w=tensor(count=5)), "has 16 bytes in storage 0, expected 5 of FloatStorage"),
    (state(w=tensor(count=-4)), "has 16 bytes in storage 0, expected -4"),
    (state(w=tensor(kind="torch.DoubleStorage")), "has 16 bytes in storage 0, expected 4 of DoubleStorage"),
    (state(w=tensor(key="1")), "has no storage '1'"),
    (state(w=tensor(key="../../etc/passwd")), "has no storage '../../etc/passwd'"),
    (state(w=tensor(key="../data/0")), "has no storage '../data/0'"),
    (state(w=tensor(kind="torch.float32")), "refers to a storage in a way"),
    (b"\x80\x02" + push("0") + b"Q.", "refers to a storage in a way"),
    (b"\x80\x02" + name("torch._utils._rebuild_tensor_v2") + push((1, 2, 3)) + b"R.", "with arguments that torch.save"),
    (b"\x80\x02" + name("collections.OrderedDict") + push(([("a", 1)],)) + b"R.", "with arguments that torch.save"),
    (b"\x80\x02" + name("torch.FloatStorage") + b")R.", "calls torch.FloatStorage"),
    (b"\x80\x02" + push("collections.OrderedDict") + b")R.", "a str where a Name belongs"),
    (b"\x80\x02" + name("collections.OrderedDict") + b"}b.", "a Name where a dict belongs"),
    (b"\x80\x02}" + push((1, 2)) + push(3) + b"s.", "keys that are neither text nor numbers"),
    (b"\x80\x02})" + b"\x85" * 100_000 + push(3) + b"s.", "keys that are neither text nor numbers"),
    (b"\x80\x02}(" + push("w") + b"u.", "keys that are neither text nor numbers"),
    (b"\x80\x02]" + push("w") + push(3) + b"s.", "a list where a dict belongs"),
    (b"\x80\x02}" + push("w") + b"a.", "a dict where a list belongs"),
    (b"", "has a damaged pickle"),
    (state(w=tensor())[:-5], "has a damaged pickle"),
    (b"\x80\x02.", "is damaged or forged"),
    (b"\x80\x02t.", "is damaged or forged"),
    (b"\x80\x02h\x07.", "is damaged or forged"),
    (b"\x80\x02r\xff\xff\xff\x7f.", "is damaged or forged"),
    (b"\x80\x02X\xff\xff\xff\x7fabc.", "has a damaged pickle"),
    (b"\x80\x02" + push([1, 2]) + b".", "holds a list, expected a dict of tensors"),
    (state(epoch=push(3), loss=push(0.5)), "holds no tensors, only epoch, loss"),
    (state(encoder=b"}" + push("w") + tensor() + b"s"), "holds no tensors, only encoder"),
])
def test_what_does_not_add_up_is_refused(path, program, message):
    write(path, program)
    with pytest.raises(ValueError, match=f"^load_state: {path} .*") as caught:
        io.load_state(path)
    caught.match(message)


class Call:
    """Pickles as a call of `function`: what an attacker writes into a file."""

    def __init__(self, function, *arguments):
        self.reduction = function, arguments

    def __reduce__(self):
        return self.reduction


@pytest.fixture
def trap(tmp_path):
    return tmp_path / "the-trap-was-sprung"


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"state_dict": x}, lambda x: OrderedDict(w=[(x,)])])
@pytest.mark.parametrize("call, asked", [
    (lambda trap: Call(os.system, f"touch {trap}"), "posix.system|nt.system"),
    (lambda trap: Call(eval, f"open({str(trap)!r}, 'w')"), "builtins.eval|__builtin__.eval"),
    (lambda trap: Call(exec, f"open({str(trap)!r}, 'w')"), "builtins.exec|__builtin__.exec"),
    (lambda trap: Call(open, str(trap), "w"), "io.open|_io.open"),
    (lambda trap: Call(os.makedirs, str(trap)), "os.makedirs"),
    (lambda trap: Call(getattr, Call(__import__, "os"), "system"), "builtins.getattr|__builtin__.getattr"),
])
def test_nothing_in_a_file_is_ever_run(path, trap, protocol, wrap, call, asked):
    program = pickle.dumps(wrap(call(trap)), protocol)
    write(path, program)
    with pytest.raises(ValueError, match=f"{path} (asks for ({asked});|uses the pickle instruction)") as caught:
        io.load_state(path)
    assert protocol != 2 or "asks for" in str(caught.value)  # torch's protocol: the culprit is named
    assert not trap.exists()


def test_the_traps_are_real(trap):
    """What the test above keeps from running does run when pickle itself reads it."""
    pickle.loads(pickle.dumps(Call(os.system, f"touch {trap}"), 2))
    assert trap.exists()


@pytest.mark.parametrize("wanted", [
    "os.system", "builtins.getattr", "numpy.core.multiarray._reconstruct", "numpy.ndarray", "torch.load",
    "torch._utils._rebuild_tensor",
    "torch.storage._load_from_bytes", "torch.hub.load", "collections.OrderedDict.fromkeys",
    "minigrad.io.save", "minigrad.torch_pickle.read", "functools.partial", "operator.attrgetter", "pickle.loads"])
def test_names_alone_are_refused(path, wanted):
    for program in (b"\x80\x02" + name(wanted) + b".",
                    b"\x80\x04" + push(wanted.rsplit(".", 1)[0]) + push(wanted.rsplit(".", 1)[1]) + b"\x93."):
        write(path, program)
        with pytest.raises(ValueError, match=f"{path} asks for {wanted}; only tensors, numbers and containers are"):
            io.load_state(path)


@pytest.mark.parametrize("instruction, code", [
    ("INST", b"(ibuiltins\neval\n."), ("OBJ", b"(" + name("collections.OrderedDict") + b"o."),
    ("NEWOBJ", name("collections.OrderedDict") + b")\x81."), ("EXT1", b"\x82\x01."), ("PERSID", b"P0\n."),
    ("DUP", b"}2."), ("NEXT_BUFFER", b"\x97.")])
def test_instructions_weights_do_not_need_are_not_run(path, instruction, code):
    write(path, b"\x80\x02" + code)
    with pytest.raises(ValueError, match=f"{path} (uses the pickle instruction {instruction}|asks for builtins.eval)"):
        io.load_state(path)


def test_our_own_functions_cannot_be_changed_by_a_file(path):
    """The state that BUILD brings is dropped, so that a file cannot plant attributes."""
    before = dict(vars(torch_pickle))
    build = name("collections.OrderedDict") + b")R" + push({"__class__": 1, "items": 2}) + b"b"
    write(path, b"\x80\x02" + build + push("w") + tensor() + b"s.")
    assert list(io.load_state(path)) == ["w"]
    assert dict(vars(torch_pickle)) == before and OrderedDict().items is not None


@given(st.data())
def test_mutated_pickles_are_read_or_refused(tmp_path_factory, draw):
    program = bytearray(state(w=tensor(), b=tensor((2,), (2,)), n=push(3)))
    for _ in range(draw.draw(st.integers(1, 4))):
        program[draw.draw(st.integers(0, len(program) - 1))] = draw.draw(st.integers(0, 255))
    path = write(tmp_path_factory.getbasetemp() / "mutated.pth", bytes(program))
    try:
        found = io.load_state(path)
    except ValueError as error:
        assert str(path) in str(error)
    else:
        assert all(type(array) is np.ndarray for array in found.values())


def test_a_zip_bomb_is_refused_before_it_is_unpacked(path):
    write(path, state(w=tensor()), {"0": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    with pytest.raises(ValueError, match="has compressed or overlapping entries, which torch.save never writes"):
        io.load_state(path)


def test_entries_that_claim_to_be_larger_than_the_file_are_refused(path):
    write(path, state(w=tensor()))
    content = path.read_bytes()
    entry = content.index(b"archive/data/0", content.index(b"PK\x01\x02")) - 46  # in the central directory
    claim = struct.pack("<II", 2**31, 2**31)
    path.write_bytes(content[: entry + 20] + claim + content[entry + 28 :])
    with pytest.raises(ValueError, match="overlapping entries"):
        io.load_state(path)


@pytest.mark.parametrize("content, message", [
    (b"\x80\x02\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.", "format of before 1.6; .*torch.save.torch"),
    (b"\0" * 257 + b"ustar" + b"\0" * 250, "format of before 1.6"),
    (b"not a zip file at all", "is not a PyTorch zip file, or a damaged one"),
    (b"PK\x03\x04 half a zip", "is not a PyTorch zip file, or a damaged one"),
])
def test_other_files_are_told_apart(path, content, message):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path} .*{message}"):
        io.load_state(path)


def test_other_zip_files_are_told_apart(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("word/document.xml", "<w/>")
    with pytest.raises(ValueError, match="is a zip file without one NAME/data.pkl"):
        io.load_state(path)
    write(path, state(w=tensor()), **{"constants.pkl": b"\x80\x02)."})
    with pytest.raises(ValueError, match="is TorchScript, a program"):
        io.load_state(path)
    write(path, state(w=tensor()), byteorder=b"middle")
    with pytest.raises(ValueError, match="has byteorder b'middle', expected little or big"):
        io.load_state(path)


def test_cut_or_flipped_files_are_refused_or_right(path):
    write(path, state(w=tensor()))
    content = path.read_bytes()
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=str(path)):
            io.load_state(path)
    for position in range(len(content)):
        flipped = bytearray(content)
        flipped[position] ^= 1 << position % 8
        path.write_bytes(flipped)
        try:
            assert io.load_state(path)["w"].tolist() == [0, 1, 2, 3]
        except ValueError as error:
            assert str(path) in str(error)


@pytest.mark.parametrize("wrapper", ["state_dict", "model_state_dict", "model", "net"])
def test_checkpoints_around_a_state_dict_are_opened(path, wrapper):
    inner = b"}" + push("w") + tensor() + b"s"
    write(path, state(**{"epoch": push(3), "optimizer": b"}" + push("w") + tensor((1,)) + b"s", wrapper: inner}))
    assert io.load_state(path)["w"].shape == (4,)
    write(path, state(state_dict=b"}" + push(wrapper) + inner + b"s"))
    assert io.load_state(path)["w"].shape == (4,)


def test_what_contains_itself_ends(path):
    write(path, b"\x80\x02}q\x00" + push("state_dict").replace(b"q\x00", b"") + b"h\x00s.")
    with pytest.raises(ValueError, match="holds no tensors, only state_dict"):
        io.load_state(path)


def test_names_of_parameters_are_kept_in_order(path):
    keys = ["features.10.weight", "features.2.weight", "b", "a"]
    write(path, state(**{key: tensor() for key in keys}))
    assert list(io.load_state(path)) == keys and builtins.eval is eval
