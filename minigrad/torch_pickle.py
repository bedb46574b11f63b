"""Read the weights in a PyTorch checkpoint without PyTorch, and without running anything that is in it.

``torch.save`` writes a zip: ``NAME/data/0``, ``NAME/data/1`` ... are raw numbers (storages), and ``NAME/data.pkl``
says, as a Python pickle, how tensors lie in them. A pickle is a program for a small stack machine, and one of its
instructions calls any function of any module: a checkpoint from a stranger is a stranger's program. So here is a
stack machine of our own. It knows the instructions that build containers and numbers, and where a pickle would call a
function it knows three: make an OrderedDict, a tensor, a parameter. There is nothing else in it to ask for, and any
request is refused by name.

Sources: the comments of pickletools in Python's standard library; torch/serialization.py and torch/_utils.py.
"""

import math
import os
import pickletools
import zipfile
import zlib
from dataclasses import dataclass

import numpy as np

# What a storage of each class holds. bfloat16, which NumPy lacks, is the upper half of a float32.
DTYPES = {"FloatStorage": "f4", "DoubleStorage": "f8", "HalfStorage": "f2", "BFloat16Storage": "bfloat16",
          "LongStorage": "i8", "IntStorage": "i4", "ShortStorage": "i2", "CharStorage": "i1", "ByteStorage": "u1",
          "BoolStorage": "?", "ComplexFloatStorage": "c8", "ComplexDoubleStorage": "c16"}
CALLABLE = {"collections.OrderedDict", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter"}
DTYPE_NAMES = ("float64 double float32 float float16 half bfloat16 int64 long int32 int int16 short int8 uint8 bool "
               "complex64 complex128").split()
NAMES = CALLABLE | {f"torch.{name}" for name in (*DTYPES, *DTYPE_NAMES)}
# Under these names training scripts keep the state_dict among other things.
WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "net", "weights")
# What nonsense in the zip file or the pickle can raise; it has changed nothing but our own stack.
NONSENSE = (TypeError, LookupError, EOFError, OSError, OverflowError, RuntimeError, MemoryError, zlib.error)
LARGEST_EXPANDED = 1 << 30  # bytes; a tensor may repeat the numbers of its storage (stride 0), but not without end


@dataclass(frozen=True)
class Name:
    """Stands for a function, class or dtype the pickle mentions: a label, with nothing of the thing itself."""

    text: str


def read(path):
    """Return the state_dict in a file of ``torch.save``.

    Parameters
    ----------
    path : str or Path
        A zip file, as torch has written them since 1.6.

    Returns
    -------
    dict of str to ndarray
        bfloat16 becomes float32. Tensors that share a storage share memory, as in torch.

    Raises
    ------
    ValueError
        Not such a file, damaged, or it asks for more than tensors; the message names the file.
    """
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return state_dict(_run(_Storages(archive, os.path.getsize(path))))
        except zipfile.BadZipFile as error:
            raise ValueError(f"load_state: {path} {_not_a_zip(file, error)}") from error
        except ValueError as error:
            raise ValueError(f"load_state: {path} {error}") from error
        except NONSENSE as error:
            raise ValueError(f"load_state: {path} is damaged or forged ({error!r}); get a fresh copy") from error


