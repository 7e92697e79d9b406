"""Recognises photos that were damaged in transit: read as text, printed, escaped, or wrapped in a form or response."""

import re

_START = 1024
_SIGNATURE = re.compile(rb"\xff\xd8\xff[\xc0-\xfe]|\x89PNG\r\n\x1a\n")
_HEX = re.compile(
    rb"""^["']?(?:0x|\\x|x')?(?:ff[\s:,-]?d8[\s:,-]?ff|89[\s:,-]?50[\s:,-]?4e[\s:,-]?47)""", re.IGNORECASE
)
#: The first bytes of a JPEG and of a PNG as decimal numbers, with any separators.
_NUMBERS = re.compile(rb"""\b255\D{1,6}216\D{1,6}255\b|\b137\D{1,6}80\D{1,6}78\b|^\{"0":\s*(?:255|137)\b""")
_PRINTED = re.compile(
    rb"""^(?:bytearray\(|memoryview\()?b["']|^<(?:_io\.|memory at|http\.client\.|PIL\.|Buffer )|^\[object """
)
_ESCAPED = re.compile(rb"^(?:%ff%d8%ff|%89PNG|=ff=d8=ff|=89PNG|\\u00ff\\u00d8|\\xff\\xd8|&#255;)", re.IGNORECASE)
_QUOTED_BASE64 = re.compile(rb"""^["'(\[{]*(?:/9j/|_9j_|iVBORw0KGgo|%2F9j%2F)""", re.IGNORECASE)

_BINARY = "Pass the bytes of the file unchanged, as binary, not as text"
_AS_UTF_8 = (
    f"its bytes were decoded as UTF-8 text in transit; the invalid ones are lost, replaced by EF BF BD. {_BINARY}."
)


def describe_damage(data: bytes) -> str | None:
    """What happened to `data` in transit, and what to do; None if there is no sign of damage."""
    start = data[:_START]
    return _as_text(start) or _within_something(data, start) or _line_ends(start)


def _as_text(start: bytes) -> str | None:
    """Bytes converted to text, or to characters that represent them."""
    if b"\xef\xbf\xbd" in start[:32]:
        return _AS_UTF_8
    if start.startswith((b"\xc3\xbf\xc3\x98\xc3\xbf", b"\xc2\x89PNG")):
        return f"its bytes were read as Latin-1 text and written as UTF-8 (C3 BF for FF). {_BINARY}."
    if start.startswith(
        (b"\xff\x00\xd8\x00\xff\x00", b"\x89\x00P\x00N\x00", b"\xff\xfe\xff\x00\xd8\x00", b"\xff\xfe\x89\x00P\x00")
    ):
        return f"its bytes were written as UTF-16 text, two bytes for each. {_BINARY}."
    if re.match(rb"\?{2,4}.{0,4}(?:JFIF|Exif)|\?PNG", start, re.DOTALL):
        return f"its bytes were written as text in an encoding that lacks them, as question marks. {_BINARY}."
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    if _HEX.match(text):
        return "it is hexadecimal digits, not an image. Pass the bytes that they represent: bytes.fromhex(...)."
    if _PRINTED.match(text):
        return f"it is the printed form of an object, not an image ({_shown(text)}). Pass the bytes themselves."
    if _NUMBERS.search(text[:100]):
        return f"it is a list of numbers as text, not an image ({_shown(text)}). Pass the bytes that they represent."
    if _ESCAPED.match(text):
        return f"its bytes were escaped as text ({_shown(text)}). {_BINARY}."
    return None


def _within_something(data: bytes, start: bytes) -> str | None:
    """A photo with other data before it."""
    found = _SIGNATURE.search(start)
    if start.startswith(b"--") and b"content-disposition" in start.lower():
        return "it is the body of a form (multipart/form-data) that contains the file. Pass only the file's part."
    if start.startswith((b"HTTP/1.", b"HTTP/2")):
        return "it is a complete HTTP response, headers included. Pass only its body."
    if found and found.start():
        before = data[: min(found.start(), 16)].hex(" ")
        return f"{found.start()} bytes precede the image ({before}). Pass only the bytes of the image."
    return None


def _line_ends(start: bytes) -> str | None:
    """Converted line endings, which PNG's signature is designed to reveal (PNG specification, section 12.12)."""
    if re.match(rb"\x89PNG(?:\n\x1a\n|\r\n\x1a\r\n|\r\x1a\r|\r\r\n\x1a)|\x89PNG\r\r", start):
        return f"its line endings were converted, as in a transfer in text mode. {_BINARY}."
    if start.startswith((b"\x09PNG", b"\x7f\x58\x7f")):
        return f"the highest bit of its bytes was lost in transit. {_BINARY}."
    return None


def is_quoted_base64(start: bytes) -> bool:
    """Whether `start` begins an image in base64: quoted, in the URL-safe alphabet, or percent-encoded."""
    return bool(_QUOTED_BASE64.match(start))


def _shown(text: bytes) -> str:
    """The first characters, without control characters, which a terminal would obey."""
    return "".join(each if each.isprintable() else " " for each in text[:12].decode("ascii", "replace")) + "..."
