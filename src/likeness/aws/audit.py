"""Audit records in CloudTrail's shape (specification section 7.3); no image, embedding, landmark or similarity."""

from datetime import datetime
from typing import Any

from likeness.aws.errors import WireError
from likeness.aws.shapes import CompareFacesRequest
from likeness.aws.signature import Identity
from likeness.errors import RequestError


def audit_record(
    *,
    request_id: str,
    time: datetime,
    region: str,
    source_ip: str | None,
    user_agent: str | None,
    identity: Identity | None,
    request: CompareFacesRequest | None,
    error: RequestError | WireError | None,
) -> dict[str, Any]:
    """One event, ready for JSON. `identity` None: anonymous or refused before it was known. `region` is the server's own name
    for where it runs, used when nobody signed."""
    ...
