"""Too much, too slow, too late: what is refused, how, and that the rest goes on."""

import contextlib
import http.client
import os
import signal
import socket
import ssl
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from likeness.aws.keys import Key, create_key

from .conftest import HEADERS, Answer, Running, Serve, body, read_answer, wait_for

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: RekognitionService.CompareFaces\r\n"
HEAD += b"Content-Type: application/x-amz-json-1.1\r\n"


def gauge(server: Running, name: str) -> float:
    page = server.get("/metrics").body.decode()
    return next(float(line.split()[-1]) for line in page.splitlines() if line.startswith(f"likeness_{name} "))


def all_at_once(server: Running, *sources: bytes) -> list[Answer]:
    with ThreadPoolExecutor(len(sources)) as pool:
        return list(pool.map(lambda source: server.request(body(source)), sources))


@pytest.fixture(scope="module")
def single(serve: Serve) -> Running:
    """A server that compares one pair at a time, lets two wait, and that no longer than half a second."""
    server = serve(*["--threads", "1", "--max-queue", "2", "--request-deadline-seconds", "0.5"])
    server.wait_ready()
    return server


def test_a_full_queue_refuses_at_once(single: Running) -> None:
    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(single.request, body(b"sleep 0.2")) for _ in range(3)]
        wait_for(lambda: gauge(single, "queue_length") == 2)
        begun = time.monotonic()
        refused = single.request(body())
        assert time.monotonic() - begun < 0.15
        assert [each.result().status for each in running] == [200, 200, 200]
    assert refused.status == 400
    assert refused.json == {
        "__type": "ThrottlingException",
        "Code": "ThrottlingException",
        "Message": "Slow down; sudden increase in rate of requests.",
    }
    assert single.log()[-4]["reason"].startswith("the queue is full")


def test_what_cannot_start_in_time_is_refused_then(single: Running) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(single.request, body(b"sleep 0.9"))
        wait_for(lambda: gauge(single, "running") == 1)
        begun = time.monotonic()
        late = single.request(body())
        waited = time.monotonic() - begun
        assert running.result().status == 200  # what has begun is finished
    assert (late.status, late.code) == (400, "ThrottlingException")
    assert 0.4 < waited < 0.8


def test_a_client_that_leaves_gives_its_place_free(single: Running) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(single.request, body(b"sleep 0.4"))
        wait_for(lambda: gauge(single, "running") == 1)
        waiting = [single.connect() for _ in range(2)]
        for connection in waiting:
            connection.request("POST", "/", body(), HEADERS)
        wait_for(lambda: gauge(single, "queue_length") == 2)
        for connection in waiting:
            connection.close()
        wait_for(lambda: gauge(single, "queue_length") == 0, 0.3)
        running.result()
    assert [line["status"] for line in single.log()].count(499) == 2
    assert single.request(body()).status == 200


def test_a_client_that_leaves_while_it_is_served_does_not_free_the_thread(single: Running) -> None:
    connection = single.connect()
    connection.request("POST", "/", body(b"sleep 0.3"), HEADERS)
    wait_for(lambda: gauge(single, "running") == 1)
    connection.close()
    time.sleep(0.05)
    assert gauge(single, "running") == 1
    wait_for(lambda: gauge(single, "running") == 0, 1)


def test_a_rate_for_each_key(serve: Serve) -> None:
    server = serve("--rate-per-second", "2", "--rate-burst", "3")
    answers = [server.request(body()) for _ in range(3)]
    refused = server.request(body())
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert refused.json == {
        "__type": "ProvisionedThroughputExceededException",
        "Code": "ProvisionedThroughputExceededException",
        "Message": "Provisioned rate exceeded",
    }
    time.sleep(0.6)
    assert server.request(body()).status == 200


def test_while_the_engine_loads_requests_wait_and_then_are_told_it_is_overloaded(serve: Serve) -> None:
    server = serve("--pack", "slow", "--request-deadline-seconds", "0.3")
    assert server.get("/healthz").status == 200
    assert server.get("/readyz").json["status"] == "loading"
    answer = server.request(body())
    assert (answer.status, answer.json["__type"], answer.json["Message"]) == (
        500,
        "ThrottlingException",
        "Service Unavailable",
    )
    server.wait_ready(5)
    assert server.request(body()).status == 200


@pytest.fixture(scope="module")
def impatient(serve: Serve) -> Running:
    """A server with short time-outs."""
    times = ["--header-timeout-seconds", "0.3", "--body-timeout-seconds", "0.4", "--keep-alive-seconds", "1"]
    server = serve(*times, "--max-connections", "8")
    server.wait_ready()
    return server


