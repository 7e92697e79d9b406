"""Reads FlatBuffers, the container of TFLite files, and checks every offset against the file.

The `flatbuffers` package would not help: its Python runtime does not check offsets and has no schema, so that checks
and field numbers would be needed here anyway.

Source of the layout: the FlatBuffers internals page (https://flatbuffers.dev/internals/). A file begins with the
offset of its root table and a four-letter identifier. A table begins with a signed 32-bit distance back to its vtable;
the vtable holds its own size, the table's size, and for each field its 16-bit offset inside the table, 0 for a field
with its default value. Vectors, strings and tables are 32-bit offsets forward from the offset's own position; a vector
begins with its length.
"""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likeness.errors import PackDamaged

_MAX_TABLES = 4096
"""The most tensors, operators or buffers of one file; these networks have a few hundred."""


@dataclass(frozen=True)
class Buffer:
    """The bytes of a file and its name for errors."""

    data: bytes
    name: str

    def damaged(self, expected: str, position: int) -> PackDamaged:
        """The error for bytes that are not as expected."""
        return PackDamaged(f"{self.name}: expected {expected} at byte {position}; the file is damaged, fetch it again")

    def scalar(self, code: str, position: int, expected: str) -> int:
        """One little-endian integer, `code` as in the struct module."""
        size = struct.calcsize("<" + code)
        if not 0 <= position <= len(self.data) - size:
            raise self.damaged(expected, position)
        return int(struct.unpack_from("<" + code, self.data, position)[0])

    def follow(self, position: int, expected: str) -> int:
        """The position that the 32-bit offset at `position` points to; always forward, so that all chains end."""
        offset = self.scalar("I", position, expected)
        if offset == 0 or position + offset >= len(self.data):
            raise self.damaged(expected, position)
        return position + offset

    def root(self, identifier: bytes) -> "Table":
        """The root table of a file that must have this four-letter identifier."""
        if self.data[4:8] != identifier:
            raise self.damaged(f"the identifier {identifier.decode()}", 4)
        return Table(self, self.follow(0, "the root table"))


@dataclass(frozen=True)
class Table:
    """One table of the file; fields are accessed by their number in the schema."""

    buffer: Buffer
    position: int

    def __post_init__(self) -> None:
        """Checks that the table and its vtable are completely inside the file, including fields that are not read."""
        end = len(self.buffer.data)
        fields, size = (self.buffer.scalar("H", self._vtable + place, "the fields of a table") for place in (0, 2))
        if fields < 4 or self._vtable + fields > end or self.position + size > end:
            raise self.buffer.damaged(f"a table of {size} bytes with {fields} bytes of fields", self.position)

    @property
    def _vtable(self) -> int:
        return self.position - self.buffer.scalar("i", self.position, "a table")

    def _field(self, number: int, expected: str) -> int | None:
        """The position of a field, None if it has its default value."""
        if 4 + 2 * number + 2 > self.buffer.scalar("H", self._vtable, f"the fields of {expected}"):
            return None
        offset = self.buffer.scalar("H", self._vtable + 4 + 2 * number, f"the fields of {expected}")
        return self.position + offset if offset else None

    def integer(self, number: int, code: str, expected: str, default: int = 0) -> int:
        """An integer field, `code` as in the struct module."""
        position = self._field(number, expected)
        return default if position is None else self.buffer.scalar(code, position, expected)

    def table(self, number: int, expected: str) -> "Table | None":
        """A table field, None if absent."""
        position = self._field(number, expected)
        return None if position is None else Table(self.buffer, self.buffer.follow(position, expected))

    def vector(self, number: int, dtype: str, expected: str) -> NDArray[np.generic]:
        """A vector of scalars of the little-endian numpy type `dtype`; empty if absent."""
        position = self._field(number, expected)
        if position is None:
            return np.empty(0, dtype)
        start = self.buffer.follow(position, expected)
        count = self.buffer.scalar("I", start, expected)
        size = count * np.dtype(dtype).itemsize
        if start + 4 + size > len(self.buffer.data):
            raise self.buffer.damaged(f"{expected} ({count} values)", start)
        return np.frombuffer(self.buffer.data, dtype, count, start + 4)

    def tables(self, number: int, expected: str) -> "list[Table]":
        """A vector of tables; empty if absent."""
        position = self._field(number, expected)
        if position is None:
            return []
        start = self.buffer.follow(position, expected)
        count = self.buffer.scalar("I", start, expected)
        if count > _MAX_TABLES or start + 4 + 4 * count > len(self.buffer.data):
            raise self.buffer.damaged(f"{expected} ({count} tables)", start)
        places = range(start + 4, start + 4 + 4 * count, 4)
        return [Table(self.buffer, self.buffer.follow(place, expected)) for place in places]

    def text(self, number: int, expected: str) -> str:
        """A string field; empty if absent."""
        return self.vector(number, "u1", expected).tobytes().decode("utf-8", "replace")
