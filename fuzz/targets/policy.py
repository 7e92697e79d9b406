"""Policies as JSON: read, and decided for some requests."""

import json
from datetime import UTC, datetime

from fuzz.target import Target
from likeness.aws.policy import Context, Policy, decide
from likeness.errors import SettingsError

CONTEXTS = (
    Context(None, datetime(2018, 7, 10, tzinfo=UTC), secure_transport=False),
    Context("::ffff:10.0.0.1", datetime(2030, 1, 1, tzinfo=UTC), secure_transport=True),
)


def run(data: bytes) -> None:
    """What is no JSON is refused before; a policy that is accepted decides about any request."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return
    policy = Policy.load(document)
    for context in CONTEXTS:
        for resource in ("*", "arn:aws:s3:::photos/" + "a" * 1000 + "/b.jpg", "\n\udc80"):
            decide([policy], "rekognition:CompareFaces", resource, context)


def seeds() -> list[bytes]:
    """Policies with every element."""
    allow = {"Effect": "Allow", "Action": ["rekognition:*", "s3:Get?bject"], "Resource": "arn:aws:s3:::*/a*b*.jpg"}
    conditions = {
        "IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "::1"]},
        "DateLessThan": {"aws:CurrentTime": "2030-01-01T00:00:00Z"},
        "DateNotEquals": {"aws:CurrentTime": "1700000000"},
        "Bool": {"aws:SecureTransport": True},
    }
    deny = {"Sid": "a", "Effect": "Deny", "NotAction": "s3:*", "NotResource": ["*"], "Condition": conditions}
    return [
        json.dumps({"Version": "2012-10-17", "Id": "x", "Statement": each}).encode() for each in (allow, [allow, deny])
    ]


TARGET = Target(
    run,
    (SettingsError,),
    seeds,
    tokens=(
        *(
            b'"Statement"',
            b'"Effect"',
            b'"Action"',
            b'"NotAction"',
            b'"Resource"',
            b'"Condition"',
            b'"Allow"',
            b'"Deny"',
        ),
        *(
            b'"IpAddress"',
            b'"aws:SourceIp"',
            b'"DateEquals"',
            b'"aws:CurrentTime"',
            b'"Bool"',
            b'"*"',
            b"*?*",
            b"**" * 50,
        ),
        *(b"0.0.0.0/0", b"::/129", b"99999999999", b"0001-01-01T00:00:00+23:59", b"9999-12-31T23:59:59-23:59"),
    ),
)
