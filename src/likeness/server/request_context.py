"""The context of one request: what its answer, the logs and the metrics need."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from likeness.aws.addresses import fairness_unit
from likeness.aws.errors import WireError
from likeness.aws.policy import Context
from likeness.aws.shapes import CompareFacesRequest
from likeness.aws.signature import Identity
from likeness.errors import RequestError
from likeness.faces import Trace


@dataclass(slots=True)
class RequestContext:
    """A request and its outcome. `path` and `query` are as on the request line; `client` is an IP address."""

    method: str
    path: str
    query: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    client: str | None
    secure: bool
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    begun: float = field(default_factory=time.monotonic)
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    body_bytes: int = 0
    identity: Identity | None = None
    #: The model pack that the caller's policies choose.
    pack: str = ""
    #: The request without its photos, which only the comparing thread refers to.
    request: CompareFacesRequest | None = None
    #: Whether its S3 objects exist, so that their names are more than a caller's claim.
    are_loaded: bool = False
    #: Seconds and bytes that decoding its photos is expected to take.
    decoding: tuple[float, int] = (0.0, 0)
    #: The X-Amz-Target of a request that is not CompareFaces.
    target: str | None = None
    error: RequestError | WireError | None = None
    #: Why it was refused, if not with an error of the service.
    reason: str = ""
    trace: Trace | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    status: int = 0

    @classmethod
    def of(cls, scope: Any) -> "RequestContext":
        """From an ASGI scope. Octets that are not UTF-8 are kept by `surrogateescape`, for the signature."""
        client = scope.get("client")
        return cls(
            method=scope["method"],
            path=scope.get("raw_path", scope["path"].encode()).decode("utf-8", "surrogateescape"),
            query=scope["query_string"].decode("utf-8", "surrogateescape"),
            headers=tuple(
                (name.decode(), value.decode("utf-8", "surrogateescape")) for name, value in scope["headers"]
            ),
            client=client[0] if client and client[0] else None,
            secure=scope.get("scheme") == "https",
        )

    def header(self, name: str) -> str | None:
        """The first value of a header, by its lower-case name."""
        return next((value for each, value in self.headers if each == name), None)

    @property
    def caller(self) -> str:
        """The unit of fair sharing: the id of the key, also of its sessions, or the network of unsigned requests."""
        return self.identity.key.charged_id if self.identity is not None else self.network

    @property
    def network(self) -> str:
        """The unit of fair sharing while the key is not known: an IPv4 address or an IPv6 network."""
        return fairness_unit(self.client or "")

    @property
    def policy_context(self) -> Context:
        """What conditions of policies may refer to."""
        return Context(source_ip=self.client, now=self.time, secure_transport=self.secure, pack=self.pack)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Adds the duration of the block to `seconds`, whether it succeeds or not."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.monotonic() - begun
