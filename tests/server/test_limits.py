"""Limits of number and size: what is refused, how, and that other requests are served."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import botocore.session
import pytest
from botocore import UNSIGNED
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from likeness.aws.keys import Key, create_key, create_session, load_keys

from .conftest import HEADERS, Answer, Running, Serve, body, read_answer, refuses_connections, wait_for
from .raw_http import HEAD, connect, dripping, readable
from .test_under_load import signer


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


def test_a_request_that_cannot_start_in_time_is_refused_at_its_deadline(serve: Serve) -> None:
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


def test_a_client_that_disconnects_frees_its_place(single: Running) -> None:
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


def test_a_client_that_disconnects_during_a_comparison_does_not_free_the_thread(single: Running) -> None:
    before = [line["status"] for line in single.log()].count(499)
    connection = single.connect()
    connection.request("POST", "/", body(b"until noticed"), HEADERS)
    single.wait_running()
    connection.close()
    wait_for(lambda: [line["status"] for line in single.log()].count(499) == before + 1)
    assert single.gauge("running") == 1
    single.create("noticed")
    single.wait_running(0)


def test_a_rate_for_each_key_and_its_sessions_together(serve: Serve, keys_file: Path) -> None:
    (key_id,) = load_keys(keys_file)
    session, other = (create_session(keys_file, key_id).id for _ in range(2))
    keys = load_keys(keys_file)
    server = serve("--keys", str(keys_file), "--rate-per-second", "0.05", "--rate-burst", "3")
    data, asking = body(), (key_id, session, session, other)
    *answers, refused = [server.request(data, signer(keys[each])(data)) for each in asking]
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert [line["key"] for line in server.log()] == list(asking)
    assert refused.json == {
        "__type": "ProvisionedThroughputExceededException",
        "Code": "ProvisionedThroughputExceededException",
        "Message": "Provisioned rate exceeded",
    }
    # That the bucket fills again is shown with a clock of its own in test_rates.


def test_requests_wait_while_the_engine_loads_and_are_refused_at_the_deadline(serve: Serve) -> None:
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


@pytest.mark.parametrize("mode", ["legacy", "standard"])
def test_sdks_try_again_while_the_engine_loads(serve: Serve, mode: str) -> None:
    server = serve("--pack", "not yet", "--request-deadline-seconds", "0.1")
    client = botocore.session.Session().create_client(
        "rekognition",
        "us-east-1",
        endpoint_url=server.url,
        config=Config(signature_version=UNSIGNED, retries={"mode": mode, "total_max_attempts": 9}),
    )
    photo = {"Bytes": b"photo"}
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.compare_faces, SourceImage=photo, TargetImage=photo)
        wait_for(lambda: any(line["status"] == 500 for line in server.log()))
        server.create("now")
        assert answer.result()["ResponseMetadata"]["RetryAttempts"] > 0


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


def test_a_slow_body_yields_to_one_that_waits_for_memory(serve: Serve) -> None:
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


def test_announced_lengths_take_no_memory(serve: Serve) -> None:
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


def test_answers_during_shutdown_close_the_connection(serve: Serve) -> None:
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
    assert server.exit_code() == 0


def test_a_key_with_few_requests_overtakes_one_with_many(serve: Serve, tmp_path: Path) -> None:
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
    # The one that ran already and the next one, then the one with little, then the rest.
    assert [line["key"] for line in server.log()] == [*[keys[0].id] * 2, keys[1].id, *[keys[0].id] * 14]


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
