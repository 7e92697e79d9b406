"""JPEGs as segments (ITU-T T.81, annex B): taken apart, changed by the rules of the format, and put together again."""

import io
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from fuzz.mutations import mutated

_ALONE = {0x01, 0xD8, 0xD9, *range(0xD0, 0xD8)}
_FRAMES = tuple(code for code in range(0xC0, 0xD0) if code not in (0xC4, 0xC8, 0xCC))
_SIZES = (0, 1, 7, 8, 79, 80, 81, 96, 255, 256, 4000, 10000, 16384, 65500, 65535)


@dataclass(slots=True)
class Segment:
    """A marker, the body of its segment, and the entropy-coded data that follow it."""

    code: int
    body: bytes = b""
    data: bytes = b""

    def written(self, length: int | None = None) -> bytes:
        """Its bytes, with a false `length` if one is given."""
        if self.code in _ALONE:
            return bytes((0xFF, self.code)) + self.data
        stated = (len(self.body) + 2 if length is None else length) & 0xFFFF
        return struct.pack(">BBH", 0xFF, self.code, stated) + self.body + self.data


def parts(jpeg: bytes) -> list[Segment]:
    """The segments of a file; what is no segment becomes data of the one before it."""
    found: list[Segment] = []
    position = 0
    while position + 1 < len(jpeg):
        start = jpeg.find(b"\xff", position)
        if start < 0 or start + 1 >= len(jpeg):
            break
        if found:
            found[-1].data += jpeg[position:start]
        code, position = jpeg[start + 1], start + 2
        if code in (0x00, 0xFF) or 0xD0 <= code <= 0xD7:  # stuffing, filling and restarts belong to the data
            if found:
                found[-1].data += jpeg[start:position]
            continue
        body = b""
        if code not in _ALONE:
            length = int.from_bytes(jpeg[position : position + 2], "big")
            body = jpeg[position + 2 : position + max(length, 2)]
            position += max(length, 2)
        found.append(Segment(code, body))
    return found


def mutated_jpeg(data: bytes, chance: random.Random) -> bytes:
    """A JPEG with one to four changes of its segments; a tenth of them changed as bytes."""
    if chance.random() < 0.1:
        return mutated(data, chance)
    segments = parts(data) or [Segment(0xD8)]
    for _ in range(chance.randint(1, 4)):
        chance.choice(_CHANGES)(segments, chance)
    written = [segment.written() for segment in segments]
    if chance.random() < 0.1 and written:
        place = chance.randrange(len(written))
        written[place] = segments[place].written(chance.choice((0, 1, 2, 3, 0xFF, 0xFFFF)))
    made = b"".join(written)
    return made[: chance.randrange(len(made) + 1)] if chance.random() < 0.05 else made


def _place(segments: list[Segment], chance: random.Random, codes: tuple[int, ...]) -> Segment | None:
    found = [segment for segment in segments if segment.code in codes and segment.body]
    return chance.choice(found) if found else None


