"""Too much, too slow, too late: what is refused, how, and that the rest goes on."""

import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

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


def test_more_connections_than_allowed_get_503(impatient: Running) -> None:
    with socket.create_connection(("127.0.0.1", impatient.port)) as first:
        others = [socket.create_connection(("127.0.0.1", impatient.port)) for _ in range(8)]
        time.sleep(0.05)
        assert impatient.request(body()).status == 503
        for each in others:
            each.close()
        first.close()
    time.sleep(0.05)
    assert impatient.request(body()).status == 200


def test_bodies_wait_for_memory_and_are_not_held_all_at_once(serve: Serve) -> None:
    """With room for one body only, a sender that stops in the middle holds the others back, until its time is up."""
    flags = "--body-memory-bytes 15728640 --body-timeout-seconds 0.5 --request-deadline-seconds 5"
    server = serve(*flags.split())
    server.wait_ready()
    with socket.create_connection(("127.0.0.1", server.port)) as stopped:
        stopped.sendall(HEAD + b"Content-Length: 12000000\r\n\r\n{")
        time.sleep(0.05)
        begun = time.monotonic()
        answers = all_at_once(server, b"small", b"x" * 4_000_000)
        assert [answer.status for answer in answers] == [200, 200]
        assert time.monotonic() - begun > 0.3


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
