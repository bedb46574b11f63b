"""IDX, the file format of MNIST: a few bytes of header, then the numbers.

byte 0, 1: zero; byte 2: the type of the numbers; byte 3: how many dimensions; then each dimension as a big-endian
uint32; then the numbers in C order, big-endian. The training images of MNIST start 00 00 08 03, 60000, 28, 28.
Source: the MNIST page of LeCun, Cortes and Burges, "The IDX file format".
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def decompress(content, source):
    """Gunzip bytes that start as gzip does and return all others as they are.

    The first two bytes decide, not the name: some web servers unpack ``.gz`` on the way, and browsers drop the ending.
    `source` (a path or URL) is named in the error, a ValueError, that damaged gzip data raise.
    """
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"decompress: {source} is damaged or cut short ({error}); get a fresh copy") from error


def parse_idx(raw, source="the data"):
    """Turn the raw bytes of an IDX file into an array.

    Parameters
    ----------
    raw : bytes
        Decompressed content.
    source : str or Path
        Named in errors.

    Returns
    -------
    ndarray
        Read-only view of `raw`, of the shape in the header.

    Raises
    ------
    ValueError
        Wrong magic number, header cut short, fewer or more bytes than the header promises.
    """
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in TYPES:
        raise ValueError(f"read_idx: {source} starts with {raw[:4].hex(' ') or 'nothing'}, expected IDX's magic number "
                         f"(00 00 08 03 for images, 00 00 08 01 for labels); it is another kind of file")
    dtype, start = np.dtype(TYPES[raw[2]]), 4 + 4 * raw[3]
    if len(raw) < start:
        raise ValueError(f"read_idx: {source} ends inside its header, {len(raw)} bytes of {start}; get a fresh copy")
    shape = tuple(int(size) for size in np.frombuffer(raw, ">u4", count=raw[3], offset=4))
    expected = start + math.prod(shape) * dtype.itemsize
    if len(raw) != expected:
        problem = "is cut short" if len(raw) < expected else "has bytes after its end"
        raise ValueError(f"read_idx: {source} {problem}: {len(raw)} bytes, its header says {expected} "
                         f"(shape {shape}); get a fresh copy")
    return np.frombuffer(raw, dtype, offset=start).reshape(shape)


def read_idx(path):
    """Read an IDX file, plain or gzipped: your own, too, if it has the format of MNIST.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    ndarray
        For MNIST images (N, 28, 28) uint8, for labels (N,) uint8.

    Raises
    ------
    ValueError
        The file is not IDX, cut short, or longer than its header says; the message names the file.
    FileNotFoundError
        No such file.
    """
    return parse_idx(decompress(Path(path).read_bytes(), path), path).copy()
