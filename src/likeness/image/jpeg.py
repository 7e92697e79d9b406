"""JPEG decoding at full, half, quarter or eighth scale."""

import io
import struct

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from likeness.image.jpeg_header import EXIF, BrokenJpeg, JpegHeader

#: Prefixes of libjpeg's warnings (jerror.h, JWRN_): the picture is decoded, but a part of it is wrong or missing.
_WARNINGS = ("Corrupt JPEG data", "Premature end of JPEG file", "Inconsistent progression", "Invalid SOS parameters")


def decode(
    data: bytes, header: JpegHeader, reduction: int, out: NDArray[np.uint8] | None = None
) -> tuple[NDArray[np.uint8], str | None]:
    """The picture as stored, RGB (height, width, 3), its sides divided by `reduction` (1, 2, 4 or 8) and rounded up.

    CMYK is read with inverted inks, as Adobe writes it and browsers read it. Returns the pixels, in most cases in `out`
    if that is given, an array of their shape, and the decoder's message if the file is damaged or truncated and only a
    part could be decoded. Raises BrokenJpeg, before decoding any pixel if the decoder reads another size from the file
    than `header` has.
    """
    size = (-(-header.height // reduction), -(-header.width // reduction))
    try:
        seen = simplejpeg.decode_jpeg_header(data)[:2]
    except ValueError as error:
        return _decode_slowly(data, header, size, str(error))
    except KeyError:  # simplejpeg has no name for 4:4:1, which TurboJPEG reads
        return _decode_slowly(data, header, size, "its subsampling has no name")
    _check_size(seen, header)
    pixels = np.empty((*size, 3), np.uint8) if out is None else out
    return pixels, _decode_fast(data, reduction, pixels)


def check_data(data: bytes, header: JpegHeader) -> None:
    """Raises BrokenJpeg for a file with so little data that the decoder would fill most of the picture with grey."""
    # Huffman coding takes at least one bit per block, so less than a sixteenth of the picture can be present.
    if not header.arithmetic and (len(data) - header.data_start) * 8 < header.blocks // 16:
        size = f"{header.width} x {header.height} pixels"
        raise BrokenJpeg(f"it ends after {len(data):,} bytes, far too few for {size}")


def _check_size(seen: tuple[int, int], header: JpegHeader) -> None:
    if tuple(seen) != (header.height, header.width):
        raise BrokenJpeg(
            f"its header contradicts itself: {header.width} x {header.height} and {seen[1]} x {seen[0]} pixels"
        )


def _decode_fast(data: bytes, reduction: int, pixels: NDArray[np.uint8]) -> str | None:
    height, width = pixels.shape[:2]
    try:
        simplejpeg.decode_jpeg(
            data, colorspace="RGB", min_height=height, min_width=width, min_factor=reduction, buffer=pixels
        )
    except ValueError as error:
        damage = str(error)
        if not damage.startswith(_WARNINGS):
            raise BrokenJpeg(f"it cannot be decoded ({damage})") from error
        return damage
    return None


def _decode_slowly(
    data: bytes, header: JpegHeader, size: tuple[int, int], reason: str
) -> tuple[NDArray[np.uint8], str | None]:
    """Decodes what TurboJPEG refuses for `reason`: subsamplings that it does not know, stray bytes in the header."""
    # Imported here, as few photos need it.
    from PIL import JpegImagePlugin

    # Without EXIF: Pillow would look for a resolution in it, and warn if it is broken.
    plain = data[: header.data_start].replace(EXIF, b"------") + data[header.data_start :]
    try:
        with JpegImagePlugin.JpegImageFile(io.BytesIO(plain)) as photo:
            _check_size((photo.height, photo.width), header)
            photo.draft("RGB", size[::-1])
            pixels = np.asarray(photo.convert("RGB"), np.uint8)
    except BrokenJpeg:
        raise
    except (OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, struct.error) as error:
        raise BrokenJpeg(f"it cannot be decoded ({reason})") from error
    if pixels.shape[:2] != size:
        pixels = np.asarray(cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    return pixels, None if "subsampling" in reason else reason
