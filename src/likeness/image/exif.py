"""The orientation tag of EXIF data."""

import struct


def orientation_in(tiff: bytes) -> int | None:
    """The orientation (1 to 8) in the first directory of EXIF data (TIFF 6.0, tag 274); None if there is none."""
    byte_order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(tiff[:4])
    if byte_order is None:
        return None
    try:
        (directory,) = struct.unpack_from(byte_order + "I", tiff, 4)
        (count,) = struct.unpack_from(byte_order + "H", tiff, directory)
        for entry in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, kind, values = struct.unpack_from(byte_order + "HHI", tiff, entry)
            if tag == 274:
                number = {1: "B", 3: "H", 4: "I"}.get(kind)
                if number is None or values < 1:
                    return None
                (orientation,) = struct.unpack_from(byte_order + number, tiff, entry + 8)
                return int(orientation) if 1 <= orientation <= 8 else None
    except struct.error:
        return None
    return None
