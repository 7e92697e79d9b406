"""Accepting connections, and which ones yield."""

import asyncio
import contextlib
import resource
import select
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from likeness.server.accepting import _UNREAD_BYTES, Acceptor, Connections, _Client, fitting_connections, has_unread
from likeness.server.rates import Rates
from likeness.server.sharing import SharedState, WorkerSlot


def add(connections: Connections, closed: list[str], name: str, address: str = "a") -> None:
    connections.add(_Client(name, address, lambda: closed.append(name)))


def test_the_longest_silent_connection_of_the_address_with_most_yields() -> None:
    connections, closed = Connections(10), list[str]()
    for name in ("a1", "a2", "a3"):
        add(connections, closed, name)
    add(connections, closed, "b1", "b")
    connections.note("a1", silent=False)
    assert connections.evict(0)
    assert closed == ["a2"]
    connections.note("a1", silent=True)  # silent again: now the last
    assert connections.evict(0)
    assert closed == ["a2", "a3"]
    assert len(connections) == 2


def test_the_address_with_most_silent_connections_yields_whichever_came_first() -> None:
    connections, closed = Connections(10), list[str]()
    for name in ("b1", "a1", "a2"):
        add(connections, closed, name, name[0])
    assert connections.evict(0)
    assert closed == ["a1"]


def test_part_of_a_request_does_not_end_a_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    connections, closed = Connections(10), list[str]()
    for name in ("a1", "a2"):
        add(connections, closed, name)
    clock.seconds += 2
    connections.note("a1", silent=True)
    assert connections.evict(1)
    assert closed == ["a1"]


def test_a_connection_that_is_silent_again_has_no_request_admitted() -> None:
    connections, closed = Connections(1), list[str]()
    for name in ("a1", "a2"):
        add(connections, closed, name)
        connections.note(name, silent=False)
        connections.admit(name, "a")
    assert not connections.admit("closed for another", "b")
    connections.note("a1", silent=True)
    assert not connections.is_full
    assert connections.admit("closed for another", "b")


def test_nothing_is_kept_of_addresses_that_are_gone() -> None:
    connections, closed = Connections(1000), list[str]()
    for number in range(100):
        add(connections, closed, f"{number}", f"proxy {number}")
        connections.note(f"{number}", silent=False, receiving=True)
        connections.admit(f"{number}", f"caller {number}")
        connections.remove(f"{number}")
    assert not connections._by_address
    assert not connections._receiving
    assert not connections._silent


def test_a_connection_with_a_running_request_does_not_yield() -> None:
    connections, closed = Connections(1), list[str]()
    for name in ("a1", "a2"):
        add(connections, closed, name)
        connections.note(name, silent=False)
    assert not connections.is_full  # requests for pages, which are not admitted, would not make it so
    assert [connections.admit(name, "a") for name in ("a1", "a2")] == [True, False]
    assert connections.is_full
    assert not connections.evict(0)
    connections.remove("a1")
    connections.remove("a1")
    assert not connections.is_full


def test_a_connection_whose_client_does_not_read_is_silent_whatever_it_sends() -> None:
    connections, closed = Connections(1), list[str]()
    connections.add(_Client("a1", "a", lambda: closed.append("a1"), has_unread=lambda: True))
    connections.note("a1", silent=False, reads=False)
    assert connections.admit("a1", "a")  # its next request
    connections.note("a1", silent=False, receiving=True, reads=False)
    assert not connections.is_full
    assert connections.receiving == 0
    assert connections.evict(0)
    assert closed == ["a1"]


def test_an_address_with_many_incomplete_bodies_yields_to_one_with_fewer_connections() -> None:
    connections, closed = Connections(4), list[str]()
    for name in ("a1", "a2", "a3", "b1"):
        add(connections, closed, name, name[0])
        connections.note(name, silent=False, receiving=name != "a1")
        assert connections.admit(name, name[0])
    assert not connections.evict(0, "a")
    assert not connections.evict(0)
    assert connections.evict(0, "b")
    assert closed == ["a2"]
    connections.note("a3", silent=False)  # its body is complete
    assert not connections.evict(0, "c")
    connections.note("a3", silent=False, receiving=True)
    assert connections.evict(0, "c")
    assert closed == ["a2", "a3"]


