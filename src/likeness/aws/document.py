"""A request's body as members of the model's types (specification sections 2.1 and 4.2).

The body is scanned once and split into `msgspec.Raw` views of its members, without copies; base64 is decoded in C
(500 KB in 0.05 ms by pybase64, in 0.9 ms by msgspec). Only a member that C code refuses is parsed again in Python, for
an exact error. Unknown members are skipped, so that the memory for a body is bounded by its size. The last of repeated
keys wins. Type errors are reported in the model's order, source first, whatever the body's order.
"""

import codecs
import re
from base64 import b64decode
from dataclasses import dataclass

import msgspec
import pybase64
from msgspec import Raw

from likeness.aws.errors import SerializationError

_ABSENT = Raw(b"null")
_LIST = "Start of list found where not expected"
_STRUCTURE = "Start of structure or map found where not expected."
#: Values are echoed in messages up to this many characters; the service echoes megabytes (specification section 4.2).
ECHO_LENGTH = 128
_UTF8_PIECE = 1 << 16
#: Base64 digits whose lowest four (before `==`) or two (before `=`) bits are zero.
_ENDS_BEFORE_TWO_PADS = frozenset(b"AQgw")
_ENDS_BEFORE_ONE_PAD = frozenset(b"AEIMQUYcgkosw048")
#: Common content that is not JSON, by its first bytes.
_LOOKS = {
    b"\x1f\x8b": "compressed with gzip, which the service does not take",
    b"\xef\xbb\xbf": "preceded by a byte order mark",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"\xff\xd8": "a JPEG",
    b"\x89PNG": "a PNG",
    b"<": "XML or HTML",
    b"--": "a form (multipart)",
}
#: The longest that four characters can be in JSON: each as \uXXXX.
_TAIL = 24


class _Image(msgspec.Struct):
    Bytes: Raw = _ABSENT
    S3Object: Raw = _ABSENT


class _S3Object(msgspec.Struct):
    Bucket: Raw = _ABSENT
    Name: Raw = _ABSENT
    Version: Raw = _ABSENT


class _Request(msgspec.Struct):
    SourceImage: _Image | None = None
    TargetImage: _Image | None = None
    SimilarityThreshold: Raw = _ABSENT
    QualityFilter: Raw = _ABSENT


class _LooseRequest(msgspec.Struct):
    """The same with images of any type."""

    SourceImage: Raw = _ABSENT
    TargetImage: Raw = _ABSENT
    SimilarityThreshold: Raw = _ABSENT
    QualityFilter: Raw = _ABSENT


_request = msgspec.json.Decoder(_Request)
_loose_request = msgspec.json.Decoder(_LooseRequest)
_image = msgspec.json.Decoder(_Image)
_s3_object = msgspec.json.Decoder(_S3Object)
_text = msgspec.json.Decoder(str)


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed body: a JSON object whose members' types are not checked yet. Holds views into the body."""

    members: _Request | _LooseRequest


@dataclass(frozen=True, slots=True)
class S3ObjectMembers:
    """An S3Object with members of the right type; None where absent or null."""

    bucket: str | None
    name: str | None
    version: str | None


@dataclass(frozen=True, slots=True)
class ImageMembers:
    """An Image with members of the right type; None where absent or null."""

    data: bytes | None
    s3_object: S3ObjectMembers | None


@dataclass(frozen=True, slots=True)
class RequestMembers:
    """A CompareFacesRequest with members of the right type; None where absent or null.

    The threshold may be NaN or infinite.
    """

    source: ImageMembers | None
    target: ImageMembers | None
    similarity_threshold: float | None
    quality_filter: str | None


def parse_body(body: bytes | bytearray | memoryview) -> Document:
    """The JSON object in a body, which must not change while the document is in use.

    Raises SerializationError: with a text for a list, without one for other values and for what is not JSON in UTF-8
    (table 2.4, rows 7 and 8).
    """
    _check_utf8(body)
    try:
        try:
            return Document(_request.decode(body))
        except msgspec.ValidationError:
            return Document(_loose_request.decode(body))
    except msgspec.ValidationError as error:
        if _is_list(body):
            raise SerializationError(_LIST) from error
        raise SerializationError(for_log="the body is neither an object nor a list, but a single value") from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise _not_json(body, error) from error


def _not_json(body: bytes | bytearray | memoryview, error: Exception) -> SerializationError:
    """The log's description of a body that is not JSON, for which the service gives no text."""
    begins = bytes(memoryview(body)[:4])
    looks_like = next((text for magic, text in _LOOKS.items() if begins.startswith(magic)), None)
    if not begins:
        return SerializationError(for_log="the body is empty")
    if looks_like is not None:
        return SerializationError(for_log=f"the body is not JSON: it is {looks_like}")
    return SerializationError(for_log=f"the body is not JSON in UTF-8: {error}")


def _check_utf8(body: bytes | bytearray | memoryview) -> None:
    """Checks all of the body, as msgspec does not check members that it skips."""
    if not isinstance(body, memoryview) and body.isascii():
        return
    view = memoryview(body)
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(view), _UTF8_PIECE):
            decoder.decode(view[start : start + _UTF8_PIECE])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise _not_json(body, ValueError(error.reason)) from error


