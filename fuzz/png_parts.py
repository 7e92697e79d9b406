"""PNGs as chunks (PNG specification, section 5): changed by the rules of the format, with correct checksums."""

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterable

import numpy as np
from PIL import Image

from fuzz.jpeg_parts import exif
from fuzz.mutations import mutated

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SIZES = (0, 1, 79, 80, 81, 96, 1000, 5000, 10000, 30000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
#: Adam7: for each pass the first column and row, and the steps between columns and rows (section 8).
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}

Chunk = tuple[bytes, bytes]


def chunks(png: bytes) -> list[Chunk]:
    """The kinds and contents of the chunks of a file, up to a truncated one."""
    found: list[Chunk] = []
    position = len(SIGNATURE)
    while position + 8 <= len(png):
        length, kind = struct.unpack_from(">I4s", png, position)
        found.append((kind, png[position + 8 : position + 8 + length]))
        position += length + 12
    return found


def written(pieces: Iterable[Chunk]) -> bytes:
    """A file of chunks, with correct lengths and checksums."""
    return SIGNATURE + b"".join(chunk(kind, content) for kind, content in pieces)


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    """One chunk."""
    return struct.pack(">I4s", len(content), kind) + content + struct.pack(">I", zlib.crc32(kind + content))


def by_hand(
    width: int, height: int, depth: int, colour: int, *, interlaced: bool = False, fill: bytes = b"\x5a"
) -> bytes:
    """A PNG of any colour type, depth and interlacing, each row with another filter."""
    raw = bytearray()
    passes = _PASSES if interlaced else ((0, 0, 1, 1),)
    for left, top, across, down in passes:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        row_bytes = -(-columns * depth * _CHANNELS[colour] // 8)
        for row in range(rows if columns > 0 else 0):
            raw += bytes((row % 5,)) + (fill * row_bytes)[:row_bytes]
    pieces = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced)))]
    if colour == 3:
        pieces.append((b"PLTE", bytes(range(3 * min(1 << depth, 80)))))
    return written([*pieces, (b"IDAT", zlib.compress(bytes(raw))), (b"IEND", b"")])


def png_seeds(photo: Image.Image) -> list[bytes]:
    """`photo` as Pillow writes it, and files of every colour type by hand."""
    translucent = photo.copy()
    translucent.putalpha(Image.fromarray(np.tile(np.arange(photo.width).astype(np.uint8), (photo.height, 1))))
    made = []
    for image, options in (
        (photo, {}),
        (photo.convert("P"), {"transparency": 0}),
        (translucent, {}),
        (photo.convert("L"), {"transparency": 3}),
        (photo, {"save_all": True, "append_images": [photo.rotate(90)], "icc_profile": b"profile" * 20}),
    ):
        buffer = io.BytesIO()
        image.save(buffer, "PNG", **options)
        made.append(buffer.getvalue())
    kinds = ((1, 0), (2, 0), (4, 0), (16, 0), (8, 2), (16, 2), (1, 3), (4, 3), (8, 3), (8, 4), (16, 4), (8, 6), (16, 6))
    return made + [by_hand(96, 88, *kind, interlaced=adam7) for kind in kinds for adam7 in (False, True)]


def mutated_png(data: bytes, chance: random.Random) -> bytes:
    """A PNG with one to four changes of its chunks; a tenth of them changed as bytes."""
    if chance.random() < 0.1:
        return mutated(data, chance)
    pieces = chunks(data) or [(b"IHDR", bytes(13))]
    for _ in range(chance.randint(1, 4)):
        chance.choice(_CHANGES)(pieces, chance)
    made = written(pieces)
    match chance.randrange(20):
        case 0:
            return made[: chance.randrange(len(made) + 1)]
        case 1:
            return mutated(made, chance)
        case 2:
            return made + chance.randbytes(20)
        case _:
            return made


def _change_header(pieces: list[Chunk], chance: random.Random) -> None:
    kind, content = pieces[0]
    body = bytearray(content.ljust(13, b"\0"))
    match chance.randrange(5):
        case 0:
            body[0:4] = chance.choice(_SIZES).to_bytes(4, "big")
        case 1:
            body[4:8] = chance.choice(_SIZES).to_bytes(4, "big")
        case 2:
            body[8:10] = bytes((chance.choice((0, 1, 2, 4, 8, 16, 32)), chance.choice((0, 1, 2, 3, 4, 6, 7))))
        case 3:
            body[12] = chance.choice((0, 1, 1, 2))
        case _:
            body[chance.randrange(10, 13)] = chance.randrange(4)
    pieces[0] = (kind, bytes(body) if chance.random() < 0.95 else bytes(body) + b"\0")