def test_connections_of_one_proxy_yield_by_the_callers_of_their_requests() -> None:
    connections, closed = Connections(3), list[str]()
    for name in ("a1", "a2", "a3"):
        add(connections, closed, name, "proxy")
        connections.note(name, silent=False, receiving=True)
        assert connections.admit(name, "a")
    add(connections, closed, "a4", "proxy")
    connections.note("a4", silent=False, receiving=True)
    assert not connections.admit("a4", "a")
    connections.remove("a4")
    add(connections, closed, "b1", "proxy")
    connections.note("b1", silent=False, receiving=True)
    assert connections.admit("b1", "b")
    assert closed == ["a1"]
    assert connections.receiving == len(connections) == 3
    assert connections.admit("a2", "b")  # the next request through it is another caller's
    add(connections, closed, "c1", "proxy")
    connections.note("c1", silent=False)
    assert connections.admit("c1", "c")
    assert closed == ["a1", "b1"]
    for name in ("a2", "a3", "c1"):
        connections.remove(name)
    assert (len(connections), connections.receiving) == (0, 0)
    assert not connections.evict(0)


def test_of_the_connections_of_a_proxy_only_those_yield_whose_callers_are_known() -> None:
    connections, closed = Connections(2), list[str]()
    for name in ("a1", "a2", "b1", "b2", "b3"):
        add(connections, closed, name, "proxy")
        connections.note(name, silent=False, receiving=True)
        if name[0] == "a":
            assert connections.admit(name, "a")
    assert connections.receiving == 5
    assert [connections.admit(name, "b") for name in ("b1", "b2", "b3")] == [True, False, False]
    assert closed == ["a1"]


def test_new_connections_take_no_room_from_requests_before_theirs_come() -> None:
    connections, closed = Connections(1, spare=2), list[str]()
    add(connections, closed, "a1")
    connections.note("a1", silent=False)
    for name in ("b1", "b2"):
        assert connections.delay(60) == 0
        add(connections, closed, name, "b")
    assert 59 < connections.delay(60) <= 60  # beyond the spare ones, the next waits
    assert connections.admit("a1", "a")
    connections.note("b1", silent=False)
    assert not connections.admit("b1", "b")
    assert closed == []


def test_a_connection_is_silent_only_if_nothing_of_it_waits_to_be_read() -> None:
    connections, closed, unread = Connections(4), list[str](), {"a1", "a2"}
    for name in ("a1", "a2", "a3"):
        connections.add(_Client(name, "a", partial(closed.append, name), partial(unread.__contains__, name)))
    assert connections.evict(0)
    assert closed == ["a3"]
    assert not connections.evict(0)
    unread.clear()  # it was read, and was not a request
    assert not connections.evict(60)
    assert connections.evict(0)
    assert closed == ["a3", "a1"]


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_unread_octets_are_seen_and_stay(family: socket.AddressFamily) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener, contextlib.ExitStack() as stack:
        if family == socket.AF_UNIX:
            client, server = socket.socketpair(family)
        else:
            client = socket.create_connection(listener.getsockname())
            server = listener.accept()[0]
        stack.enter_context(closing(server))
        server.setblocking(False)
        with client:
            assert not has_unread(server)
            client.sendall(b"POST")
            wait_readable(server)
            assert has_unread(server)
            assert server.recv(10) == b"POST"
            assert not has_unread(server)
        wait_readable(server)
        assert not has_unread(server)  # the end of the stream is nothing to wait for
    assert not has_unread(server)  # closed


def wait_readable(connection: socket.socket) -> None:
    assert select.select([connection], [], [], 60)[0]


@pytest.mark.parametrize(
    ("wanted", "descriptors", "fitting"),
    [(1000, 1024, 864), (1000, 65_536, 1000), (1000, resource.RLIM_INFINITY, 1000), (1000, 100, 1)],
)
def test_connections_fit_the_descriptors(wanted: int, descriptors: int, fitting: int) -> None:
    assert fitting_connections(wanted, descriptors) == fitting


