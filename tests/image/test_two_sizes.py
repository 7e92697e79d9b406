"""Files with contradictory sizes: the decoded size is the checked one, or the file is refused."""

import io
import struct
import zlib
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from encoded import PNG_SIGNATURE, chunk, exif, many_scans, picture, png, segment, with_segment
from PIL import Image as Pillow
from PIL import JpegImagePlugin, PngImagePlugin

from likeness.errors import ImageTooLarge, InvalidImageFormat
from likeness.image import jpeg, jpeg_header, open_image
from likeness.image import png as png_module

PICTURE = picture()
IHDR = chunk(b"IHDR", struct.pack(">IIBBBBB", 160, 120, 8, 2, 0, 0, 0))
LARGER = chunk(b"IHDR", struct.pack(">IIBBBBB", 4000, 4000, 8, 2, 0, 0, 0))
PALETTE = chunk(b"PLTE", bytes(range(48)))
ROWS = zlib.compress(b"".join(b"\x00" + row.tobytes() for row in PICTURE))
FIRST, SECOND = chunk(b"IDAT", ROWS[:100]), chunk(b"IDAT", ROWS[100:])
END = chunk(b"IEND", b"")
TEXT = chunk(b"tEXt", b"a\x00b")


def written(**options: object) -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(PICTURE).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def frame(code: int = 0xC0, width: int = 4000, height: int = 4000) -> bytes:
    planes = b"".join(bytes([number, 0x11, 0]) for number in (1, 2, 3))
    return segment(code, struct.pack(">BHHB", 8, height, width, 3) + planes)


@pytest.mark.parametrize(
    "chunks",
    [
        (IHDR, LARGER, FIRST, SECOND, END),
        (IHDR, FIRST, SECOND, LARGER, END),
        (IHDR, IHDR, FIRST, SECOND, END),
        (IHDR, PALETTE, PALETTE, FIRST, SECOND, END),
        (IHDR, FIRST, SECOND, PALETTE, END),
        (IHDR, FIRST, PALETTE, SECOND, END),
        (IHDR, FIRST, TEXT, SECOND, END),
        (IHDR, END),
    ],
)
def test_critical_chunks_of_a_png_out_of_order_or_twice(chunks: tuple[bytes, ...]) -> None:
    with pytest.raises(InvalidImageFormat, match=r"its chunk (IHDR|PLTE|IDAT|IEND) is out of order or duplicate"):
        open_image(PNG_SIGNATURE + b"".join(chunks))


def test_a_png_in_thousands_of_chunks() -> None:
    empty = chunk(b"IDAT", b"")
    streamed = PNG_SIGNATURE + IHDR + empty * 2000 + FIRST + SECOND + END
    assert open_image(streamed).width == 160
    for name in (b"IDAT", b"tEXt"):
        with pytest.raises(ImageTooLarge, match="more than 8,192 chunks"):
            open_image(PNG_SIGNATURE + IHDR + chunk(name, b"") * 8192 + FIRST + SECOND + END)


def test_unknown_critical_chunks_of_a_png() -> None:
    with pytest.raises(InvalidImageFormat, match="it has a chunk ABCD that PNG does not have"):
        open_image(PNG_SIGNATURE + IHDR + chunk(b"ABCD", b"") + FIRST + SECOND + END)


@pytest.mark.parametrize("kind", [b"\x1b[2J", b"A\r\nB", b"A\x00BC", b"\xc3\x84AB"])
def test_control_characters_in_the_name_of_a_chunk_are_not_printed(kind: bytes) -> None:
    with pytest.raises(InvalidImageFormat, match=r"it has a chunk [0-9a-f ]{11} that PNG"):
        open_image(PNG_SIGNATURE + IHDR + chunk(kind, b"") + FIRST + SECOND + END)


def test_a_png_without_the_palette_that_it_requires() -> None:
    with pytest.raises(InvalidImageFormat, match="it lacks the palette"):
        open_image(png(160, 120, 8, 3, bytes(120 * 161)))


def test_a_png_that_begins_with_another_chunk() -> None:
    with pytest.raises(InvalidImageFormat, match="it ends within its header, or has none"):
        open_image(PNG_SIGNATURE + TEXT + IHDR + FIRST + SECOND + END)


def test_a_png_of_xcode_is_named() -> None:
    apple = chunk(b"CgBI", b"\x50\x00\x20\x02")
    with pytest.raises(InvalidImageFormat, match=r"Apple's Xcode .*CgBI"):
        open_image(PNG_SIGNATURE + apple + IHDR + FIRST + SECOND + END)


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"acTL", struct.pack(">II", 2, 0))
        + chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 4000, 4000, 0, 0, 1, 1, 0, 0)),
        chunk(b"eXIf", exif(6)[6:]),
        chunk(b"eXIf", exif(6)[6:]) * 2,
        chunk(b"pHYs", struct.pack(">IIB", 1, 9, 1)),
        chunk(b"oFFs", struct.pack(">iiB", 4000, 4000, 0)),
    ],
)
def test_other_sizes_in_a_png_are_ignored(extra: bytes) -> None:
    image = open_image(PNG_SIGNATURE + IHDR + extra + FIRST + SECOND + extra + END + LARGER)
    np.testing.assert_array_equal(image.pixels(), PICTURE)


