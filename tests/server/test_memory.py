"""The server's memory stays flat: answered, refused and abandoned requests release theirs."""

import ctypes
import http.client
import os
import random
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from likeness.server import memory

from .conftest import HEADERS, Running, Serve, body, read_answer, wait_for


def resident_bytes(server: Running) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return 1024 * int(found[1])


def mixed_requests(server: Running, rounds: int) -> None:
    """Eight requests a round, of all kinds and sizes; one client goes away in the middle of its body."""
    photo, large = os.urandom(150_000), os.urandom(4_000_000)
    connection = server.connect()
    for number in range(rounds):
        bodies = [
            body(photo, photo),
            body(b"no face", photo),
            body(b"bug"),
            body(),
            b"{",
            body(photo)[:-100],
            b"x" * 99_999,
        ]
        for each in (*bodies, body(large, large) if number % 10 == 0 else body(photo)):
            connection.request("POST", "/", each, HEADERS)
            read_answer(connection)
        with socket.create_connection(("127.0.0.1", server.port)) as leaving:
            leaving.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + bytes(100_000))
    connection.close()


def test_memory_is_flat_over_mixed_requests(serve: Serve) -> None:
    server = serve("--access-log", "/dev/null", "--threads", "1")
    server.wait_ready()
    mixed_requests(server, 30)
    halfway = resident_bytes(server)
    mixed_requests(server, 30)
    # Freed memory is given back every few seconds, after requests; the limit is that of the second half.
    wait_for(lambda: resident_bytes(server) <= 1.02 * halfway)
    assert halfway < 150 * 1024 * 1024


def test_memory_is_flat_over_photos_of_many_shapes(serve: Serve, portraits: Mapping[str, Path]) -> None:
    """The short form of `make soak`: the engine keeps nothing of a photo, nor of its shape."""
    chance = random.Random(25)
    portrait = Image.open(portraits["obama.jpg"]).convert("RGB")

    def photo(kind: str, elongation: float) -> bytes:
        sides = [round(300 * chance.uniform(1 / elongation, elongation)) for _ in range(2)]
        encoded = BytesIO()
        portrait.resize(sides).save(encoded, kind)
        return encoded.getvalue()

    def compare(requests: int, elongation: float) -> None:
        for _ in range(requests):
            source, target = photo("JPEG", elongation), photo(chance.choice(["JPEG", "PNG"]), elongation)
            cut_off = chance.random() < 0.1
            connection.request("POST", "/", body(source, target[:5000] if cut_off else target), HEADERS)
            assert read_answer(connection).status in (200, 400)

    server = serve(
        "--access-log",
        "/dev/null",
        program=Path("serve"),
        prefix=(sys.executable, "-m", "likeness.cli.main"),
        env={name: value for name, value in os.environ.items() if name == "LIKENESS_HOME"},
    )
    server.wait_ready()
    connection = server.connect()
    compare(60, 1.1)
    before = resident_bytes(server)
    compare(140, 1.8)
    wait_for(lambda: resident_bytes(server) < before + 8 * 1024 * 1024)


def test_freed_memory_is_returned_by_requests_and_when_none_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """By time alone, what a server keeps would depend on how many requests come in that time."""
    returned_at: list[int] = []
    monkeypatch.setattr(memory, "trim", lambda: returned_at.append(requests))
    trimmer, requests = memory.MemoryTrimmer(), 0
    for tick in range(120):
        requests += 8 if tick < 12 else 1 if tick < 20 else 0
        trimmer.tick(tick, requests)
    assert returned_at == [32, 64, 96, 104]


_ALLOCATING = """
import ctypes, threading
from likeness.server import memory
memory.configure()
library = ctypes.CDLL(None)
library.fopen.restype = library.malloc.restype = ctypes.c_void_p
together = threading.Barrier(4)
def allocate():
    together.wait()
    library.malloc(ctypes.c_size_t(1000))
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range(4)]
for each in threads: each.start()
for each in threads: each.join()
print(*(line for line in open("/proc/self/status") if line.startswith("THP_enabled")), flush=True)
library.malloc_info(0, ctypes.c_void_p(library.fopen(b"/dev/stdout", b"w")))
library.fflush(None)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="the GNU C library only")
def test_threads_share_freed_memory_in_ordinary_pages() -> None:
    command = [sys.executable, "-c", _ALLOCATING]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert told.count("<heap nr=") == 1
    assert "THP_enabled:\t1" not in told


def test_nothing_waits_for_the_garbage_collector(serve: Serve) -> None:
    """An error's frames hold the body, the photos and the pixels; in a reference cycle they would pile up."""
    server = serve("--access-log", "/dev/null", "--threads", "1", "--pack", "no collector")
    server.wait_ready()
    mixed_requests(server, 5)
    before = resident_bytes(server)
    mixed_requests(server, 30)
    wait_for(lambda: resident_bytes(server) < before + 10 * 1024 * 1024)


def test_an_idle_tls_connection_is_small(serve: Serve, certificate: tuple[Path, Path]) -> None:
    """Each has a buffer to read into, of our size: with asyncio's, 300 connections take 80 MB."""
    server = serve("--tls-certificate", str(certificate[0]), "--tls-key", str(certificate[1]))
    context = ssl.create_default_context(cafile=str(certificate[0]))
    first = http.client.HTTPSConnection("localhost", server.port, context=context, timeout=60)
    first.request("POST", "/", body(b"x"), HEADERS)
    assert read_answer(first).status == 200  # so the pack is loaded, and its memory is not counted below

    def connect() -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        return context.wrap_socket(plain, server_hostname="localhost")

    with ExitStack() as idle:
        idle.callback(first.close)
        before = resident_bytes(server)
        for _ in range(300):
            idle.enter_context(connect())
        assert resident_bytes(server) - before < 300 * 160 * 1024
