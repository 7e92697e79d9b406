"""The cost of decoding is estimated, and refused if too high, before any pixel is decoded."""

import struct
import time
from dataclasses import replace
from unittest.mock import patch

import pytest
from encoded import PNG_SIGNATURE, chunk, many_scans, png, segment

from likeness.errors import ImageTooLarge
from likeness.image import ImageLimits, cost, jpeg, jpeg_header, open_image
from likeness.image import png as png_module


def arithmetic(width: int, height: int, *, progressive: bool = False, scans: int = 1) -> bytes:
    """A JPEG of three colours whose decoder continues over the whole picture after 200 bytes of data."""
    planes = b"".join(bytes([number, 0x11, 0]) for number in (1, 2, 3))
    frame = segment(0xCA if progressive else 0xC9, struct.pack(">BHHB", 8, height, width, 3) + planes)
    first = segment(0xDA, bytes([3, 1, 0, 2, 0, 3, 0, 0, 0 if progressive else 63, 0])) + bytes(range(200))
    refining = segment(0xDA, bytes([1, 1, 0, 1, 63, 0x10])) + bytes(10)
    quantisation = segment(0xDB, b"\x00" + bytes([1] * 64))
    return b"\xff\xd8" + quantisation + frame + first + refining * (scans - 1) + b"\xff\xd9"


def png_of(width: int, height: int, depth: int, colour: int, *, compressed: int, interlaced: bool = False) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced)))
    palette = chunk(b"PLTE", bytes(768)) if colour == 3 else b""
    return PNG_SIGNATURE + header + palette + chunk(b"IDAT", bytes(compressed)) + chunk(b"IEND", b"")


#: The end of the header of a scan with new coefficients, and of one that refines existing ones.
FIRST_AC, REFINING_AC = bytes([1, 63, 0]), bytes([1, 63, 0x10])

COSTLY = {
    "arithmetic coding": arithmetic(9990, 9990),
    "arithmetic coding, flat": arithmetic(65500, 1500),
    "arithmetic coding in scans": arithmetic(3000, 3000, progressive=True, scans=60),
    "99 scans of 36 megapixels": many_scans(6000, 6000, 99, 90_000).replace(FIRST_AC, REFINING_AC),
    "25 megapixels of 16 bits and transparency": png_of(4990, 4990, 16, 6, compressed=2_000_000),
    "the same interlaced": png_of(4990, 4990, 16, 6, compressed=2_000_000, interlaced=True),
}


@pytest.mark.parametrize("kind", COSTLY)
def test_costly_photos_are_refused_before_any_pixel_is_decoded(kind: str) -> None:
    with (
        patch.object(jpeg, "decode") as decoded,
        patch.object(png_module, "decode") as inflated,
        pytest.raises(ImageTooLarge, match=r"target photo: .* s of processor time; the limit is 2\.5 s.*baseline JPEG"),
    ):
        open_image(COSTLY[kind], name="target photo").pixels(8)
    assert not decoded.called
    assert not inflated.called


def baseline(width: int, height: int, data: int) -> bytes:
    planes = bytes([1, 0x22, 0, 2, 0x11, 0, 3, 0x11, 0])
    frame = segment(0xC0, struct.pack(">BHHB", 8, height, width, 3) + planes)
    scan = segment(0xDA, bytes([3, 1, 0, 2, 0, 3, 0, 0, 63, 0])) + bytes(data)
    return b"\xff\xd8" + frame + scan + b"\xff\xd9"


@pytest.mark.parametrize(
    "photo",
    [
        baseline(10_000, 10_000, 15_000_000),
        many_scans(10_000, 10_000, 10, 12_000_000),
        png_of(10_000, 10_000, 8, 3, compressed=5_000_000),
        png_of(4000, 4000, 8, 6, compressed=15_000_000),
        arithmetic(2000, 2000),
    ],
)
def test_photos_that_the_other_limits_allow_are_not_too_costly(photo: bytes) -> None:
    assert 0 < open_image(photo).decoding_seconds < 2.5


def test_the_limit_is_a_setting() -> None:
    photo = arithmetic(500, 500)
    seconds = open_image(photo).decoding_seconds
    with pytest.raises(ImageTooLarge, match="processor time"):
        open_image(photo, limits=ImageLimits(max_decoding_seconds=seconds / 2))
    assert open_image(COSTLY["arithmetic coding"], limits=ImageLimits(max_decoding_seconds=60)).width == 9990


