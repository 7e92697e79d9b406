"""Photos damaged in transit: the error says what happened, and does not advise converting the file."""

import base64
import io
import json
import urllib.parse

import pytest
from encoded import picture
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from likeness.errors import InvalidImageFormat
from likeness.image import open_image
from likeness.image.other_formats import describe


def saved(kind: str) -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(picture()).save(buffer, kind)
    return buffer.getvalue()


JPEG, PNG = saved("JPEG"), saved("PNG")
FORM = b"--x\r\nContent-Disposition: form-data; name=f; filename=a.jpg\r\n\r\n"

#: A phrase of the message, and data that must cause it.
DAMAGED: dict[str, list[bytes]] = {
    "decoded as UTF-8": [each.decode("utf-8", "replace").encode() for each in (JPEG, PNG)],
    "read as Latin-1": [each.decode("latin-1").encode() for each in (JPEG, PNG)],
    "written as UTF-16": [
        each.decode("latin-1").encode(how) for each in (JPEG, PNG) for how in ("utf-16-le", "utf-16")
    ],
    "as question marks": [each.decode("ascii", "replace").encode("ascii", "replace") for each in (JPEG, PNG)],
    "hexadecimal digits": [
        *(start + each.hex().encode() for each in (JPEG, PNG) for start in (b"", b"0x", b"\\x", b'"', b"\n")),
        JPEG.hex(" ").encode(),
        JPEG.hex(":").upper().encode(),
    ],
    "the printed form of an object": [
        repr(JPEG).encode(),
        repr(bytearray(PNG)).encode(),
        repr(base64.b64encode(JPEG)).encode(),
        b"<_io.BufferedReader name='a.jpg'>",
        b"<memory at 0x7f3bd0c0>",
        b"<Buffer ff d8 ff e0 00 10>",
        b"[object Object]",
        b"[object ArrayBuffer]",
        b"[object Blob]",
    ],
    "a list of numbers": [
        json.dumps({"type": "Buffer", "data": list(JPEG)}).encode(),
        json.dumps(list(JPEG)).encode(),
        json.dumps(list(PNG)).encode(),
        json.dumps({str(place): byte for place, byte in enumerate(JPEG)}).encode(),
        ",".join(map(str, JPEG)).encode(),
    ],
    "escaped as text": [
        urllib.parse.quote_from_bytes(JPEG).encode(),
        urllib.parse.quote_from_bytes(PNG).encode(),
        b"=FF=D8=FF=E0=00=10JFIF",
        json.dumps(JPEG.decode("latin-1"))[1:].encode(),
    ],
    "the body of a form": [FORM + JPEG, FORM + PNG],
    "a complete HTTP response": [b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\n" + JPEG],
    "bytes precede the image": [
        b"\n" + JPEG,
        b"\xef\xbb\xbf" + PNG,
        b"1000\r\n" + JPEG,
        bytes(100) + JPEG,
        b"<img>" + PNG,
    ],
    "line endings": [
        PNG.replace(b"\r\n", b"\n"),
        PNG.replace(b"\n", b"\r\n"),
        PNG.replace(b"\n", b"\r"),
    ],
    "the highest bit": [bytes(byte & 127 for byte in each) for each in (JPEG, PNG)],
    "base64 text": [
        base64.urlsafe_b64encode(JPEG),
        b'"' + base64.b64encode(PNG) + b'"',
        urllib.parse.quote(base64.b64encode(JPEG), safe="").encode(),
    ],
    "a data URL": [b'"data:image/png;base64,' + base64.b64encode(PNG)],
    "name of a file": [b"a.jpg", b"C:\\photos\\me.PNG\n", b"/home/me/b.jpeg"],
    "starts with zeros only": [bytes(5000), bytes(20)],
}


@pytest.mark.parametrize(
    ("message", "data"),
    [
        pytest.param(message, data, id=f"{message}-{n}")
        for message, all_ in DAMAGED.items()
        for n, data in enumerate(all_)
    ],
)
def test_the_damage_is_named(message: str, data: bytes) -> None:
    with pytest.raises(InvalidImageFormat, match=rf"^source photo: .*{message}") as refused:
        open_image(data, name="source photo")
    assert "convert it to one of them" not in str(refused.value)
    assert len(str(refused.value)) < 250


def test_other_formats_that_hold_a_jpeg_keep_their_names() -> None:
    with pytest.raises(InvalidImageFormat, match="it is a PDF document"):
        open_image(b"%PDF-1.7\n" + JPEG)
    with pytest.raises(InvalidImageFormat, match="it is a TIFF or camera raw image"):
        open_image(b"II*\x00" + bytes(100) + JPEG)


@given(st.binary(max_size=200), st.sampled_from([b"", JPEG[:50], PNG[:50], b"\xef\xbf\xbd", b"--", b"b'", b"\xc3\xbf"]))
def test_any_data_gets_a_short_description(noise: bytes, piece: bytes) -> None:
    for data in (noise + piece, piece[:2] + noise, piece + noise):
        message = describe(data)
        assert message.endswith(".")
        assert len(message) < 300


def test_no_control_character_reaches_a_terminal() -> None:
    message = describe(b"255\x1b216\x07255, 224")
    assert "list of numbers" in message
    assert message.isprintable()
