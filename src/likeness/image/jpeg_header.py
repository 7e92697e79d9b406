"""The header of a JPEG, read without decoding: size, orientation, coding and scans."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from likeness.image.exif import orientation_in

SIGNATURE = b"\xff\xd8\xff"
EXIF = b"Exif\x00\x00"

#: Markers that begin a segment; those that stand alone (restarts, of which a file may have any number) do not.
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])")
#: 0xDE begins the frames of a hierarchical file (DHP).
_START_OF_FRAME = {*range(0xC0, 0xD0), 0xDE} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xCA}
_ARITHMETIC = {0xC9, 0xCA}
#: Lossless and hierarchical JPEG, which no camera writes and the decoders support in part or not at all.
_UNUSUAL = _START_OF_FRAME - {0xC0, 0xC1} - _PROGRESSIVE - _ARITHMETIC
_START, _END, _SCAN, _APP1 = 0xD8, 0xD9, 0xDA, 0xE1

#: Luma sampling factors (horizontal, vertical) relative to chroma that the fast decoder supports (4:4:4, 4:2:2,
#: 4:2:0, 4:4:0 and 4:1:1 of TurboJPEG; simplejpeg does not know its 4:4:1).
_USUAL_SAMPLINGS = {(1, 1), (2, 1), (2, 2), (1, 2), (4, 1)}

#: Real files have a few dozen segments; more are an attempt to keep the parser busy.
_MAX_SEGMENTS = 4096
#: Bytes between the segments of a header, which decoders skip slowly, one by one. Real files have none or a few.
_MAX_STRAY_BYTES = 64 * 1024


class BrokenJpeg(ValueError):
    """Nothing can be decoded; the message is a clause that says why."""


class UnreasonableJpeg(ValueError):
    """Decoding would take more memory or time than any photo needs; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """The header's values. Sizes as stored, before the EXIF orientation (1 to 8) is applied.

    `blocks` counts the 8x8 blocks of all colour planes; `usual` says whether the fast decoder supports their sampling.
    The first scan's data starts at byte `data_start`, the image ends before `end`. `first_passes` and `refining_passes`
    count the blocks that the scans visit: for new coefficients, and to refine existing ones.
    """

    width: int
    height: int
    orientation: int
    usual: bool
    blocks: int
    arithmetic: bool
    several_scans: bool
    first_passes: int
    refining_passes: int
    data_start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Segment:
    """A marker's `code`, the offset of the marker, the body of its segment, and the offset of its end."""

    code: int
    start: int
    body: bytes
    end: int


@dataclass(frozen=True, slots=True)
class _Frame:
    """The frame header: the size of the picture, and the number of blocks of each colour plane by its identifier."""

    code: int
    width: int
    height: int
    usual: bool
    blocks: dict[int, int]


def read_header(data: bytes) -> JpegHeader:
    """Reads the header of the JPEG `data`, and in a file with several scans the headers of all of them.

    Raises BrokenJpeg, also for a file with two frame headers; UnreasonableJpeg for an endless header.
    """
    frame, orientation, scan = _read_up_to_picture(data)
    several = frame.code in _PROGRESSIVE or scan.body[0] < len(frame.blocks)
    scans, end = _all_scans(data, scan) if several else ([scan], len(data))
    first = refining = 0
    for each in scans:
        visited, refines = _visits(each.body, frame.blocks)
        first, refining = (first, refining + visited) if refines else (first + visited, refining)
    return JpegHeader(
        width=frame.width,
        height=frame.height,
        orientation=orientation,
        usual=frame.usual,
        blocks=sum(frame.blocks.values()),
        arithmetic=frame.code in _ARITHMETIC,
        several_scans=several,
        first_passes=first,
        refining_passes=refining,
        data_start=scan.end,
        end=end,
    )


