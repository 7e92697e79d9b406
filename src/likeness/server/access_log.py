"""The access log's lines.

A line tells who asked, when, how long it took and why it failed. It never holds a photo, an embedding, a landmark or a
similarity (a test greps for them).
"""

import re
from datetime import UTC, datetime
from typing import Any

from likeness.aws.errors import SerializationError, WireError
from likeness.errors import RequestError
from likeness.server.redaction import redact
from likeness.server.request_context import RequestContext

_ECHO = re.compile(r"^'.*'(?= can not be converted)", re.DOTALL)


def access_record(context: RequestContext) -> dict[str, Any]:
    """The access log's line for a request."""
    record: dict[str, Any] = {
        "time": _iso(context.time),
        "kind": "access",
        "request_id": context.request_id,
        "client": None if context.client is None else redact(context.client),
        "method": redact(context.method),
        "path": redact(context.path),
        "status": context.status,
        "user_agent": redact(context.header("user-agent") or ""),
        "body_bytes": context.body_bytes,
        "seconds": {name: round(value, 4) for name, value in context.seconds.items()},
    }
    if context.identity is not None:
        record["key"] = context.identity.key.id
    if context.error is not None:
        record |= {"code": context.error.code, "reason": _reason(context.error)}
    elif context.reason:
        record["reason"] = redact(context.reason)
    if context.target is not None:
        record["target"] = redact(context.target)
    if context.trace is not None:
        record["faces"] = {"source": context.trace.source_faces, "target": context.trace.target_faces}
        record["notes"] = list(context.trace.notes)
    return record


def _reason(error: RequestError | WireError) -> str:
    text = str(error)
    if isinstance(error, SerializationError):
        # The caller's text quotes the value that is not base64. That value is a photo.
        text = _ECHO.sub("a value", text)
    return redact(text)


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
