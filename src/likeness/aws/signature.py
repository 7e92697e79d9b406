"""Signature Version 4, verified (specification section 3)."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from likeness.aws.keys import Key

DEFAULT_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signed: the key, and the region of its credential scope."""

    key: Key
    region: str


def verify(
    method: str,
    path: str,
    query: str,
    headers: Sequence[tuple[str, str]],
    body: bytes | bytearray | memoryview,
    *,
    lookup_key: Callable[[str], Key | None],
    now: datetime,
    skew: timedelta = DEFAULT_SKEW,
    regions: Collection[str] | None = None,
    service: str = "rekognition",
    allow_unsigned_payload: bool = False,
) -> Identity:
    """Who signed the request. Raises SignatureError, by the first row of table 3.2 that applies.

    `path` and `query` are as on the request line (still percent-encoded, no '?'), `headers` in the order received, repeated
    ones repeated. `regions` None accepts any.
    """
    ...
