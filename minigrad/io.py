"""Models on disk.

A model is saved as safetensors: a short JSON header and then the bare numbers, so that reading it runs nothing. In the
header stand, as text, the architecture, from which `load` builds the model again, whatever else the caller wants to
remember (dataset, metrics, seed), and a SHA-256 over all of it: a file with one wrong bit is refused, not loaded.
`load_state` also reads PyTorch's files, through `minigrad.torch_pickle`.
Source: https://github.com/huggingface/safetensors (format).
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from . import torch_pickle
from .files import write_atomically

FORMAT = "1"
FORMAT_KEY, DIGEST_KEY = "minigrad_format", "minigrad_sha256"
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
          "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?", "BF16": "<u2"}


def save(path, model, **metadata):
    """Save a model so that `load` can build it again.

    Parameters
    ----------
    path : str or Path
        Ends in ``.safetensors``; missing folders are made. An older file is replaced at once when the new one is whole.
    model : Module
        Its state_dict is written, and `model.architecture` if it has one (those of `minigrad.models` have).
    **metadata
        Anything JSON can hold: ``dataset="mnist", metrics={"accuracy": 0.99}, seed=0``.

    Raises
    ------
    ValueError
        Another ending; metadata under a name that is taken; an array safetensors cannot hold.
    TypeError
        Metadata that JSON cannot hold.
    OSError
        The file cannot be written.
    """
    if Path(path).suffix != ".safetensors":
        raise ValueError(f"save: path is {path}, expected a name that ends in .safetensors; "
                         f"for instance {Path(path).with_suffix('.safetensors')}")
    if "architecture" in metadata:
        raise ValueError("save: metadata has the name 'architecture', which the model itself fills; take another name")
    if architecture := getattr(model, "architecture", None):
        metadata["architecture"] = architecture
    _write(path, model.state_dict(), metadata, "save")


def load(path):
    """Load a model that `save` has written.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Module
        Built by ``models.create``, with its weights, in eval mode; ``model.metadata`` is what `save` was given.

    Raises
    ------
    ValueError
        The file is damaged, was not written by `save`, or names no architecture; the message says which.
    FileNotFoundError
        No such file.
    """
    from . import models  # here, since reading weights needs no models

    _check_ending(path, "load", (".safetensors",))
    arrays, metadata = _read(path, "load")
    match metadata:
        case {"architecture": {"name": str(name), "options": dict(options)}}:
            pass
        case _:
            raise ValueError(f"load: {path} does not say how to build its model; build it yourself, then "
                             f"model.load_state_dict(minigrad.load_state(path))")
    try:
        model = models.create(name, **options)
        model.load_state_dict(arrays)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"load: {path} does not fit the model {name!r} it names: {error}") from error
    model.eval()
    model.metadata = metadata
    return model


def load_state(path):
    """Read the weights in a file, of minigrad, of PyTorch or of any program that writes safetensors; nothing is run.

    Parameters
    ----------
    path : str or Path
        ``.safetensors``, or a zip file of ``torch.save`` (``.pth``, ``.pt``) with a state_dict, alone or under
        "state_dict", "model" or another usual name.

    Returns
    -------
    dict of str to ndarray
        For ``model.load_state_dict``. bfloat16 becomes float32, all other types stay.

    Raises
    ------
    ValueError
        Unknown ending; damaged; a type NumPy lacks; a ``.pth`` that is older than PyTorch 1.6 or asks for more than
        tensors.
    FileNotFoundError
        No such file.
    """
    _check_ending(path, "load_state", (".safetensors", ".pth", ".pt"))
    if Path(path).suffix == ".safetensors":
        return _read(path, "load_state")[0]
    _check_exists(path, "load_state")
    return torch_pickle.read(path)


def save_checkpoint(path, arrays, meta):
    """Save arrays and settings so that `load_checkpoint` returns them to the bit: what a training run needs to go on.

    Parameters
    ----------
    path : str or Path
        Replaced at once when the new file is whole.
    arrays : dict of str to ndarray
        Floats, integers, booleans of any shape.
    meta : dict of str to anything JSON can hold
        For instance epoch, step and ``rng.bit_generator.state``. Floats survive to the last bit; tuples become lists.

    Raises
    ------
    ValueError, TypeError
        An array or a value the file cannot hold.
    OSError
        The file cannot be written.
    """
    _write(path, arrays, meta, "save_checkpoint")


def load_checkpoint(path):
    """Return ``(arrays, meta)`` as `save_checkpoint` was given them.

    Raises
    ------
    ValueError
        The file is damaged in any bit that matters, or was not written by minigrad.
    FileNotFoundError
        No such file.
    """
    arrays, meta = _read(path, "load_checkpoint")
    if meta is None:
        raise ValueError(f"load_checkpoint: {path} was not written by minigrad; its arrays can be read by load_state")
    return arrays, meta


def _write(path, arrays, metadata, caller):
    from safetensors.numpy import save as pack

    if strangers := [name for name in (*arrays, *metadata) if not isinstance(name, str)]:
        raise TypeError(f"{caller}: a name is {strangers[0]!r}, expected text; use str()")
    arrays = {name: _plain(name, array, caller) for name, array in arrays.items()}
    if taken := ({FORMAT_KEY, DIGEST_KEY} & metadata.keys()) | ({"__metadata__"} & arrays.keys()):
        raise ValueError(f"{caller}: something has the name {min(taken)!r}, which the format uses; take another name")
    texts = {name: _json(name, value, caller) for name, value in metadata.items()} | {FORMAT_KEY: FORMAT}
    texts[DIGEST_KEY] = _digest(arrays, texts)
    write_atomically(path, _with_ordered_header(pack(arrays, texts)), caller=caller)


def _with_ordered_header(content):
    """The file with its header's names in order: the package writes them in another one each time."""
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:start]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[start:]


