"""The counts of a cell's pairs, stored so that an interrupted evaluation resumes at the block where it stopped."""

import hashlib
import io
import sqlite3
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likeness.batch.described import CHECKSUM_BYTES, checksum

#: Seconds between writes of a cell's counts, which take some milliseconds.
_WRITE_INTERVAL_S = 2.0

Arrays = Mapping[str, NDArray[Any]]


class StoredCounts:
    """Arrays by cell in `database` (see `likeness.evaluation.results_file`); stores nothing without one.

    `of` identifies the pack and its version.
    """

    def __init__(self, database: sqlite3.Connection | None = None, of: str = "") -> None:
        self.of = of
        self._database = database
        self._written = time.monotonic()

    def recall(self, cell: bytes) -> Arrays | None:
        """The stored counts of `cell`, a key from `cell_key`; None if there are none, or if they are damaged."""
        if self._database is None:
            return None
        row = self._database.execute("SELECT arrays FROM counts WHERE cell = ?", (cell,)).fetchone()
        stored: bytes = b"" if row is None else row[0]
        content = stored[CHECKSUM_BYTES:]
        # Checked here, as a damaged archive raises almost anything.
        if checksum(content) != stored[:CHECKSUM_BYTES]:
            return None
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return dict(arrays)

    def remember(self, cell: bytes, arrays: Callable[[], Arrays], *, finished: bool) -> None:
        """Stores the `arrays` of `cell`; for an unfinished one at most every `_WRITE_INTERVAL_S` seconds."""
        now = time.monotonic()
        if self._database is None or (now - self._written < _WRITE_INTERVAL_S and not finished):
            return
        file = io.BytesIO()
        np.savez_compressed(file, allow_pickle=False, **arrays())
        content = file.getvalue()
        stored = checksum(content) + content
        self._database.execute("INSERT OR REPLACE INTO counts VALUES (?, ?)", (cell, stored))
        self._written = now


def cell_key(described: str, *arrays: NDArray[Any]) -> bytes:
    """A digest of what a cell's counts depend on: the text `described` and `arrays`, its vectors and people."""
    digest = hashlib.sha256(described.encode())
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.digest()
