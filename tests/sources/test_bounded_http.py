"""Stores that send without end, or nonsense: every fetch ends in time, in bounded memory, with the service's error."""

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from likeness.errors import InvalidImageFormat, InvalidS3Object
from likeness.sources import bounded_http
from likeness.sources.credentials import Credentials
from likeness.sources.s3 import S3Store
from likeness.sources.store import StoreSettings

MIB = 1024 * 1024
Misbehaving = Callable[[Callable[[socket.socket, int], None]], str]


def store_at(url: str, **settings: Any) -> S3Store:
    return S3Store(StoreSettings(endpoint_url=url, access_key_id="test", secret_access_key="test", **settings))


def fetch_from(store: S3Store, seconds: float) -> bytes:
    return store.fetch("bucket", "name", None, max_bytes=15 * MIB, deadline=time.monotonic() + seconds)


def fetch(url: str, *, seconds: float = 60, **settings: Any) -> bytes:
    return fetch_from(store_at(url, **settings), seconds)


def read_request(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received and (piece := connection.recv(4096)):
        received += piece
    return received


@pytest.mark.parametrize(
    ("to_head", "to_get"),
    [
        (b"", b""),
        (b"HTTP/1.1 200 OK\r\nX-Header: ", b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 404 No\r\nContent-Length: 1000000\r\n\r\n"),
    ],
    ids=["status", "header", "continue", "body", "chunk", "error"],
)
def test_a_slow_body_ends_at_the_deadline_and_closes_the_connection(
    misbehaving: Misbehaving, to_head: bytes, to_get: bytes
) -> None:
    """Each byte comes well within the time-out of a read."""
    dripping = threading.Event()
    closed = threading.Event()

    def drip(connection: socket.socket, number: int) -> None:
        while request := read_request(connection):
            is_head = request.startswith(b"HEAD")
            connection.sendall(to_head if is_head else to_get)
            if not is_head or not to_get:
                break
        dripping.set()
        try:
            for _ in range(600):  # half a minute
                connection.sendall(b"1")
                time.sleep(0.05)
        except OSError:
            closed.set()

    store = store_at(misbehaving(drip), read_timeout_seconds=0.4)
    # On a busy machine the deadline may pass before there is a client: then once more, with that client.
    while not dripping.is_set():
        begun = time.monotonic()
        with pytest.raises(InvalidS3Object, match="before the request's deadline"):
            fetch_from(store, seconds=0.6)
        assert time.monotonic() - begun < 60
    assert closed.wait(60), "the connection is still open"


@pytest.mark.parametrize("status", [b"301 Moved", b"404 No", b"503 Busy"])
def test_an_endless_error_body_is_read_up_to_a_limit(misbehaving: Misbehaving, status: bytes) -> None:
    sent = 0

    def pour(connection: socket.socket, number: int) -> None:
        nonlocal sent
        if read_request(connection).startswith(b"HEAD"):
            connection.sendall(b"HTTP/1.1 " + status + b"\r\nConnection: close\r\n\r\n")
            return
        connection.sendall(b"HTTP/1.1 " + status + b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        while sent < 64 * MIB:
            connection.sendall(b"100000\r\n" + bytes(MIB) + b"\r\n")
            sent += MIB

    with pytest.raises(InvalidS3Object):
        fetch(misbehaving(pour), attempts=1)
    assert sent < 16 * MIB  # what the system's buffers hold


@pytest.mark.parametrize(("size", "cause"), [(60 * 1024, "there is no such object"), (80 * 1024, "the store")])
def test_the_cause_in_an_error_body_is_read_up_to_the_limit(misbehaving: Misbehaving, size: int, cause: str) -> None:
    """A larger body is announced, well-formed and arrives at once, and is not read whole all the same."""
    start, end = b"<Error><Message>", b"</Message><Code>NoSuchKey</Code></Error>"
    error = start + b"m" * (size - len(start + end)) + end
    head = b"HTTP/1.1 400 No\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size

    def refuse(connection: socket.socket, number: int) -> None:
        connection.sendall(head + (b"" if read_request(connection).startswith(b"HEAD") else error))

    with pytest.raises(InvalidS3Object, match=cause) as caught:
        fetch(misbehaving(refuse), attempts=1)
    assert ("no such object" in str(caught.value)) == (size < 64 * 1024)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\nno header\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"])
def test_a_store_that_sends_nothing_sends_no_image(misbehaving: Misbehaving, answer: bytes) -> None:
    def nothing(connection: socket.socket, number: int) -> None:
        read_request(connection)
        connection.sendall(answer)

    with pytest.raises(InvalidImageFormat, match="no bytes"):
        fetch(misbehaving(nothing))


def test_a_body_in_a_made_up_coding_is_refused_or_given_as_it_is(misbehaving: Misbehaving) -> None:
    def coded(connection: socket.socket, number: int) -> None:
        head = read_request(connection).startswith(b"HEAD")
        headers = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\n"
        connection.sendall(headers + (b"" if head else b"photo"))

    assert fetch(misbehaving(coded)) == b"photo"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_responses_are_bounded_with_and_without_tls(scheme: str) -> None:
    client = bounded_http.bounded(store_at(f"{scheme}://127.0.0.1:9")._connect(Credentials("test", "test", None)))
    pool = client._endpoint.http_session._pool_classes_by_scheme[scheme]
    assert pool.ConnectionCls.response_class is bounded_http._Response