@pytest.mark.parametrize("sent", [b"", b"POST / HT", HEAD])
def test_headers_must_arrive_in_time(impatient: Running, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", impatient.port), timeout=5) as connection:
        connection.sendall(sent)
        begun = time.monotonic()
        assert connection.recv(100) == b""
        assert 0.2 < time.monotonic() - begun < 0.9


def test_dribbling_headers_do_not_help(impatient: Running) -> None:
    with socket.create_connection(("127.0.0.1", impatient.port), timeout=5) as connection:
        begun = time.monotonic()
        connection.setblocking(False)
        while time.monotonic() - begun < 5:
            time.sleep(0.05)
            try:
                connection.send(b"X")
            except OSError:  # the server has hung up
                break
        assert time.monotonic() - begun < 2


def test_a_second_request_on_a_connection_must_arrive_in_time_too(impatient: Running) -> None:
    connection = impatient.connect()
    connection.request("POST", "/", body(), HEADERS)
    assert read_answer(connection).status == 200
    time.sleep(0.6)  # more than the header time-out, less than the keep-alive: an idle connection may rest
    assert connection.sock is not None
    connection.sock.sendall(b"POST")
    begun = time.monotonic()
    assert connection.sock.recv(100) == b""
    assert time.monotonic() - begun < 0.6


def test_a_body_must_arrive_in_time(impatient: Running) -> None:
    with socket.create_connection(("127.0.0.1", impatient.port), timeout=5) as connection:
        connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n{")
        begun = time.monotonic()
        assert connection.recv(1000).startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - begun < 1
        assert connection.recv(1000) == b""


def test_a_client_that_does_not_read_is_cut_off(impatient: Running) -> None:
    """More answers than the system's buffers hold are asked for, and none is read."""
    time.sleep(0.1)
    before = open_files(impatient)
    with socket.create_connection(("127.0.0.1", impatient.port)) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 2000)
        wait_for(lambda: open_files(impatient) > before)
        wait_for(lambda: open_files(impatient) == before, 15)
    assert impatient.request(body()).status == 200


def open_files(server: Running) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def test_silent_connections_yield_to_new_ones(impatient: Running) -> None:
    """The one that has been silent longest goes first."""
    silent = [socket.create_connection(("127.0.0.1", impatient.port), timeout=5) for _ in range(8)]
    assert impatient.request(body()).status == 200
    assert silent[0].recv(1) == b""
    for each in silent:
        each.close()


def test_more_requests_than_connections_get_503_and_health_is_answered(serve: Serve) -> None:
    server = serve("--max-connections", "4", "--threads", "1")
    server.wait_ready()
    busy = [server.connect() for _ in range(4)]
    for number, connection in enumerate(busy):
        connection.request("POST", "/", body(b"sleep 1"), HEADERS)
        wait_for(lambda number=number: gauge(server, "running") + gauge(server, "queue_length") == number + 1)
    refused = server.request(body())
    assert (refused.status, refused.headers["connection"]) == (503, "close")
    assert server.get("/healthz").status == 200
    assert server.get("/readyz").status == 200
    assert [read_answer(each).status for each in busy] == [200] * 4
    assert server.request(body()).status == 200
    wait_for(lambda: any(line.get("reason") == "more than 4 connections" for line in server.log()))


def test_a_flood_of_silent_connections_keeps_nobody_out(serve: Serve) -> None:
    """With fewer descriptors than connections wanted; one message tells of it."""
    limit = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (260, 260)); "
    server = serve(
        prefix=[sys.executable, "-c", limit + "sys.argv.pop(0); runpy.run_path(sys.argv[0], run_name='__main__')"]
    )
    server.wait_ready()
    silent = []
    for number in range(400):
        silent.append(socket.create_connection(("127.0.0.1", server.port), timeout=5))
        if number % 100 == 99:
            assert server.get("/healthz").status == 200
            assert server.request(body()).status == 200
    assert "100 connections are served at once" in server.errors
    for each in silent:
        each.close()


def test_a_tls_handshake_must_be_done_in_time_and_yields(serve: Serve, certificate: tuple[Path, Path]) -> None:
    tls = ["--tls-certificate", str(certificate[0]), "--tls-key", str(certificate[1])]
    server = serve(*tls, "--header-timeout-seconds", "0.3", "--max-connections", "4")
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as silent:
        begun = time.monotonic()
        assert silent.recv(1) == b""
        assert time.monotonic() - begun < 2
    silent_ones = [socket.create_connection(("127.0.0.1", server.port), timeout=5) for _ in range(6)]
    context = ssl.create_default_context(cafile=str(certificate[0]))
    connection = http.client.HTTPSConnection("localhost", server.port, context=context, timeout=5)
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200
    connection.close()
    for each in silent_ones:
        each.close()


def test_a_body_that_waits_for_memory_waits_for_the_slow_one_to_yield(serve: Serve) -> None:
    """With room for one body, a sender that stops in the middle is refused once others wait; small ones never wait."""
    server = serve("--body-memory-bytes", "15728640")
    server.wait_ready()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as stopped:
        stopped.sendall(HEAD + b"Content-Length: 15000000\r\n\r\n" + b" " * 12_000_000)
        time.sleep(0.7)
        begun = time.monotonic()
        assert server.request(body()).status == 200
        assert time.monotonic() - begun < 0.3
        assert server.request(body(b"x" * 4_000_000)).status == 200
        assert time.monotonic() - begun < 3
        assert b"Service Unavailable" in stopped.recv(1000)


