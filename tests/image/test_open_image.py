"""Accepted photos, their upright frame, damaged files, and refusals with their messages."""

import base64
import io
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from encoded import chunk, exif, interlaced_png, many_scans, picture, png, with_segment
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from likeness.errors import ImageTooLarge, ImageTooSmall, InvalidImageFormat, InvalidParameter, RequestError
from likeness.image import ImageLimits, Reduction, open_image

PICTURE = picture()


def saved(image: Pillow.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def jpeg(pixels: NDArray[np.uint8] = PICTURE, **options: object) -> bytes:
    return saved(Pillow.fromarray(pixels), "JPEG", **{"quality": 95, **options})


SECRET = "Ada Lovelace, 12 St James's Square"


def with_texts(photo: bytes) -> bytes:
    """A JPEG or PNG with a person's name in its comments, its EXIF, XMP and colour profile, each of them broken."""
    said = SECRET.encode()
    if photo.startswith(b"\xff\xd8"):
        kinds = {0xFE: b"", 0xE1: b"Exif\0\0II*\0\x08\0\0\0\xff\xff", 0xE2: b"ICC_PROFILE\0", 0xED: b"Photoshop 3.0\0"}
        for code, start in kinds.items():
            photo = with_segment(photo, code, start + said)
        return photo
    kinds_of_chunks = {b"tEXt": b"Author\0", b"iTXt": b"Author\0\1\0\0\0", b"zTXt": b"Author\0\0", b"eXIf": b"II*\0"}
    kinds_of_chunks |= {b"iCCP": b"x\0\0", b"pHYs": b"", b"gAMA": b"", b"tRNS": b""}
    return photo[:33] + b"".join(chunk(kind, start + said) for kind, start in kinds_of_chunks.items()) + photo[33:]


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("given", [bytes, Pillow.open])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_texts_in_a_photo_are_in_no_message(kind: str, given: Callable[..., object]) -> None:
    whole = with_texts(jpeg() if kind == "JPEG" else saved(Pillow.fromarray(PICTURE), "PNG"))
    at = whole.rindex(b"IDAT") + 20 if kind == "PNG" else whole.rindex(b"\xff\xda")
    damaged = [whole, whole[:at], whole[:at] + b"\xff" + whole[at + 1 :], whole[:at] + SECRET.encode() + whole[at:]]
    damaged += [whole[:start] + SECRET.encode() + whole[start + 40 :] for start in range(2, 600, 23)]
    for data in damaged:
        said = ""
        try:
            image = open_image(given(io.BytesIO(data)) if given is not bytes else data)  # type: ignore[arg-type]
            image.pixels()
            said = " ".join(image.notes)
        except (RequestError, UnidentifiedImageError, SyntaxError, OSError, ValueError) as error:
            said = str(error) if isinstance(error, RequestError) else ""  # else Pillow did not even open it
        assert not any(word in said for word in SECRET.split() if len(word) > 3), said


def difference(some: NDArray[np.uint8], others: NDArray[np.uint8]) -> float:
    """The mean difference of colour values."""
    assert some.shape == others.shape
    return float(np.abs(some.astype(int) - others.astype(int)).mean())


# What is accepted


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 2}])
def test_jpeg(options: dict[str, object]) -> None:
    image = open_image(jpeg(**options))
    assert (image.format, image.width, image.height, image.orientation) == ("JPEG", 160, 120, 1)
    assert difference(image.pixels(), PICTURE) < 2
    assert not image.damaged
    assert image.notes == ()


def test_a_progressive_jpeg_with_more_restarts_than_a_file_may_have_segments() -> None:
    pixels = picture(800, 600)
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "JPEG", quality=95, restart_marker_blocks=1, progressive=True)
    assert buffer.getvalue().count(b"\xff\xd7") * 8 > 4096
    difference = np.abs(open_image(buffer.getvalue()).pixels().astype(int) - pixels)
    assert difference.mean() < 2


def test_grey_jpeg() -> None:
    grey = Pillow.fromarray(PICTURE).convert("L")
    assert difference(open_image(saved(grey, "JPEG")).pixels(), np.dstack([np.asarray(grey)] * 3)) < 2


