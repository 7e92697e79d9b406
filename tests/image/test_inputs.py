"""Inputs that callers pass as a photo: accepted ones are opened, others raise InvalidParameter with a reason."""

import base64
import gzip
import io
import lzma
import mmap
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encoded import exif, picture, with_segment
from PIL import Image as Pillow

from likeness.errors import ImageTooLarge, ImageTooSmall, InvalidImageFormat, InvalidParameter
from likeness.image import ImageLimits, open_image

PICTURE = picture()


def saved(kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(PICTURE).save(buffer, kind)
    return buffer.getvalue()


DATA = saved()


class Trickle:
    """A file that returns a few bytes at a time, as pipes and sockets do."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(min(size, 100) if size >= 0 else 100)


def in_memory() -> mmap.mmap:
    mapped = mmap.mmap(-1, len(DATA))
    mapped.write(DATA)
    return mapped


FILES: dict[str, Callable[[Path], Any]] = {
    "BytesIO": lambda _: io.BytesIO(DATA),
    "an open file": lambda path: path.open("rb"),
    "an unbuffered file": lambda path: path.open("rb", buffering=0),
    "a temporary file": lambda _: temporary(),
    "a pipe": lambda _: Trickle(DATA),
    "memory": lambda _: in_memory(),
    "a Pillow image": lambda _: Pillow.open(io.BytesIO(DATA)),
    "a Pillow image of a palette": lambda _: Pillow.fromarray(PICTURE).quantize(250),
    "an array of bytes": lambda _: memoryview(DATA).cast("B"),
}


def temporary() -> Any:
    file = tempfile.SpooledTemporaryFile()  # noqa: SIM115
    file.write(DATA)
    file.seek(0)
    return file


@pytest.mark.parametrize("kind", FILES)
def test_accepted_inputs_are_opened(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(DATA)
    photo = FILES[kind](tmp_path / "a.png")
    try:
        seen = open_image(photo).pixels()
    finally:
        getattr(photo, "close", lambda: None)()
    assert np.abs(seen.astype(int) - PICTURE).mean() < (8 if "palette" in kind else 0.01)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_pillow_image_is_rotated_upright_like_its_file(orientation: int) -> None:
    data = with_segment(saved("JPEG"), 0xE1, exif(orientation))
    of_file, of_pillow = open_image(data).pixels(), open_image(Pillow.open(io.BytesIO(data))).pixels()
    assert of_pillow.shape == of_file.shape
    assert np.abs(of_pillow.astype(int) - of_file).mean() < 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I;16"])
def test_photographic_modes_of_pillow_are_opened(mode: str) -> None:
    image = Pillow.fromarray(PICTURE)
    converted = image.convert("L").convert("I;16") if mode == "I;16" else image.convert(mode)
    assert open_image(converted).pixels().shape == PICTURE.shape


def test_a_transparent_pillow_image_is_composited_over_white() -> None:
    assert (open_image(Pillow.new("RGBA", (100, 100), (9, 9, 9, 0))).pixels() == 255).all()


@pytest.mark.parametrize("mode", ["F", "I"])
def test_other_modes_of_pillow_are_refused_with_a_hint_to_convert(mode: str) -> None:
    with pytest.raises(InvalidParameter, match=rf"photo: a Pillow image of mode {mode}\. Scale its values .*convert"):
        open_image(Pillow.new(mode, (100, 100)))


def test_a_pillow_image_is_neither_changed_nor_loaded_before_its_size_is_checked() -> None:
    image = Pillow.fromarray(PICTURE)
    open_image(image)
    np.testing.assert_array_equal(np.asarray(image), PICTURE)
    lazy = Pillow.open(io.BytesIO(DATA))
    with pytest.raises(ImageTooLarge, match=r"target photo: 160 x 120 pixels, more than the 0\.01 megapixels"):
        open_image(lazy, name="target photo", limits=ImageLimits(max_pixels=10_000))
    with pytest.raises(ImageTooSmall):
        open_image(Pillow.new("RGB", (79, 200)))


def test_a_pillow_image_that_cannot_be_decoded() -> None:
    with pytest.raises(InvalidImageFormat, match="source photo: the Pillow image cannot be decoded"):
        open_image(Pillow.open(io.BytesIO(DATA[: len(DATA) // 2])), name="source photo")


@pytest.mark.parametrize("broken", [b"Exif\x00\x00garbage", b"garbage", "text", 5, exif(0), exif(9)])
def test_broken_exif_costs_no_pillow_image(broken: Any) -> None:
    image = Pillow.fromarray(PICTURE)
    image.info["exif"] = broken
    np.testing.assert_array_equal(open_image(image).pixels(), PICTURE)


def test_a_pillow_image_with_invalid_transparency() -> None:
    image = Pillow.fromarray(PICTURE)
    image.info["transparency"] = "white"
    with pytest.raises(InvalidImageFormat, match="the Pillow image cannot be decoded"):
        open_image(image)


def test_an_array_is_not_copied_before_its_size_is_checked() -> None:
    with pytest.raises(ImageTooLarge, match="100000 x 100000 pixels"):
        open_image(np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (100_000, 100_000, 3)))


def closed() -> io.BytesIO:
    file = io.BytesIO(DATA)
    file.close()
    return file


def read_already() -> io.BytesIO:
    file = io.BytesIO(DATA)
    file.read()
    return file


class Giving:
    """A file whose reading gives something else than bytes: nothing yet, or what a caller's class thinks of."""

    def __init__(self, given: Any) -> None:
        self._given = given

    def read(self, size: int = -1) -> Any:
        return self._given


class Refusing:
    def read(self, size: int = -1) -> bytes:
        raise ConnectionResetError(104, "Connection reset by peer")


class Failing:
    """A file backed by something else, such as an archive or a download."""

    def read(self, size: int = -1) -> bytes:
        raise lzma.LZMAError("Corrupt input data")


def cut_off() -> gzip.GzipFile:
    return gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(DATA)[:500]))


