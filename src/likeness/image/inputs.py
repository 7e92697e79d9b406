"""What callers pass as a photo (bytes, paths, open files, Pillow images, arrays), to encoded bytes or pixels."""

import os
import struct
import sys
import zlib
from os import PathLike
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from likeness.errors import InvalidImageFormat, InvalidParameter
from likeness.image import transit_damage
from likeness.system.bounded_file import meant_file, read_at_most

if TYPE_CHECKING:
    from PIL import Image as Pillow


class BinaryFile(Protocol):
    """An open file, or any object with its `read`."""

    def read(self, size: int = -1, /) -> bytes | None: ...


class PillowImage(Protocol):
    """A Pillow image, without importing Pillow for its type."""

    @property
    def mode(self) -> str: ...

    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...


#: What can be compared: encoded bytes, a path, a file opened in binary mode, a Pillow image, or upright RGB pixels
#: (height, width, 3) of uint8.
Photo = bytes | bytearray | memoryview | str | PathLike[str] | BinaryFile | PillowImage | NDArray[np.uint8]

_ACCEPTED = (
    "Pass a path, the bytes of a JPEG or PNG file, a file opened in binary mode, a Pillow image, "
    "or RGB pixels as an array of uint8 and shape (height, width, 3)"
)
_ORIENTATION = 274
#: The number of characters of a path that messages show.
_LONGEST_SHOWN = 200
_MODES_OF_COLOUR = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")
_MODES_OF_16_BITS = ("I;16", "I;16L", "I;16B", "I;16N")


def name_of(photo: object, name: str) -> str:
    """`name`, with the path if the photo has one, unless a photo is given as text in place of a path."""
    try:
        path = getattr(photo, "name", None) if hasattr(photo, "read") else photo
        if not isinstance(path, (str, PathLike)) or not path:
            return name
        text = str(os.fspath(path))
    except Exception:  # noqa: BLE001 - a caller's class may raise anything; reading it reports the error
        return name
    if "\0" in text or _text_hint(text):
        return name
    shown = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text[:_LONGEST_SHOWN])
    return f"{name} ({shown}{'...' if len(text) > _LONGEST_SHOWN else ''})"


def contents(photo: object, name: str, max_bytes: int) -> bytes:
    """The encoded bytes of a photo that is not pixels, at most `max_bytes` + 1 of them.

    Raises InvalidParameter for an object that is not a photo or cannot be read.
    """
    if isinstance(photo, bytes):
        return photo
    if not isinstance(photo, (str, PathLike)):
        return _of_object(photo, name, max_bytes)
    return _of_path(photo, name, max_bytes)


def _of_object(photo: object, name: str, max_bytes: int) -> bytes:
    """The contents of a buffer or of an open file."""
    try:
        view = memoryview(cast(Any, photo))
        return bytes(view.cast("B")[: max_bytes + 1] if view.c_contiguous else view)
    except (TypeError, ValueError, BufferError) as error:
        if _can_be_read(photo):
            return _of_file(cast(BinaryFile, photo), name, max_bytes)
        kind = "None" if photo is None else f"an object of type {type(photo).__name__}"
        raise InvalidParameter(f"{name}: {kind} is not a photo. {_ACCEPTED}.") from error


def _can_be_read(photo: object) -> bool:
    try:
        return hasattr(photo, "read")
    except Exception:  # noqa: BLE001 - a caller's class
        return False


def _of_path(path: str | PathLike[str], name: str, max_bytes: int) -> bytes:
    try:
        return read_at_most(path, max_bytes)
    except OSError as error:
        raise InvalidParameter(
            f"{name}: the file cannot be read ({error.strerror or error}).{_path_hint(path)}"
        ) from error
    except Exception as error:  # a path with a NUL, or a caller's class whose __fspath__ fails
        reason = str(error) if isinstance(error, (ValueError, TypeError)) else f"{type(error).__name__}: {error}"
        raise InvalidParameter(f"{name}: {reason}, so it is not a path. {_ACCEPTED}.") from error