def test_transparency_counts_once_and_before_the_picture() -> None:
    first, later = chunk(b"tRNS", bytes(16)), chunk(b"tRNS", b"\xff" * 16)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 160, 120, 8, 3, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(bytes(120 * 161)))
    black = chunk(b"PLTE", bytes(48))
    assert (open_image(PNG_SIGNATURE + header + black + first + later + rows + END).pixels() == 255).all()
    assert (open_image(PNG_SIGNATURE + header + black + rows + first + END).pixels() == 0).all()


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
@pytest.mark.parametrize("code", [0xC0, 0xC1, 0xC2, 0xC9, 0xC3])
def test_a_jpeg_with_two_frames(options: dict[str, object], code: int) -> None:
    whole = written(**options)
    scan = whole.index(b"\xff\xda")
    for data in (
        with_segment(whole, code, frame(code)[4:]),
        whole[:scan] + frame(code) + whole[scan:],
        whole[:scan] + frame(code, 160, 120) + whole[scan:],
    ):
        with pytest.raises(InvalidImageFormat, match=r"the size of the picture twice|lossless"):
            open_image(data)


def test_a_progressive_jpeg_with_a_frame_between_its_scans() -> None:
    whole = many_scans(160, 120, 3, 100)
    last = whole.rindex(b"\xff\xda")
    for between in (
        frame(0xC2),
        b"\xff\xd8",
        b"\xff\x01" + frame(0xC2),
        segment(0xFE, b"")[:2] + b"\0\0" + frame(0xC2),
    ):
        with pytest.raises(InvalidImageFormat, match="a second frame header between its scans"):
            open_image(whole[:last] + between + whole[last:])


def test_a_hierarchical_jpeg_is_named() -> None:
    whole = written()
    with pytest.raises(InvalidImageFormat, match="it is a lossless or hierarchical JPEG"):
        open_image(whole[:2] + frame(0xDE) + whole[2:])


def test_a_jpeg_that_describes_a_colour_twice() -> None:
    whole = bytearray(written())
    start = whole.index(b"\xff\xc0")
    whole[start + 13] = whole[start + 10]
    with pytest.raises(InvalidImageFormat, match="describes a colour twice"):
        open_image(bytes(whole))


def test_other_sizes_in_a_jpeg_are_ignored() -> None:
    """A thumbnail, EXIF's own dimensions, a second EXIF, a frame within a comment, a second photo after the first."""
    whole = written()
    thumbnail = b"Exif\x00\x00" + exif(1)[6:] + written()
    second = exif(6)
    for data in (
        with_segment(whole, 0xE1, thumbnail),
        with_segment(with_segment(whole, 0xE1, second), 0xE1, exif(1)),
        with_segment(whole, 0xFE, frame()),
        with_segment(whole, 0xE2, b"MPF\x00" + frame()),
        with_segment(whole, 0xE0, b"JFXX\x00\x10" + written()),
        with_segment(whole, 0xE1, b"http://ns.adobe.com/xap/1.0/\x00<tiff:Orientation>6</tiff:Orientation>"),
        whole + many_scans(4000, 4000, 9, 1000),
    ):
        image = open_image(data)
        assert (image.width, image.height, image.orientation) == (160, 120, 1)
        assert image.pixels().shape == (120, 160, 3)


def test_the_size_of_the_decoder_must_be_the_one_that_was_checked() -> None:
    """If the decoder reads another size than our parser, no pixel is decoded."""
    data = written()
    wrong = jpeg_header.read_header(with_segment(data, 0xFE, b""))
    wrong = replace(wrong, width=100)
    with patch.object(jpeg.simplejpeg, "decode_jpeg") as decoded:
        with pytest.raises(jpeg_header.BrokenJpeg, match="contradicts itself: 100 x 120 and 160 x 120 pixels"):
            jpeg.decode(data, wrong, 1)
        unusual = bytearray(data)  # a subsampling that TurboJPEG does not know, so that Pillow decodes it
        unusual[data.index(b"\xff\xc0") + 11] = 0x31
        with (
            patch.object(JpegImagePlugin.JpegImageFile, "load") as loaded,
            pytest.raises(jpeg_header.BrokenJpeg, match="contradicts itself"),
        ):
            jpeg.decode(bytes(unusual), wrong, 1)
    assert not decoded.called
    assert not loaded.called

    whole = PNG_SIGNATURE + IHDR + FIRST + SECOND + END
    header = png_module.read_header(whole)
    with (
        patch.object(PngImagePlugin.PngImageFile, "load") as loaded,
        pytest.raises(png_module.BrokenPng, match="contradicts itself: 160 x 120"),
    ):
        png_module.decode(whole, replace(header, width=100), 1)
    assert not loaded.called
