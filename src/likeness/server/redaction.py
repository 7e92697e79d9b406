"""Redaction of logs: a second line of defence, for texts of libraries, behind `aws.quoting` for callers' values."""

import hashlib
import re
from functools import lru_cache
from typing import Any

MAX_TEXT = 500
#: How JPEG and PNG begin in base64, base64url and hex digits: redacted even when cut short.
_PHOTO_BEGINS = re.compile(
    r"(?:[/_]9j[/_]|iVBORw0KGgo)[A-Za-z0-9+/=_-]{8,}|(?:[fF]{2}[dD]8[fF]{2}|89504[eE]47)[0-9A-Fa-f]{16,}"
)
#: Runs of characters of base64, base64url, percent-encoding or hex digits, which `_is_data` judges.
_RUN = re.compile(r"[A-Za-z0-9+/=_%-]{40,}")
#: Other notations of octets: base64 in lines, sequences of numbers, escapes, and long runs without a space.
_WRITTEN_OTHERWISE = (
    re.compile(r"(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/=_-]{32,}(?:\s+[A-Za-z0-9+/=_-]{32,})+(?:\s+[A-Za-z0-9+/=_-]+)?"),
    re.compile(r"(?<![0-9A-Za-z])(?:(?:0x)?[0-9A-Fa-f]{1,3}[^0-9A-Za-z]{1,3}){24,}"),
    re.compile(r"(?:\\(?:x|u00)[0-9A-Fa-f]{2}[^\\]{0,12}){8,}"),
    re.compile(r"(?<!\S)\S{200,}"),
)
#: How Python writes octets, and numbers as exact as a vector's or a similarity: what an exception's text may quote.
_QUOTED_OCTETS = re.compile(r"""b'(?:[^'\\]|\\.){24,}'?|b"(?:[^"\\]|\\.){24,}"?""", re.DOTALL)
_EXACT_NUMBER = re.compile(r"(?<!\d)\d+\.(?:\d{5,}(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+)")
#: Characters that text does not contain, but octets decoded as text do.
_NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ufffd]")
_MOST_NO_TEXT = 8
#: Names may be long too; hex digests have at most 128 characters, and names rarely mix both cases with digits.
_MOST_OF_A_NAME = 128
#: Runs shorter than `_LONG_RUN` are data if the kind of character (upper, lower, digit) changes this often: in base64
#: at 58 % of the places, in names at 20 to 25 %.
_LONG_RUN, _LEAST_CHANGES = 100, 0.4
_CHANGE = re.compile(r"(?=[a-z][A-Z0-9]|[A-Z][a-z0-9]|[0-9][A-Za-z])")
_SHOWN = 8


def redact(text: str, limit: int = MAX_TEXT) -> str:
    """`text` with data replaced by its beginning, length and digest, cut at `limit` characters."""
    if len(text) <= MAX_TEXT:
        return _redacted_once(text)[:limit]
    # Cut generously here: data cut short could pass as a name.
    return _redacted(text[: 64 * 1024])[:limit]


def _redacted(text: str) -> str:
    if len(_NO_TEXT.findall(text)) > _MOST_NO_TEXT:
        return _shorten(_NO_TEXT.sub("?", text))
    return hide_data(text)


#: Redacting an error's text before its answer would tell which keys exist: the texts of an unknown key and of a wrong
#: signature differ in length, by 13 µs.
_redacted_once = lru_cache(maxsize=256)(_redacted)


def hide_data(text: str) -> str:
    """`text` with what may be image data replaced by its beginning, length and digest, and exact numbers by a word."""
    text = _QUOTED_OCTETS.sub(lambda found: _shorten(found[0]) if "\\x" in found[0] else found[0], text)
    text = _EXACT_NUMBER.sub("[number]", text)
    text = _PHOTO_BEGINS.sub(lambda found: _shorten(found[0]), text)
    text = _RUN.sub(lambda found: _shorten(found[0]) if _is_data(found[0]) else found[0], text)
    for pattern in _WRITTEN_OTHERWISE:
        text = pattern.sub(lambda found: _shorten(found[0]), text)
    return text


def redact_all(value: Any) -> Any:
    """A record with all its strings redacted, cut at 1,024 characters: the longest name of an S3 object."""
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
    digest = hashlib.sha256(run.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{run[:_SHOWN]}...[{len(run)} characters of data, sha256 {digest}]"
