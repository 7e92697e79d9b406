"""The C code of the project that reads untrusted bytes, behind one function: `decode`.

Whoever opens a photo may pass another function of this form, such as one that decodes in another process.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from likeness.image import jpeg, jpeg_header, png
from likeness.image.jpeg_header import BrokenJpeg, JpegHeader
from likeness.image.png import BrokenPng, PngHeader

Header = JpegHeader | PngHeader

#: Takes a file's bytes, its header and by how much the sides are divided (1, 2, 4 or 8); see `decode`.
Decode = Callable[[bytes, Header, int], tuple[NDArray[np.uint8], str | None]]


class BrokenPhoto(ValueError):
    """Nothing can be decoded; the message is a clause that says why."""


class CostlyPhoto(ValueError):
    """Decoding took more time or memory than it may; the message is a clause that says so and what to do."""


def decode(
    data: bytes, header: Header, reduction: int, out: NDArray[np.uint8] | None = None
) -> tuple[NDArray[np.uint8], str | None]:
    """The picture as stored, RGB uint8 of `decoded_shape`, and what is damaged in the file, None where nothing is.

    Most JPEGs are decoded straight to `out`, an array of that shape, where one is given. Raises BrokenPhoto.
    """
    try:
        if isinstance(header, JpegHeader):
            return jpeg.decode(data, header, reduction, out)
        return png.decode(data, header, reduction), None
    except (BrokenJpeg, BrokenPng) as error:
        raise BrokenPhoto(str(error)) from error


def decoded_shape(header: Header, reduction: int) -> tuple[int, int, int]:
    """Height, width and channels of what `decode` returns."""
    return (-(-header.height // reduction), -(-header.width // reduction), 3)


def read_header(data: bytes) -> Header:
    """The header of a JPEG or PNG, recognised by its content. Raises BrokenPhoto."""
    try:
        return jpeg_header.read_header(data) if data.startswith(jpeg_header.SIGNATURE) else png.read_header(data)
    except ValueError as error:
        raise BrokenPhoto(str(error)) from error
