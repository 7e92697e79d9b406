"""Redaction of logs: a second net, for what libraries say, below `aws.quoting`, which bounds what callers choose."""

import hashlib
import re
from typing import Any

MAX_TEXT = 500
#: How JPEG and PNG begin in base64, in its form for URLs too, and in hex digits: data however short it was cut.
_PHOTO_BEGINS = re.compile(
    r"(?:[/_]9j[/_]|iVBORw0KGgo)[A-Za-z0-9+/=_-]{8,}|(?:[fF]{2}[dD]8[fF]{2}|89504[eE]47)[0-9A-Fa-f]{16,}"
)
#: Runs of the characters of base64, of its form for URLs, of percent-encoding or of hex digits; `_is_data` tells.
_RUN = re.compile(r"[A-Za-z0-9+/=_%-]{40,}")
#: Other ways to write octets: base64 in lines, numbers in a row, escapes, and whatever else has no space where names
#: would end.
_WRITTEN_OTHERWISE = (
    re.compile(r"(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/=_-]{32,}(?:\s+[A-Za-z0-9+/=_-]{32,})+(?:\s+[A-Za-z0-9+/=_-]+)?"),
    re.compile(r"(?<![0-9A-Za-z])(?:(?:0x)?[0-9A-Fa-f]{1,3}[^0-9A-Za-z]{1,3}){24,}"),
    re.compile(r"(?:\\(?:x|u00)[0-9A-Fa-f]{2}[^\\]{0,12}){8,}"),
    re.compile(r"(?<!\S)\S{200,}"),
)
#: Characters that texts do not have, and octets that are read as text have everywhere.
_NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ufffd]")
_MOST_NO_TEXT = 8
#: Names may be long too; digests in hex are 128 characters at the most, and names seldom mix cases with digits.
_MOST_OF_A_NAME = 128
#: Shorter runs are data where letters and digits change places, or letters their case, so often: base64 does so at
#: 58 of 100 places, names at every fourth or fifth.
_LONG_RUN, _LEAST_CHANGES = 100, 0.4
_CHANGE = re.compile(r"(?=[a-z][A-Z0-9]|[A-Z][a-z0-9]|[0-9][A-Za-z])")
_SHOWN = 8


def redact(text: str, limit: int = MAX_TEXT) -> str:
    """`text` with its data named by beginning, length and digest instead of shown, cut at `limit` characters."""
    # What is cut off in the middle of a datum must not make the rest look short.
    text = text[: 64 * 1024]
    if len(_NO_TEXT.findall(text)) > _MOST_NO_TEXT:
        return _shorten(_NO_TEXT.sub("?", text))
    return hide_data(text)[:limit]


def hide_data(text: str) -> str:
    """`text` with whatever is written as photos are, named by beginning, length and digest instead of shown."""
    text = _PHOTO_BEGINS.sub(lambda found: _shorten(found[0]), text)
    text = _RUN.sub(lambda found: _shorten(found[0]) if _is_data(found[0]) else found[0], text)
    for pattern in _WRITTEN_OTHERWISE:
        text = pattern.sub(lambda found: _shorten(found[0]), text)
    return text


def redact_all(value: Any) -> Any:
    """A record with all its texts redacted; names of objects have up to 1,024 characters."""
    if isinstance(value, str):
        return redact(value, limit=1024)
    if isinstance(value, dict):
        return {key: redact_all(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact_all(each) for each in value]
    return value


def _is_data(run: str) -> bool:
    if len(run) > _MOST_OF_A_NAME:
        return True
    mixed = bool(re.search("[a-z]", run) and re.search("[A-Z]", run) and re.search("[0-9]", run))
    if len(run) < _LONG_RUN:
        return mixed and len(_CHANGE.findall(run)) > _LEAST_CHANGES * len(run)
    return mixed or run.count("%") > len(run) // 6


def _shorten(run: str) -> str:
    digest = hashlib.sha256(run.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return f"{run[:_SHOWN]}...[{len(run)} characters of data, sha256 {digest}]"
