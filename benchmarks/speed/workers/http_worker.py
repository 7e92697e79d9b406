"""Clients of a running server, Likeness or moto: boto3, and sockets that only send a request signed by boto3.

Environment: BENCH_URL, BENCH_SERVER_PID and AWS keys.
CPU seconds are those of the server and its children; the client's own are added to the answer.
"""

import concurrent.futures
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import boto3
from benchmarks.speed.workers import turn
from botocore.config import Config

_SERVER = int(os.environ["BENCH_SERVER_PID"])
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)")


def _server_cpu_s() -> float:
    """Processor seconds of the server and of its descendants."""
    return sum(_cpu_s(process) for process in _family(_SERVER))


def _family(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                children.setdefault(int(file.read().rpartition(")")[2].split()[1]), []).append(int(name))
        except OSError:
            continue  # it has ended meanwhile
    found, seen = [root], 0
    while seen < len(found):
        found += children.get(found[seen], [])
        seen += 1
    return found


def _cpu_s(process: int) -> float:
    """The process's own clock: clock_getcpuclockid(3) for another process, as the C library computes it."""
    try:
        return time.clock_gettime((~process << 3) | 2)
    except OSError:
        return 0.0  # it has ended meanwhile


def _client() -> Any:
    return boto3.client(
        "rekognition",
        endpoint_url=os.environ["BENCH_URL"],
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}, max_pool_connections=16),
    )


_CLIENT = _client()


def _photo(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _compare(source: bytes, target: bytes) -> Any:
    return _CLIENT.compare_faces(SourceImage={"Bytes": source}, TargetImage={"Bytes": target}, SimilarityThreshold=0)


def pair(request: dict[str, Any]) -> dict[str, Any]:
    answer = _compare(_photo(request["source"]), _photo(request["target"]))
    matches = answer["FaceMatches"]
    return {"faces": len(matches), "best": matches[0]["Similarity"] if matches else None}


def many(request: dict[str, Any]) -> None:
    for target in request["targets"]:
        pair({"source": request["source"], "target": target})


def clients(request: dict[str, Any]) -> dict[str, Any]:
    """`clients` threads send the pair repeatedly for `lasting` seconds; returns the time of each answer.

    If `prepared`, boto3 creates and signs the request once and the threads send those bytes; encoding, hashing and
    signing would otherwise take time from the processors that the server runs on.
    """
    source, target = _photo(request["source"]), _photo(request["target"])
    prepared = _signed(source, target) if request["prepared"] else None
    took: list[float] = []
    adding = threading.Lock()
    end = time.perf_counter() + request["lasting"]

    def send() -> None:
        send_one = _sender(prepared) if prepared else lambda: _compare(source, target)
        while time.perf_counter() < end:
            before = time.perf_counter()
            send_one()
            with adding:
                took.append(time.perf_counter() - before)

    began, own = time.perf_counter(), time.process_time()
    with concurrent.futures.ThreadPoolExecutor(request["clients"]) as pool:
        for sending in [pool.submit(send) for _ in range(request["clients"])]:
            sending.result()
    return {"took_s": took, "lasted_s": time.perf_counter() - began, "client_cpu_s": time.process_time() - own}


def _signed(source: bytes, target: bytes) -> Any:
    """The request as boto3 sends it: URL, headers, body."""
    sent: list[Any] = []
    client = _client()
    client.meta.events.register("before-send.rekognition.CompareFaces", lambda request, **_: sent.append(request))
    client.compare_faces(SourceImage={"Bytes": source}, TargetImage={"Bytes": target}, SimilarityThreshold=0)
    return sent[0]


def _sender(request: Any) -> Callable[[], None]:
    """A function that sends a signed request over a connection of its own and checks that the answer is the first's.

    Sockets instead of an HTTP client, which takes 0.3 ms a request from the processors that the server runs on.
    """
    where = urlsplit(request.url)
    headers = {**dict(request.headers), "Host": where.netloc}
    lines = [f"{request.method} {where.path or '/'} HTTP/1.1", *(f"{name}: {_text(headers[name])}" for name in headers)]
    data = "\r\n".join([*lines, "", ""]).encode() + request.body
    connection = socket.create_connection((where.hostname, where.port))
    first: list[bytes] = []

    def send() -> None:
        connection.sendall(data)
        head, answer = _answer(connection)
        if not head.startswith(b"HTTP/1.1 200 ") or answer != (first or [answer])[0]:
            raise RuntimeError(f"{head.splitlines()[0]!r}: {answer[:200]!r}")
        first[:] = [answer]

    return send


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _answer(connection: socket.socket) -> tuple[bytes, bytes]:
    """The head and the body of one answer."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += _more(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    if length is None:
        raise RuntimeError(f"an answer without a length: {head!r}")
    while len(body) < int(length[1]):
        body += _more(connection)
    return head, body


def _more(connection: socket.socket) -> bytes:
    received = connection.recv(65536)
    if not received:
        raise RuntimeError("the server has closed the connection")
    return received


if __name__ == "__main__":
    sys.setswitchinterval(0.001)
    turn.serve({"pair": pair, "many": many, "clients": clients}, cpu=_server_cpu_s)
