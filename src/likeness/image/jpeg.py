"""JPEG: what its header says before anything is decoded, and decoding at full, half, quarter or eighth scale."""

import io
import re
import struct
from dataclasses import dataclass

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

SIGNATURE = b"\xff\xd8\xff"

_MARKER = re.compile(rb"\xff([^\x00\xff])")
_MARKER_BETWEEN_SCANS = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")
_EXIF = b"Exif\x00\x00"
_STANDALONE = {0x01, *range(0xD0, 0xD9)}
_START_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_ARITHMETIC = range(0xC9, 0xD0)
_END, _SCAN, _APP1 = 0xD9, 0xDA, 0xE1

#: Real files have a few dozen segments; the rest is an attempt to keep the reader busy.
_MAX_SEGMENTS = 4096
#: Scans that any encoder writes: 10 in practice. Each scan of a progressive file costs a pass over every block.
_MAX_SCANS = 100
#: Passes over 8x8 blocks that a file may ask for, some 5 ns each where the scans are empty, twice where it is damaged.
_MAX_BLOCK_PASSES = 100_000_000
#: Files with several scans are held in memory as coefficients of 16 bits. 300 MB are 100 megapixels at 4:2:0.
_MAX_COEFFICIENT_BYTES = 300_000_000


class BrokenJpeg(ValueError):
    """Nothing can be decoded; the message is a clause that says why."""


