"""Accepting connections, up to what the descriptors allow; when they run out, silent ones are closed for new ones.

With several workers, the one with fewest connections accepts: the system gives most of them to whichever worker is
woken first, and each worker schedules only the requests of its own.

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
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from likeness.aws.addresses import fairness_unit
from likeness.server.tls import TlsConnection

_log = logging.getLogger(__name__)

#: Connections beyond `limit`: for health probes and 503 responses, and for new ones whose requests are still to come.
SPARE_CONNECTIONS = 32
#: Descriptors kept for the engine, logs, keys and S3.
RESERVED_DESCRIPTORS = 128
#: Connections accepted in one iteration of the event loop, so that a flood does not starve responses.
_AT_ONCE = 32
_PAUSE_SECONDS = 0.05
#: How long a connection is left to another worker; if that one is too busy to accept it, this one does.
_OFFER_SECONDS = 0.005
#: What the kernel keeps of the answers that a client does not read: twice this on Linux. It would let it grow to 4 MiB.
_UNREAD_BYTES = 128 * 1024
#: Concurrent TLS handshakes: each takes buffers and key material, and a peer needs only a socket to begin one.
MAX_HANDSHAKES = 256
#: The time that each connection is allowed to send its request before it may be closed for a new one. Over TLS it is
#: longer: handshakes take round trips and processing time.
_LEAST_SILENCE_SECONDS, _LEAST_TLS_SILENCE_SECONDS = 0.05, 0.5


def raise_descriptor_limit() -> int:
    """Raises the limit of open files as far as the process is allowed to; returns the new limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):  # some systems report "unlimited" and accept less
            return soft
    return hard


def fitting_connections(wanted: int, descriptors: int) -> int:
    """How many connections that number of descriptors allows: at least one, at most `wanted`."""
    if descriptors == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, descriptors - RESERVED_DESCRIPTORS - SPARE_CONNECTIONS))


def has_unread(connection: socket.socket) -> bool:
    """Whether the peer has sent something that is not read yet; False for its end of the stream."""
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except OSError:  # BlockingIOError: nothing has arrived
        return False


@dataclass(eq=False, slots=True)
class _Client:
    """A connection from the moment it is accepted.

    `address` is a `fairness_unit`: the peer's until a request's `caller` is known.
    """

    key: object
    address: str
    close: Callable[[], object] = lambda: None
    #: Whether the server has still to read what it has sent: the event loop may be late.
    has_unread: Callable[[], bool] = lambda: False
    caller: str | None = None
    #: Whether it reads its answers.
    reads: bool = True