def _is_list(body: bytes | bytearray | memoryview) -> bool:
    try:
        return _first(msgspec.json.decode(body, type=Raw)) == b"["
    except (msgspec.DecodeError, RecursionError) as error:
        raise _not_json(body, error) from error


def read_members(document: Document) -> RequestMembers:
    """The members, converted to their types.

    Raises SerializationError for the first of the wrong type (specification section 4.2).
    """
    members = document.members
    return RequestMembers(
        _read_image(members.SourceImage),
        _read_image(members.TargetImage),
        _read_float(members.SimilarityThreshold),
        _read_string(members.QualityFilter),
    )


def _read_image(members: _Image | Raw | None) -> ImageMembers | None:
    if isinstance(members, Raw):
        members = _image.decode(members) if _is_structure(members) else None
    if members is None:
        return None
    return ImageMembers(_read_blob(members.Bytes), _read_s3_object(members.S3Object))


def _read_s3_object(raw: Raw) -> S3ObjectMembers | None:
    if not _is_structure(raw):
        return None
    members = _s3_object.decode(raw)
    return S3ObjectMembers(_read_string(members.Bucket), _read_string(members.Name), _read_string(members.Version))


def _first(raw: Raw) -> bytes:
    """The first octet of a JSON value, which determines its type."""
    return bytes(memoryview(raw)[:1])


def _is_structure(raw: Raw) -> bool:
    """True for an object, False for null; raises for the rest."""
    match _first(raw):
        case b"{":
            return True
        case b"n":
            return False
        case b"[":
            raise SerializationError(_LIST)
        case _:
            raise SerializationError("Expected null")


def _is_string(raw: Raw, type_name: str) -> bool:
    """True for a string, False for null; raises for the rest, with `type_name` in the message."""
    first = _first(raw)
    if first in (b'"', b"n"):
        return first == b'"'
    match first:
        case b"[":
            raise SerializationError(_LIST)
        case b"{":
            raise SerializationError(_STRUCTURE)
        case b"t":
            token = "TRUE_VALUE"
        case b"f":
            token = "FALSE_VALUE"
        case _:
            token = "NUMBER_VALUE"
    raise SerializationError(f"{token} can not be converted to a {type_name}")


def _read_string(raw: Raw) -> str | None:
    return _text.decode(raw) if _is_string(raw, "String") else None


def _read_float(raw: Raw) -> float | None:
    token = memoryview(raw)
    if _first(raw) in b"-0123456789":
        return float(bytes(token))
    if not _is_string(raw, "Float"):
        return None
    if bytes(token[:12]) in (b'"NaN"', b'"Infinity"', b'"-Infinity"'):
        return float(bytes(token[1:-1]))
    raise SerializationError("STRING_VALUE can not be converted to a Float")


def _read_blob(raw: Raw) -> bytes | None:
    if not _is_string(raw, "Blob"):
        return None
    tail = bytes(memoryview(raw)[1:-1][-_TAIL:])
    if b"\\" in tail or not _ends_well(tail):
        return _read_blob_exactly(raw)
    try:
        return pybase64.b64decode(memoryview(raw)[1:-1], validate=True)
    except ValueError:
        return _read_blob_exactly(raw)


def _ends_well(encoded: bytes) -> bool:
    """Whether the unused bits of the last digit are zero."""
    if encoded.endswith(b"=="):
        return encoded[-3:-2] != b"" and encoded[-3] in _ENDS_BEFORE_TWO_PADS
    if encoded.endswith(b"="):
        return encoded[-2:-1] != b"" and encoded[-2] in _ENDS_BEFORE_ONE_PAD
    return True


def _read_blob_exactly(raw: Raw) -> bytes:
    """The rules of the service's own decoder in their order: length, alphabet, leftover bits."""
    text = _text.decode(raw)
    if len(text) % 4:
        reason = f"Base64 encoded length is expected a multiple of 4 bytes but found: {len(text)}"
        raise _not_a_blob(text, reason)
    pads = len(text[-2:]) - len(text[-2:].rstrip("="))
    stray = re.search("[^A-Za-z0-9+/]", text[: len(text) - pads])
    if stray:
        raise _not_a_blob(text, f"Invalid Base64 character: '{stray.group()}'")
    if not _ends_well(text[-4:].encode()):
        raise _not_a_blob(text, "Invalid last non-pad Base64 character dectected")
    return b64decode(text)


def _not_a_blob(text: str, reason: str) -> SerializationError:
    can_not = f"can not be converted to a Blob: {reason}"
    return SerializationError(f"'{echo(text)}' {can_not}", for_log=f"Bytes {can_not}{_evidence(text)}")


def _evidence(text: str) -> str:
    """A guess, for the log, at what text that is not base64 is; the caller gets the service's text."""
    if text[:5].lower() == "data:":
        return " (it is a data URL: send the part after the comma)"
    if re.search(r"\s", text):
        return " (there are line breaks or spaces in it)"
    if re.fullmatch(r"[A-Za-z0-9+/_-]+=*", text):
        kind = "the alphabet for URLs" if re.search(r"[_-]", text) else "no padding"
        return f" (it is base64 with {kind})"
    return ""


def echo(text: str) -> str:
    """`text` for a message, cut after ECHO_LENGTH characters."""
    return text if len(text) <= ECHO_LENGTH else text[:ECHO_LENGTH] + "..."