def test_announcements_take_no_memory(serve: Serve) -> None:
    server = serve("--body-memory-bytes", "15728640")
    server.wait_ready()
    announced = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(20)]
    for each in announced:
        each.sendall(HEAD + b"Content-Length: 15000000\r\n\r\n")
    begun = time.monotonic()
    assert server.request(body(b"x" * 4_000_000)).status == 200
    assert time.monotonic() - begun < 1
    for each in announced:
        each.close()


@pytest.mark.slow
def test_a_body_slower_than_the_least_rate_is_refused(serve: Serve) -> None:
    server = serve("--least-body-bytes-per-second", "1000")
    server.wait_ready()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as slow:
        slow.sendall(HEAD + b"Content-Length: 100000\r\n\r\n" + b" " * 500)
        begun = time.monotonic()
        assert slow.recv(100).startswith(b"HTTP/1.1 408 ")
        assert 5 < time.monotonic() - begun < 8


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
        (b"POST /" + b"a" * 16_384 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"431"),
    ],
)
def test_heads_that_are_ambiguous_or_too_large_are_refused(server: Running, sent: bytes, status: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        with contextlib.suppress(OSError):  # it may be refused before all of it is sent
            connection.sendall(sent)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1000).startswith(b"HTTP/1.1 " + status)
            assert connection.recv(1000) == b""
    wait_for(lambda: server.log()[-1]["status"] == int(status) and bool(server.log()[-1]["reason"]))


def test_a_head_within_the_limits_is_taken(server: Running) -> None:
    headers = HEADERS | {f"X-{number}": "a" * 150 for number in range(90)}
    assert server.request(body(), headers).status == 200


def test_a_request_behind_another_is_bounded_too(server: Running) -> None:
    """Pipelined: the second waits for its turn, and its head has the same limit."""
    one = HEAD + b"Content-Length: 2\r\n\r\n{}"
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(one + one + HEAD + b"b:\r\n" * 5_000 + b"\r\n")
        received = b""
        while piece := connection.recv(10_000):
            received += piece
    assert received.count(b"HTTP/1.1 400 ") == 2
    assert received.count(b"HTTP/1.1 431 ") == 1


@pytest.mark.parametrize("tail", [b"Connection: close\r\n", b""])
def test_a_half_closed_client_gets_its_answer(server: Running, tail: bytes) -> None:
    data = body(b"sleep 0.2")
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(HEAD + tail + b"Content-Length: %d\r\n\r\n" % len(data) + data)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while piece := connection.recv(10_000):
            received += piece
    assert received.startswith(b"HTTP/1.1 200 ")
    assert received.count(b"HTTP/1.1") == 1
    assert received.endswith(b"}")


def test_answers_while_the_server_ends_say_that_the_connection_does(serve: Serve) -> None:
    server = serve("--threads", "1")
    server.wait_ready()
    connections = [server.connect() for _ in range(3)]
    for connection in connections:
        connection.request("POST", "/", body(b"sleep 0.3"), HEADERS)
    wait_for(lambda: gauge(server, "running") + gauge(server, "queue_length") == 3)
    server.process.send_signal(signal.SIGTERM)
    answers = [read_answer(connection) for connection in connections]
    assert [(answer.status, answer.headers["connection"]) for answer in answers] == [(200, "close")] * 3
    assert server.process.wait(10) == 0


def test_a_key_with_much_waiting_yields_to_one_with_little(serve: Serve, tmp_path: Path) -> None:
    """Both from one address: with keys, it is the key that counts."""
    path = tmp_path / "keys.json"
    keys = [create_key(path, user=user) for user in ("much", "little")]
    server = serve("--keys", str(path), "--threads", "1", "--max-queue", "20")
    server.wait_ready()

    def ask(key: Key, source: bytes) -> float:
        begun = time.monotonic()
        signed = AWSRequest("POST", server.url + "/", dict(HEADERS), body(source))
        SigV4Auth(Credentials(key.id, key.secret), "rekognition", "us-east-1").add_auth(signed)
        answer = server.request(body(source), dict(signed.headers))
        assert answer.status == 200, answer.body
        return time.monotonic() - begun

    with ThreadPoolExecutor(20) as pool:
        much = [pool.submit(ask, keys[0], b"sleep 0.15") for _ in range(16)]
        wait_for(lambda: gauge(server, "queue_length") >= 12)
        little = ask(keys[1], b"sleep 0.01")
        rest = [each.result() for each in much]
    assert little < 0.6
    assert max(rest) > 1.5


def test_many_clients_at_once_are_all_answered(server: Running) -> None:
    sources = [b"sleep 0.005"] * 40 + [b"no face", b"bug"] * 5
    answers: list[Answer] = []
    threads = [
        threading.Thread(target=lambda source=source: answers.append(server.request(body(source))))
        for source in sources
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statuses = sorted(answer.status for answer in answers)
    assert statuses == [200] * 40 + [400] * 5 + [500] * 5
    assert len({answer.headers["x-amzn-requestid"] for answer in answers}) == 50
