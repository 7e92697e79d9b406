"""How much one connection takes in before its body is counted."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from likeness.server.accepting import Connections, _Client
from likeness.server.bodies import BodyLimits, BodyMemory, BodyTooSlow, read_body
from likeness.server.connections import HttpConnection
from likeness.server.request_context import RequestContext
from likeness.server.tls import TlsConnection

READ, LARGE = 64 * 1024, 256 * 1024
BODY_BYTES = 1_000_000
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % BODY_BYTES


class Client(asyncio.Transport):
    """A client that has sent a request, and all of it has arrived: the connection reads as much as it asks for."""

    def __init__(self, sent: bytes) -> None:
        super().__init__()
        self.max_size = 256 * 1024
        self.sizes: list[int] = []
        self.received: list[bytes] = []
        self.reads = True
        self._sent = sent

    def deliver(self, connection: HttpConnection) -> bool:
        """Gives the connection what one read of its socket would give; False while it reads nothing."""
        if not self.reads or not self._sent:
            return False
        piece, self._sent = self._sent[: self.max_size], self._sent[self.max_size :]
        self.sizes.append(len(piece))
        connection.data_received(piece)
        return True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def write(self, data: Any) -> None:
        if data:
            self.received.append(bytes(data))

    def close(self) -> None:
        pass


def connect(client: Client, application: Callable[..., Any], receiving: int = 0) -> HttpConnection:
    """The client's connection beside so many others whose bodies are arriving."""
    connection = make_connection(application, receiving)
    connection.connection_made(client)
    return connection


class WatchedConnection(HttpConnection):
    is_lost = False

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.is_lost = True


def make_connection(
    application: Callable[..., Any], receiving: int = 0, *, write_seconds: float = 60.0, keep_alive: float = 60.0
) -> WatchedConnection:
    others = Connections(1000)
    for number in range(receiving):
        others.add(_Client(number, "192.0.2.1"))
        others.note(number, silent=False, receiving=True)

    class Connection(WatchedConnection):
        open_connections = others

    Connection.write_seconds = write_seconds
    config = uvicorn.Config(application, lifespan="off", log_config=None)
    config.timeout_keep_alive = keep_alive  # type: ignore[assignment]  # uvicorn's own are whole seconds
    return Connection(config=config, server_state=ServerState(), app_state={})


def pieces(sent: bytes, receiving: int = 0) -> Client:
    """The client after an application has read all of its body."""

    async def reading(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        read.set()
        await asyncio.Event().wait()

    async def scenario() -> Client:
        client = Client(sent)
        connection = connect(client, reading, receiving)
        while not read.is_set():
            client.deliver(connection)
            await asyncio.sleep(0)
        return client

    read = asyncio.Event()
    return asyncio.run(asyncio.wait_for(scenario(), 60))


def test_a_body_that_is_not_asked_for_is_read_up_to_a_limit() -> None:
    async def ignoring(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    async def scenario() -> Client:
        client = Client(HEAD + bytes(BODY_BYTES))
        connection = connect(client, ignoring)
        while client.deliver(connection):
            await asyncio.sleep(0)
        return client

    assert sum(asyncio.run(scenario()).sizes) <= LARGE + READ


def test_a_body_is_read_in_large_pieces_and_what_follows_in_small_ones() -> None:
    client = pieces(HEAD + bytes(BODY_BYTES))
    assert len(client.sizes) <= 6
    assert max(client.sizes) == LARGE
    assert client.max_size == READ


def test_many_bodies_are_read_in_small_pieces() -> None:
    assert max(pieces(HEAD + bytes(BODY_BYTES), receiving=33).sizes) == READ


def test_a_body_of_unknown_length_is_read_in_small_pieces() -> None:
    """Its chunks may be so small that parsing a large piece would stop the event loop."""
    chunk = b"%x\r\n%s\r\n" % (BODY_BYTES, bytes(BODY_BYTES))
    sent = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk + b"0\r\n\r\n"
    assert max(pieces(sent).sizes) == READ


def test_an_answer_is_one_write_and_a_go_ahead_is_sent_at_once() -> None:
    async def answering(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"done"})
        answered.set()

    async def scenario() -> Client:
        client = Client(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        connection = connect(client, answering)
        client.deliver(connection)
        while not client.received:
            await asyncio.sleep(0)
        connection.data_received(b"{}")
        await answered.wait()
        return client

    answered = asyncio.Event()
    go_ahead, answer = asyncio.run(asyncio.wait_for(scenario(), 60)).received
    assert go_ahead.startswith(b"HTTP/1.1 100 ")
    assert answer == b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone"


def test_a_body_that_arrived_in_time_is_read_however_late_the_event_loop_is() -> None:
    """It is stopped after the head was read, and goes on when all time limits are over."""

    async def scene() -> bytes:
        loop = asyncio.get_running_loop()
        now, late, body = loop.time, 0.0, loop.create_future()
        loop.time = lambda: now() + late  # type: ignore[method-assign]

        async def reading(scope: Any, receive: Any, send: Any) -> None:
            limits, memory = BodyLimits(BODY_BYTES, 60.0, 1.0), BodyMemory(BODY_BYTES)
            loop.call_soon(stop)
            with memory.share("a") as share:
                try:
                    whole = await read_body(
                        RequestContext.of(scope), receive, limits=limits, memory=memory, share=share
                    )
                    body.set_result(whole)
                except BodyTooSlow as error:
                    body.set_exception(error)
            await asyncio.Event().wait()

        def stop() -> None:
            nonlocal late
            client.sendall(b"body")
            late = 3600.0

        client, server = socket.socketpair()
        with client:
            await loop.connect_accepted_socket(lambda: make_connection(reading), server)
            client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n")
            return bytes(await body)

    assert asyncio.run(scene()) == b"body"


def test_a_client_that_reads_late_keeps_its_connection() -> None:
    """And nothing of it is kept when it is gone."""

    async def scene() -> None:
        client, aborted = Client(b""), asyncio.Event()
        client.abort = aborted.set  # type: ignore[method-assign]
        connection = make_connection(lambda *_: None, write_seconds=0.05)
        connection.connection_made(client)
        connections = connection.open_connections
        connections.add(_Client(connection, "192.0.2.2"))
        connection.pause_writing()
        connection.resume_writing()
        await asyncio.sleep(0.2)
        assert not aborted.is_set()
        connection.connection_lost(None)
        assert len(connections) == 0

    asyncio.run(scene())


@pytest.mark.parametrize("tls", [False, True])
def test_a_client_that_leaves_the_end_of_an_answer_unread_is_disconnected(
    certificate: tuple[Path, Path], tls: bool
) -> None:
    """The kernel takes the beginning of the answer; asyncio alone would keep so short an end for ever."""

    async def answering(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"%d" % READ)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(READ)})

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        connection = make_connection(answering, write_seconds=0.1, keep_alive=0.2)
        client, server = socket.socketpair()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, READ // 2)
        protocol: asyncio.Protocol | TlsConnection = connection
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            protocol = TlsConnection(loop, connection, context, handshake_seconds=60)
        await loop.connect_accepted_socket(lambda: protocol, server)
        sending = asyncio.to_thread(send_request, client, tls)
        with await sending:
            while not connection.is_lost:
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(scene(), 20))


def send_request(client: socket.socket, tls: bool) -> socket.socket:
    """Sends a request; returns the socket, to be kept open."""
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client = context.wrap_socket(client)
    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    return client
