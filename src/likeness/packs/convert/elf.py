"""A reader of the data that a 64-bit little-endian ELF library exports, such as weights compiled into it.

Nothing of the library is loaded or run: its table of dynamic symbols says at which address and in how many bytes each
exported object lies, its section headers where those bytes are in the file. Written here rather than taken from
`pyelftools`: forty lines are needed, with every offset checked, and its errors are of many kinds on damaged files.

Source of the layout: System V Application Binary Interface, chapters 4 and 5, and its ELF-64 object file format.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likeness.errors import PackDamaged

_MAGIC = b"\x7fELF\x02\x01"
_SECTIONS_AT, _SECTIONS_SHAPE_AT = 40, 58
_SECTION, _SYMBOL = struct.Struct("<IIQQQQIIQQ"), struct.Struct("<IBBHQQ")
_DYNAMIC_SYMBOLS, _WITHOUT_BYTES = 11, 8
_OBJECT = 1
_MOST_NAME_BYTES = 256


@dataclass(frozen=True, slots=True)
class _Section:
    """Where a section's `size` bytes are in the file and in memory; `linked` is the number of its table of names."""

    kind: int
    address: int
    offset: int
    size: int
    linked: int


def exported_numbers(data: bytes, file: str) -> dict[str, NDArray[np.float32]]:
    """The objects that the library exports, by name, each read as float32, flat.

    Objects whose size is no multiple of four bytes, or that begin as zeros in memory alone, are left out. `file` names
    the library in errors. Raises PackDamaged when the bytes are no such library, or end too soon.
    """
    sections = _sections(data, file)
    found = {}
    for table in sections:
        if table.kind != _DYNAMIC_SYMBOLS:
            continue
        names = _section(sections, table.linked, file)
        for name_at, section, address, size in _objects(data, table, file):
            home = _section(sections, section, file)
            if size % 4 or home.kind == _WITHOUT_BYTES:
                continue
            if not 0 <= address - home.address <= home.size - size:
                raise _damaged(file, "an object within its section")
            values = _taken(data, home.offset + address - home.address, size, file)
            found[_name(data, names, name_at, file)] = np.frombuffer(values, "<f4").astype(np.float32)
    return found


def _sections(data: bytes, file: str) -> list[_Section]:
    if data[: len(_MAGIC)] != _MAGIC:
        raise _damaged(file, "a 64-bit little-endian ELF library")
    (at,) = struct.unpack("<Q", _taken(data, _SECTIONS_AT, 8, file))
    size, count = struct.unpack("<HH", _taken(data, _SECTIONS_SHAPE_AT, 4, file))
    if size != _SECTION.size:
        raise _damaged(file, f"section headers of {_SECTION.size} bytes")
    rows = _SECTION.iter_unpack(_taken(data, at, size * count, file))
    return [_Section(kind, address, offset, size, link) for _, kind, _, address, offset, size, link, *_ in rows]


def _section(sections: list[_Section], number: int, file: str) -> _Section:
    if number >= len(sections):
        raise _damaged(file, "a section that exists")
    return sections[number]


def _objects(data: bytes, table: _Section, file: str) -> Iterator[tuple[int, int, int, int]]:
    """Of the objects that a table of symbols defines: where its name is, its section, address and size."""
    if table.size % _SYMBOL.size:
        raise _damaged(file, f"symbols of {_SYMBOL.size} bytes")
    for name, kind, _, section, address, size in _SYMBOL.iter_unpack(_taken(data, table.offset, table.size, file)):
        if kind & 0x0F == _OBJECT and section:
            yield name, section, address, size


def _name(data: bytes, names: _Section, at: int, file: str) -> str:
    text, end, _ = _taken(data, names.offset, names.size, file)[at : at + _MOST_NAME_BYTES].partition(b"\0")
    if not end:
        raise _damaged(file, "the end of a name")
    return text.decode("latin-1")


def _taken(data: bytes, at: int, count: int, file: str) -> bytes:
    if at + count > len(data):
        raise _damaged(file, "more bytes")
    return data[at : at + count]


def _damaged(file: str, expected: str) -> PackDamaged:
    return PackDamaged(f"{file}: expected {expected}; the file is damaged, fetch it again")