def _path_hint(path: str | PathLike[str]) -> str:
    """A hint on what a path that names no file may be instead; empty if there is none."""
    text = str(path)
    if hint := _text_hint(text):
        return hint
    if plain := meant_file(text):
        return f" There is {plain}: pass that."
    scheme, separator, rest = text.partition("://")
    if separator and scheme.lower() in ("file", "fileb"):
        return f" It is a URL, not a path: pass the part after {scheme}://, {rest}"
    if separator and scheme.isalnum():
        return f" It is a URL ({scheme}://), not a path: download it and pass the bytes."
    return ""


def _text_hint(text: str) -> str:
    """What a text is that holds a photo and does not name one."""
    start = text[:1024].strip().encode("utf-8", "replace")
    if transit_damage.is_quoted_base64(start) or start[:5].lower() == b"data:":
        return (
            " It looks like base64: pass base64.b64decode(...) of it, without a prefix such as data:image/jpeg;base64,"
        )
    damage = transit_damage.describe_damage(start)
    return f" {damage[0].upper()}{damage[1:]}" if damage else ""


def _of_file(file: BinaryFile, name: str, max_bytes: int) -> bytes:
    try:
        content = _read(file, max_bytes + 1)
    except UnicodeError as error:
        raise InvalidParameter(f"{name}: the file cannot be read ({error}). Open it in binary mode, 'rb'.") from error
    except Exception as error:  # an archive or a download behind the file may raise anything
        reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        raise InvalidParameter(
            f"{name}: the file cannot be read ({reason}). Open it again, or pass its bytes."
        ) from error
    if not content and _position(file) > 0:
        raise InvalidParameter(f"{name}: the file is at its end, so there is nothing to read. Call seek(0) first.")
    return content


def _position(file: BinaryFile) -> int:
    try:
        return int(cast(Any, file).tell())
    except Exception:  # noqa: BLE001 - a pipe, or a caller's class
        return 0


def _read(file: BinaryFile, most: int) -> bytes:
    """Up to `most` bytes; a single `read` may return fewer than are available."""
    pieces: list[bytes] = []
    while most > 0:
        piece: object = file.read(most)
        if isinstance(piece, str):
            raise UnicodeError("it returns text, not bytes")
        if not isinstance(piece, (bytes, bytearray)):
            raise TypeError(f"reading it returns {type(piece).__name__}, not bytes")
        if not piece:
            break
        pieces.append(bytes(piece))
        most -= len(piece)
    return b"".join(pieces)


def is_pillow(photo: object) -> bool:
    """Whether `photo` is a Pillow image; does not import Pillow."""
    # While another thread imports Pillow the class may be missing; then no Pillow image can exist yet.
    picture = getattr(sys.modules.get("PIL.Image"), "Image", None)
    return picture is not None and isinstance(photo, picture)


def pillow_pixels(picture: "Pillow.Image", name: str) -> NDArray[np.uint8]:
    """The picture as stored, RGB (height, width, 3); transparent parts are composited over white.

    Raises InvalidParameter for a mode that is not supported, InvalidImageFormat if it cannot be decoded.
    """
    from likeness.image.pillow_pixels import rgb

    if picture.mode not in _MODES_OF_COLOUR + _MODES_OF_16_BITS:
        remedy = "Scale its values to 0 to 255, then convert it: image.convert('RGB')"
        raise InvalidParameter(f"{name}: a Pillow image of mode {picture.mode}. {remedy}.")
    try:
        known = picture.convert("LA") if picture.mode == "La" else picture
        return rgb(known, known.has_transparency_data, 1)
    except (OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError, struct.error, zlib.error) as error:
        raise InvalidImageFormat(
            f"{name}: the Pillow image cannot be decoded ({str(error) or type(error).__name__})."
        ) from error


def pillow_orientation(picture: "Pillow.Image") -> int:
    """The EXIF orientation of a picture that is loaded; 1 where it has none, or one that cannot be read."""
    try:
        return int(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - whatever Pillow raises for broken EXIF, XMP or PNG text
        return 1


def check_array(pixels: NDArray[np.uint8], name: str) -> None:
    """Raises InvalidParameter unless the array is RGB pixels: uint8, (height, width, 3), not empty."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        of_file = " Of the bytes of a file, pass array.tobytes()." if pixels.ndim == 1 else ""
        raise InvalidParameter(
            f"{name}: an array of shape {pixels.shape} and type {pixels.dtype}. "
            f"Pass RGB pixels of type uint8 and shape (height, width, 3).{of_file}"
        )