def _not_a_zip(file, error):
    file.seek(0)
    start = file.read(512)
    if start.startswith(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.") or start[257:262] == b"ustar":
        return ("is in PyTorch's format of before 1.6; convert it where PyTorch is installed: "
                "torch.save(torch.load(path, weights_only=True), new_path)")
    return f"is not a PyTorch zip file, or a damaged one ({error}); get a fresh copy"


@dataclass(frozen=True)
class _Storage:
    """The numbers of one storage, flat; tensors are windows onto it."""

    array: np.ndarray


class _Storages:
    """The zip file: its pickle, and its storages, each read once."""

    def __init__(self, archive, file_size):
        self.archive, self.cache = archive, {}
        self.entries = {entry.filename: entry for entry in archive.infolist()}
        pickles = [name for name in self.entries if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise ValueError("is a zip file without one NAME/data.pkl, expected what torch.save writes; "
                             "save the weights: torch.save(model.state_dict(), path)")
        self.prefix = pickles[0].removesuffix("data.pkl")
        if f"{self.prefix}constants.pkl" in self.entries:
            raise ValueError("is TorchScript, a program; save the weights: torch.save(model.state_dict(), path)")
        # torch packs without compression, and then nothing inside can be larger than the file: no zip bomb.
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in self.entries.values()) or (
                sum(entry.file_size for entry in self.entries.values()) > file_size):
            raise ValueError("has compressed or overlapping entries, which torch.save never writes; save it anew")
        order = self.read("byteorder") if f"{self.prefix}byteorder" in self.entries else b"little"
        if order not in (b"little", b"big"):
            raise ValueError(f"has byteorder {order[:20]!r}, expected little or big; get a fresh copy")
        self.byteorder = "<" if order == b"little" else ">"

    def read(self, name):
        """Return the bytes of an entry; zipfile compares their CRC."""
        return self.archive.read(self.entries[f"{self.prefix}{name}"])

    def storage(self, reference):
        """Return the storage behind a persistent id, ("storage", class, key, device, number of elements)."""
        match reference:
            case ("storage", Name(text), str(key), _, int(count)) if text.removeprefix("torch.") in DTYPES:
                name = text.removeprefix("torch.")
            case _:
                raise ValueError("refers to a storage in a way that torch.save does not; get a fresh copy")
        if not key.isdecimal() or f"{self.prefix}data/{key}" not in self.entries:
            raise ValueError(f"has no storage {key[:40]!r}; it is damaged, get a fresh copy")
        if (key, name) not in self.cache:
            self.cache[key, name] = self._decoded(name, key, count)
        return self.cache[key, name]

    def _decoded(self, name, key, count):
        raw = bytearray(self.read(f"data/{key}"))  # a bytearray, so that arrays on it can be written to
        kind = {"bfloat16": "u2", "?": "u1"}.get(DTYPES[name], DTYPES[name])
        dtype = np.dtype(f"{self.byteorder}{kind}")
        if count * dtype.itemsize != len(raw):
            raise ValueError(f"has {len(raw)} bytes in storage {key}, expected {count} of {name}; get a fresh copy")
        numbers = np.frombuffer(raw, dtype).astype(kind, copy=False)
        if name == "BFloat16Storage":
            numbers = (numbers.astype(np.uint32) << 16).view(np.float32)
        return _Storage(numbers != 0 if name == "BoolStorage" else numbers)


def _instructions(code):
    try:
        yield from ((opcode, argument) for opcode, argument, _ in pickletools.genops(code))
    except ValueError as error:
        raise ValueError(f"has a damaged pickle ({error}); get a fresh copy") from error


def _run(storages):
    """Run the pickle on a stack of plain values and return what it leaves there."""
    stack, below, memo = [], [], {}  # MARK sets the stack aside: `below` holds those set aside

    def since_mark():
        nonlocal stack
        items, stack = stack, below.pop()
        return items

    for opcode, argument in _instructions(storages.read("data.pkl")):
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return stack.pop()
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[opcode.name])
            case ("BININT" | "BININT1" | "BININT2" | "LONG1" | "LONG4" | "BINFLOAT"
                  | "BINUNICODE" | "SHORT_BINUNICODE" | "BINUNICODE8"):
                stack.append(argument)
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "MARK":
                below.append(stack)
                stack = []
            case "TUPLE":
                items = since_mark()
                stack.append(tuple(items))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                length = int(opcode.name[-1])
                stack[-length:] = [tuple(stack[-length:])]
            case "APPEND" | "APPENDS":
                items = [stack.pop()] if opcode.name == "APPEND" else since_mark()
                _expect(stack[-1], list).extend(items)
            case "SETITEM" | "SETITEMS":
                items = [stack.pop(-2), stack.pop()] if opcode.name == "SETITEM" else since_mark()
                _expect(stack[-1], dict).update(_pairs(items))
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL":
                stack.append(_name(argument.replace(" ", ".", 1)))
            case "STACK_GLOBAL":
                module, name = stack.pop(-2), stack.pop()
                stack.append(_name(f"{_expect(module, str)}.{_expect(name, str)}"))
            case "BINPERSID":
                stack.append(storages.storage(stack.pop()))
            case "REDUCE":
                function, arguments = stack.pop(-2), stack.pop()
                stack.append(_call(_expect(function, Name).text, _expect(arguments, tuple)))
            case "BUILD":  # sets attributes; torch sets one, the version of each layer, and we need none
                stack.pop()
                _expect(stack[-1], dict)
            case _:
                raise ValueError(f"uses the pickle instruction {opcode.name}, which weights do not need and which is "
                                 f"not run; save the weights alone: torch.save(model.state_dict(), path)")


