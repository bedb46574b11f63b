"""The IDX reader against files written by hand, whole and broken."""

import gzip

import numpy as np
import pytest

from minigrad.data import read_idx
from minigrad.data.idx import parse_idx

PICTURES = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (2, 2, 3)) + bytes(range(12))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_reads_plain_and_gzipped(tmp_path, pack):
    (tmp_path / "file").write_bytes(pack(PICTURES))
    array = read_idx(tmp_path / "file")
    np.testing.assert_array_equal(array, np.arange(12).reshape(2, 2, 3))
    assert array.dtype == np.uint8 and array.flags.writeable


@pytest.mark.parametrize("code, dtype", [(9, ">i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")])
def test_reads_every_type(code, dtype):
    array = np.array([1, -2, 3], dtype)
    found = parse_idx(bytes([0, 0, code, 1, 0, 0, 0, 3]) + array.tobytes())
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("content, message", [
    (b"\x89PNG" + PICTURES, "broken-file starts with 89 50 4e 47, expected IDX's magic number"),
    (b"", "broken-file starts with nothing"),
    (bytes([0, 0, 7, 3]) + PICTURES[4:], "starts with 00 00 07 03"),
    (PICTURES[:9], "broken-file ends inside its header, 9 bytes of 16"),
    (PICTURES[:-1], r"broken-file is cut short: 27 bytes, its header says 28 \(shape \(2, 2, 3\)\)"),
    (PICTURES + b"\0", "broken-file has bytes after its end: 29 bytes, its header says 28"),
    (gzip.compress(PICTURES)[:-12], "broken-file is damaged or cut short"),
    (gzip.compress(PICTURES)[:-8] + b"\0" * 8, "broken-file is damaged or cut short"),
    (gzip.compress(PICTURES)[:12] + b"\xff\xff\xff", "broken-file is damaged or cut short"),
])
def test_broken_files_are_named(tmp_path, content, message):
    (tmp_path / "broken-file").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_idx(tmp_path / "broken-file")


def test_a_header_of_giant_sizes_costs_no_memory():
    with pytest.raises(ValueError, match="is cut short: 16 bytes, its header says 79228162458924105385300197391"):
        parse_idx(bytes([0, 0, 8, 3]) + b"\xff" * 12)
