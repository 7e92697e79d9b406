"""Clients that end their sending side after their requests, and then read."""

import contextlib
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from .conftest import Running, Serve, body, wait_for
from .raw_http import HEAD, connect, read_all

T = TypeVar("T")


def request(source: bytes, headers: bytes = b"") -> bytes:
    data = body(source)
    return HEAD + headers + b"Content-Length: %d\r\n\r\n" % len(data) + data


@pytest.fixture(scope="module")
def secure(serve: Serve, certificate: tuple[Path, Path]) -> Running:
    """A server with TLS."""
    return serve("--tls-certificate", str(certificate[0]), "--tls-key", str(certificate[1]))


class TlsClient:
    """Can end its sending side and go on reading, which `ssl.SSLSocket` cannot."""

    def __init__(self, server: Running) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._socket = connect(server)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing)
        self._finish(self._tls.do_handshake)

    def __enter__(self) -> "TlsClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _finish(self, step: Callable[[], T]) -> T:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush()
                received = self._socket.recv(65536)
                self._incoming.write(received) if received else self._incoming.write_eof()
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._socket.sendall(self._outgoing.read())

    def send(self, data: bytes) -> None:
        self._finish(lambda: self._tls.write(data))

    def end(self, *, tcp: bool) -> None:
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        self._flush()
        if tcp:
            self._socket.shutdown(socket.SHUT_WR)

    def read_all(self) -> bytes:
        """What comes until the server's close_notify."""
        received = b""
        with contextlib.suppress(ssl.SSLZeroReturnError):
            while piece := self._finish(lambda: self._tls.read(65536)):
                received += piece
        return received


@pytest.mark.parametrize("tail", [b"Connection: close\r\n", b""])
def test_a_half_closed_client_gets_its_answer(server: Running, tail: bytes) -> None:
    data = body(b"sleep 0.2")
    with connect(server) as connection:
        connection.sendall(HEAD + tail + b"Content-Length: %d\r\n\r\n" % len(data) + data)
        connection.shutdown(socket.SHUT_WR)
        received = read_all(connection)
    assert received.startswith(b"HTTP/1.1 200 ")
    assert received.count(b"HTTP/1.1") == 1
    assert received.endswith(b"}")


@pytest.mark.parametrize("source", [b"no face", b"sleep 0.1"])
def test_a_half_closed_client_gets_all_of_its_answers(server: Running, source: bytes) -> None:
    with connect(server) as connection:
        connection.sendall(3 * request(source))
        connection.shutdown(socket.SHUT_WR)
        received = read_all(connection)
    assert received.count(b"HTTP/1.1 ") == 3


def test_an_offer_of_another_protocol_does_not_take_the_answer(server: Running) -> None:
    with connect(server) as connection:
        connection.sendall(request(b"sleep 0.1", b"Connection: Upgrade\r\nUpgrade: h2c\r\n"))
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("ends_tcp", [False, True])
@pytest.mark.parametrize("requests", [1, 2])
def test_over_tls_too(secure: Running, requests: int, ends_tcp: bool) -> None:
    """The client sends close_notify, and perhaps the end of its TCP stream, before the answer."""
    with TlsClient(secure) as client:
        client.send(requests * request(b"sleep 0.1"))
        client.end(tcp=ends_tcp)
        received = client.read_all()
    assert received.count(b"HTTP/1.1 200 ") == requests


def test_over_tls_part_of_a_request_is_refused(secure: Running) -> None:
    with TlsClient(secure) as client:
        client.send(request(b"x")[:-1])
        client.end(tcp=False)
        assert client.read_all().startswith(b"HTTP/1.1 400 ")


def test_a_tls_client_that_is_gone_is_noticed(secure: Running) -> None:
    with TlsClient(secure) as client:
        client.send(request(b"until noticed"))
        client.end(tcp=False)
    wait_for(lambda: '"status":499' in (secure.folder / "stdout").read_text())
    secure.create("noticed")
