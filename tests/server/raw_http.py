"""Requests octet by octet, for tests that no HTTP client would send."""

import contextlib
import select
import socket
import threading
from collections.abc import Iterator

from .conftest import Running

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: RekognitionService.CompareFaces\r\n"
HEAD += b"Content-Type: application/x-amz-json-1.1\r\n"


def connect(server: Running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=60)


def read_all(connection: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(10_000):
            received += piece
    return received


def readable(*connections: socket.socket, seconds: float = 0) -> list[socket.socket]:
    """Those that were answered or closed."""
    return select.select(connections, [], [], seconds)[0]


@contextlib.contextmanager
def dripping(*connections: socket.socket, octet: bytes = b" ") -> Iterator[None]:
    """Sends an octet now and then: these bodies are slow, and have not stopped."""
    over = threading.Event()

    def drip() -> None:
        while not over.wait(0.1):
            for each in connections:
                with contextlib.suppress(OSError):
                    each.send(octet)

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
