"""Too much, too slow, too late: what is refused, how, and that the rest goes on."""

import contextlib
import http.client
import select
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from likeness.aws.keys import Key, create_key
from likeness.server.accepting import MAX_HANDSHAKES

from .conftest import HEADERS, Answer, Running, Serve, body, read_answer, refuses_connections, wait_for

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: RekognitionService.CompareFaces\r\n"
HEAD += b"Content-Type: application/x-amz-json-1.1\r\n"


def all_at_once(server: Running, *sources: bytes) -> list[Answer]:
    with ThreadPoolExecutor(len(sources)) as pool:
        return list(pool.map(lambda source: server.request(body(source)), sources))


@pytest.fixture(scope="module")
def single(serve: Serve) -> Running:
    """A server that compares one pair at a time and lets two wait."""
    server = serve("--threads", "1", "--max-queue", "2", "--request-deadline-seconds", "120")
    server.wait_ready()
    return server


def test_a_full_queue_refuses_at_once(single: Running) -> None:
    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(single.request, body(b"until refused")) for _ in range(3)]
        wait_for(lambda: single.gauge("queue_length") == 2)
        refused = single.request(body())
        assert not any(each.done() for each in running)
        single.create("refused")
        assert [each.result().status for each in running] == [200, 200, 200]
    assert refused.status == 400
    assert refused.json == {
        "__type": "ThrottlingException",
        "Code": "ThrottlingException",
        "Message": "Slow down; sudden increase in rate of requests.",
    }
    assert [line for line in single.log() if (line.get("reason") or "").startswith("the queue is full")]


def test_what_cannot_start_in_time_is_refused_then(serve: Serve) -> None:
    server = serve("--threads", "1", "--request-deadline-seconds", "0.5")
    server.wait_ready()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.request, body(b"until refused"))
        server.wait_running()
        begun = time.monotonic()
        late = server.request(body())
        assert time.monotonic() - begun >= 0.5
        assert (late.status, late.code) == (400, "ThrottlingException")
        assert not running.done()
        server.create("refused")
        assert running.result().status == 200  # what has begun is finished


def test_a_client_that_leaves_gives_its_place_free(single: Running) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(single.request, body(b"until left"))
        single.wait_running()
        waiting = [single.connect() for _ in range(2)]
        for connection in waiting:
            connection.request("POST", "/", body(), HEADERS)
        wait_for(lambda: single.gauge("queue_length") == 2)
        for connection in waiting:
            connection.close()
        wait_for(lambda: single.gauge("queue_length") == 0)
        assert not running.done()
        single.create("left")
        assert running.result().status == 200
    wait_for(lambda: [line["status"] for line in single.log()].count(499) == 2)
    assert single.request(body()).status == 200


def test_a_client_that_leaves_while_it_is_served_does_not_free_the_thread(single: Running) -> None:
    before = [line["status"] for line in single.log()].count(499)
    connection = single.connect()
    connection.request("POST", "/", body(b"until noticed"), HEADERS)
    single.wait_running()
    connection.close()
    wait_for(lambda: [line["status"] for line in single.log()].count(499) == before + 1)
    assert single.gauge("running") == 1
    single.create("noticed")
    single.wait_running(0)


def test_a_rate_for_each_key(serve: Serve) -> None:
    server = serve("--rate-per-second", "0.05", "--rate-burst", "3")
    answers = [server.request(body()) for _ in range(3)]
    refused = server.request(body())
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert refused.json == {
        "__type": "ProvisionedThroughputExceededException",
        "Code": "ProvisionedThroughputExceededException",
        "Message": "Provisioned rate exceeded",
    }
    # That the bucket fills again is shown with a clock of its own in test_admission.


def test_while_the_engine_loads_requests_wait_and_then_are_told_it_is_overloaded(serve: Serve) -> None:
    server = serve("--pack", "not yet", "--request-deadline-seconds", "0.3")
    assert server.get("/healthz").status == 200
    assert server.get("/readyz").json["status"] == "loading"
    answer = server.request(body())
    assert (answer.status, answer.json["__type"], answer.json["Message"]) == (
        500,
        "ThrottlingException",
        "Service Unavailable",
    )
    server.create("now")
    server.wait_ready()
    assert server.request(body()).status == 200


def is_served(server: Running) -> bool:
    """Whether an ordinary request succeeds; one that a busy machine held up may run into a short time-out."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        return server.request(body()).status == 200
    return False


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


@pytest.fixture(scope="module")
def impatient(serve: Serve) -> Running:
    """A server that does not wait long for headers."""
    return serve("--header-timeout-seconds", "0.3", "--keep-alive-seconds", "120")


@pytest.mark.parametrize("sent", [b"", b"POST / HT", HEAD])
def test_headers_must_arrive_in_time(impatient: Running, sent: bytes) -> None:
    begun = time.monotonic()
    with connect(impatient) as connection:
        connection.sendall(sent)
        assert read_all(connection) == b""
    assert 0.29 < time.monotonic() - begun < 9.5  # the default is 10


def test_dribbling_headers_do_not_help(impatient: Running) -> None:
    with connect(impatient) as connection, dripping(connection, octet=b"X"):
        assert read_all(connection) == b""


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
    assert read_all(connection.sock) == b""


def test_a_body_must_arrive_in_time(serve: Serve) -> None:
    server = serve("--body-timeout-seconds", "0.4", "--least-body-bytes-per-second", "0.001")
    with connect(server) as connection:
        connection.settimeout(50)  # the default is 60
        connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n{")
        with dripping(connection):
            assert read_all(connection).startswith(b"HTTP/1.1 408 ")


def test_a_client_that_does_not_read_is_cut_off(serve: Serve) -> None:
    """More answers than the system's buffers hold are asked for, and none is read. It has the only connection."""
    server = serve("--body-timeout-seconds", "0.4", "--max-connections", "1")
    wait_for(lambda: is_served(server))
    with connect(server) as connection:
        with contextlib.suppress(OSError):  # it is cut off before it has sent all
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 2000)
        wait_for(lambda: is_served(server))


