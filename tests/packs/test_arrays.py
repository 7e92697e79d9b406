"""Arrays of a pack: numbers of any type are read, everything else is refused before it takes memory."""

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from likeness.packs.arrays import read_array


def stored(folder: Path, array: NDArray[np.generic]) -> Path:
    np.save(folder / "a.npy", array)
    return folder / "a.npy"


@pytest.mark.parametrize("kind", ["i1", "u1", "<f2", "<f4", ">f4", "<f8", "<i8"])
def test_numbers_are_read_as_float32(tmp_path: Path, kind: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(kind)
    for each in (array, np.asfortranarray(array), array[:0], array[0, 0]):
        read = read_array(stored(tmp_path, np.asarray(each)))
        assert read.dtype == np.float32
        np.testing.assert_array_equal(read, each)


def header(literal: str) -> bytes:
    text = literal.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY\x01\x00",
        b"\x93NUMPY\x09\x00" + bytes(200),
        header("{'descr': '|i1', 'fortran_order': False, 'shape': (4, 3), 'x'") + bytes(12),
        header("{'descr': '|i1', 'fortran_order': F '|i1', 'shape': (4, 3), }") + bytes(12),
        header("{'descr': '<U1', 'fortran_order': False, 'shape': (1,), }") + b"a\0\xff\xff",
        header("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }") + bytes(8),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }") + bytes(8),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -2), }") + bytes(8),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }") + bytes(11),
        header("(" * 100),
    ],
)
def test_everything_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"."):
        read_array(path)


def test_archives_of_arrays_are_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    (tmp_path / "a.npy").write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match="magic"):
        read_array(tmp_path / "a.npy")
