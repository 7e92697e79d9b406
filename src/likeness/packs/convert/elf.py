"""Reads the data that a 64-bit little-endian ELF library exports, such as weights compiled into it.

The library is neither loaded nor run: its dynamic symbols give the address and size of each exported object, and its
section headers where those bytes are in the file. Thirty lines replace a dependency on `pyelftools`.

Source of the layout: System V Application Binary Interface, chapters 4 and 5, and its ELF-64 object file format.
"""

import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from likeness.errors import PackDamaged

_MAGIC = b"\x7fELF\x02\x01"
_SECTIONS_AT, _SECTIONS_SHAPE_AT = 40, 58
#: Name, kind, flags, address, offset in the file, size, linked section, ...; name, kind, other, section, address, size.
_SECTION, _SYMBOL = struct.Struct("<IIQQQQIIQQ"), struct.Struct("<IBBHQQ")
_DYNAMIC_SYMBOLS, _WITHOUT_BYTES = 11, 8
_OBJECT = 1


def exported_numbers(data: bytes, file: str) -> dict[str, NDArray[np.float32]]:
    """The exported objects of the library by name, as flat float32 arrays.

    Objects whose size is not a multiple of four bytes, or that are not in the file (zero-initialised), are omitted.
    `file` names the library in errors. Raises PackDamaged if the bytes are not such a library, or are truncated.
    """
    try:
        if data[: len(_MAGIC)] != _MAGIC:
            raise ValueError("wrong header")
        return dict(_exported(data))
    except (struct.error, ValueError, IndexError, OverflowError) as error:
        raise PackDamaged(
            f"{file}: expected a complete 64-bit little-endian ELF library ({error}); fetch it again"
        ) from error


def _exported(data: bytes) -> Iterator[tuple[str, NDArray[np.float32]]]:
    (at,) = struct.unpack_from("<Q", data, _SECTIONS_AT)
    _, count = struct.unpack_from("<HH", data, _SECTIONS_SHAPE_AT)
    sections = [_SECTION.unpack_from(data, at + number * _SECTION.size) for number in range(count)]
    for _, section_kind, _, _, offset, length, linked, *_ in sections:
        if section_kind != _DYNAMIC_SYMBOLS:
            continue
        names_at = sections[linked][4]
        for name, kind, _, section, address, size in _SYMBOL.iter_unpack(data[offset : offset + length]):
            if kind & 0x0F != _OBJECT or not section:
                continue
            _, holding_kind, _, holding_address, holding_offset, *_ = sections[section]
            if size % 4 or holding_kind == _WITHOUT_BYTES:
                continue
            start = names_at + name
            values = np.frombuffer(data, "<f4", size // 4, holding_offset + address - holding_address)
            yield data[start : data.index(b"\0", start)].decode("latin-1"), values.astype(np.float32)
