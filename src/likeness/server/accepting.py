"""Accepting connections: as many as the descriptors allow; silent ones yield to new ones.

asyncio's own server accepts without a bound, does not count connections that are still in their TLS handshake, and logs
an error for each attempt when descriptors run out.
"""

import asyncio
import errno
import logging
import resource
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from likeness.server.tls import TlsConnection

_log = logging.getLogger(__name__)

#: Beyond `limit`, for health probes and answers of 503.
SPARE_CONNECTIONS = 32
#: Descriptors that are not connections: the engine's, logs, keys, S3.
RESERVED_DESCRIPTORS = 128
#: Accepted in one turn of the event loop, so that a flood leaves turns for answers.
_AT_ONCE = 32
_PAUSE_SECONDS = 0.1
#: TLS handshakes at once: each has buffers and key material, and a peer needs no more than a socket to begin one.
MAX_HANDSHAKES = 256
#: What a handshake has to be done before it may have to yield; meanwhile, new connections wait to be accepted.
_LEAST_HANDSHAKE_SECONDS = 0.5
#: What a connection has to send something before it may have to yield; meanwhile, new ones wait to be accepted.
_LEAST_SILENCE_SECONDS = 0.05


def raise_descriptor_limit() -> int:
    """Raises the limit of open files to the most that the process may set; returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):  # some systems say "unlimited" and take less
            return soft
    return hard


def fitting_connections(wanted: int, descriptors: int) -> int:
    """How many connections can be served with so many descriptors; at least one, at most `wanted`."""
    if descriptors == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, descriptors - RESERVED_DESCRIPTORS - SPARE_CONNECTIONS))


@dataclass(eq=False, slots=True)
class _Client:
    """A connection from the moment it is accepted."""

    key: object
    address: str
    close: Callable[[], object] = lambda: None


@dataclass(slots=True)
class Connections:
    """All that are open, and which of them wait for their client. For one event loop.

    A client that has sent no whole request is worth less than a new one: when there are too many, the one that has
    been silent longest is closed, among those of the address that has most of them.
    """

    limit: int
    _open: dict[object, _Client] = field(default_factory=dict)
    #: By address, the longest silent first, and since when.
    _silent: dict[str, dict[_Client, float]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._open)

    @property
    def is_full(self) -> bool:
        """Whether a request other than for health must be refused: no silent connection is left to displace."""
        return len(self._open) > self.limit

    def add(self, client: _Client) -> None:
        """Adds an accepted connection, which is silent so far."""
        self._open[client.key] = client
        self._note(client, True)

    def remove(self, key: object) -> None:
        """The connection is closed."""
        client = self._open.pop(key, None)
        if client is not None:
            self._note(client, False)

    def note_silent(self, key: object, silent: bool) -> None:
        """Whether the connection waits for its client's next request."""
        client = self._open.get(key)
        if client is not None:
            self._note(client, silent)

    def _note(self, client: _Client, silent: bool) -> None:
        if silent:
            self._silent.setdefault(client.address, {}).setdefault(client, time.monotonic())
            return
        clients = self._silent.get(client.address, {})
        clients.pop(client, None)
        if not clients:
            self._silent.pop(client.address, None)

    def silent_seconds(self) -> float | None:
        """For how long the connection has been silent that would have to yield; None where there is none."""
        client = self._first_to_yield()
        return None if client is None else time.monotonic() - self._silent[client.address][client]

    def patience(self, least_seconds: float) -> float:
        """How long a new connection has to wait until one that is silent has had `least_seconds`; 0 with room left."""
        silent = self.silent_seconds() if len(self._open) >= self.limit else None
        return 0.0 if silent is None else max(0.0, least_seconds - silent)

    def make_room(self) -> bool:
        """Closes a silent connection; False where there is none."""
        client = self._first_to_yield()
        if client is None:
            return False
        self.remove(client.key)
        client.close()
        return True

    def _first_to_yield(self) -> _Client | None:
        if not self._silent:
            return None
        return next(iter(max(self._silent.values(), key=len)))  # type: ignore[arg-type]


class Acceptor:
    """Accepts on one listening socket; has the methods of `asyncio.Server` that uvicorn calls."""

    def __init__(
        self,
        listener: socket.socket,
        make_protocol: Callable[[], asyncio.Protocol],
        connections: Connections,
        *,
        context: ssl.SSLContext | None,
        handshake_seconds: float,
    ) -> None:
        self._listener = listener
        self._make_protocol = make_protocol
        self._connections = connections
        self._ssl = context
        self._handshake_seconds = handshake_seconds
        self._handshakes = Connections(MAX_HANDSHAKES)
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False
        listener.setblocking(False)
        self._loop.add_reader(listener, self._accept)

    def close(self) -> None:
        """Accepts no more. What is open stays open."""
        if not self._is_closed:
            self._is_closed = True
            self._loop.remove_reader(self._listener)

    async def wait_closed(self) -> None:
        """For uvicorn; there is nothing to wait for."""

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            patience = max(
                self._connections.patience(_LEAST_SILENCE_SECONDS), self._handshakes.patience(_LEAST_HANDSHAKE_SECONDS)
            )
            if patience > 0:
                self._pause(patience)
                return
            try:
                accepted, address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    raise
                _log.error("a connection cannot be accepted: %s", error.strerror)
                if not self._connections.make_room():
                    self._pause(_PAUSE_SECONDS)
                return
            self._admit(accepted, str(address[0]) if address else "")

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener)
        self._loop.call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        if not self._is_closed:
            self._loop.add_reader(self._listener, self._accept)

    def _admit(self, accepted: socket.socket, address: str) -> None:
        if len(self._connections) >= self._connections.limit:
            _log.warning("there are %d connections, as many as can be; silent ones are closed", self._connections.limit)
            made_room = self._connections.make_room()
            if not made_room and len(self._connections) >= self._connections.limit + SPARE_CONNECTIONS:
                accepted.close()
                return
        accepted.setblocking(False)
        protocol = self._make_protocol()
        client = _Client(protocol, address)
        task = self._loop.create_task(self._connect(accepted, protocol, client))
        client.close = task.cancel
        self._connections.add(client)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._ssl is not None:
            if len(self._handshakes) >= self._handshakes.limit:
                _log.warning(
                    "there are %d TLS handshakes, as many as can be; slow ones are ended", len(self._handshakes)
                )
                self._handshakes.make_room()
            self._handshakes.add(client)

    async def _connect(self, accepted: socket.socket, protocol: asyncio.Protocol, client: _Client) -> None:
        """Hands the socket to asyncio; with TLS, that takes until the handshake is done."""
        tls = None
        if self._ssl is not None:
            tls = TlsConnection(self._loop, protocol, self._ssl, handshake_seconds=self._handshake_seconds)
        transport, _ = await self._loop.connect_accepted_socket(lambda: tls or protocol, accepted)
        try:
            if tls is not None:
                await tls.handshake
        except (OSError, asyncio.CancelledError):  # no handshake: too slow, no TLS, gone, or yielding to another
            transport.abort()
            self._connections.remove(protocol)
        else:
            client.close = transport.abort
        finally:
            self._handshakes.remove(protocol)
