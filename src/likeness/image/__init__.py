"""Bytes, files and arrays to upright RGB pixels: told apart by content, limited before anything is decoded.

`open_image` reads the header and nothing else; `Image.pixels` decodes. Colour profiles are ignored; so is the eXIf
chunk of PNG (the service analyses PNG as stored: specification section 5.7). Coordinates are always those of the
upright picture.
"""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Literal, cast

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from likeness.errors import ImageTooLarge, ImageTooSmall, InvalidImageFormat
from likeness.image import cost, foreign, inputs, jpeg, jpeg_header, png
from likeness.image.inputs import Photo
from likeness.image.jpeg_header import BrokenJpeg, JpegHeader, UnreasonableJpeg
from likeness.image.scaling import shrink

if TYPE_CHECKING:
    from PIL import Image as Pillow

__all__ = ["Image", "ImageLimits", "Photo", "Reduction", "open_image"]

#: By how much the sides can be divided while decoding.
Reduction = Literal[1, 2, 4, 8]
REDUCTIONS: tuple[Reduction, ...] = (8, 4, 2, 1)

#: PNGs up to this size are decoded once, in full, and shrunk from there; larger ones are never held in full for that.
_ONCE_PIXELS = 16_000_000

#: EXIF orientations that exchange width and height, and how each orientation is undone (EXIF 2.3, tag 274).
_SIDEWAYS = (5, 6, 7, 8)
_TURNS: dict[int, Callable[[MatLike], MatLike]] = {
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
    """What a photo may be (decisions 9 and 10): shortest side, most pixels, most bytes of the encoded file.

    `max_decoding_seconds` bounds the processor time of all its decodings, as `likeness.image.cost` estimates it.
    """

    min_side_px: int = 80
    max_pixels: int = 100_000_000
    max_bytes: int = 15 * 1024 * 1024
    max_decoding_seconds: float = 2.5


class Image:
    """One photo whose header is known and whose pixels are decoded when asked for.

    `width` and `height` are those of the upright picture in pixels; `format` is "JPEG", "PNG" or "pixels" (given as
    an array); `name` is how messages call it. Safe to share between threads.
    """

    def __init__(
        self,
        source: tuple[bytes, JpegHeader] | tuple[bytes, png.PngHeader] | NDArray[np.uint8],
        name: str,
    ) -> None:
        self.name = name
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
        """The EXIF orientation that `pixels` undoes, 1 to 8; 1 where there is none."""
        header = self._source[1] if isinstance(self._source, tuple) else None
        return header.orientation if isinstance(header, JpegHeader) else 1

    @property
    def decoding_seconds(self) -> float:
        """What its decodings cost in all, as far as the header and the scans tell: estimated seconds of processor time.

        0 for a photo that came as pixels.
        """
        if not isinstance(self._source, tuple):
            return 0.0
        header = self._source[1]
        if isinstance(header, JpegHeader):
            return cost.DECODINGS * cost.jpeg_seconds(header)
        return (1 if self._decoded_once(header) else cost.DECODINGS) * cost.png_seconds(header)

    @property
    def damaged(self) -> bool:
        """Whether only a part of the file could be decoded; known once `pixels` was called."""
        return self._damage is not None

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for people about what was odd with the file; complete once `pixels` was called."""
        if self._damage is None:
            return ()
        return (f"{self.name}: the file is damaged or cut off; what could be decoded was used ({self._damage}).",)

    def reduction_for(self, longer_side_px: float) -> Reduction:
        """The largest reduction that leaves the longer side at least `longer_side_px`; 1 where none does."""
        longer = max(self.width, self.height)
        return next((each for each in REDUCTIONS if longer / each >= longer_side_px), 1)

    def pixels(self, reduction: Reduction = 1) -> NDArray[np.uint8]:
        """The upright picture, RGB uint8 (height, width, 3), read-only, its sides divided by `reduction`, rounded up.

        The same array each time; full size and each reduction are decoded once. JPEGs are decoded straight to the
        reduced size, which costs less time and memory. Raises InvalidImageFormat where nothing can be decoded and
        ImageTooLarge where decoding would take more memory than allowed.
        """
        with self._lock:
            if reduction not in self._decoded:
                pixels = self._decode(reduction)
                pixels.setflags(write=False)
                self._decoded[reduction] = pixels
            return self._decoded[reduction]

    def full(self) -> NDArray[np.uint8]:
        """The upright picture at full size, RGB uint8 (height, width, 3), read-only."""
        return self.pixels(1)

    def _decode(self, reduction: Reduction) -> NDArray[np.uint8]:
        if not isinstance(self._source, tuple):
            return shrink(self._source, reduction)
        data, header = self._source
        try:
            if isinstance(header, JpegHeader):
                pixels, damage = jpeg.decode(data, header, reduction)
                self._damage = self._damage or damage
                return _upright(pixels, header.orientation)
            if reduction == 1 or not self._decoded_once(header):
                return png.decode(data, header, reduction)
            if 1 not in self._decoded:
                self._decoded[1] = png.decode(data, header, 1)
                self._decoded[1].setflags(write=False)
            return shrink(self._decoded[1], reduction)
        except (BrokenJpeg, png.BrokenPng) as error:
            raise InvalidImageFormat(f"{self.name}: {error}.") from error

    @staticmethod
    def _decoded_once(header: png.PngHeader) -> bool:
        return header.width * header.height <= _ONCE_PIXELS


def open_image(photo: Photo, *, name: str = "photo", limits: ImageLimits | None = None) -> Image:
    """The photo behind encoded bytes, a path, an open file, a picture of Pillow, or upright RGB pixels.

    Of a file nothing is decoded yet; arrays are uint8 of shape (height, width, 3). `name` is what messages call the
    photo ("source photo"). Raises InvalidImageFormat (neither JPEG nor PNG, or nothing decodable), ImageTooLarge
    (bytes, pixels, or the work to decode them), ImageTooSmall, and InvalidParameter for what is no photo, an array of
    another shape or a file that cannot be read.
    """
    limits = limits or ImageLimits()
    if isinstance(photo, np.ndarray):
        inputs.check_array(photo, name)
        _check_size(photo.shape[1], photo.shape[0], name, limits)
        # A view of a few bytes may be huge once it is contiguous.
        image = Image(np.ascontiguousarray(photo).view(), name)
    elif inputs.is_pillow(photo):
        picture = cast("Pillow.Image", photo)
        _check_size(picture.width, picture.height, name, limits)
        image = Image(inputs.pillow_pixels(picture, name), name)
    else:
        name = inputs.name_of(photo, name)
        image = _from_bytes(inputs.contents(photo, name, limits.max_bytes), name, limits)
    return image


def _from_bytes(data: bytes, name: str, limits: ImageLimits) -> Image:
    if len(data) > limits.max_bytes:
        raise ImageTooLarge(
            f"{name}: more than {limits.max_bytes:,} bytes. "
            "Save it smaller or with stronger compression, or raise the limit."
        )
    try:
        if data.startswith(jpeg_header.SIGNATURE):
            return _checked_jpeg(data, name, limits)
        if data.startswith(png.SIGNATURE):
            return _checked_png(data, name, limits)
    except (BrokenJpeg, png.BrokenPng) as error:
        raise InvalidImageFormat(f"{name}: {error}.") from error
    except (UnreasonableJpeg, png.UnreasonablePng) as error:
        raise ImageTooLarge(f"{name}: {error}.") from error
    raise InvalidImageFormat(f"{name}: {foreign.describe(data)}")


def _checked_jpeg(data: bytes, name: str, limits: ImageLimits) -> Image:
    header = jpeg_header.read_header(data)
    image = Image((data, header), name)
    _check_sides(image, limits)
    jpeg.check_data(data, header)
    cost.check_memory(header)
    _check_decoding(image, limits)
    return image


def _checked_png(data: bytes, name: str, limits: ImageLimits) -> Image:
    header = png.read_header(data)
    image = Image((data, header), name)
    _check_sides(image, limits)
    png.check_data(header)
    _check_decoding(image, limits)
    return image


def _check_decoding(image: Image, limits: ImageLimits) -> None:
    if image.decoding_seconds > limits.max_decoding_seconds:
        raise ImageTooLarge(
            f"{image.name}: {image.width} x {image.height} pixels, coded so that decoding takes about "
            f"{image.decoding_seconds:.1f} s of processor time; {limits.max_decoding_seconds:g} s are allowed. "
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
    """The picture as it is meant to be seen, from its EXIF orientation."""
    if orientation not in _TURNS:
        return pixels
    return np.asarray(_TURNS[orientation](pixels), np.uint8)