REFUSED: list[tuple[str, Any]] = [
    ("None is not a photo. Pass a path", None),
    ("an object of type int is not a photo", 5),
    ("an object of type float is not a photo", 5.0),
    ("an object of type bool is not a photo", True),
    ("an object of type list is not a photo", [1, 2]),
    ("an object of type dict is not a photo", {"Bytes": DATA}),
    ("an object of type function is not a photo", saved),
    ("an object of type BytesIO is not a photo|the file cannot be read", io.BytesIO),
    (r"embedded null byte, so it is not a path", "a\0.jpg"),
    ("the file cannot be read", ""),
    ("the file cannot be read.*No such file", "none.jpg"),
    (r"File name too long\)\. It looks like base64: pass base64.b64decode", "/9j/" + "A" * 9000),
    ("It looks like base64", "data:image/jpeg;base64,/9j/" + "A" * 100),
    (r"It is a URL \(https://\), not a path: download it", "https://example.com/a.jpg"),
    (r"It is a URL \(s3://\)", "s3://bucket/a.jpg"),
    (r"pass the part after file://, /photos/a.jpg", "file:///photos/a.jpg"),
    (r"^source photo: the file cannot be read .*It is hexadecimal digits, not an image", DATA.hex()),
    (r"^source photo: the file cannot be read .*It is the printed form of an object", repr(DATA)),
    (r"^source photo: embedded null byte", DATA.decode("latin-1")),
    (r"^source photo: the file cannot be read .*It looks like base64", "\n " + base64.b64encode(DATA).decode()),
    (r"^source photo \(a\\x1b\[2J\\n\.jpg\): ", "a\x1b[2J\n.jpg"),
    (r"source photo: the file cannot be read \(EOFError: Compressed file ended", cut_off()),
    (r"the file cannot be read \(LZMAError: Corrupt input data\)", Failing()),
    (r"it returns text, not bytes\). Open it in binary mode", io.StringIO("abc")),
    (r"it returns text, not bytes\). Open it in binary mode", io.StringIO("")),
    (r"I/O operation on closed file\.\)\. Open it again", closed()),
    ("reading it returns NoneType, not bytes", Giving(None)),
    ("reading it returns list, not bytes", Giving([])),
    (r"the file is at its end.*seek\(0\)", read_already()),
    ("the file cannot be read .Connection reset by peer", Refusing()),
    ("an array of shape", np.zeros(3)),
    ("Of the bytes of a file, pass array.tobytes", np.frombuffer(DATA, np.uint8)),
    ("an object of type list is not a photo", [[[1, 2, 3]]]),
]