class UnreasonableJpeg(ValueError):
    """Decoding would take more memory or time than any photo needs; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """What stands before the picture data. Sizes as stored, before the EXIF orientation (1 to 8) is applied.

    `blocks` of 8x8 samples make the picture in all its components; its data starts at byte `data_start`.
    """

    width: int
    height: int
    orientation: int
    several_scans: bool
    blocks: int
    data_start: int
    arithmetic: bool


@dataclass
class _Segments:
    """The segments met so far."""

    frame: tuple[int, bytes] | None = None
    orientation: int | None = None


def read_header(data: bytes) -> JpegHeader:
    """The header of the JPEG `data`. Raises BrokenJpeg, or UnreasonableJpeg for an endless header."""
    seen, scan, position = _read_segments(data)
    if seen.frame is None:
        raise BrokenJpeg("its header has no picture size before the picture data")
    code, frame = seen.frame
    if len(frame) < 6 or len(frame) < 6 + 3 * frame[5]:
        raise BrokenJpeg("its header is cut off")
    precision, height, width, components = struct.unpack_from(">BHHB", frame)
    if not width or not height:
        raise BrokenJpeg(f"its header says {width} x {height} pixels")
    if precision != 8:
        raise BrokenJpeg(f"it has {precision} bits per colour. Only JPEG with 8 bits can be read: convert it")
    return JpegHeader(
        width=width,
        height=height,
        orientation=seen.orientation or 1,
        several_scans=code in _PROGRESSIVE or scan[0] < components,
        blocks=_count_blocks(frame, width, height, components),
        data_start=position,
        arithmetic=code in _ARITHMETIC,
    )


def _count_blocks(frame: bytes, width: int, height: int, components: int) -> int:
    samplings = [(max(frame[at] >> 4, 1), max(frame[at] & 15, 1)) for at in range(7, 6 + 3 * components, 3)]
    widest, tallest = (max(factors, default=1) for factors in zip(*samplings, strict=True)) if samplings else (1, 1)
    units = -(-width // (8 * widest)) * -(-height // (8 * tallest))
    return units * sum(across * down for across, down in samplings)


def _read_segments(data: bytes) -> tuple[_Segments, bytes, int]:
    """The segments before the first scan, the header of that scan, and where its data starts."""
    seen = _Segments()
    position = 2
    for _ in range(_MAX_SEGMENTS):
        found = _MARKER.search(data, position)
        if found is None or found[1][0] == _END:
            raise BrokenJpeg("it ends before the picture data")
        code, position = found[1][0], found.end()
        if code in _STANDALONE:
            continue
        length = int.from_bytes(data[position : position + 2], "big")
        if length < 2 or position + length > len(data):
            raise BrokenJpeg("it ends within its header")
        body = data[position + 2 : position + length]
        position += length
        if code == _SCAN and body:
            return seen, body, position
        if code in _START_OF_FRAME and seen.frame is None:
            seen.frame = (code, body)
        elif code == _APP1 and seen.orientation is None and body.startswith(_EXIF):
            seen.orientation = exif_orientation(body[len(_EXIF) :])
    raise UnreasonableJpeg(f"its header has more than {_MAX_SEGMENTS} segments. Save it again with any photo program")


def exif_orientation(tiff: bytes) -> int | None:
    """The orientation (1 to 8) in the first directory of EXIF data (TIFF 6.0, tag 274); None where there is none."""
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


def check_cost(data: bytes, header: JpegHeader) -> None:
    """Refuses what holds too little data for its size, and what needs too many passes or too much memory.

    After it, decoding is bounded in time and memory. Raises BrokenJpeg or UnreasonableJpeg.
    """
    size = f"{header.width} x {header.height} pixels"
    # Huffman coding spends at least one bit a block: here not even a sixteenth of the picture can be there.
    if not header.arithmetic and (len(data) - header.data_start) * 8 < header.blocks // 16:
        raise BrokenJpeg(f"it ends after {len(data):,} bytes, far too few for {size}")
    if not header.several_scans:
        return
    coefficients = header.blocks * 64 * 2
    if coefficients > _MAX_COEFFICIENT_BYTES:
        raise UnreasonableJpeg(
            f"it is a progressive JPEG of {size}, which takes {coefficients // 1_000_000} MB to decode. "
            "Save it as baseline JPEG or scale it down"
        )
    scans = 1 + data.count(b"\xff\xda", header.data_start)
    if scans > _MAX_SCANS:
        scans = _count_scans(data, header.data_start)
    if scans > _MAX_SCANS or scans * header.blocks > _MAX_BLOCK_PASSES:
        raise UnreasonableJpeg(f"it has {scans} scans or more for {size}. Save it as baseline JPEG")


def _count_scans(data: bytes, position: int) -> int:
    """The scans up to the end of the image; what follows it (a second image, a film) is not counted."""
    scans = 1
    for _ in range(_MAX_SEGMENTS):
        found = _MARKER_BETWEEN_SCANS.search(data, position)
        if found is None or found[1][0] == _END or scans > _MAX_SCANS:
            return scans
        scans += found[1][0] == _SCAN
        position = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
    return _MAX_SCANS + 1


def decode(data: bytes, header: JpegHeader, reduction: int) -> tuple[NDArray[np.uint8], str | None]:
    """The picture as stored, RGB (height, width, 3), its sides divided by `reduction` (1, 2, 4 or 8) and rounded up.

    CMYK is read as Adobe writes it, inks inverted, as browsers do. Returns the pixels and, where the file is damaged
    or cut off and only a part could be decoded, what the decoder says of it. Raises BrokenJpeg.
    """
    size = (-(-header.height // reduction), -(-header.width // reduction))
    try:
        pixels, damage = _decode_fast(data, reduction, size)
    except ValueError as error:
        unusual = "subsampling" in str(error)
        # Without its EXIF, which is read already: Pillow would look for a resolution in it, and warn of what is broken.
        plain = data[: header.data_start].replace(_EXIF, b"------") + data[header.data_start :]
        pixels, damage = _decode_slowly(plain, size, error), None if unusual else str(error)
    if pixels.shape != (*size, 3):
        raise BrokenJpeg("its header contradicts its picture data")
    return pixels, damage


def _decode_fast(data: bytes, reduction: int, size: tuple[int, int]) -> tuple[NDArray[np.uint8], str | None]:
    options = {"colorspace": "RGB", "min_height": size[0], "min_width": size[1], "min_factor": reduction}
    try:
        return simplejpeg.decode_jpeg(data, **options, strict=True), None
    except ValueError as error:
        return simplejpeg.decode_jpeg(data, **options, strict=False), str(error)


def _decode_slowly(data: bytes, size: tuple[int, int], reason: ValueError) -> NDArray[np.uint8]:
    """What TurboJPEG refuses for `reason`: chroma subsamplings that it has no name for, stray bytes in the header."""
    # Imported here, as few photos need it.
    from PIL import JpegImagePlugin

    try:
        with JpegImagePlugin.JpegImageFile(io.BytesIO(data)) as photo:
            photo.draft("RGB", size[::-1])
            pixels = np.asarray(photo.convert("RGB"), np.uint8)
    except (OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, struct.error) as error:
        raise BrokenJpeg(f"it cannot be decoded ({reason})") from error
    if pixels.shape[:2] != size:
        pixels = np.asarray(cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    return pixels
