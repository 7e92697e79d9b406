"""PNG: header and chunk order checked before decoding; only the chunks that make the picture are decoded."""

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_PALETTE_COLOUR = 3
#: The critical chunks of PNG in order; only IDAT may occur several times, consecutively.
_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
#: The bit of a chunk's first letter that allows decoders to ignore the chunk (PNG specification, section 5.4).
_ANCILLARY = 0x20
#: Real files have a few hundred chunks; streaming encoders write one per 8 KB: 2,000 in 15 MiB. An empty one takes 12
#: bytes, and reading it a microsecond of the interpreter: a photo of 1 MB could take a third of a second.
_MAX_CHUNKS = 8192
#: deflate compresses at most 1032 to 1 (RFC 1951: 258 bytes in 2 bits).
_MAX_INFLATION = 1032
#: Above this size, a compression ratio that no photo reaches is taken for a decompression bomb.
_LARGE_PIXELS = 25_000_000
_MAX_PHOTO_PACKING = 100


class BrokenPng(ValueError):
    """The picture cannot be decoded; the message is a clause that says why."""


class UnreasonablePng(ValueError):
    """Decoding would take more memory than any photo needs; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class PngHeader:
    """The header's values. Sizes in pixels; `transparent` if some pixels may be.

    `chunks` are the slices of the chunks that make the picture; `compressed` is the number of bytes of pixel data.
    """

    width: int
    height: int
    bit_depth: int
    channels: int
    transparent: bool
    compressed: int
    chunks: tuple[slice, ...]

    @property
    def raw_bytes(self) -> int:
        """The bytes of the picture after inflation."""
        return self.width * self.height * self.channels * self.bit_depth // 8


def read_header(data: bytes) -> PngHeader:
    """Reads the header of the PNG `data` and finds the chunks that make its picture.

    Raises BrokenPng if the file is truncated or a critical chunk is unknown, out of order or duplicate.
    """
    if data[12:16] == b"CgBI":
        raise BrokenPng(
            "it is a PNG as Apple's Xcode rewrites it for iOS apps (CgBI), which other programs cannot read. Send the "
            "original, or convert it back with `xcrun pngcrush -revert-iphone-optimizations`"
        )
    if data[8:16] != b"\x00\x00\x00\x0dIHDR" or len(data) < 33:
        raise BrokenPng("it ends within its header, or has none")
    width, height, depth, colour, compression, filtering, interlacing = struct.unpack_from(">IIBBBBB", data, 16)
    if not width or not height or width > 0x7FFFFFFF or height > 0x7FFFFFFF:
        raise BrokenPng(f"its header gives {width} x {height} pixels")
    if depth not in _DEPTHS.get(colour, ()) or compression or filtering or interlacing > 1:
        raise BrokenPng("its header gives a colour format that PNG does not have")
    chunks = _picture_chunks(data)
    kinds = {kind for kind, _ in chunks}
    if colour == _PALETTE_COLOUR and b"PLTE" not in kinds:
        raise BrokenPng("it lacks the palette that its header requires")
    return PngHeader(
        width,
        height,
        depth,
        _CHANNELS[colour],
        transparent=colour in (4, 6) or b"tRNS" in kinds,
        compressed=sum(place.stop - place.start - 12 for kind, place in chunks if kind == b"IDAT"),
        chunks=tuple(place for _, place in chunks),
    )


def _picture_chunks(data: bytes) -> list[tuple[bytes, slice]]:
    """The chunks that make the picture, with their kinds: no profiles, texts or animation frames.

    If a critical chunk is unknown, out of order or duplicate, two decoders may see two pictures.
    """
    chunks: list[tuple[bytes, slice]] = []
    seen: set[bytes] = set()
    position, last = len(SIGNATURE), b""
    for _ in range(_MAX_CHUNKS):
        length, kind = struct.unpack_from(">I4s", data, position) if position + 12 <= len(data) else (0, b"")
        end = position + 12 + length
        if not kind or end > len(data):
            raise BrokenPng("it is cut off: its end is missing. Send the whole file")
        if not kind[0] & _ANCILLARY:
            if not kind == last == b"IDAT":
                _check_order(kind, seen)
                seen.add(kind)
            chunks.append((kind, slice(position, end)))
        elif kind == b"tRNS" and chunks[-1][0] in (b"IHDR", b"PLTE"):
            chunks.append((kind, slice(position, end)))
        if kind == b"IEND":
            return chunks
        position, last = end, kind
    raise UnreasonablePng(f"it has more than {_MAX_CHUNKS:,} chunks. Save it again with any photo program")


def _check_order(kind: bytes, seen: set[bytes]) -> None:
    """Raises BrokenPng unless a critical chunk of this `kind` may follow those `seen`."""
    name = kind.decode("ascii") if kind.isalpha() else kind.hex(" ")
    if kind not in _CRITICAL:
        raise BrokenPng(f"it has a chunk {name} that PNG does not have. Save it again with any photo program")
    later = _CRITICAL[_CRITICAL.index(kind) + 1 :]
    missing = (kind != b"IHDR" and b"IHDR" not in seen) or (kind == b"IEND" and b"IDAT" not in seen)
    if kind in seen or missing or not seen.isdisjoint(later):
        raise BrokenPng(f"its chunk {name} is out of order or duplicate. Save it again with any photo program")


def check_data(header: PngHeader) -> None:
    """Raises BrokenPng if there is too little data for the picture, UnreasonablePng for a decompression bomb."""
    size = f"{header.width} x {header.height} pixels"
    if header.compressed * _MAX_INFLATION < header.raw_bytes:
        raise BrokenPng(f"it holds {header.compressed:,} bytes, far too few for {size}")
    large = header.width * header.height > _LARGE_PIXELS
    if large and header.compressed * _MAX_PHOTO_PACKING < header.raw_bytes:
        raise UnreasonablePng(f"it holds {header.compressed:,} bytes for {size}, which no photo does. Scale it down")


def decode(data: bytes, header: PngHeader, reduction: int) -> NDArray[np.uint8]:
    """The picture as stored (eXIf is ignored), RGB (height, width, 3), its sides divided by `reduction`, rounded up.

    Transparent parts are composited over white. An animation gives its default image. Raises BrokenPng if a part is
    missing or damaged, before decoding any pixel if the decoder reads another size from the file than `header` has.
    """
    # Imported here to save start-up time: most photos are JPEGs.
    from PIL import PngImagePlugin

    from likeness.image.pillow_pixels import rgb

    _check_checksums(data, header)
    picture_only = SIGNATURE + b"".join(data[place] for place in header.chunks)
    try:
        with PngImagePlugin.PngImageFile(io.BytesIO(picture_only)) as picture:
            if picture.size != (header.width, header.height):
                raise BrokenPng(f"its header contradicts itself: {picture.width} x {picture.height} pixels as well")
            picture.load()
            return rgb(picture, header.transparent, reduction)
    except BrokenPng:
        raise
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, struct.error, zlib.error) as error:
        raise BrokenPng(f"its picture data is damaged ({str(error) or type(error).__name__})") from error


def _check_checksums(data: bytes, header: PngHeader) -> None:
    """Raises BrokenPng if the checksum of a chunk is wrong."""
    view = memoryview(data)
    for place in header.chunks:
        if zlib.crc32(view[place.start + 4 : place.stop - 4]) != int.from_bytes(view[place.stop - 4 : place.stop]):
            raise BrokenPng("it is damaged: a checksum is wrong. Send the file again")