class Counted(asyncio.Protocol):
    """A connection, open until its client closes it."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.remove(self)


class Worker:
    """What of a worker accepts connections; here, several share one process."""

    def __init__(self, slot: WorkerSlot, listener: socket.socket) -> None:
        self.slot = slot
        self.connections = Connections(1000, self.slot.count_connections)
        self.listener = listener.dup()
        self.acceptor: Acceptor | None = None
        slot.shared.set_ready(slot.number, True)

    def accept(self) -> None:
        self.acceptor = Acceptor(
            self.listener,
            lambda: Counted(self.connections),
            self.connections,
            context=None,
            handshake_seconds=10.0,
            is_ahead=self.slot.is_ahead,
        )


@contextlib.asynccontextmanager
async def two_workers(family: socket.AddressFamily) -> AsyncIterator[tuple[list[Worker], list[socket.socket]]]:
    """Two workers, and clients that each call of `connected` adds to."""
    with contextlib.ExitStack() as stack:
        shared = stack.enter_context(closing(SharedState(3)))
        listener = stack.enter_context(socket.socket(family))
        listener.bind(("127.0.0.1", 0) if family == socket.AF_INET else "")
        listener.listen(100)
        rates = stack.enter_context(Rates(0.0))
        workers = [Worker(WorkerSlot(number, 1, rates, shared), listener) for number in range(2)]
        clients: list[socket.socket] = []
        try:
            yield workers, clients
        finally:
            for worker in workers:
                if worker.acceptor is not None:
                    worker.acceptor.close()
                worker.listener.close()
            for client in clients:
                client.close()
            await accepted(workers, 0)


async def connect(workers: list[Worker], clients: list[socket.socket], number: int, *, at_once: bool) -> list[int]:
    """How many connections each worker has when `number` further clients have connected."""
    for _ in range(number):
        client = socket.socket(workers[0].listener.family)
        client.connect(workers[0].listener.getsockname())
        clients.append(client)
        if not at_once:
            await accepted(workers, len(clients))
    await accepted(workers, len(clients))
    return [len(worker.connections) for worker in workers]


async def accepted(workers: list[Worker], number: int) -> None:
    async with asyncio.timeout(60):
        while sum(len(worker.connections) for worker in workers) != number:
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
@pytest.mark.parametrize("at_once", [False, True])
def test_workers_have_as_many_connections_each(family: socket.AddressFamily, at_once: bool) -> None:
    async def scene() -> None:
        async with two_workers(family) as (workers, clients):
            for worker in workers:
                worker.accept()
            numbers = await connect(workers, clients, 32, at_once=at_once)
            assert max(numbers) - min(numbers) <= 3

    asyncio.run(scene())


def test_a_worker_with_more_connections_leaves_the_next_ones_to_the_other_unless_that_one_is_busy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("likeness.server.accepting._OFFER_SECONDS", 0.1)  # on a slow machine, too

    async def scene() -> None:
        async with two_workers(socket.AF_INET) as (workers, clients):
            workers[0].accept()
            assert await connect(workers, clients, 10, at_once=False) == [10, 0]
            workers[1].accept()
            assert await connect(workers, clients, 8, at_once=False) == [10, 8]
            workers[1].slot.shared.clear(1)  # it has ended, and the next one loads
            assert await connect(workers, clients, 4, at_once=False) == [14, 8]

    asyncio.run(scene())


class Answering(asyncio.Protocol):
    """Answers the first octets of a connection and closes it."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._connections.note(self, silent=False)
        self._transport.write(data)
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.remove(self)