def test_silent_connections_yield_to_new_ones(serve: Serve) -> None:
    """The one that has been silent longest goes first."""
    server = serve("--header-timeout-seconds", "120", "--max-connections", "8")
    server.wait_ready()
    silent = [connect(server) for _ in range(8)]
    assert server.request(body()).status == 200
    assert silent[0].recv(1) == b""
    assert not readable(silent[-1])
    for each in silent:
        each.close()


def test_more_requests_than_connections_get_503_and_health_is_answered(serve: Serve) -> None:
    server = serve("--max-connections", "4", "--threads", "1")
    server.wait_ready()
    busy = [server.connect() for _ in range(4)]
    for number, connection in enumerate(busy):
        connection.request("POST", "/", body(b"until refused"), HEADERS)
        wait_for(lambda number=number: server.gauge("running") + server.gauge("queue_length") == number + 1)
    refused = server.request(body())
    assert (refused.status, refused.headers["connection"]) == (503, "close")
    assert server.get("/healthz").status == 200
    assert server.get("/readyz").status == 200
    server.create("refused")
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


def test_silent_tls_handshakes_are_bounded_and_lock_nobody_out(serve: Serve, certificate: tuple[Path, Path]) -> None:
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


def test_a_body_that_waits_for_memory_waits_for_the_slow_one_to_yield(serve: Serve) -> None:
    """With room for one body, a sender that is slow is refused once others wait; small ones wait for nobody."""
    server = serve("--body-memory-bytes", "15728640", "--least-body-bytes-per-second", "0.001")
    server.wait_ready()
    with connect(server) as slow:
        slow.sendall(HEAD + b"Content-Length: 15000000\r\n\r\n" + b" " * 12_000_000)
        with dripping(slow):
            assert server.request(body()).status == 200
            assert not readable(slow)
            assert server.request(body(b"x" * 4_000_000)).status == 200
            refusal = slow.recv(1000)
        assert refusal.startswith(b"HTTP/1.1 400 ")
        assert b'"ThrottlingException"' in refusal


def test_announcements_take_no_memory(serve: Serve) -> None:
    server = serve("--body-memory-bytes", "15728640", "--least-body-bytes-per-second", "0.001")
    server.wait_ready()
    announced = [connect(server) for _ in range(20)]
    for each in announced:
        each.sendall(HEAD + b"Content-Length: 15000000\r\n\r\n")
    with dripping(*announced):
        assert server.request(body(b"x" * 4_000_000)).status == 200
        assert not readable(*announced)  # none had to yield
    for each in announced:
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
    with connect(server) as connection:
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
    with connect(server) as connection:
        connection.sendall(one + one + HEAD + b"b:\r\n" * 5_000 + b"\r\n")
        received = read_all(connection)
    assert received.count(b"HTTP/1.1 400 ") == 2
    assert received.count(b"HTTP/1.1 431 ") == 1


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


def test_a_half_closed_client_gets_all_of_its_answers(server: Running) -> None:
    one = HEAD + b"Content-Length: 2\r\n\r\n{}"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(3 * one)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while piece := connection.recv(10_000):
            received += piece
    assert received.count(b"HTTP/1.1 400 ") == 3


def test_answers_while_the_server_ends_say_that_the_connection_does(serve: Serve) -> None:
    server = serve("--threads", "1")
    server.wait_ready()
    connections = [server.connect() for _ in range(3)]
    for connection in connections:
        connection.request("POST", "/", body(b"until ending"), HEADERS)
    wait_for(lambda: server.gauge("running") + server.gauge("queue_length") == 3)
    server.process.send_signal(signal.SIGTERM)
    wait_for(lambda: refuses_connections(server.port))
    server.create("ending")
    answers = [read_answer(connection) for connection in connections]
    assert [(answer.status, answer.headers["connection"]) for answer in answers] == [(200, "close")] * 3
    assert server.process.wait(60) == 0


def test_a_key_with_much_waiting_yields_to_one_with_little(serve: Serve, tmp_path: Path) -> None:
    """Both from one address: with keys, it is the key that counts."""
    path = tmp_path / "keys.json"
    keys = [create_key(path, user=user) for user in ("much", "little")]
    server = serve("--keys", str(path), "--threads", "1", "--max-queue", "20", "--request-deadline-seconds", "120")
    server.wait_ready()

    def ask(key: Key) -> int:
        signed = AWSRequest("POST", server.url + "/", dict(HEADERS), body(b"until queued"))
        SigV4Auth(Credentials(key.id, key.secret), "rekognition", "us-east-1").add_auth(signed)
        return server.request(body(b"until queued"), dict(signed.headers)).status

    with ThreadPoolExecutor(17) as pool:
        statuses = [pool.submit(ask, keys[0]) for _ in range(16)]
        wait_for(lambda: server.gauge("queue_length") == 15)
        statuses.append(pool.submit(ask, keys[1]))
        wait_for(lambda: server.gauge("queue_length") == 16)
        server.create("queued")
        assert {each.result() for each in statuses} == {200}
    # The one that ran already, then the one with little, then the rest.
    assert [line["key"] for line in server.log()] == [keys[0].id, keys[1].id, *[keys[0].id] * 15]


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
