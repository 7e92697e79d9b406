"""awsJson1_1 as the service implements it (specification sections 2 and 4). One request, in this order:

    route(method, headers)            rows 2 to 6 of table 2.4   → None, or the response
    parse_body(body)                  rows 7 and 8               → Document, raises SerializationError
    signature.verify(...)             row 9
    policy.authorize(...)             row 10
    validate(document)                rows 11 and 12             → CompareFacesRequest
    success(...) or failure(...)                                 → WireResponse

Row 1, 413, belongs to the reader of the body: it raises BodyTooLarge at the limit, for `failure`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import Any

from likeness.aws.constraints import check
from likeness.aws.document import Document, parse_body, read_members
from likeness.aws.errors import BodyTooLarge, UnknownOperation, WireError
from likeness.aws.quoting import brief
from likeness.aws.shapes import TARGET, CompareFacesRequest
from likeness.errors import AccessDenied, RequestError
from likeness.faces import Comparison

__all__ = ["Cors", "Document", "Headers", "WireResponse", "failure", "parse_body", "route", "success", "validate"]

#: (name, value) pairs as received; names in any case.
Headers = Iterable[tuple[str, str]]

CONTENT_TYPE = "application/x-amz-json-1.1"
#: Octets of an inline image after decoding (the model's maximum).
MAX_INLINE_BYTES = 5_242_880
#: Octets of a body: two inline images in base64 and the rest (specification section 2.1).
MAX_BODY_BYTES = 15 * 1024 * 1024
#: How long a browser may cache the response to a preflight (specification section 2.6).
_PREFLIGHT_SECONDS = "172800"
_EXPOSED = "x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date"
_NOT_POST = (
    b"<AccessDeniedException><Message>Unable to determine service/operation name to be authorized</Message>"
    b"</AccessDeniedException>"
)
#: Marks the answers of a pack without a calibration; the service's shapes have no place for it.
UNCALIBRATED_HEADER = ("x-likeness-uncalibrated", "true")
_NOT_JSON_1_1 = b"<UnknownOperationException/>\n"


@dataclass(frozen=True, slots=True)
class WireResponse:
    """A complete response; `headers` include Date, Content-Length and the request id.

    `reason`, for the log, is why a request was refused, if there is no error.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Cors:
    """The browser origins that may call; `("*",)` is any, `()` is none (specification section 2.6)."""

    origins: tuple[str, ...] = ()

    def allows(self, origin: str | None) -> bool:
        """Whether a page of `origin` (the header's value, None if absent) may call."""
        return origin is not None and ("*" in self.origins or origin in self.origins)

    def decorate(self, response: WireResponse, origin: str | None) -> WireResponse:
        """`response` with the headers that let a page of `origin` read it; unchanged if it may not.

        Call it last, and once.
        """
        if not self.allows(origin):
            return response
        added = (*self._allow_origin(origin), ("Access-Control-Expose-Headers", _EXPOSED))
        return replace(response, headers=response.headers + added)

    def preflight(self, headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        """All headers of the response to a preflight with the (lower-case) `headers`; do not `decorate` it."""
        asked = headers.get("access-control-request-headers")
        return (
            *self._allow_origin(headers.get("origin")),
            *((("Access-Control-Allow-Headers", asked),) if asked else ()),
            ("Access-Control-Allow-Methods", headers.get("access-control-request-method", "POST")),
            ("Access-Control-Max-Age", _PREFLIGHT_SECONDS),
        )

    def _allow_origin(self, origin: str | None) -> tuple[tuple[str, str], ...]:
        if "*" in self.origins:
            return (("Access-Control-Allow-Origin", "*"),)
        return (("Access-Control-Allow-Origin", origin or ""), ("Vary", "Origin"))


def route(method: str, headers: Headers, *, request_id: str, cors: Cors = Cors()) -> WireResponse | None:
    """The response to a request that is not CompareFaces, or None to continue (table 2.4, rows 2 to 6).

    Row 5, `application/json`, gets the response of row 4, as no client of this protocol reads the service's. A
    preflight of an origin that may not call gets row 3.
    """
    joined = join_headers(headers)
    if method == "OPTIONS" and cors.allows(joined.get("origin")):
        return _response(200, b"", request_id, extra=cors.preflight(joined))
    if method != "POST":
        return replace(
            _response(403, _NOT_POST, request_id, content_type="text/xml"),
            reason=f"the method is {brief(method)}, not POST",
        )
    content_type = joined.get("content-type", "")
    if content_type.split(";")[0].strip().lower() != CONTENT_TYPE:
        return replace(
            _response(404, _NOT_JSON_1_1, request_id, content_type="text/xml"),
            reason=f"the path is unknown, or the Content-Type '{brief(content_type)}' is not {CONTENT_TYPE}",
        )
    if joined.get("x-amz-target") != TARGET:
        asked = joined.get("x-amz-target")
        return replace(
            failure(UnknownOperation(), request_id),
            reason="no X-Amz-Target header" if asked is None else f"X-Amz-Target is '{brief(asked)}', not {TARGET}",
        )
    return None


def join_headers(headers: Headers) -> dict[str, str]:
    """Headers by lower-case name; the values of a repeated one are joined with ", ", as HTTP specifies."""
    joined: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        joined[key] = f"{joined[key]}, {value}" if key in joined else value
    return joined


def validate(document: Document, *, max_inline_bytes: int = MAX_INLINE_BYTES) -> CompareFacesRequest:
    """The request in a document.

    Raises SerializationError for a member of the wrong type, ValidationError for broken constraints, InvalidParameter
    or InvalidS3Reference for an invalid image (specification sections 4.2, 4.3, 4.4, in this order).
    """
    return check(read_members(document), max_inline_bytes=max_inline_bytes)


def success(comparison: Comparison, request_id: str) -> WireResponse:
    """The 200 response: compact JSON with the digits of IEEE singles, without null. Raises ValueError for NaN."""
    body = json.dumps(comparison.to_dict(), separators=(",", ":"), allow_nan=False).encode()
    extra = () if comparison.calibrated else (UNCALIBRATED_HEADER,)
    return _response(200, body, request_id, content_type=CONTENT_TYPE, extra=extra)


def failure(error: RequestError | WireError, request_id: str, *, verbose: bool = False) -> WireResponse:
    """The response for an error, in the body style of its class (specification section 2.3).

    `verbose` appends the reason to the text of a RequestError ("Request has invalid parameters: SourceImage: no face
    found").
    """
    if isinstance(error, BodyTooLarge):
        return _response(error.http_status, b"", request_id)
    members = _wire_members(error) if isinstance(error, WireError) else _modelled_members(error, verbose)
    # The text may quote invalid characters of a header, which become question marks.
    body = json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
    return _response(error.http_status, body, request_id, content_type=CONTENT_TYPE)


def _wire_members(error: WireError) -> dict[str, Any]:
    members = {"__type": error.code}
    return members if error.text is None else members | {error.member: error.text}


def _modelled_members(error: RequestError, verbose: bool) -> dict[str, Any]:
    text, reason = error.service_message, str(error)
    if verbose and reason != text:
        text = f"{text}: {reason}"
    # A denial comes from the front end, which has no Code, although the model knows the exception too.
    code = {} if isinstance(error, AccessDenied) else {"Code": error.code}
    return {"__type": error.code} | code | {"Message": text}


def _response(
    status: int,
    body: bytes,
    request_id: str,
    *,
    content_type: str | None = None,
    extra: tuple[tuple[str, str], ...] = (),
) -> WireResponse:
    headers = (
        ("x-amzn-RequestId", request_id),
        *((("Content-Type", content_type),) if content_type else ()),
        ("Content-Length", str(len(body))),
        ("Date", formatdate(usegmt=True)),
        *extra,
    )
    return WireResponse(status, headers, body)