def _change_frame(segments: list[Segment], chance: random.Random) -> None:
    frame = _place(segments, chance, _FRAMES)
    if frame is None or len(frame.body) < 6:
        return
    body = bytearray(frame.body)
    match chance.randrange(7):
        case 0:
            frame.code = chance.choice(_FRAMES)
        case 1:
            body[1:3] = chance.choice(_SIZES).to_bytes(2, "big")
        case 2:
            body[3:5] = chance.choice(_SIZES).to_bytes(2, "big")
        case 3:
            body[0] = chance.choice((0, 2, 8, 12, 16, 255))
        case 4:
            body[5] = chance.choice((0, 1, 2, 3, 4, 5, 255))
        case 5 if len(body) > 8:
            at = chance.randrange((len(body) - 6) // 3) * 3 + 6
            body[at + chance.randrange(3)] = chance.choice((0, 0x11, 0x12, 0x21, 0x22, 0x41, 0x14, 0x44, 0xFF, 1, 2))
        case _:
            body[5] = count = chance.choice((1, 3, 4, 10))
            body[6:] = bytes(each for number in range(count) for each in (number, chance.choice((0x11, 0x22)), 0))
    frame.body = bytes(body)


def _change_scan(segments: list[Segment], chance: random.Random) -> None:
    scan = _place(segments, chance, (0xDA,))
    if scan is None:
        return
    body = bytearray(scan.body)
    match chance.randrange(4):
        case 0:
            body[0] = chance.choice((0, 1, 2, 3, 4, 255))
        case 1 if len(body) >= 4:
            body[-3:] = bytes(
                (chance.choice((0, 1, 63, 64, 255)), chance.choice((0, 1, 63, 64)), chance.randrange(256))
            )
        case 2:
            count = chance.randint(1, 4)
            named = bytes(
                each for number in range(count) for each in (chance.randrange(5), chance.choice((0, 17, 255)))
            )
            body = bytearray(bytes((count,)) + named + bytes((0, 63, 0)))
        case _:
            body[chance.randrange(len(body))] = chance.randrange(256)
    scan.body = bytes(body)


def _repeat_scan(segments: list[Segment], chance: random.Random) -> None:
    """Many scans of the same data, which cost a decoder a pass each."""
    scan = _place(segments, chance, (0xDA,))
    if scan is not None:
        place = next(at for at, each in enumerate(segments) if each is scan)
        short = Segment(scan.code, scan.body, scan.data[: chance.choice((0, 1, 20, 1000))])
        segments[place:place] = [short] * chance.choice((1, 2, 10, 100, 1000))


def _change_data(segments: list[Segment], chance: random.Random) -> None:
    """Damages entropy-coded data: bytes, an early end, restart markers in or out of order."""
    holding = [segment for segment in segments if segment.data]
    if not holding:
        return
    segment = chance.choice(holding)
    data = bytearray(segment.data)
    place = chance.randrange(len(data))
    match chance.randrange(5):
        case 0:
            del data[place:]
        case 1:
            data[place:place] = bytes((0xFF, 0xD0 + chance.randrange(8))) * chance.choice((1, 2, 50))
        case 2:
            data[place] = chance.choice((0, 0xFF, chance.randrange(256)))
        case 3:
            data[place : place + 50] = chance.choice((b"\x00", b"\xff\x00", b"\x7f")) * chance.choice((1, 50, 2000))
        case _:
            data[place:place] = chance.randbytes(chance.choice((1, 10, 100)))
    segment.data = bytes(data)


def _change_table(segments: list[Segment], chance: random.Random) -> None:
    """Damages a quantisation, Huffman or arithmetic table."""
    table = _place(segments, chance, (0xDB, 0xC4, 0xCC))
    if table is not None:
        body = bytearray(table.body)
        for _ in range(chance.choice((1, 1, 5))):
            body[chance.randrange(min(len(body), 20))] = chance.choice((0, 1, 0x10, 0x11, 0x1F, 0xFF))
        table.body = bytes(body) if chance.random() < 0.8 else bytes(body[: chance.randrange(len(body))])


def _insert(segments: list[Segment], chance: random.Random) -> None:
    """A segment that decoders interpret: restarts, lines, Adobe's colours, EXIF, profiles, comments, another frame."""
    added = chance.choice(
        (
            Segment(0xDD, chance.choice((0, 1, 4, 0xFFFF)).to_bytes(2, "big")),
            Segment(0xDC, chance.choice(_SIZES).to_bytes(2, "big")),
            Segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes((chance.choice((0, 1, 2, 3, 255)),))),
            Segment(0xE0, b"JFIF\0\1\2\1\0\1\0\1\xff\xff" + chance.randbytes(10)),
            Segment(0xE1, b"Exif\0\0" + exif(chance)),
            Segment(0xE2, b"ICC_PROFILE\0" + chance.randbytes(2) + chance.randbytes(200)),
            Segment(0xE2, b"MPF\0MM\0*" + chance.randbytes(60)),
            Segment(0xFE, chance.randbytes(chance.choice((0, 10, 3000)))),
            Segment(0xDE, b"\x08\0\x60\0\x60\1\1\x11\0"),
            Segment(0xC0, b"\x08\0\x60\0\x50\1\1\x11\0"),
            Segment(0xC8, b"\0"),
            Segment(0xD9),
            Segment(0xD8),
            Segment(0x01),
        )
    )
    place = chance.randrange(len(segments) + 1)
    segments[place:place] = [added] * chance.choice((1, 1, 1, 2, 50))


def exif(chance: random.Random) -> bytes:
    """A TIFF directory with an orientation, in any byte order and with false offsets, counts and types."""
    order = chance.choice("<>")
    tag = struct.pack(order + "HHI", 274, chance.choice((0, 1, 3, 4, 9, 255)), chance.choice((0, 1, 2, 0xFFFFFFFF)))
    value = struct.pack(order + "HH", chance.choice((0, 1, 3, 6, 8, 9, 0xFFFF)), 0)
    count = chance.choice((0, 1, 2, 0xFFFF))
    directory = struct.pack(order + "H", count) + (tag + value) * chance.choice((0, 1, 3))
    offset = chance.choice((0, 4, 8, 8, 8, 0x7FFFFFFF, 0xFFFFFFFF))
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", offset) + directory


def _move(segments: list[Segment], chance: random.Random) -> None:
    """Deletes, duplicates or moves a segment."""
    place = chance.randrange(len(segments))
    match chance.randrange(3):
        case 0 if len(segments) > 1:
            del segments[place]
        case 1:
            segments.insert(chance.randrange(len(segments)), segments[place])
        case _:
            segments.append(segments.pop(place))


_Change = Callable[[list[Segment], random.Random], None]
_CHANGES: tuple[_Change, ...] = (
    *(_change_frame, _change_scan, _change_data, _change_data, _change_table, _insert, _insert, _move, _repeat_scan),
)


def jpeg_seeds(photo: Image.Image) -> list[bytes]:
    """`photo` in the codings of JPEG that Pillow writes."""
    tags = Image.Exif()
    tags[274] = 6
    made = []
    for image, options in (
        (photo, {"quality": 85}),
        (photo, {"quality": 85, "progressive": True}),
        (photo, {"quality": 40, "subsampling": "4:1:1"}),
        (photo, {"subsampling": "4:4:4", "exif": tags, "restart_marker_blocks": 4}),
        (photo, {"subsampling": "4:2:2", "comment": b"a comment", "icc_profile": b"profile" * 20, "optimize": True}),
        (photo.convert("L"), {}),
        (photo.convert("CMYK"), {}),
    ):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", **options)
        made.append(buffer.getvalue())
    return made


def drawing(width: int = 96, height: int = 88) -> Image.Image:
    """A small picture with gradients and noise."""
    rows, columns = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(5).integers(0, 40, (height, width))
    return Image.fromarray(np.dstack([rows * 2, columns * 2, rows + columns + noise]).astype(np.uint8))
