"""How much one connection takes in before its body is counted."""

import asyncio
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from likeness.server.accepting import Connections
from likeness.server.connections import HttpConnection

READ = 64 * 1024
BODY_BYTES = 1_000_000
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % BODY_BYTES


class Client(asyncio.Transport):
    """A client that has sent a request, and all of it has arrived: the connection reads as much as it asks for."""

    def __init__(self, sent: bytes) -> None:
        super().__init__()
        self.max_size = 256 * 1024
        self.sizes: list[int] = []
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

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def write(self, data: Any) -> None:
        pass

    def close(self) -> None:
        pass


def connect(client: Client, application: Callable[..., Any]) -> HttpConnection:
    class Connection(HttpConnection):
        open_connections = Connections(10)

    config = uvicorn.Config(application, lifespan="off", log_config=None)
    connection = Connection(config=config, server_state=ServerState(), app_state={})
    connection.connection_made(client)
    return connection


def test_a_connection_reads_little_until_its_body_is_asked_for() -> None:
    async def ignoring(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    async def scenario() -> Client:
        client = Client(HEAD + bytes(BODY_BYTES))
        connection = connect(client, ignoring)
        while client.deliver(connection):
            await asyncio.sleep(0)
        return client

    assert sum(asyncio.run(scenario()).sizes) <= 2 * READ


def test_what_is_asked_for_comes_in_few_pieces_and_what_follows_in_small_ones() -> None:
    received: list[int] = []

    async def reading(scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            message = await receive()
            received.append(len(message["body"]))
            more = message["more_body"]
        await asyncio.Event().wait()

    async def scenario() -> Client:
        client = Client(HEAD + bytes(BODY_BYTES))
        connection = connect(client, reading)
        while sum(received) < BODY_BYTES:
            client.deliver(connection)
            await asyncio.sleep(0)
        return client

    client = asyncio.run(asyncio.wait_for(scenario(), 60))
    assert len(client.sizes) <= 8
    assert max(client.sizes) <= 4 * READ
    assert client.max_size == READ
