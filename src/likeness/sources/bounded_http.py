"""HTTP responses for botocore, limited in time and size.

botocore's timeouts apply per read, so a peer that sends single bytes never times out, and it reads complete error
bodies. Here all reads from a socket share one deadline, and the body of an error is limited. A truncated response
raises, and urllib3 closes the connection.
"""

import http.client
import io
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)

#: The body of an error states its cause in a few hundred bytes.
_MOST_ERROR_BYTES = 64 * 1024

#: The deadline of the responses that this thread reads (`time.monotonic()`).
_deadline: ContextVar[float] = ContextVar("deadline")


@contextmanager
def answers_until(deadline: float) -> Iterator[None]:
    """Within the block, this thread's reads by `bounded` clients end at `deadline` (`time.monotonic()`)."""
    token = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(token)


def bounded(client: Any) -> Any:
    """Limits the responses of a botocore client; returns the client."""
    # The table of connection pools is the only extension point of botocore's HTTP session.
    client._endpoint.http_session._pool_classes_by_scheme.update(http=_HTTPPool, https=_HTTPSPool)
    return client


class _SocketReader(io.RawIOBase):
    """The bytes of a socket until the deadline, at most `most_bytes`."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        self._socket = sock
        self._read_timeout = sock.gettimeout()
        self.most_bytes: int | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        remaining = _deadline.get() - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("the store's response did not arrive before the deadline")
        if self.most_bytes is not None and self.most_bytes <= 0:
            raise OSError(f"the store's error has more than {_MOST_ERROR_BYTES} bytes")
        self._socket.settimeout(remaining if self._read_timeout is None else min(self._read_timeout, remaining))
        size = self._raw.readinto(buffer)
        if self.most_bytes is not None:
            self.most_bytes -= size or 0
        return size

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    fp: io.BufferedReader

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self._reader = _SocketReader(self.fp.detach(), sock)
        self.fp = io.BufferedReader(self._reader)

    def begin(self) -> None:
        super().begin()
        if not 200 <= self.status < 300:
            self._reader.most_bytes = _MOST_ERROR_BYTES


class _HTTPConnection(AWSHTTPConnection):
    response_class = _Response  # type: ignore[assignment]


class _HTTPSConnection(AWSHTTPSConnection):
    response_class = _Response  # type: ignore[assignment]


class _HTTPPool(AWSHTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(AWSHTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection
