"""awsJson1_1 as the service speaks it (specification sections 2 and 4). One request, in this order:

    route(method, headers)            rows 2 to 6 of table 2.4   → None, or the answer
    parse_body(body)                  rows 7 and 8               → Document, raises SerializationError
    signature.verify(...)             row 9
    policy.authorize(...)             row 10
    validate(document)                rows 11 and 12             → CompareFacesRequest
    success(...) or failure(...)                                 → WireResponse

The first row, 413, is the reader's: it raises BodyTooLarge as soon as it has seen too much, and `failure` answers.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from likeness.aws.errors import WireError
from likeness.aws.shapes import CompareFacesRequest
from likeness.errors import RequestError
from likeness.faces import Comparison

#: (name, value) pairs as received; names in any case.
Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class WireResponse:
    """A whole answer: send `headers` as they are (Date, Content-Length and request id are among them; add no other Date)."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Cors:
    """Which browser origins may call; `("*",)` is any, `()` is none (specification section 2.6)."""

    origins: tuple[str, ...] = ()

    def decorate(self, response: WireResponse, origin: str | None) -> WireResponse:
        """`response` with the headers that let a page of `origin` read it; unchanged where it may not. Call it last, once."""
        ...


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed body, not yet validated."""


def route(method: str, headers: Headers, *, request_id: str, cors: Cors = Cors()) -> WireResponse | None:
    """The answer to a request that is none of CompareFaces, or None for one to go on with (table 2.4, rows 2 to 6)."""
    ...


def parse_body(body: bytes | bytearray | memoryview) -> Document:
    """The JSON object of a body. Raises SerializationError (rows 7 and 8)."""
    ...


def validate(document: Document, *, max_inline_bytes: int = 5_242_880) -> CompareFacesRequest:
    """The request in a document.

    Raises SerializationError for a member of the wrong type, ValidationError for broken constraints, InvalidParameter or
    InvalidS3Reference for an image that is not one (specification sections 4.2, 4.3, 4.4, in this order).
    """
    ...


def success(comparison: Comparison, request_id: str) -> WireResponse:
    """The 200 answer."""
    ...


def failure(error: RequestError | WireError, request_id: str, *, verbose: bool = False) -> WireResponse:
    """The answer to an error in the body style of its class; `verbose` appends the reason to the service's text."""
    ...


_ = Any
