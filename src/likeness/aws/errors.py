"""Errors of the service's front end, which precede the operation and are not in its model.

    WireError
    ├── UnknownOperation      UnknownOperationException, no text
    ├── SerializationError    SerializationException: not JSON (no text), or a member of the wrong type (key `Message`)
    ├── ValidationError       ValidationException: a constraint of the model is broken (key `message`)
    ├── SignatureError        the signature family, by code (key `message`)
    ├── NotAuthorized         AccessDeniedException of the policy check (key `Message`, no `Code`)
    └── BodyTooLarge          413 with an empty body

Errors of the operation itself are `likeness.errors.RequestError`. The body styles are those of specification section
2.3.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal

from likeness.aws.quoting import Quoting, loggable
from likeness.errors import InvalidS3Object, LikenessError

#: A header that only `likeness.client` adds: the reason of an error, percent-encoded, if the service's text does not
#: contain it.
REASON_HEADER = "x-likeness-reason"

#: The most constraint errors in one response (specification section 4.3).
LISTED_ERRORS = 10


class WireError(LikenessError):
    """An error of the front end.

    `code` is its `__type`, `text` the caller's message (None: none), `member` its key. `str(error)` is for the log.
    """

    code: str = "InternalServerError"
    http_status: ClassVar[int] = 400
    member: ClassVar[Literal["message", "Message"]] = "message"

    def __init__(self, text: str | None = None) -> None:
        super().__init__(loggable(text or self.code))
        self.text = text


class UnknownOperation(WireError):
    """The target is missing, unknown, in the wrong case or another operation's (table 2.4, row 6)."""

    code = "UnknownOperationException"


class SerializationError(WireError):
    """The body is not JSON, or a member has the wrong type (table 2.4, rows 7, 8 and 11)."""

    code = "SerializationException"
    member = "Message"

    def __init__(self, text: str | None = None, *, for_log: str | None = None) -> None:
        super().__init__(text)
        if for_log is not None:
            self.args = (for_log,)


class ValidationError(WireError):
    """Constraints of the model are broken; takes one sentence for each (specification section 4.3)."""

    code = "ValidationException"

    def __init__(self, broken: Sequence[str]) -> None:
        count = len(broken)
        start = f"{count} validation error{'' if count == 1 else 's'} detected: "
        listed = broken[:LISTED_ERRORS]
        super().__init__(Quoting(start + "; ".join(listed), start + "; ".join(map(loggable, listed))))


class SignatureError(WireError):
    """The request's signature is missing or invalid (table 3.2)."""

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        super().__init__(text)


class NotAuthorized(WireError):
    """The caller's policies do not allow the action (specification section 3.3)."""

    code = "AccessDeniedException"
    member = "Message"


class BodyTooLarge(WireError):
    """The body is larger than the front end accepts (table 2.4, row 1)."""

    code = "RequestEntityTooLarge"
    http_status = 413


class InvalidS3Reference(InvalidS3Object):
    """An S3Object without Bucket or Name (specification section 4.4)."""

    service_message = "Request has invalid S3 object"