def _expect(value, kind):
    if not isinstance(value, kind):
        raise ValueError(f"has a damaged or forged pickle: a {type(value).__name__} where a {kind.__name__} belongs")
    return value


def _pairs(items):
    keys, values = items[::2], items[1::2]
    # Tuples could be keys, too, but hashing one that is nested a million deep overflows the C stack.
    if len(keys) != len(values) or not all(isinstance(key, (str, int, float)) for key in keys):
        raise ValueError("has a dict with keys that are neither text nor numbers; save the weights alone")
    return zip(keys, values)


def _name(text):
    if text not in NAMES:
        raise ValueError(f"asks for {text[:100]}; only tensors, numbers and containers are read, since anything else "
                         f"could run code; save the weights alone: torch.save(model.state_dict(), path)")
    return Name(text)


def _call(text, arguments):
    match text, arguments:
        case "collections.OrderedDict", ():
            return {}
        case "torch._utils._rebuild_tensor_v2", (_Storage(array), int(offset), tuple(size), tuple(stride), *_):
            return _tensor(array, offset, size, stride)
        case "torch._utils._rebuild_parameter", (np.ndarray() as data, *_):
            return data
    raise ValueError(f"calls {text} with arguments that torch.save does not give it; get a fresh copy")


def _tensor(array, offset, size, stride):
    """Return the window of `size` onto a flat array; element (i, j) is number offset + i*stride[0] + j*stride[1]."""
    if len(size) != len(stride) or not all(type(n) is int and n >= 0 for n in (offset, *size, *stride)):
        raise ValueError(f"has a tensor of size {size}, stride {stride}, offset {offset}; expected numbers from 0 up")
    count = math.prod(size)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride))
    if count and last >= array.size:
        raise ValueError(f"has a tensor of size {size}, stride {stride}, offset {offset} that reads number {last} "
                         f"of a storage of {array.size}; it is damaged or forged")
    if count * array.itemsize > max(array.nbytes, LARGEST_EXPANDED):
        raise ValueError(f"has a tensor of size {size}, {count * array.itemsize} bytes out of a storage of "
                         f"{array.nbytes}; save what is really there: tensor.contiguous()")
    if count == 0:
        return np.zeros(size, array.dtype)
    step = array.itemsize
    return np.ndarray(size, array.dtype, array, offset * step, [n * step for n in stride])


def state_dict(root):
    """Return the tensors in what a checkpoint holds: a state_dict, or a dict that keeps one under a usual name.

    What is no tensor (an epoch, an optimizer's settings) is left out. Raises ValueError if no state_dict is found.
    """
    for _ in WRAPPERS:
        if not isinstance(root, dict):
            raise ValueError(f"holds a {type(root).__name__}, expected a dict of tensors; "
                             f"save the weights: torch.save(model.state_dict(), path)")
        root = next((root[name] for name in WRAPPERS if isinstance(root.get(name), dict)), root)
    tensors = {name: value for name, value in root.items() if isinstance(value, np.ndarray) and isinstance(name, str)}
    if root and not tensors:
        raise ValueError(f"holds no tensors, only {', '.join(map(str, list(root)[:10]))[:200]}; "
                         f"save the weights: torch.save(model.state_dict(), path)")
    return tensors
