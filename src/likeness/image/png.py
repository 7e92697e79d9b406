"""PNG: its header and checksums before anything is decoded, and decoding without what does not make the picture."""

import io
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from likeness.image.scaling import STRIP_ROWS, shrink

if TYPE_CHECKING:
    from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_KEPT = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
#: Real files have a few hundred chunks, streaming encoders one per 8 KB: 2,000 in 15 MiB.
_MAX_CHUNKS = 100_000
#: deflate packs at most 1032 to 1 (RFC 1951: 258 bytes in 2 bits).
_MAX_INFLATION = 1032
#: From this size on, what is packed more tightly than any photo can be is taken for an attempt to fill the memory.
_LARGE_PIXELS = 25_000_000
_MAX_PHOTO_PACKING = 100


class BrokenPng(ValueError):
    """The picture cannot be decoded; the message is a clause that says why."""


class UnreasonablePng(ValueError):
    """Decoding would take more memory than its content is worth; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class PngHeader:
    """What IHDR says. Sizes in pixels; `alpha` where each pixel has its own transparency."""

    width: int
    height: int
    bit_depth: int
    channels: int
    alpha: bool


def read_header(data: bytes) -> PngHeader:
    """The header of the PNG `data`, read from its first chunk alone. Raises BrokenPng."""
    if data[12:16] != b"IHDR" or len(data) < 33:
        raise BrokenPng("it ends within its header, or has none")
    width, height, depth, colour, compression, filtering, interlacing = struct.unpack_from(">IIBBBBB", data, 16)
    if not width or not height or width > 0x7FFFFFFF or height > 0x7FFFFFFF:
        raise BrokenPng(f"its header says {width} x {height} pixels")
    if depth not in _DEPTHS.get(colour, ()) or compression or filtering or interlacing > 1:
        raise BrokenPng("its header asks for a colour format that PNG does not have")
    return PngHeader(width, height, depth, _CHANNELS[colour], colour in (4, 6))


def decode(data: bytes, header: PngHeader, reduction: int) -> NDArray[np.uint8]:
    """The picture as stored (eXIf is ignored), RGB (height, width, 3), its sides divided by `reduction`, rounded up.

    Transparent parts lie over white. Of an animation, the picture that programs without animation show. Raises
    BrokenPng where a part is missing or damaged, UnreasonablePng where it would fill the memory with nothing.
    """
    # Imported here: to start is quicker without, and most photos are JPEGs.
    from PIL import PngImagePlugin

    chunks = _picture_chunks(data)
    transparent = header.alpha or any(chunk[4:8] == b"tRNS" for chunk in chunks)
    _check_size(header, chunks)
    try:
        with PngImagePlugin.PngImageFile(io.BytesIO(SIGNATURE + b"".join(chunks))) as picture:
            picture.load()
            return _rgb(picture, transparent, reduction)
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, struct.error, zlib.error) as error:
        raise BrokenPng(f"its picture data is damaged ({error})") from error


def _picture_chunks(data: bytes) -> list[bytes]:
    """Only the chunks that make the picture: no profiles, texts or animation frames to inflate.

    Raises BrokenPng where the file is cut off or a checksum is wrong: PNG carries them so that damage is not taken
    for the picture.
    """
    chunks = []
    position = len(SIGNATURE)
    view = memoryview(data)
    for _ in range(_MAX_CHUNKS):
        length, kind = struct.unpack_from(">I4s", data, position) if position + 12 <= len(data) else (0, b"")
        end = position + 12 + length
        if not kind or end > len(data):
            raise BrokenPng("it is cut off: its end is missing. Send the whole file")
        if kind in _KEPT:
            if zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
                raise BrokenPng("it is damaged: a checksum is wrong. Send the file again")
            chunks.append(data[position:end])
        if kind == b"IEND":
            return chunks
        position = end
    raise UnreasonablePng(f"it has more than {_MAX_CHUNKS:,} chunks. Save it again with any photo program")


def _check_size(header: PngHeader, chunks: list[bytes]) -> None:
    """Refuses what cannot hold its picture, and what would fill the memory with nothing."""
    size = f"{header.width} x {header.height} pixels"
    pixels = header.width * header.height
    raw = pixels * header.channels * header.bit_depth // 8
    compressed = sum(len(chunk) - 12 for chunk in chunks if chunk[4:8] == b"IDAT")
    if compressed * _MAX_INFLATION < raw:
        raise BrokenPng(f"it holds {compressed:,} bytes, far too few for {size}")
    if pixels > _LARGE_PIXELS and compressed * _MAX_PHOTO_PACKING < raw:
        raise UnreasonablePng(f"it holds {compressed:,} bytes for {size}, which no photo does. Scale it down")


def _rgb(picture: "Image.Image", transparent: bool, reduction: int) -> NDArray[np.uint8]:
    """RGB (height, width, 3), transparent parts over white, as viewers show them on a page; made strip by strip."""
    width, height = picture.size
    pixels = np.empty((-(-height // reduction), -(-width // reduction), 3), np.uint8)
    for start in range(0, len(pixels), STRIP_ROWS):
        bottom = min((start + STRIP_ROWS) * reduction, height)
        strip = picture.crop((0, start * reduction, width, bottom))
        strip.info = picture.info
        opaque = _strip_over_white(strip) if transparent else _opaque_strip(strip)
        pixels[start : start + STRIP_ROWS] = shrink(opaque, reduction)
    return pixels


def _opaque_strip(strip: "Image.Image") -> NDArray[np.uint8]:
    if strip.mode.startswith("I"):  # grey of 16 bits
        return np.repeat((np.asarray(strip) >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
    return np.asarray(strip.convert("RGB"), np.uint8)


def _strip_over_white(strip: "Image.Image") -> NDArray[np.uint8]:
    if strip.mode.startswith("I"):
        return _opaque_strip(strip)
    inked = np.asarray(strip.convert("RGBA"), np.uint8)
    alpha = cv2.cvtColor(np.ascontiguousarray(inked[:, :, 3]), cv2.COLOR_GRAY2RGB)
    colours = cv2.cvtColor(inked, cv2.COLOR_RGBA2RGB)
    return np.asarray(cv2.add(cv2.multiply(colours, alpha, scale=1 / 255), cv2.bitwise_not(alpha)), np.uint8)