def test_cmyk_jpeg() -> None:
    inks = Pillow.fromarray(PICTURE).convert("CMYK")
    data = saved(inks, "JPEG", quality=95)
    assert difference(open_image(data).pixels(), PICTURE) < 3
    marker = data.index(b"\xff\xee")
    unmarked = data[:marker] + data[marker + 16 :]
    assert b"Adobe" not in unmarked
    assert difference(open_image(unmarked).pixels(), PICTURE) < 3


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
def test_png(mode: str) -> None:
    written = Pillow.fromarray(PICTURE).convert(mode)
    image = open_image(saved(written, "PNG"))
    assert image.format == "PNG"
    np.testing.assert_array_equal(image.pixels(), np.asarray(written.convert("RGB")))


def test_png_of_16_bits() -> None:
    rows = b"".join(b"\x00" + (row.astype(">u2") * 257).tobytes() for row in PICTURE)
    np.testing.assert_array_equal(open_image(png(160, 120, 16, 2, rows)).pixels(), PICTURE)
    grey = b"".join(b"\x00" + (row[:, 0].astype(">u2") * 257).tobytes() for row in PICTURE)
    np.testing.assert_array_equal(open_image(png(160, 120, 16, 0, grey)).pixels(), np.dstack([PICTURE[:, :, 0]] * 3))


def test_interlaced_png() -> None:
    np.testing.assert_array_equal(open_image(interlaced_png(PICTURE)).pixels(), PICTURE)


@pytest.mark.parametrize("depth", [8, 16])
def test_transparency_is_composited_over_white(depth: int) -> None:
    alpha = np.full((120, 160, 1), 255, np.uint8)
    alpha[:40] = 0
    alpha[40:80] = 128
    inked = np.concatenate([PICTURE, alpha], axis=2)
    if depth == 16:
        rows = b"".join(b"\x00" + (row.astype(">u2") * 257).tobytes() for row in inked)
    else:
        rows = b"".join(b"\x00" + row.tobytes() for row in inked)
    expected = np.rint(PICTURE * (alpha / 255) + 255 * (1 - alpha / 255)).astype(np.uint8)
    assert np.abs(open_image(png(160, 120, depth, 6, rows)).pixels().astype(int) - expected).max() <= 1


def test_a_transparent_palette_is_composited_over_white() -> None:
    data = saved(Pillow.fromarray(PICTURE).convert("P"), "PNG", transparency=bytes(256))
    assert (open_image(data).pixels() == 255).all()


def test_an_animated_png_gives_its_default_image() -> None:
    frames = [Pillow.fromarray(np.full_like(PICTURE, value)) for value in (10, 200)]
    data = saved(frames[0], "PNG", save_all=True, append_images=frames[1:], duration=100)
    assert (open_image(data).pixels() == 10).all()


def test_bytes_files_and_arrays_are_the_same_photo(tmp_path: Path) -> None:
    data = saved(Pillow.fromarray(PICTURE), "PNG")
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    for photo in (data, bytearray(data), memoryview(data), path, str(path), PICTURE):
        np.testing.assert_array_equal(open_image(photo).pixels(), PICTURE)


def test_arrays_are_neither_changed_nor_locked() -> None:
    pixels = PICTURE.copy()
    seen = open_image(pixels).pixels()
    assert pixels.flags.writeable
    assert not seen.flags.writeable
    np.testing.assert_array_equal(open_image(pixels[:, ::-1]).pixels(), PICTURE[:, ::-1])


def test_data_after_the_image_is_ignored() -> None:
    assert open_image(jpeg() + b"\x00" * 1000 + jpeg()).pixels().shape == (120, 160, 3)


# The upright frame


