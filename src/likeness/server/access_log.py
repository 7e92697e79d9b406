"""The access log's lines.

A record never holds a photo, an embedding, a landmark or a similarity (tests check this), and at most `quoting.MOST`
consecutive characters of a value that a caller chooses.
"""

from typing import Any

from likeness.aws.quoting import brief
from likeness.aws.timestamps import utc_text
from likeness.server.redaction import redact
from likeness.server.request_context import RequestContext

#: The words kept of a user agent; those of SDKs have about a dozen.
_MOST_WORDS = 16


def access_record(context: RequestContext) -> dict[str, Any]:
    """The access log's line for a request."""
    record: dict[str, Any] = {
        "time": utc_text(context.time, "milliseconds"),
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
    """`text` with the names of S3 objects shortened as `quoting.brief` does."""
    for each in context.request.objects if context.request is not None else []:
        for name, short in zip(each.to_dict().values(), each.shortened().to_dict().values(), strict=True):
            text = text.replace(name, short).replace(repr(name)[1:-1], short)
    return text


def user_agent(context: RequestContext) -> str | None:
    """The User-Agent header with each word shortened by `quoting.brief`; None without one."""
    value = context.header("user-agent")
    return value and " ".join(map(brief, value.split()[:_MOST_WORDS]))