def _plain(name, array, caller):
    """Return the array as the file holds it: little-endian, in C order (safetensors takes memory as it lies)."""
    array = np.asarray(array)
    if array.dtype.kind not in "fiub" or array.itemsize > 8:
        raise ValueError(f"{caller}: {name} is {array.dtype}, expected floats up to 64 bits, integers or booleans; "
                         f"convert it")
    return np.asarray(array, array.dtype.newbyteorder("<"), order="C")


def _json(name, value, caller):
    try:
        return json.dumps(value, default=np.generic.item)  # a NumPy number, such as an accuracy, as a Python one
    except (TypeError, ValueError) as error:
        raise TypeError(f"{caller}: {name} is {type(value).__name__}, expected what JSON holds: text, numbers, lists, "
                        f"dicts ({error}); convert it; arrays have their own place in save_checkpoint") from error


def _digest(arrays, texts):
    """SHA-256 over the metadata and each array's name, type, shape and numbers."""
    result = hashlib.sha256(json.dumps(texts, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        result.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        result.update(array.data if array.size else b"")
    return result.hexdigest()


def _read(path, caller):
    """Return (arrays in the order of their names, metadata), with None for the metadata of another program."""
    from safetensors import SafetensorError, deserialize

    content = _check_exists(path, caller).read_bytes()
    try:
        found = sorted(deserialize(content))
        texts = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")]).get("__metadata__", {})
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{caller}: {path} is damaged, cut short or not safetensors ({error}); "
                         f"get a fresh copy") from error
    if unknown := {entry["dtype"] for _, entry in found} - DTYPES.keys():
        raise ValueError(f"{caller}: {path} holds {min(unknown)}, expected {', '.join(DTYPES)}; convert it to F32")
    arrays = {name: _array(**entry) for name, entry in found}
    if not {FORMAT_KEY, DIGEST_KEY} & texts.keys():
        return arrays, None
    digest = texts.pop(DIGEST_KEY, "missing")
    if digest != (found := _digest(arrays, texts)):
        raise ValueError(f"{caller}: {path} is damaged: its content has SHA-256 {found}, its header says {digest}; "
                         f"get a fresh copy")
    if (version := texts.pop(FORMAT_KEY)) != FORMAT:
        raise ValueError(f"{caller}: {path} has format {version}, this minigrad reads {FORMAT}; install a newer one")
    return arrays, {name: json.loads(text) for name, text in texts.items()}


def _array(dtype, shape, data):
    array = np.frombuffer(data, DTYPES[dtype]).reshape(shape)
    if dtype == "BF16":  # the upper half of a float32
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array


def _check_ending(path, caller, endings):
    if (ending := Path(path).suffix) not in endings:
        hint = "; load_state reads it" if ending in (".pth", ".pt") else ""
        raise ValueError(f"{caller}: {path} ends in {ending or 'nothing'!r}, expected {' or '.join(endings)}{hint}")


def _check_exists(path, caller):
    path = Path(path)
    if not path.is_file():
        problem = "is a folder, expected a file" if path.is_dir() else "does not exist; check the path"
        raise FileNotFoundError(f"{caller}: {path} {problem}")
    if path.stat().st_size == 0:
        raise ValueError(f"{caller}: {path} is empty; get a fresh copy")
    return path
