"""Redaction of client input in logs: no photo, wherever it was put, and little of a long value."""

import hashlib
import re
from typing import Any

MAX_TEXT = 500
#: Longer runs of the characters of base64, of its form for URLs, of percent-encoding or of hex digits are data.
_DATA = re.compile(r"[A-Za-z0-9+/=_%-]{100,}")
#: Other ways to write octets: base64 in lines, numbers in a row, and whatever else has no space where names would end.
_WRITTEN_OTHERWISE = (
    re.compile(r"(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/=_-]{32,}(?:\s+[A-Za-z0-9+/=_-]{32,})+(?:\s+[A-Za-z0-9+/=_-]+)?"),
    re.compile(r"(?<![0-9A-Za-z])(?:(?:0x)?[0-9A-Fa-f]{1,3}[^0-9A-Za-z]{1,3}){24,}"),
    re.compile(r"(?<!\S)\S{200,}"),
)
#: Characters that texts do not have, and octets that are read as text have everywhere.
_NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ufffd]")
_MOST_NO_TEXT = 8
#: Names may be long too; digests in hex are 128 characters at the most, and names seldom mix cases with digits.
_MOST_OF_A_NAME = 128
_QUOTED = re.compile(r"'([^']{49,})'")
_SHOWN = 16


def redact(text: str, limit: int = MAX_TEXT) -> str:
    """`text` with its data named by beginning, length and digest instead of shown, cut at `limit` characters."""
    # What is cut off in the middle of a datum must not make the rest look short.
    text = text[: 64 * 1024]
    if len(_NO_TEXT.findall(text)) > _MOST_NO_TEXT:
        return _shorten(_NO_TEXT.sub("?", text))
    text = _DATA.sub(lambda found: _shorten(found[0]) if _is_data(found[0]) else found[0], text)
    for pattern in _WRITTEN_OTHERWISE:
        text = pattern.sub(lambda found: _shorten(found[0]), text)
    text = _QUOTED.sub(lambda found: f"'{found[1][:_SHOWN]}...' ({len(found[1])} characters)", text)
    return text[:limit]


def redact_all(value: Any) -> Any:
    """A record with all its texts redacted; names of objects have up to 1,024 characters."""
    if isinstance(value, str):
        return redact(value, limit=1024)
    if isinstance(value, dict):
        return {key: redact_all(each) for key, each in value.items()}
    return value


def _is_data(run: str) -> bool:
    return (
        len(run) > _MOST_OF_A_NAME
        or run.count("%") > len(run) // 6
        or bool(re.search("[a-z]", run) and re.search("[A-Z]", run) and re.search("[0-9]", run))
    )


def _shorten(run: str) -> str:
    digest = hashlib.sha256(run.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return f"{run[:_SHOWN]}...[{len(run)} characters of data, sha256 {digest}]"
