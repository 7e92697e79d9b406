"""Photos as bytes, files, Pillow images or arrays, to upright RGB pixels.

The format is detected from the content, and limits are checked before decoding: `open_image` reads only the header,
`Image.pixels` decodes. Colour profiles are ignored; so is the eXIf chunk of PNG (the service analyses PNG as stored:
specification section 5.7). Coordinates always refer to the upright picture.
"""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Literal, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from likeness.errors import ImageTooLarge, ImageTooSmall, InvalidImageFormat
from likeness.image import cost, inputs, jpeg, jpeg_header, other_formats, png
from likeness.image.decoding import BrokenPhoto, CostlyPhoto, Decode, decode
from likeness.image.inputs import Photo
from likeness.image.jpeg_header import BrokenJpeg, JpegHeader, UnreasonableJpeg
from likeness.image.scaling import shrink

if TYPE_CHECKING:
    # While another thread imports cv2, that name is a module without submodules for a moment.
    from cv2.typing import MatLike
    from PIL import Image as Pillow

__all__ = ["Image", "ImageLimits", "Photo", "Reduction", "open_image"]

#: Factors by which decoding can divide the sides.
Reduction = Literal[1, 2, 4, 8]
REDUCTIONS: tuple[Reduction, ...] = (8, 4, 2, 1)

#: PNGs up to this size are decoded once, in full, then shrunk; larger ones are decoded strip by strip each time.
_ONCE_PIXELS = 16_000_000

#: EXIF orientations that swap width and height, and the operation that undoes each orientation (EXIF 2.3, tag 274).
_SIDEWAYS = (5, 6, 7, 8)
_TURNS: "dict[int, Callable[[MatLike], MatLike]]" = {
    2: lambda pixels: cv2.flip(pixels, 1),
    3: lambda pixels: cv2.rotate(pixels, cv2.ROTATE_180),
    4: lambda pixels: cv2.flip(pixels, 0),
    5: lambda pixels: cv2.transpose(pixels),
    6: lambda pixels: cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE),
    7: lambda pixels: cv2.rotate(cv2.transpose(pixels), cv2.ROTATE_180),
    8: lambda pixels: cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE),
}


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Limits of a photo (decisions 9 and 10): shortest side, number of pixels, bytes of the encoded file.

    `max_decoding_seconds` bounds the processor time of all its decodings, as estimated by `likeness.image.cost`.
    """

    min_side_px: int = 80
    max_pixels: int = 100_000_000
    max_bytes: int = 15 * 1024 * 1024
    max_decoding_seconds: float = 2.5


class Image:
    """One photo whose header has been read and whose pixels are decoded on demand. Thread-safe.

    `width` and `height` are those of the upright picture in pixels; `format` is "JPEG", "PNG" or "pixels" (an array or
    a Pillow image); `name` is the photo's name in messages; `decode` turns the file into pixels.
    """

    def __init__(
        self,
        source: tuple[bytes, JpegHeader] | tuple[bytes, png.PngHeader] | NDArray[np.uint8],
        name: str,
        decode: Decode = decode,
    ) -> None:
        self.name = name
        self._decode_file = decode
        self._source = source
        self._decoded: dict[int, NDArray[np.uint8]] = {}
        self._damage: str | None = None
        self._lock = Lock()
        self.format: Literal["JPEG", "PNG", "pixels"]
        if not isinstance(source, tuple):
            self.format = "pixels"
            self.height, self.width = source.shape[:2]
            return
        header = source[1]
        self.width, self.height = header.width, header.height
        self.format = "PNG"
        if isinstance(header, JpegHeader):
            self.format = "JPEG"
            if header.orientation in _SIDEWAYS:
                self.width, self.height = header.height, header.width

    @property
    def orientation(self) -> int:
        """The EXIF orientation that `pixels` undoes, 1 to 8; 1 if there is none."""
        header = self._source[1] if isinstance(self._source, tuple) else None
        return header.orientation if isinstance(header, JpegHeader) else 1

    @property
    def decoding_seconds(self) -> float:
        """Seconds of processor time for all decodings, estimated from header and scans; 0 for pixels."""
        if not isinstance(self._source, tuple):
            return 0.0
        header = self._source[1]
        if isinstance(header, JpegHeader):
            return cost.DECODINGS * cost.jpeg_seconds(header)
        return (1 if self._decoded_once(header) else cost.DECODINGS) * cost.png_seconds(header)

    @property
    def damaged(self) -> bool:
        """Whether only a part of the file could be decoded; known after a call of `pixels`."""
        return self._damage is not None

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for people about defects of the file; complete after a call of `pixels`."""
        if self._damage is None:
            return ()
        return (f"{self.name}: the file is damaged or cut off; the part that can be decoded is used ({self._damage}).",)

    def reduction_for(self, longer_side_px: float) -> Reduction:
        """The largest reduction that leaves the longer side at least `longer_side_px`; 1 if none does."""
        longer = max(self.width, self.height)
        return next((each for each in REDUCTIONS if longer / each >= longer_side_px), 1)

    def pixels(self, reduction: Reduction = 1) -> NDArray[np.uint8]:
        """The upright picture, RGB uint8 (height, width, 3), read-only, its sides divided by `reduction`, rounded up.

        Returns the same array each time, until `release`; each size is decoded once. JPEGs are decoded directly at the
        reduced size, which saves time and memory. Raises InvalidImageFormat if nothing can be decoded.
        """
        with self._lock:
            if reduction not in self._decoded:
                pixels = self._decode(reduction)
                pixels.setflags(write=False)
                self._decoded[reduction] = pixels
            return self._decoded[reduction]

    def release(self) -> None:
        """Frees what `pixels` has decoded; a later call decodes it again."""
        with self._lock:
            self._decoded.clear()

    def _decode(self, reduction: Reduction) -> NDArray[np.uint8]:
        if not isinstance(self._source, tuple):
            return shrink(self._source, reduction)
        data, header = self._source
        try:
            if isinstance(header, JpegHeader):
                pixels, damage = self._decode_file(data, header, reduction)
                self._damage = self._damage or damage
                return _upright(pixels, header.orientation)
            if reduction == 1 or not self._decoded_once(header):
                return self._decode_file(data, header, reduction)[0]
            if 1 not in self._decoded:
                self._decoded[1], _ = self._decode_file(data, header, 1)
                self._decoded[1].setflags(write=False)
            return shrink(self._decoded[1], reduction)
        except BrokenPhoto as error:
            raise InvalidImageFormat(f"{self.name}: {error}.") from error
        except CostlyPhoto as error:
            raise ImageTooLarge(f"{self.name}: {error}.") from error

    @staticmethod
    def _decoded_once(header: png.PngHeader) -> bool:
        return header.width * header.height <= _ONCE_PIXELS