def _segments(data: bytes, position: int) -> Iterator[_Segment]:
    """The segments from `position` on, found as the decoder finds them, up to the end or a truncated one."""
    for _ in range(_MAX_SEGMENTS):
        found = _MARKER.search(data, position)
        if found is None:
            return
        code, start, position = found[1][0], found.start(), found.end()
        length = 0
        if code not in (_START, _END):
            length = max(2, int.from_bytes(data[position : position + 2], "big"))
            if position + length > len(data):
                return
        position += length
        yield _Segment(code, start, data[position - length + 2 : position], position)
    raise UnreasonableJpeg(f"it has more than {_MAX_SEGMENTS:,} segments. Save it again with any photo program")


def _read_up_to_picture(data: bytes) -> tuple[_Frame, int, _Segment]:
    """The frame, the EXIF orientation and the header of the first scan."""
    frame: _Frame | None = None
    exif: bytes | None = None
    stray, end = 0, 2
    for segment in _segments(data, 2):
        stray, end = stray + segment.start - end, segment.end
        if stray > _MAX_STRAY_BYTES:
            raise UnreasonableJpeg(f"its header has {stray:,} stray bytes. Save it again with any photo program")
        if segment.code in (_START, _END):
            break
        if segment.code == _SCAN and segment.body:
            if frame is None:
                raise BrokenJpeg("its header has no picture size before the picture data")
            return frame, orientation_in(exif or b"") or 1, segment
        if segment.code in _START_OF_FRAME:
            if frame is not None:
                raise BrokenJpeg("its header gives the size of the picture twice")
            frame = _read_frame(segment)
        elif segment.code == _APP1 and exif is None and segment.body.startswith(EXIF):
            exif = segment.body[len(EXIF) :]  # the first one counts, as in other decoders
    raise BrokenJpeg("it ends before the picture data")


def _read_frame(segment: _Segment) -> _Frame:
    body = segment.body
    if len(body) < 6 or len(body) < 6 + 3 * body[5]:
        raise BrokenJpeg("its header is cut off")
    precision, height, width, components = struct.unpack_from(">BHHB", body)
    if not width or not height or not components:
        raise BrokenJpeg(
            f"its header gives {width} x {height} pixels in {components} colours. Save it again with any photo program"
        )
    if segment.code in _UNUSUAL:
        raise BrokenJpeg("it is a lossless or hierarchical JPEG, which few programs read. Save it as baseline JPEG")
    if precision != 8:
        raise BrokenJpeg(f"it has {precision} bits per colour. Only 8-bit JPEG can be read: convert it")
    samplings = [(max(body[at] >> 4, 1), max(body[at] & 15, 1)) for at in range(7, 6 + 3 * components, 3)]
    widest, tallest = (max(factors) for factors in zip(*samplings, strict=True))
    units = -(-width // (8 * widest)) * -(-height // (8 * tallest))
    blocks: dict[int, int] = {}
    for number, (across, down) in enumerate(samplings):
        if body[6 + 3 * number] in blocks:
            raise BrokenJpeg("its header describes a colour twice")
        blocks[body[6 + 3 * number]] = units * across * down
    usual = components == 1 or (samplings[0] in _USUAL_SAMPLINGS and set(samplings[1:3]) == {(1, 1)})
    return _Frame(segment.code, width, height, usual, blocks)


def _all_scans(data: bytes, first: _Segment) -> tuple[list[_Segment], int]:
    """The headers of all scans and the end of the image; what follows it (a second image, a video) is not read."""
    scans = [first]
    for segment in _segments(data, first.end):
        if segment.code in _START_OF_FRAME or segment.code == _START:
            raise BrokenJpeg("it has a second frame header between its scans")
        if segment.code == _END:
            return scans, segment.end
        if segment.code == _SCAN and segment.body:
            scans.append(segment)
    return scans, len(data)


def _visits(scan: bytes, blocks: dict[int, int]) -> tuple[int, bool]:
    """The number of blocks that a scan visits, and whether it refines existing coefficients."""
    named = scan[1 : 1 + 2 * scan[0] : 2]
    approximation = scan[3 + 2 * scan[0] : 4 + 2 * scan[0]]
    return sum(blocks.get(each, 0) for each in named), bool(approximation) and approximation[0] >> 4 > 0