@dataclass(slots=True)
class Connections:
    """The open connections, and those among them that wait for their client. Not thread-safe: for one event loop.

    When there are too many, a connection without a complete request, or with an unread answer, is closed for a new one:
    the one that has been silent longest, of the address that has the most silent ones. If there is none, the new one is
    accepted all the same, up to `spare` beyond `limit`, and its request makes the first of those connections yield
    whose bodies are arriving, of the caller that has most connections, provided that its own caller has fewer. Before
    its request is known, every connection through a proxy has the proxy's address.
    """

    limit: int
    #: Called with the number of open connections when it changes.
    on_change: Callable[[int], object] = lambda _: None
    spare: int = 0
    _open: dict[object, _Client] = field(default_factory=dict)
    _by_address: Counter[str | None] = field(default_factory=Counter)
    #: The connections whose bodies are incomplete, of each caller. None: not known yet; these do not yield.
    _receiving: dict[str | None, dict[_Client, None]] = field(default_factory=dict)
    #: The connections whose requests were admitted, until they are answered.
    _admitted: set[_Client] = field(default_factory=set)
    #: The silent connections of each address, the longest silent first, with the time at which each became silent.
    _silent: dict[str, dict[_Client, float]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._open)

    @property
    def receiving(self) -> int:
        """The number of connections whose bodies are incomplete."""
        return sum(map(len, self._receiving.values()))

    @property
    def is_full(self) -> bool:
        """Whether requests other than health probes are refused: too many connections have one."""
        return len(self._admitted) > self.limit

    @property
    def is_crowded(self) -> bool:
        """Whether no connection can be accepted unless another is closed."""
        return len(self._open) >= self.limit + self.spare

    @property
    def is_busy(self) -> bool:
        """Whether it is crowded, and every connection has a request."""
        return self.is_crowded and not self._silent

    def add(self, client: _Client) -> None:
        """Adds an accepted connection, which is silent so far."""
        self._open[client.key] = client
        self._by_address[client.address] += 1
        self._note(client, True)
        self.on_change(len(self._open))

    def remove(self, key: object) -> None:
        """Forgets a closed connection."""
        client = self._open.pop(key, None)
        if client is not None:
            self._discount(client)
            self.on_change(len(self._open))

    def admit(self, key: object, address: str) -> bool:
        """Counts a connection for the caller of its request from now on; returns whether there is room for the request.

        If there are too many connections, one of another address with more of them yields.
        """
        client = self._open.get(key)
        if client is None:  # closed for another
            return not self.is_full
        receiving = client in self._receiving.get(client.caller, {})
        self._discount(client)
        self._admitted.add(client)
        has_room = not self.is_full or self._close(self._beyond_its_share(address))
        client.address = client.caller = address
        self._by_address[address] += 1
        self._note_waiting(client, silent=False, receiving=receiving)
        return has_room

    def _discount(self, client: _Client) -> None:
        self._note(client, False)
        self._note_receiving(client, False)
        self._admitted.discard(client)
        self._by_address[client.address] -= 1
        if not self._by_address[client.address]:
            del self._by_address[client.address]

    def note(self, key: object, *, silent: bool, receiving: bool = False, reads: bool = True) -> None:
        """Records whether the connection waits for its client's next request, or for the rest of a request's body.

        One whose client does not read its answers counts as silent, whatever it sends.
        """
        client = self._open.get(key)
        if client is not None:
            client.reads = reads
            self._note_waiting(client, silent=silent, receiving=receiving)

    def _note_waiting(self, client: _Client, *, silent: bool, receiving: bool) -> None:
        self._note(client, silent or not client.reads)
        self._note_receiving(client, receiving and client.reads)

    def _note(self, client: _Client, silent: bool) -> None:
        if silent:
            self._admitted.discard(client)
            self._silent.setdefault(client.address, {}).setdefault(client, time.monotonic())
            return
        clients = self._silent.get(client.address, {})
        clients.pop(client, None)
        if not clients:
            self._silent.pop(client.address, None)

    def _note_receiving(self, client: _Client, receiving: bool) -> None:
        if receiving:
            self._receiving.setdefault(client.caller, {})[client] = None
            return
        clients = self._receiving.get(client.caller, {})
        clients.pop(client, None)
        if not clients:
            self._receiving.pop(client.caller, None)

    def delay(self, least_seconds: float) -> float:
        """Seconds until a silent connection may be closed for a new one; 0 if none need be."""
        if not self.is_crowded or not self._silent or self._longest_silent(least_seconds) is not None:
            return 0.0
        since = next(iter(self._most_silent().values()))
        return max(0.0, since + least_seconds - time.monotonic())

    def evict(self, least_seconds: float, address: str | None = None) -> bool:
        """Closes a connection for a new one of `address`; False if there is none to close.

        It is one that has been silent for `least_seconds`, or, unless `address` is None, one beyond its caller's share.
        """
        return self._close(self._longest_silent(least_seconds) or self._beyond_its_share(address))

    def _close(self, client: _Client | None) -> bool:
        if client is None:
            return False
        self.remove(client.key)
        client.close()
        return True

    def _most_silent(self) -> dict[_Client, float]:
        """The silent connections of the address that has most."""
        return max(self._silent.values(), key=len, default={})

    def _longest_silent(self, least_seconds: float) -> _Client | None:
        """The silent connection that may be closed. One whose request waits to be read counts as silent from now on."""
        clients, now = self._most_silent(), time.monotonic()
        for client, since in tuple(clients.items()):
            if now - since < least_seconds:
                return None
            if not (client.reads and client.has_unread()):
                return client
            del clients[client]
            clients[client] = now
        return None

    def _beyond_its_share(self, address: str | None) -> _Client | None:
        """The connection that yields to one more of `address`, which is not counted yet."""
        heaviest = max(self._receiving, key=self._by_address.__getitem__, default=None)
        if address is None or heaviest is None or self._by_address[heaviest] <= self._by_address[address] + 1:
            return None
        return next(iter(self._receiving[heaviest]))


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
        is_ahead: Callable[[], bool] = lambda: False,
    ) -> None:
        """`is_ahead` says whether another worker is to accept the next connection."""
        self._listener = listener
        self._make_protocol = make_protocol
        self._connections = connections
        self._ssl = context
        self._handshake_seconds = handshake_seconds
        self._is_ahead = is_ahead
        self._handshakes = Connections(MAX_HANDSHAKES)
        self._least_silence = _LEAST_SILENCE_SECONDS if context is None else _LEAST_TLS_SILENCE_SECONDS
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False
        #: Whether accepting pauses once until those beyond the limit are refused, before one more is closed unread.
        self._waits_for_refusals = False
        listener.setblocking(False)
        self._loop.add_reader(listener, self._accept)

    def close(self) -> None:
        """Stops accepting; open connections stay open.

        Connections that are established and wait to be accepted are accepted first: closing the socket resets them.
        """
        if not self._is_closed:
            self._is_closed = True
            self._loop.remove_reader(self._listener)
            with suppress(OSError):  # BlockingIOError: no more connections wait
                while len(self._connections) < self._connections.limit:
                    self._admit(*self._listener.accept())

    def end_handshakes(self) -> None:
        """Aborts the TLS handshakes that are not done."""
        for task in self._tasks:
            task.cancel()

    async def wait_closed(self) -> None:
        """For uvicorn; there is nothing to wait for."""

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            if self._is_ahead():
                self._pause(_OFFER_SECONDS)
                return
            if not self._accept_one():
                return

    def _accept_one(self) -> bool:
        """Whether a connection is accepted; otherwise none waits, or accepting pauses."""
        delay = max(each.delay(self._least_silence) for each in (self._connections, self._handshakes))
        self._waits_for_refusals = self._connections.is_busy and not self._waits_for_refusals
        if self._waits_for_refusals:
            delay = _PAUSE_SECONDS
        if delay > 0:
            self._pause(min(delay, _PAUSE_SECONDS))  # others may be closed sooner
            return False
        try:
            accepted, address = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                raise
            _log.error("a connection cannot be accepted: %s", error.strerror)
            if not self._connections.evict(self._least_silence):
                self._pause(_PAUSE_SECONDS)
            return False
        self._admit(accepted, address)
        return True

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener)
        self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        if not self._is_closed:
            self._loop.add_reader(self._listener, self._accept)
            self._accept_one()  # though another worker may be due: it did not accept during the pause

    def _admit(self, accepted: socket.socket, peer: Sequence[object]) -> None:
        address = fairness_unit(str(peer[0])) if peer else ""
        if len(self._connections) >= self._connections.limit:
            _log.warning("the limit of %d connections is reached; silent ones are closed", self._connections.limit)
            is_crowded = self._connections.is_crowded
            if not self._connections.evict(self._least_silence, address if is_crowded else None) and is_crowded:
                accepted.close()
                return
        accepted.setblocking(False)
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNREAD_BYTES)
        protocol = self._make_protocol()
        client = _Client(protocol, address, has_unread=partial(has_unread, accepted))
        task = self._loop.create_task(self._connect(accepted, protocol, client))
        client.close = task.cancel
        self._connections.add(client)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._ssl is not None:
            if self._handshakes.is_crowded:
                _log.warning("the limit of %d TLS handshakes is reached; slow ones are ended", MAX_HANDSHAKES)
                self._handshakes.evict(self._least_silence)
            self._handshakes.add(_Client(protocol, address, task.cancel, client.has_unread))

    async def _connect(self, accepted: socket.socket, protocol: asyncio.Protocol, client: _Client) -> None:
        """Hands the socket to asyncio; with TLS, returns after the handshake."""
        tls = None
        if self._ssl is not None:
            tls = TlsConnection(self._loop, protocol, self._ssl, handshake_seconds=self._handshake_seconds)
        transport, _ = await self._loop.connect_accepted_socket(lambda: tls or protocol, accepted)
        try:
            if tls is not None:
                await tls.handshake
        except (OSError, asyncio.CancelledError):  # no handshake: too slow, not TLS, gone, or closed for another
            transport.abort()
            self._connections.remove(protocol)
        else:
            client.close = transport.abort
        finally:
            self._handshakes.remove(protocol)