@given(
    orientation=st.integers(1, 8),
    byte_order=st.sampled_from("<>"),
    kind=st.sampled_from([1, 3, 4]),
    before=st.integers(0, 5),
    size=st.tuples(st.integers(80, 131), st.integers(80, 131)),
)
def test_exif_orientation_is_undone_as_by_pillow(
    orientation: int, byte_order: str, kind: int, before: int, size: tuple[int, int]
) -> None:
    written = jpeg(picture(*size))
    data = with_segment(written, 0xE1, exif(orientation, byte_order=byte_order, kind=kind, before=before))
    image = open_image(data)
    plain = with_segment(written, 0xE1, exif(orientation))
    expected = np.asarray(ImageOps.exif_transpose(Pillow.open(io.BytesIO(plain))))
    assert (image.orientation, image.height, image.width) == (orientation, *expected.shape[:2])
    assert difference(image.pixels(), expected) < 1


@given(
    orientation=st.integers(1, 8),
    reduction=st.sampled_from([2, 4, 8]),
    cells=st.tuples(st.integers(12, 18), st.integers(12, 18)),
    rest=st.tuples(st.integers(0, 7), st.integers(0, 7)),
)
def test_a_reduced_photo_is_the_mean_of_the_full_one(
    orientation: int, reduction: Reduction, cells: tuple[int, int], rest: tuple[int, int]
) -> None:
    even = picture(8 * cells[0], 8 * cells[1])
    uneven = picture(8 * cells[0] + rest[0], 8 * cells[1] + rest[1])
    for data in (
        with_segment(jpeg(even), 0xE1, exif(orientation)),
        jpeg(uneven),
        saved(Pillow.fromarray(uneven), "PNG"),
    ):
        image = open_image(data)
        small = image.pixels(reduction)
        assert small.shape == (-(-image.height // reduction), -(-image.width // reduction), 3)
        whole = image.pixels()[: image.height // reduction * reduction, : image.width // reduction * reduction]
        means = whole.reshape(len(whole) // reduction, reduction, -1, reduction, 3).mean(axis=(1, 3))
        assert difference(small[: means.shape[0], : means.shape[1]], np.rint(means).astype(np.uint8)) < 1.5


@given(st.binary(max_size=80))
def test_malformed_exif_is_ignored(noise: bytes) -> None:
    for start in (b"", b"II*\x00", b"MM\x00*\x00\x00\x00\x08", b"II*\x00\x08\x00\x00\x00\xff\xff"):
        image = open_image(with_segment(jpeg(), 0xE1, b"Exif\x00\x00" + start + noise))
        assert 1 <= image.orientation <= 8
        assert image.pixels().size == PICTURE.size


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_impossible_orientations_are_ignored(orientation: int) -> None:
    assert open_image(with_segment(jpeg(), 0xE1, exif(orientation))).orientation == 1


def test_orientation_in_a_png_is_ignored() -> None:
    tags = Pillow.Exif()
    tags[0x0112] = 6
    data = saved(Pillow.fromarray(PICTURE), "PNG", exif=tags)
    assert b"eXIf" in data
    np.testing.assert_array_equal(open_image(data).pixels(), PICTURE)


@pytest.mark.parametrize(("side", "expected"), [(10, 8), (20, 8), (21, 4), (40, 4), (80, 2), (81, 1), (1000, 1)])
def test_the_largest_reduction_that_leaves_enough(side: int, expected: int) -> None:
    assert open_image(jpeg()).reduction_for(side) == expected


def test_threads_share_one_decoding() -> None:
    image = open_image(jpeg())
    with ThreadPoolExecutor(8) as threads:
        decoded = list(threads.map(lambda _: image.pixels(2), range(32)))
    assert all(each is decoded[0] for each in decoded)


# What is damaged


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_truncated_jpeg_is_decoded_as_far_as_it_goes(options: dict[str, object]) -> None:
    whole = jpeg(picture(400, 400), **options)
    image = open_image(whole[: len(whole) * 2 // 3], name="source photo")
    seen = image.pixels()
    assert image.damaged
    assert image.notes[0].startswith("source photo: the file is damaged or cut off")
    assert difference(seen[:200], open_image(whole).pixels()[:200]) < 5


def test_a_jpeg_without_picture_data_is_refused() -> None:
    whole = jpeg(picture(2000, 2000))
    with pytest.raises(InvalidImageFormat, match="source photo: it ends"):
        open_image(whole[: whole.index(b"\xff\xda") + 20], name="source photo").pixels()


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_truncated_png_is_refused(share: float) -> None:
    data = saved(Pillow.fromarray(PICTURE), "PNG")
    with pytest.raises(InvalidImageFormat, match=r"it is cut off|it ends within its header"):
        open_image(data[: int(len(data) * share)]).pixels()


def test_a_png_with_a_wrong_checksum_is_refused() -> None:
    data = bytearray(saved(Pillow.fromarray(PICTURE), "PNG"))
    data[len(data) // 2] ^= 1
    with pytest.raises(InvalidImageFormat, match="a checksum is wrong"):
        open_image(bytes(data)).pixels()


# What is refused


FOREIGN = {
    "a GIF image": saved(Pillow.fromarray(PICTURE).convert("P"), "GIF"),
    "a WebP image": saved(Pillow.fromarray(PICTURE), "WEBP"),
    "a BMP image": saved(Pillow.fromarray(PICTURE), "BMP"),
    "a TIFF or camera raw image": saved(Pillow.fromarray(PICTURE), "TIFF"),
    "a HEIC image": b"\x00\x00\x00\x18ftypheic" + bytes(100),
    "an AVIF image": b"\x00\x00\x00\x18ftypavif" + bytes(100),
    "an MP4 video": b"\x00\x00\x00\x18ftypisom" + bytes(100),
    "a PDF document": b"%PDF-1.7" + bytes(100),
    "an SVG drawing": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
    "an HTML page": b"<!DOCTYPE html><title>404</title>",
    "an XML document": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
    "text": b"hello, this is a photo\n",
    "base64 text": base64.b64encode(jpeg()),
    "base64 text, not": base64.b64encode(saved(Pillow.fromarray(PICTURE), "PNG")),
    "a data URL": b"data:image/jpeg;base64," + base64.b64encode(jpeg()),
    "empty": b"",
    "neither a JPEG nor a PNG": bytes(range(128, 256)),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_other_formats_are_named(kind: str) -> None:
    with pytest.raises(InvalidImageFormat, match=rf"^target photo: it is {kind}") as refused:
        open_image(FOREIGN[kind], name="target photo")
    assert refused.value.service_message == "Request has invalid image format"
    assert len(str(refused.value)) < 200


def test_a_photo_encoded_twice_is_refused_with_a_remedy() -> None:
    with pytest.raises(InvalidImageFormat, match="encoded twice: pass the raw bytes"):
        open_image(base64.b64encode(jpeg()))


@pytest.mark.parametrize("size", [(79, 200), (200, 79)])
def test_too_small(size: tuple[int, int]) -> None:
    with pytest.raises(
        ImageTooSmall, match=rf"source photo: {size[0]} x {size[1]} pixels; each side needs at least 80"
    ):
        open_image(jpeg(picture(*size)), name="source photo")
    with pytest.raises(ImageTooSmall):
        open_image(picture(*size))
    assert open_image(jpeg(picture(*size)), limits=ImageLimits(min_side_px=79)).pixels().size


def test_too_many_bytes(tmp_path: Path) -> None:
    limits = ImageLimits(max_bytes=1000)
    path = tmp_path / "large.jpg"
    path.write_bytes(jpeg())
    for photo in (jpeg(), path):
        with pytest.raises(ImageTooLarge, match="more than 1,000 bytes"):
            open_image(photo, limits=limits)
    assert open_image(jpeg(), limits=ImageLimits(max_bytes=len(jpeg()))).pixels().size


def test_too_many_pixels_are_seen_in_the_header() -> None:
    huge = many_scans(60000, 60000, 2, 10)
    for photo in (huge, png(60000, 60000, 8, 2, b"")):
        with pytest.raises(ImageTooLarge, match=r"60000 x 60000 pixels, more than the 100 megapixels allowed"):
            open_image(photo)
    with pytest.raises(ImageTooLarge, match=r"more than the 0\.01 megapixels"):
        open_image(PICTURE, limits=ImageLimits(max_pixels=10_000))


@pytest.mark.parametrize(
    "pixels", [PICTURE[:, :, 0], PICTURE.astype(np.float32), np.dstack([PICTURE, PICTURE]), PICTURE[:0]]
)
def test_other_arrays_are_refused(pixels: NDArray[np.uint8]) -> None:
    with pytest.raises(InvalidParameter, match=r"Pass RGB pixels of type uint8 and shape \(height, width, 3\)"):
        open_image(pixels)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidParameter, match=r"source photo \(.*missing\.jpg\): the file cannot be read \(No such file"
    ):
        open_image(tmp_path / "missing.jpg", name="source photo")
    with pytest.raises(InvalidParameter, match="cannot be read"):
        open_image(str(tmp_path))


# Hostile files


def profile(body: bytes) -> bytes:
    """A colour profile."""
    return chunk(b"iCCP", b"x\x00\x00" + zlib.compress(body, 9))


#: Small files that would be costly to decode as their headers ask.
HOSTILE: dict[str, Callable[[], bytes]] = {
    "JPEG of 100 megapixels in 99 scans": lambda: many_scans(10000, 10000, 99, 200_000),
    "JPEG in 100,000 scans": lambda: many_scans(1000, 1000, 100_000, 20_000),
    "JPEG of 100 megapixels in 300 bytes": lambda: many_scans(10000, 10000, 1, 1),
    "JPEG header without end": lambda: b"\xff\xd8" + b"\xff\xe0\x00\x02" * 2_000_000,
    "JPEG of markers": lambda: b"\xff\xd8" + b"\xff" * 8_000_000,
    "PNG of 100 megapixels of nothing": lambda: png(10000, 10000, 1, 0, bytes(10000 * 1251)),
    "PNG of 26 megapixels of nothing": lambda: png(5100, 5100, 8, 2, bytes(5100 * 15301)),
    "PNG with more data than pixels": lambda: png(100, 100, 8, 2, bytes(50_000_000)),
    "PNG with a profile of 50 MB": lambda: png(100, 100, 8, 2, bytes(100 * 301), extra=profile(bytes(50_000_000))),
    "PNG without data": lambda: png(10000, 10000, 8, 2, b""),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_cost_little(kind: str) -> None:
    photo = HOSTILE[kind]()
    started = time.thread_time()
    answer = outcome(photo)
    assert time.thread_time() - started < 2
    assert answer == "decoded" or (answer.startswith("source photo: ") and answer.endswith("."))


def outcome(data: bytes) -> str:
    """ "decoded", or why not."""
    try:
        image = open_image(data, name="source photo")
        return "decoded" if image.pixels(image.reduction_for(960)).size else "empty"
    except RequestError as refused:
        return str(refused)


def test_every_sampling_of_a_baseline_jpeg_is_decoded_or_refused() -> None:
    """Also 4:4:1 (luma 1x4), which libjpeg-turbo decodes and simplejpeg has no name for."""
    plain = jpeg(np.full((96, 96, 3), 90, np.uint8), subsampling="4:2:0")
    luma = plain.index(b"\xff\xc0") + 11
    assert plain[luma] == 0x22
    for across, down in ((1, 4), (4, 1), (2, 2), (1, 2), (4, 4), (3, 1), (0, 0), (15, 15)):
        photo = plain[:luma] + bytes((across << 4 | down,)) + plain[luma + 1 :]
        try:
            pixels = open_image(photo).pixels()
        except InvalidImageFormat:
            assert (across, down) not in ((1, 4), (4, 1), (2, 2), (1, 2))
        else:
            # 4:4:1 has as many blocks in a row of units as 4:2:0, so that this flat picture is the same.
            assert (across, down) != (1, 4) or abs(int(pixels[48, 48, 0]) - 90) <= 2


def test_the_package_can_be_imported_while_another_thread_imports_cv2() -> None:
    """cv2's own module replaces the package of that name for a moment, and has no submodules."""
    program = """
import sys, types, cv2
native = types.ModuleType("cv2")
vars(native).update({name: value for name, value in vars(cv2).items() if name[:2] != "__"})
for name in [name for name in sys.modules if name.partition(".")[0] == "cv2"]:
    del sys.modules[name]
sys.modules["cv2"] = native
import likeness.image
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
