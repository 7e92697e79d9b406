"""Callers beside each other, from outside: what one takes, and what is left to another.

That callers share the processors by key is in `test_limits`, that health checks are answered as well.
"""

import contextlib
import itertools
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from likeness.aws.keys import load_keys

from .conftest import Running, Serve, body, read_answer, wait_for
from .raw_http import HEAD, read_all, readable
from .test_under_load import signer
from .test_workers import children, needs_two_processors

OTHER = "127.0.0.2"


def connect_from(server: Running, address: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=60, source_address=(address, 0))


def connect_unix(server: Running) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(60)
    connection.connect(str(server.folder / "socket"))
    return connection


def forwarded_for(address: str) -> bytes:
    """What a proxy adds to a request's head."""
    return f"X-Forwarded-For: {address}\r\n".encode()


def heads_of_one_host() -> Iterator[bytes]:
    """Heads as a proxy passes them on of one host with IPv6, which may use every address of a /64."""
    return itertools.cycle([HEAD + forwarded_for(f"2001:db8:1:1::{number:x}") for number in range(1, 1000)])


@contextlib.contextmanager
def uploading(
    connect: Callable[[], socket.socket], number: int, heads: Iterator[bytes]
) -> Iterator[list[socket.socket]]:
    """Connections that send bodies of 15 MB at some 500 kB a second each, without end: who is closed begins again."""
    over = threading.Event()
    open_ones: list[socket.socket] = []

    def upload() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError), connect() as connection:
                open_ones.append(connection)
                connection.sendall(next(heads) + b"Content-Length: 15000000\r\n\r\n")
                while not over.wait(0.1) and not readable(connection):
                    connection.settimeout(0.1)
                    with contextlib.suppress(TimeoutError):
                        connection.send(b" " * 50_000)

    threads = [threading.Thread(target=upload) for _ in range(number)]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: len(open_ones) >= number)
        yield open_ones
    finally:
        over.set()
        for thread in threads:
            thread.join()


def refusals(server: Running) -> int:
    """How many bodies had to yield since the memory for bodies was used up."""
    return sum("body_memory_bytes" in (line.get("reason") or "") for line in server.log())


def test_a_host_that_fills_the_memory_for_bodies_leaves_a_share_to_another(serve: Serve) -> None:
    """A body of the other needs a third of it: it arrives after a few of the others have yielded, not after eighty."""
    server = serve("--body-memory-bytes", "15728640", "--trusted-proxies", OTHER)
    server.wait_ready()
    with uploading(lambda: connect_from(server, OTHER), 8, heads_of_one_host()):
        wait_for(lambda: refusals(server) > 0)
        before = refusals(server)
        assert server.request(body(b"x" * 4_000_000)).status == 200
        assert refusals(server) - before < 25


def test_an_address_that_takes_all_connections_leaves_a_share_to_another(serve: Serve) -> None:
    server = serve("--max-connections", "8")
    server.wait_ready()
    with uploading(lambda: connect_from(server, OTHER), 20, itertools.repeat(HEAD)):
        wait_for(lambda: "the limit of 8 connections is reached" in server.errors)
        for _ in range(3):
            assert server.request(body(b"x" * 100_000)).status == 200
        assert server.get("/healthz").status == 200


@pytest.mark.parametrize("unix", [False, True])
def test_a_caller_that_takes_all_connections_of_a_proxy_leaves_a_share_to_another(serve: Serve, unix: bool) -> None:
    flags = ("--unix-socket", "socket", "--trusted-proxies", "*") if unix else ("--trusted-proxies", "127.0.0.1")
    server = serve(*flags, "--max-connections", "8")

    def connect() -> socket.socket:
        return connect_unix(server) if unix else connect_from(server, "127.0.0.1")

    def status(head: bytes, data: bytes = b"") -> bytes:
        with connect() as connection:
            connection.sendall(head + f"Connection: close\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
            return read_all(connection)[9:12]

    wait_for(lambda: status(b"GET /readyz HTTP/1.1\r\nHost: x\r\n") == b"200")
    another = HEAD + forwarded_for("192.0.2.2")
    with uploading(connect, 20, heads_of_one_host() if unix else itertools.repeat(HEAD + forwarded_for("192.0.2.1"))):
        wait_for(lambda: "the limit of 8 connections is reached" in server.errors)
        statuses = [status(another, body(b"x" * 100_000)) for _ in range(10)]
        assert statuses == 10 * [b"200"]
        assert status(b"GET /healthz HTTP/1.1\r\nHost: x\r\n") == b"200"


def test_requests_without_a_signature_are_answered_later_while_others_wait(serve: Serve, keys_file: Path) -> None:
    (key,) = load_keys(keys_file).values()
    server = serve("--keys", str(keys_file), "--threads", "1")
    server.wait_ready()
    data = body(b"until refused")
    headers = signer(key)(data)
    assert waited(server) < 1
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(server.request, data, headers) for _ in range(2)]
        wait_for(lambda: server.gauge("queue_length") == 1)
        assert waited(server) >= 1
        for method, path, delay in (
            ("GET", "/metrics", 1),
            ("POST", "/none", 1),
            ("PUT", "/", 1),
            ("GET", "/readyz", 0),
        ):
            begun = time.monotonic()
            connection = server.connect()
            connection.request(method, path)
            read_answer(connection)
            assert (path, delay) == (path, int(time.monotonic() - begun))
        server.create("refused")
        assert [each.result().status for each in running] == [200, 200]
        assert server.gauge("pages_total") >= 2


@needs_two_processors
def test_requests_without_a_signature_are_answered_later_while_others_wait_in_another_worker(
    serve: Serve, keys_file: Path
) -> None:
    (key,) = load_keys(keys_file).values()
    server = serve("--keys", str(keys_file), "--workers", "2", "--threads", "2")
    wait_for(lambda: b"likeness_ready_workers 2.0" in server.get("/metrics").body)
    data = body(b"until refused")
    headers = signer(key)(data)
    stopped, other = children(server)
    with ThreadPoolExecutor(2) as pool:
        os.kill(stopped, signal.SIGSTOP)
        try:  # both to one worker
            running = [pool.submit(server.request, data, headers) for _ in range(2)]
            wait_for(lambda: server.gauge("queue_length") == 1)
        finally:
            os.kill(stopped, signal.SIGCONT)
        os.kill(other, signal.SIGSTOP)
        try:
            assert waited(server) >= 1
        finally:
            os.kill(other, signal.SIGCONT)
        server.create("refused")
        assert [each.result().status for each in running] == [200, 200]
    assert waited(server) < 1


def waited(server: Running) -> float:
    """The seconds until an unsigned request is refused, the least of three."""

    def once() -> float:
        begun = time.monotonic()
        assert server.request(body()).code == "MissingAuthenticationTokenException"
        return time.monotonic() - begun

    return min(once() for _ in range(3))
