"""Request lines, headers and chunks: which are taken, and how the others are refused."""

import contextlib
import socket

import pytest

from likeness.server.connections import MAX_HEAD_BYTES

from .conftest import HEADERS, Running, body, wait_for
from .raw_http import HEAD, connect, read_all


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\n", b"400"),
        (HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", b"400"),
        (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400"),
        (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n", b"501"),
        (HEAD + b"Host: y\r\n\r\n", b"400"),
        (HEAD + b"a: b\r\n" * 98 + b"\r\n", b"431"),
        (HEAD + b"a: " + b"b" * 16_384 + b"\r\n\r\n", b"431"),
        (HEAD + b"b:\r\n" * 200_000, b"431"),
        (HEAD.replace(b"Host: x", b"Host: a b/c") + b"\r\n", b"400"),
        (HEAD.replace(b"HTTP/1.1", b"HTTP/2.0") + b"\r\n", b"505"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"505"),
        (HEAD.replace(b" / ", b" x ") + b"\r\n", b"400"),
        (HEAD.replace(b" / ", b" * ") + b"\r\n", b"400"),
        (HEAD.replace(b" / ", b" example.org:80 ") + b"\r\n", b"400"),
        (HEAD.replace(b" / ", b" ftp://example.org/ ") + b"\r\n", b"400"),
        (HEAD.replace(b" / ", b" http:/// ") + b"\r\n", b"400"),
        (HEAD.replace(b" / ", b" http://[::1 ") + b"\r\n", b"400"),
        (HEAD + b"Content-Length: +2\r\n\r\n{}", b"400"),
        (HEAD + b"Content-Length: 0x2\r\n\r\n{}", b"400"),
        (HEAD + b"Content-Length: 2, 3\r\n\r\n{}", b"400"),
        (HEAD + b"a: b\0c\r\n\r\n", b"400"),
        (b"POST /" + b"a" * 16_384 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"431"),
        (b"POST /?" + b"a" * 16_384 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"431"),
        (HEAD.replace(b" / ", b" /" + 100 * b"%2e/" + b" ") + b"\r\n", b"431"),
        (HEAD.replace(b" / ", b" /?" + 100 * b"&a=b" + b" ") + b"\r\n", b"431"),
    ],
)
def test_heads_that_are_ambiguous_or_too_large_are_refused(server: Running, sent: bytes, status: bytes) -> None:
    with connect(server) as connection:
        with contextlib.suppress(OSError):  # it may be refused before all of it is sent
            connection.sendall(sent)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1000).startswith(b"HTTP/1.1 " + status)
            assert connection.recv(1000) == b""
    wait_for(lambda: server.log()[-1]["status"] == int(status) and bool(server.log()[-1]["reason"]))


