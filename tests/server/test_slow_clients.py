"""Clients that are slow or silent: they have time limits, and yield to others."""

import contextlib
import http.client
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from likeness.server.accepting import MAX_HANDSHAKES, SPARE_CONNECTIONS

from .conftest import HEADERS, Running, Serve, body, read_answer, wait_for
from .raw_http import HEAD, connect, dripping, read_all, readable


def is_served(server: Running) -> bool:
    """Whether an ordinary request succeeds; one that a busy machine held up may run into a short time-out."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        return server.request(body()).status == 200
    return False


@pytest.fixture(scope="module")
def impatient(serve: Serve) -> Running:
    """A server that does not wait long for headers."""
    return serve("--header-timeout-seconds", "0.3", "--keep-alive-seconds", "120")


@pytest.mark.parametrize("sent", [b"", b"POST / HT", HEAD, b"GET /\r\n"])
def test_headers_must_arrive_in_time(impatient: Running, sent: bytes) -> None:
    begun = time.monotonic()
    with connect(impatient) as connection:
        connection.sendall(sent)
        received = read_all(connection)
    assert received.startswith(b"HTTP/1.1 408 ") if sent else not received
    assert 0.29 < time.monotonic() - begun < 9.5  # the default is 10


def test_headers_sent_byte_by_byte_do_not_extend_the_limit(impatient: Running) -> None:
    with connect(impatient) as connection, dripping(connection, octet=b"X"):
        assert read_all(connection).startswith(b"HTTP/1.1 408 ")
    wait_for(lambda: "did not arrive in time" in impatient.log()[-1]["reason"])


def test_a_second_request_on_a_connection_must_arrive_in_time_too(impatient: Running) -> None:
    connection = impatient.connect()

    def answered() -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("POST", "/", body(), HEADERS)
            return read_answer(connection).status == 200
        connection.close()  # held up by a busy machine
        return False

    wait_for(answered)
    assert connection.sock is not None
    assert not readable(connection.sock, seconds=0.6)  # an idle connection may rest for longer than headers may take
    connection.sock.sendall(b"POST")
    assert read_all(connection.sock).startswith(b"HTTP/1.1 408 ")


def test_a_body_must_arrive_in_time(serve: Serve) -> None:
    server = serve("--body-timeout-seconds", "0.4", "--least-body-bytes-per-second", "0.001")
    with connect(server) as connection:
        connection.settimeout(50)  # the default is 60
        connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n{")
        with dripping(connection):
            assert read_all(connection).startswith(b"HTTP/1.1 408 ")


def test_a_client_that_does_not_read_is_disconnected(serve: Serve) -> None:
    """More answers than the system's buffers hold are asked for, and none is read. It has the only connection."""
    server = serve("--body-timeout-seconds", "0.4", "--max-connections", "1")
    wait_for(lambda: is_served(server))
    with connect(server) as connection:
        with contextlib.suppress(OSError):  # it is cut off before it has sent all
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 2000)
        wait_for(lambda: is_served(server))


@contextlib.contextmanager
def reading_nothing(server: Running, number: int, path: str) -> Iterator[None]:
    """So many clients that have asked for a page many times and read no answer; the server does no more for them."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(server)) for _ in range(number)]
        for each in clients:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            each.sendall(3000 * f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        while is_working(server):
            pass
        yield


def is_working(server: Running) -> bool:
    """Whether it takes processor time, for more than its ticks."""
    before = processor_ticks(server)
    time.sleep(0.3)
    return processor_ticks(server) > before + 5


def processor_ticks(server: Running) -> int:
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processor time is read from /proc")
def test_clients_that_do_not_read_yield_to_others(serve: Serve) -> None:
    """They have all connections, with further requests on each; no time limit ends soon."""
    server = serve("--max-connections", "1", "--body-timeout-seconds", "600", "--keep-alive-seconds", "600")
    server.wait_ready()
    for path in ("/", "/metrics"):
        with reading_nothing(server, 1 + SPARE_CONNECTIONS, path):
            wait_for(lambda: is_served(server))
            assert server.get("/healthz").status == 200


def test_silent_connections_yield_to_new_ones(serve: Serve) -> None:
    """The one that has been silent longest goes first."""
    server = serve("--header-timeout-seconds", "120", "--max-connections", "8")
    server.wait_ready()
    silent = [connect(server) for _ in range(8 + SPARE_CONNECTIONS)]
    assert server.request(body()).status == 200
    assert silent[0].recv(1) == b""
    assert not readable(silent[-1])
    for each in silent:
        each.close()


@pytest.mark.fault
def test_a_flood_of_silent_connections_locks_no_client_out(serve: Serve) -> None:
    """With fewer descriptors than connections wanted; one message tells of it."""
    limit = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (260, 260)); "
    server = serve(
        prefix=[sys.executable, "-c", limit + "sys.argv.pop(0); runpy.run_path(sys.argv[0], run_name='__main__')"]
    )
    server.wait_ready()
    silent = []
    for number in range(400):
        silent.append(connect(server))
        if number % 100 == 99:
            assert server.get("/healthz").status == 200
            assert server.request(body()).status == 200
    assert "100 connections are served at once" in server.errors
    for each in silent:
        each.close()


def test_a_tls_handshake_must_be_done_in_time_and_yields(serve: Serve, certificate: tuple[Path, Path]) -> None:
    tls = ["--tls-certificate", str(certificate[0]), "--tls-key", str(certificate[1])]
    begun = time.monotonic()
    with connect(serve(*tls, "--header-timeout-seconds", "0.3")) as silent:
        assert silent.recv(1) == b""
        assert time.monotonic() - begun < 9.5  # the default is 10
    server = serve(*tls, "--header-timeout-seconds", "120", "--max-connections", "4")
    silent_ones = [connect(server) for _ in range(6)]
    context = ssl.create_default_context(cafile=str(certificate[0]))
    connection = http.client.HTTPSConnection("localhost", server.port, context=context, timeout=60)
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200
    connection.close()
    for each in silent_ones:
        each.close()


def test_silent_tls_handshakes_are_bounded_and_lock_no_client_out(serve: Serve, certificate: tuple[Path, Path]) -> None:
    tls = ["--tls-certificate", str(certificate[0]), "--tls-key", str(certificate[1])]
    server = serve(*tls, "--header-timeout-seconds", "120", "--max-connections", "500")
    silent = [connect(server) for _ in range(MAX_HANDSHAKES + 40)]
    context = ssl.create_default_context(cafile=str(certificate[0]))
    connection = http.client.HTTPSConnection("localhost", server.port, context=context, timeout=60)
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200
    connection.close()
    wait_for(lambda: len(readable(*silent)) >= 40)
    for each in silent:
        each.close()


@pytest.mark.slow
def test_a_body_slower_than_the_least_rate_is_refused(serve: Serve) -> None:
    server = serve("--least-body-bytes-per-second", "1000")
    server.wait_ready()
    begun = time.monotonic()
    with connect(server) as slow:
        slow.settimeout(50)  # however fast, a body may take 60 seconds
        slow.sendall(HEAD + b"Content-Length: 100000\r\n\r\n" + b" " * 500)
        assert slow.recv(100).startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - begun > 4.9
