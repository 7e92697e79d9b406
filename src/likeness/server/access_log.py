"""The access log's lines.

A line tells who asked, when, how long it took and why it failed. It never holds a photo, an embedding, a landmark or a
similarity (a test greps for them), nor more of a value that a caller chose than `quoting.MOST` characters in a row.
"""

from datetime import UTC, datetime
from typing import Any

from likeness.aws.quoting import brief
from likeness.server.redaction import redact
from likeness.server.request_context import RequestContext

#: Of a user agent; those of SDKs have a dozen words.
_MOST_WORDS = 16


def access_record(context: RequestContext) -> dict[str, Any]:
    """The access log's line for a request."""
    record: dict[str, Any] = {
        "time": _iso(context.time),
        "kind": "access",
        "request_id": context.request_id,
        "client": None if context.client is None else redact(brief(context.client)),
        "method": redact(brief(context.method)),
        "path": redact(brief(context.path)),
        "status": context.status,
        "user_agent": redact(user_agent(context) or ""),
        "body_bytes": context.body_bytes,
        "seconds": {name: round(value, 4) for name, value in context.seconds.items()},
    }
    if context.identity is not None:
        record["key"] = context.identity.key.id
    if context.error is not None:
        record |= {"code": context.error.code, "reason": redact(_reason(context, str(context.error)))}
    elif context.reason:
        record["reason"] = redact(context.reason)
    if context.target is not None:
        record["target"] = redact(brief(context.target))
    if context.trace is not None:
        record["faces"] = {"source": context.trace.source_faces, "target": context.trace.target_faces}
        record["notes"] = list(context.trace.notes)
    return record


def _reason(context: RequestContext, text: str) -> str:
    """`text` with no more of the names of S3 objects than a log may hold."""
    for each in context.request.objects if context.request is not None else []:
        for name, short in zip(each.to_dict().values(), each.shortened().to_dict().values(), strict=True):
            text = text.replace(name, short).replace(repr(name)[1:-1], short)
    return text


def user_agent(context: RequestContext) -> str | None:
    """The header, with no more of each word than a log may hold."""
    value = context.header("user-agent")
    return value and " ".join(map(brief, value.split()[:_MOST_WORDS]))


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