def open_image(
    photo: Photo, *, name: str = "photo", limits: ImageLimits | None = None, decode: Decode = decode
) -> Image:
    """Opens encoded bytes, a path, an open file, a Pillow image, or upright RGB pixels; files are not decoded yet.

    Arrays are uint8 of shape (height, width, 3). `name` is the photo's name in messages ("source photo"); `decode`
    turns files into pixels. Raises InvalidImageFormat (neither JPEG nor PNG, or broken), ImageTooLarge (bytes, pixels,
    or the work to decode them), ImageTooSmall, and InvalidParameter for other objects, arrays of another shape and
    unreadable files.
    """
    limits = limits or ImageLimits()
    if isinstance(photo, np.ndarray):
        inputs.check_array(photo, name)
        _check_size(photo.shape[1], photo.shape[0], name, limits)
        # Checked before: a strided view of a few bytes may become huge when made contiguous.
        image = Image(np.ascontiguousarray(photo).view(), name)
    elif inputs.is_pillow(photo):
        picture = cast("Pillow.Image", photo)
        _check_size(picture.width, picture.height, name, limits)
        pixels = inputs.pillow_pixels(picture, name)
        image = Image(_upright(pixels, inputs.pillow_orientation(picture)), name)
    else:
        name = inputs.name_of(photo, name)
        image = _from_bytes(inputs.contents(photo, name, limits.max_bytes), name, limits, decode)
    return image


def _from_bytes(data: bytes, name: str, limits: ImageLimits, decode: Decode) -> Image:
    if len(data) > limits.max_bytes:
        raise ImageTooLarge(
            f"{name}: more than {limits.max_bytes:,} bytes. "
            "Save it smaller or with stronger compression, or raise the limit."
        )
    try:
        if data.startswith(jpeg_header.SIGNATURE):
            return _checked_jpeg(data, name, limits, decode)
        if data.startswith(png.SIGNATURE):
            return _checked_png(data, name, limits, decode)
    except (BrokenJpeg, png.BrokenPng) as error:
        raise InvalidImageFormat(f"{name}: {error}.") from error
    except (UnreasonableJpeg, png.UnreasonablePng) as error:
        raise ImageTooLarge(f"{name}: {error}.") from error
    raise InvalidImageFormat(f"{name}: {other_formats.describe(data)}")


def _checked_jpeg(data: bytes, name: str, limits: ImageLimits, decode: Decode) -> Image:
    header = jpeg_header.read_header(data)
    image = Image((data, header), name, decode)
    _check_sides(image, limits)
    jpeg.check_data(data, header)
    cost.check_memory(header)
    _check_decoding(image, limits)
    return image


def _checked_png(data: bytes, name: str, limits: ImageLimits, decode: Decode) -> Image:
    header = png.read_header(data)
    image = Image((data, header), name, decode)
    _check_sides(image, limits)
    png.check_data(header)
    _check_decoding(image, limits)
    return image


def _check_decoding(image: Image, limits: ImageLimits) -> None:
    if image.decoding_seconds > limits.max_decoding_seconds:
        raise ImageTooLarge(
            f"{image.name}: decoding its {image.width} x {image.height} pixels would take about "
            f"{image.decoding_seconds:.1f} s of processor time; the limit is {limits.max_decoding_seconds:g} s. "
            "Save it as a baseline JPEG or scale it down, or raise the limit."
        )


def _check_sides(image: Image, limits: ImageLimits) -> None:
    _check_size(image.width, image.height, image.name, limits)


def _check_size(width: int, height: int, name: str, limits: ImageLimits) -> None:
    size = f"{width} x {height} pixels"
    if width * height > limits.max_pixels:
        raise ImageTooLarge(
            f"{name}: {size}, more than the {limits.max_pixels / 1e6:g} megapixels allowed. "
            "Scale it down, or raise the limit."
        )
    if min(width, height) < limits.min_side_px:
        raise ImageTooSmall(
            f"{name}: {size}; each side needs at least {limits.min_side_px}. Use a larger version of the photo."
        )


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """The picture with its EXIF orientation undone."""
    if orientation not in _TURNS:
        return pixels
    return np.asarray(_TURNS[orientation](pixels), np.uint8)
