"""Arrays of numbers in .npy files (numpy's format, NEP 1), checked against the size of the file before it is read."""

import math
import tokenize
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

#: What numpy raises for a header that is no Python literal, besides ValueError.
_NOT_A_HEADER = (tokenize.TokenError, SyntaxError, TypeError, EOFError, RecursionError, MemoryError)


def read_array(path: Path) -> NDArray[np.float32]:
    """The numbers in a file, as float32 of the same shape. Raises ValueError for anything else, OSError."""
    with path.open("rb") as file:
        try:
            read_header = npy.read_array_header_1_0 if npy.read_magic(file) == (1, 0) else npy.read_array_header_2_0
            shape, by_columns, dtype = read_header(file)
        except _NOT_A_HEADER as error:
            raise ValueError(f"its header cannot be read: {error}") from error
        if dtype.kind not in "iuf" or any(side < 0 for side in shape):
            raise ValueError(f"it holds {dtype} of shape {shape}, not numbers")
        count, found = math.prod(shape), path.stat().st_size - file.tell()
        if count * dtype.itemsize != found:
            raise ValueError(f"its header gives {count * dtype.itemsize} bytes, and {found} follow")
        values = np.fromfile(file, dtype, count)
    return np.asarray(values.reshape(shape, order="F" if by_columns else "C"), dtype=np.float32)