@contextlib.asynccontextmanager
async def one_connection_at_a_time(context: ssl.SSLContext | None = None) -> AsyncIterator[socket.socket]:
    """The listening socket of a worker that has room for one connection."""
    connections = Connections(1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        acceptor = Acceptor(
            listener, lambda: Answering(connections), connections, context=context, handshake_seconds=60.0
        )
        try:
            yield listener
        finally:
            acceptor.close()


class Clock:
    """The time of this process, event loops included, passes a thousand times as slowly, and as the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now, self.seconds = time.monotonic, 0.0
        monkeypatch.setattr(time, "monotonic", lambda: now() / 1000 + self.seconds)


def test_a_late_event_loop_closes_no_connection_whose_request_it_has_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each turn of it takes longer than a connection may be silent while others wait."""
    clock = Clock(monkeypatch)

    async def scene() -> None:
        def take_time() -> None:
            clock.seconds += 0.06
            loop.call_soon(take_time)

        loop = asyncio.get_running_loop()
        async with one_connection_at_a_time() as listener:
            with contextlib.ExitStack() as stack:
                clients = [stack.enter_context(socket.create_connection(listener.getsockname())) for _ in range(3)]
                for client in clients:
                    client.sendall(b"POST")
                    client.setblocking(False)
                loop.call_soon(take_time)
                assert [await loop.sock_recv(client, 10) for client in clients] == 3 * [b"POST"]

    asyncio.run(scene())


@pytest.mark.parametrize("tls", [False, True])
def test_a_handshake_is_allowed_more_time_than_a_request(
    tls: bool, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two connections say nothing, and there is room for one."""
    clock = Clock(monkeypatch)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if tls else None
    if context is not None:
        context.load_cert_chain(*certificate)

    async def scene() -> None:
        async with one_connection_at_a_time(context) as listener:
            with (
                socket.create_connection(listener.getsockname()) as first,
                socket.create_connection(listener.getsockname()),
            ):
                await turns()
                clock.seconds += 0.2
                await turns()
                assert bool(select.select([first], [], [], 0)[0]) == (not tls)
                clock.seconds += 0.4
                await turns()
                assert first.recv(1) == b""

    asyncio.run(scene())


@contextlib.asynccontextmanager
async def accepting(connections: Connections) -> AsyncIterator[tuple[Acceptor, socket.socket, list[asyncio.Transport]]]:
    """An acceptor, its listening socket, and the connections that it has handed on."""
    made: list[asyncio.Transport] = []

    class Noting(Counted):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            made.append(transport)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        acceptor = Acceptor(listener, lambda: Noting(connections), connections, context=None, handshake_seconds=60.0)
        try:
            yield acceptor, listener, made
        finally:
            acceptor.close()
            for transport in made:
                transport.abort()
            await turns()


def test_the_system_keeps_little_of_an_answer_that_is_not_read() -> None:
    async def scene() -> None:
        async with accepting(Connections(10)) as (_, listener, made):
            with socket.create_connection(listener.getsockname()), socket.socket() as other:
                while not made:
                    await asyncio.sleep(0.001)
                other.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNREAD_BYTES)
                bounded = made[0].get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
                assert bounded == other.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)

    asyncio.run(asyncio.wait_for(scene(), 60))


def test_bodies_yield_to_no_connection_while_spare_ones_are_left() -> None:
    """Its request is not known yet: it may be a health probe, or the same caller's."""
    connections, closed = Connections(2, spare=5), list[str]()
    for name in ("a1", "a2", "a3"):
        add(connections, closed, name)
        connections.note(name, silent=False, receiving=True)
        connections.admit(name, "a")

    async def scene() -> None:
        closed.clear()
        async with accepting(connections) as (_, listener, made):
            with socket.create_connection(listener.getsockname()):
                while not made:
                    await asyncio.sleep(0.001)
                assert closed == []

    asyncio.run(asyncio.wait_for(scene(), 60))


def test_those_that_wait_when_accepting_ends_are_accepted_up_to_the_limit() -> None:
    async def scene() -> None:
        connections = Connections(2)
        async with accepting(connections) as (acceptor, listener, made):
            with contextlib.ExitStack() as stack:
                for _ in range(4):
                    stack.enter_context(socket.create_connection(listener.getsockname()))
                acceptor.close()
                assert len(connections) == 2
                await turns()
                assert len(made) == 2

    asyncio.run(asyncio.wait_for(scene(), 60))


def test_handshakes_end_when_they_are_told_to(certificate: tuple[Path, Path]) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)

    async def scene() -> None:
        connections = Connections(10)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            acceptor = Acceptor(
                listener, lambda: Counted(connections), connections, context=context, handshake_seconds=3600.0
            )
            with socket.create_connection(listener.getsockname()):
                while not connections:
                    await asyncio.sleep(0.001)
                acceptor.close()
                acceptor.end_handshakes()
                while connections:
                    await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(scene(), 20))


async def turns() -> None:
    """Lets the event loop do what is to be done now."""
    for _ in range(20):
        await asyncio.sleep(0)
