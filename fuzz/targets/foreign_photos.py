"""What is neither JPEG nor PNG: other formats, and photos damaged in transit, which the error describes."""

import base64

from fuzz.jpeg_parts import drawing, jpeg_seeds
from fuzz.png_parts import png_seeds
from fuzz.target import Target
from likeness.errors import ImageTooLarge, ImageTooSmall, InvalidImageFormat
from likeness.image import open_image
from likeness.image.other_formats import describe


def run(data: bytes) -> None:
    """Describes the bytes, then opens them; the description is one line."""
    assert describe(data).isprintable(), describe(data)
    open_image(data)


def seeds() -> list[bytes]:
    """Photos as text, in forms and responses, and the beginnings of other formats."""
    photos = [jpeg_seeds(drawing())[0][:1000], png_seeds(drawing())[0][:1000]]
    made = [
        b"GIF89a",
        b"RIFF0000WEBP",
        b"\0\0\0\x18ftypheic",
        b"<svg",
        b"%PDF-1.7",
        b"photo.jpg",
        b"data:image/png;base64,",
    ]
    for photo in photos:
        made += [base64.b64encode(photo), photo.hex().encode(), repr(photo).encode(), str(list(photo)).encode()]
        made += [photo.decode("latin-1").encode(), photo.decode("utf-8", "replace").encode(), b"\n" + photo]
        made += [b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + photo, b"HTTP/1.1 200 OK\r\n\r\n" + photo]
    return made


TARGET = Target(
    run,
    (InvalidImageFormat, ImageTooLarge, ImageTooSmall),
    seeds,
    tokens=(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"data:", b"\\x", b"0x", b"%ff%d8%ff", b"255,216,255", b"&#255;"),
    corpora=("gif", "webp", "tiff", "bmp"),
    max_bytes=8192,
)
