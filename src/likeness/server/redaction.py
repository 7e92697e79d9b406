"""What may stand in a log of what a client sent: no photo, wherever it was put, and little of a long value."""

import hashlib
import re
from typing import Any

MAX_TEXT = 500
#: Longer runs of the characters of base64, of its form for URLs, of percent-encoding or of hex digits are data.
_DATA = re.compile(r"[A-Za-z0-9+/=_%-]{100,}")
#: Names may be long too; digests in hex are 128 characters at the most, and names seldom mix cases with digits.
_MOST_OF_A_NAME = 128
_QUOTED = re.compile(r"'([^']{49,})'")
_SHOWN = 16


def redact(text: str, limit: int = MAX_TEXT) -> str:
    """`text` with its data named by beginning, length and digest instead of shown, cut at `limit` characters."""
    # What is cut off in the middle of a datum must not make the rest look short.
    text = _DATA.sub(lambda found: _shorten(found[0]) if _is_data(found[0]) else found[0], text[: 64 * 1024])
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
    return len(run) > _MOST_OF_A_NAME or bool(
        re.search("[a-z]", run) and re.search("[A-Z]", run) and re.search("[0-9]", run)
    )


def _shorten(run: str) -> str:
    digest = hashlib.sha256(run.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return f"{run[:_SHOWN]}...[{len(run)} characters of data, sha256 {digest}]"