def _change_pixels(pieces: list[Chunk], chance: random.Random) -> None:
    """Changes the pixels' data: rows and filters after inflation, or the compressed stream itself."""
    places = [at for at, (kind, _) in enumerate(pieces) if kind in (b"IDAT", b"fdAT")]
    if not places:
        return
    place = chance.choice(places)
    kind, content = pieces[place]
    try:
        raw = bytearray(zlib.decompressobj().decompress(content, 1 << 20))
    except zlib.error:
        raw = bytearray(b"\0" * 1000)
    match chance.randrange(6):
        case 0 if raw:
            for _ in range(10):
                raw[chance.randrange(len(raw))] = chance.choice((0, 1, 2, 3, 4, 5, 255))
            content = zlib.compress(bytes(raw), chance.choice((0, 1, 9)))
        case 1:
            content = zlib.compress(bytes(raw[: chance.randrange(len(raw) + 1)]))
        case 2:
            content = zlib.compress(bytes(raw) + b"\0" * chance.choice((1, 1000, 300_000)))
        case 3:
            content = mutated(content, chance)
        case 4:
            at = chance.randrange(len(content) + 1)
            pieces[place : place + 1] = [(kind, content[:at]), (kind, content[at:])]
            return
        case _:
            content = b"\x78" + chance.randbytes(20)
    pieces[place] = (kind, content)


def _insert(pieces: list[Chunk], chance: random.Random) -> None:
    """A chunk that decoders interpret: palettes, transparency, profiles, texts, EXIF, frames of an animation."""
    bomb = zlib.compress(b"\0" * 1_000_000)
    frame = struct.pack(">IIIIIHHBB", 0, chance.choice(_SIZES), chance.choice(_SIZES), 0, 0, 1, 10, 0, 0)
    added = chance.choice(
        (
            (b"PLTE", chance.randbytes(chance.choice((0, 1, 3, 768, 1000)))),
            (b"tRNS", chance.randbytes(chance.choice((0, 1, 2, 6, 256, 300)))),
            (b"iCCP", b"name\0\0" + bomb),
            (b"zTXt", b"name\0\0" + bomb),
            (b"iTXt", b"name\0\1\0\0\0" + bomb),
            (b"tEXt", chance.randbytes(30)),
            (b"eXIf", exif(chance)),
            (b"gAMA", struct.pack(">I", chance.choice((0, 1, 0xFFFFFFFF)))),
            (b"cHRM", chance.randbytes(chance.choice((0, 32)))),
            (b"sBIT", b"\xff" * 4),
            (b"pHYs", chance.randbytes(9)),
            (b"acTL", struct.pack(">II", chance.choice((0, 1, 2, 0xFFFFFFFF)), 0)),
            (b"fcTL", frame),
            (b"fdAT", b"\0\0\0\1" + zlib.compress(b"\0" * 100)),
            (b"IHDR", struct.pack(">IIBBBBB", 90, 90, 8, 2, 0, 0, 0)),
            (b"IEND", b""),
            (b"IDAT", b""),
            (b"ABCD", b""),
            (b"\0\0\0\0", b""),
        )
    )
    place = chance.randrange(len(pieces) + 1)
    pieces[place:place] = [added] * chance.choice((1, 1, 1, 2, 300))


def _move(pieces: list[Chunk], chance: random.Random) -> None:
    """Deletes, duplicates or moves a chunk."""
    place = chance.randrange(len(pieces))
    match chance.randrange(3):
        case 0 if len(pieces) > 1:
            del pieces[place]
        case 1:
            pieces.insert(chance.randrange(len(pieces)), pieces[place])
        case _:
            pieces.append(pieces.pop(place))


_Change = Callable[[list[Chunk], random.Random], None]
_CHANGES: tuple[_Change, ...] = (
    _change_header,
    _change_header,
    _change_pixels,
    _change_pixels,
    _insert,
    _insert,
    _move,
)