@pytest.mark.parametrize(("message", "photo"), REFUSED, ids=[f"{number}" for number in range(len(REFUSED))])
def test_other_inputs_are_refused_with_a_reason(message: str, photo: Any) -> None:
    with pytest.raises(InvalidParameter, match=message) as refused:
        open_image(photo, name="source photo")
    assert str(refused.value).startswith("source photo")
    assert len(str(refused.value)) < 500


class BrokenPath:
    def __fspath__(self) -> str:
        raise KeyError("boom")


class NoPath:
    def __fspath__(self) -> int:
        return 5


class BrokenRead:
    @property
    def read(self) -> object:
        raise KeyError("boom")


class BrokenAround:
    @property
    def name(self) -> str:
        raise KeyError("boom")

    def tell(self) -> int:
        raise KeyError("boom")

    def read(self, size: int = -1) -> bytes:
        raise KeyError("boom")


@pytest.mark.parametrize(
    "photo", [BrokenPath(), NoPath(), BrokenRead(), BrokenAround()], ids=lambda it: type(it).__name__
)
def test_a_broken_object_raises_the_librarys_error_with_its_cause(photo: Any) -> None:
    with pytest.raises(InvalidParameter) as message:
        open_image(photo)
    assert message.value.__cause__ is not None


def test_every_mode_of_pillow_is_opened_or_refused() -> None:
    for mode in {*Pillow.MODES, "La", "RGBa", "RGBX", "LAB", "HSV", "PA", "LA", "I;16", "I;16B", "I;16L", "I;16N"}:
        blank = Pillow.new(mode, (120, 100))
        if mode in ("F", "I"):
            with pytest.raises(InvalidParameter, match="mode"):
                open_image(blank)
        else:
            assert open_image(blank).pixels().shape == (100, 120, 3)


def test_an_error_names_an_open_file(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    path.write_bytes(b"GIF89a")
    with open(path, "rb") as file, pytest.raises(InvalidImageFormat, match=r"photo \(.*a\.gif\): it is a GIF"):
        open_image(file)


def test_a_file_that_was_meant_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(DATA)
    monkeypatch.setenv("HOME", str(tmp_path))
    for text in (f"{path} ", f"{path}\n", f"'{path}'", f'"{path}"', "~/a.jpg"):
        with pytest.raises(InvalidParameter, match=rf"No such file or directory\)\. There is {path}: pass that\.$"):
            open_image(text)


def test_an_empty_file_is_called_empty() -> None:
    for empty in (io.BytesIO(), Trickle(b""), b"", bytearray()):
        with pytest.raises(InvalidImageFormat, match=r"photo: it is empty \(0 bytes\)"):
            open_image(empty)


def test_an_endless_file_is_read_only_up_to_the_limit() -> None:
    endless = open("/dev/zero", "rb")  # noqa: SIM115
    with endless, pytest.raises(ImageTooLarge, match="more than 1,000 bytes"):
        open_image(endless, limits=ImageLimits(max_bytes=1000))


def test_a_photo_is_opened_while_another_thread_imports_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", types.ModuleType("PIL.Image"))  # as it is at first: empty
    assert open_image(DATA).width == PICTURE.shape[1]