@pytest.mark.parametrize("page", [b"GET / ", b"GET /healthz ", b"HEAD /readyz ", b"GET /metrics ", b"GET /x "])
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (HEAD + b"Content-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HEAD, b"400"),
        (HEAD + b"Host: y\r\n\r\n", b"400"),
        (HEAD + b"a: b\r\n" * 100 + b"\r\n", b"431"),
        (HEAD + b"a: " + b"b" * 16_384 + b"\r\n\r\n", b"431"),
        (HEAD.replace(b"Host: x", b"Host: a b/c") + b"\r\n", b"400"),
        (HEAD.replace(b"HTTP/1.1", b"HTTP/2.0") + b"\r\n", b"505"),
    ],
)
def test_heads_of_pages_are_refused_as_those_of_the_operation(
    server: Running, page: bytes, sent: bytes, status: bytes
) -> None:
    """Otherwise what a proxy takes for a body would be a request of its own here."""
    logged = len(server.log())
    with connect(server) as connection:
        connection.sendall(sent.replace(b"POST / ", page, 1))
        with contextlib.suppress(ConnectionResetError):
            received = read_all(connection)
            assert received.startswith(b"HTTP/1.1 " + status)
            assert received.count(b"HTTP/1.1 ") == 1
    wait_for(lambda: [line["status"] for line in server.log()[logged:]] == [int(status)])


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\r\n\n\r\n" + HEAD + b"\r\n", b"400"),  # a request without a body, and no reason to end the connection
        (HEAD.replace(b" / HTTP/1.1", b" http://example.org?x HTTP/1.0") + b"\r\n", b"400"),
        (HEAD.replace(b"POST", b"post") + b"\r\n", b"403"),
        (HEAD.replace(b" / ", b" /?" + 99 * b"&a=b" + b" ") + b"\r\n", b"400"),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", b"403"),
        (b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n", b"403"),
        (HEAD + b"Content-Length: 0002\r\nUpgrade: h2c\r\nConnection: Upgrade\r\na: b\r\n c\r\n\r\n{}", b"400"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2;a=b\r\n{}\r\n0\r\nHost: y\r\n\r\n", b"400"),
    ],
)
def test_unusual_requests_are_understood(server: Running, sent: bytes, status: bytes) -> None:
    """Their answers are the service's."""
    with connect(server) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        received = read_all(connection)
    assert received.startswith(b"HTTP/1.1 " + status)
    assert b"Exception" in received


def test_a_body_announced_too_large_is_told_so_when_it_does_not_come(server: Running) -> None:
    with connect(server) as connection:
        connection.sendall(HEAD + b"Content-Length: 99999999999999999999\r\n\r\n{")
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(("more", "status"), [(0, b"400"), (1, b"431")])
def test_a_head_of_exactly_the_limit_is_taken(server: Running, more: int, status: bytes) -> None:
    start, end = HEAD + b"a: ", b"\r\n\r\n"
    with connect(server) as connection:
        connection.sendall(start + b"b" * (MAX_HEAD_BYTES - len(start + end) + more) + end)
        assert connection.recv(1000).startswith(b"HTTP/1.1 " + status)


def test_a_head_within_the_limits_is_taken(server: Running) -> None:
    headers = HEADERS | {f"X-{number}": "a" * 150 for number in range(90)}
    assert server.request(body(), headers).status == 200


def test_a_request_behind_another_is_bounded_too(server: Running) -> None:
    """Pipelined: the second waits for its turn, and its head has the same limit."""
    one = HEAD + b"Content-Length: 2\r\n\r\n{}"
    with connect(server) as connection:
        connection.sendall(one + one + HEAD + b"b:\r\n" * 5_000 + b"\r\n")
        received = read_all(connection)
    assert received.count(b"HTTP/1.1 400 ") == 2
    assert received.count(b"HTTP/1.1 431 ") == 1


CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "closes"),
    [
        (CHUNKED + b"2\r\n{}\r\n0\n\n", True),
        (CHUNKED + b"2\n{}\n0\n\n", True),
        (CHUNKED + b"2\r\n{", True),
        (CHUNKED, True),
        (HEAD + b"Content-Length: 3\r\n\r\n{}", True),
        (HEAD, True),
        (HEAD.replace(b"\r\n", b"\n"), True),
        (b"POST", True),
        (CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n", False),
        (CHUNKED + b"2\r\n{}0\r\n\r\n", False),
        (HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nzz\r\n", False),
    ],
)
def test_part_of_a_request_is_refused_and_logged_once(server: Running, sent: bytes, closes: bool) -> None:
    logged = len(server.log())
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(sent)
        if closes:
            connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1000).startswith(b"HTTP/1.1 400 ")
        assert connection.recv(1000) == b""
    assert server.request(body(b"no face")).status == 400  # its line is written after those of the refused request
    wait_for(lambda: len(server.log()) >= logged + 2)
    lines = server.log()[logged:]
    assert [line["status"] for line in lines] == [400, 400]
    assert lines[0]["reason"]
