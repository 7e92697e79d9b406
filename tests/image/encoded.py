"""Photos written byte by byte, for files that no library would write."""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def picture(width: int = 160, height: int = 120) -> NDArray[np.uint8]:
    """A smooth picture, RGB, in which no two places look the same."""
    down, across = np.mgrid[:height, :width]
    red = 40 + 160 * across / width
    green = 200 - 150 * down / height
    blue = 100 + 60 * np.sin(across / 20) * np.cos(down / 25)
    return np.stack([red, green, blue], axis=2).astype(np.uint8)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width: int, height: int, depth: int, colour: int, raw: bytes, *, extra: bytes = b"", interlaced: bool = False
) -> bytes:
    """A PNG whose filtered rows are `raw`."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    return PNG_SIGNATURE + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")


def interlaced_png(pixels: NDArray[np.uint8]) -> bytes:
    """RGB as Adam7 passes (PNG specification, section 8.2)."""
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    raw = b"".join(
        b"\x00" + row.tobytes() for y, x, down, across in passes for row in pixels[y::down, x::across] if row.size
    )
    return png(pixels.shape[1], pixels.shape[0], 8, 2, raw, interlaced=True)


def segment(code: int, body: bytes) -> bytes:
    return bytes([0xFF, code]) + struct.pack(">H", len(body) + 2) + body


def many_scans(width: int, height: int, scans: int, padding: int) -> bytes:
    """A grey progressive JPEG with almost empty scans, each of which costs a decoder a pass over the picture."""
    tables = segment(0xDB, b"\x00" + bytes([1] * 64))
    tables += segment(0xC4, b"\x00" + bytes([1] + [0] * 15) + b"\x00")
    tables += segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\xe0")
    frame = segment(0xC2, struct.pack(">BHHB", 8, height, width, 1) + bytes([1, 0x11, 0]))
    first = segment(0xDA, bytes([1, 1, 0, 0, 0, 0])) + bytes(padding)
    following = segment(0xDA, bytes([1, 1, 0, 1, 63, 0])) + bytes(64)
    return b"\xff\xd8" + tables + frame + first + following * (scans - 1) + b"\xff\xd9"


def with_segment(jpeg: bytes, code: int, body: bytes) -> bytes:
    """`jpeg` with a segment before all others."""
    return jpeg[:2] + segment(code, body) + jpeg[2:]


def exif(orientation: int, *, byte_order: str = "<", kind: int = 3, before: int = 0) -> bytes:
    """EXIF with `before` other tags before the orientation."""
    mark = {"<": b"II*\x00", ">": b"MM\x00*"}[byte_order]
    entries = b"".join(struct.pack(byte_order + "HHIHH", 0x0100 + tag, 3, 1, 7, 0) for tag in range(before))
    value = struct.pack(
        byte_order + {1: "BBH", 3: "HH", 4: "I"}[kind], *([orientation] + [0] * {1: 2, 3: 1, 4: 0}[kind])
    )
    entries += struct.pack(byte_order + "HHI", 0x0112, kind, 1) + value
    directory = struct.pack(byte_order + "H", before + 1) + entries + bytes(4)
    return b"Exif\x00\x00" + mark + struct.pack(byte_order + "I", 8) + directory