def test_the_cost_of_scans_grows_with_the_blocks_that_they_visit() -> None:
    def seconds(photo: bytes) -> float:
        return cost.jpeg_seconds(jpeg_header.read_header(photo))

    plain = many_scans(2000, 2000, 1, 20_000)
    assert seconds(many_scans(2000, 2000, 50, 20_000)) > 3 * seconds(plain)
    assert seconds(many_scans(4000, 4000, 10, 20_000)) > 3.5 * seconds(many_scans(2000, 2000, 10, 20_000))
    assert seconds(plain + many_scans(4000, 4000, 90, 20_000)) == seconds(plain)  # what follows the image is not read
    refining = many_scans(2000, 2000, 50, 20_000).replace(FIRST_AC, REFINING_AC)
    assert seconds(refining) > 2 * seconds(many_scans(2000, 2000, 50, 20_000))
    # A marker without a length, or with an invalid one, hides no scan that the decoder finds.
    for hidden in (b"\xff\x01", b"\xff\xfe\x00\x00", b"\xff\xff"):
        photo = many_scans(2000, 2000, 50, 20_000)
        scan = photo.rindex(b"\xff\xda")
        assert seconds(photo[:scan] + hidden + photo[scan:]) == pytest.approx(seconds(photo), rel=1e-4)


@pytest.mark.parametrize(
    "photo",
    [baseline(200, 200, 9), many_scans(200, 200, 2, 9), arithmetic(200, 200)],
    ids=["baseline", "scans", "arithmetic"],
)
def test_the_cost_grows_with_the_data(photo: bytes) -> None:
    header = jpeg_header.read_header(photo)
    longer = replace(header, end=header.end + 1_000_000)
    assert cost.jpeg_seconds(longer) > cost.jpeg_seconds(header) + 0.01


def test_the_memory_for_the_coefficients_of_several_scans_is_limited() -> None:
    with pytest.raises(ImageTooLarge, match="takes 486 MB to decode"):
        open_image(arithmetic(9000, 9000, progressive=True, scans=2))
    header = replace(jpeg_header.read_header(many_scans(200, 200, 2, 9)), blocks=300_000_000 // 128)
    cost.check_memory(header)
    with pytest.raises(jpeg_header.UnreasonableJpeg):
        cost.check_memory(replace(header, blocks=header.blocks + 1))
    cost.check_memory(replace(header, blocks=header.blocks + 1, several_scans=False))


def test_the_pixels_of_a_png_cost_more_than_its_inflation() -> None:
    header = png_module.read_header(png_of(4000, 4000, 1, 0, compressed=10_000))
    seconds = cost.png_seconds(header)
    assert seconds > 0.05
    assert cost.png_seconds(replace(header, transparent=True)) > 1.5 * seconds


def test_an_unusual_sampling_costs_the_time_of_the_slow_decoder() -> None:
    usual = baseline(2000, 2000, 500_000)
    unusual = usual.replace(bytes([1, 0x22, 0]), bytes([1, 0x42, 0]))
    assert jpeg_header.read_header(usual).usual
    assert not jpeg_header.read_header(unusual).usual
    assert jpeg_header.read_header(many_scans(200, 200, 2, 20)).usual
    difference = open_image(unusual).decoding_seconds - open_image(usual).decoding_seconds
    assert difference > 0.02


@pytest.mark.parametrize(
    "photo",
    [
        many_scans(1600, 1600, 99, 6000).replace(FIRST_AC, REFINING_AC),
        arithmetic(1000, 1000),
        png(1000, 1000, 16, 6, b"".join(b"\x04" + bytes(range(1, 251)) * 32 for _ in range(1000))),
    ],
    ids=["scans", "arithmetic", "png"],
)
def test_estimates_are_not_far_below_the_time_spent(photo: bytes) -> None:
    """A loose bound, as machines differ; `python benchmarks/decoding.py` measures the ratio."""
    image = open_image(photo)
    started = time.thread_time()
    image.pixels(8)
    assert time.thread_time() - started < 5 * image.decoding_seconds


@pytest.mark.parametrize("stray", [b"\x00", b"\xff\x00", b"\xff\xd0"])
def test_stray_bytes_in_a_header_are_limited(stray: bytes) -> None:
    """Decoders skip them one by one, at 150 ns each."""
    jpeg_file = arithmetic(200, 200)
    opened = open_image(jpeg_file[:2] + b"\xff\xfe\x00\x02" + stray * 10 + jpeg_file[2:])
    assert opened.width == 200
    with pytest.raises(ImageTooLarge, match=r"its header has [\d,]+ stray bytes"):
        open_image(jpeg_file[:2] + b"\xff\xfe\x00\x02" + stray * 70_000 + jpeg_file[2:])
