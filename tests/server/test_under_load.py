"""Faults while clients send requests: no answer is wrong or crossed, and what the table in docs/operations.md says."""

import contextlib
import http.client
import os
import resource
import shutil
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from likeness.aws.keys import Key, create_key, revoke_key
from likeness.system.processors import thread_budget

from .conftest import (
    HEADERS,
    Answer,
    Running,
    Serve,
    body,
    free_port,
    make_certificate,
    read_answer,
    s3_body,
    wait_for,
)
from .test_workers import children
from .traffic import Sign, Traffic, UnixConnection

pytestmark = pytest.mark.fault
needs_two_processors = pytest.mark.skipif(thread_budget() < 2, reason="two workers need two processors")
CLIENTS = 4
TURNED_CLOCK = Path(__file__).with_name("turned_clock.py")
SUCCESSFUL = 'cloudwatch_total{metric="SuccessfulRequestCount",operation="CompareFaces"}'


def signer(key: Key) -> Sign:
    def headers(data: bytes) -> dict[str, str]:
        request = AWSRequest("POST", "http://127.0.0.1/", {**HEADERS, "Host": "127.0.0.1"}, data)
        SigV4Auth(Credentials(key.id, key.secret, key.session_token), "rekognition", "us-east-1").add_auth(request)
        return dict(request.headers)

    return headers


def wait_ticks(server: Running, ticks: int = 15) -> None:
    """Waits until the loop of each idle worker has waited so many times, 0.1 s each or more on a busy machine."""

    def waits() -> list[int]:
        pages = [Path(f"/proc/{pid}/status").read_text() for pid in children(server)]
        return [int(page.split("\nvoluntary_ctxt_switches:")[1].split()[0]) for page in pages]

    before = waits()
    wait_for(lambda: all(now >= then + ticks for now, then in zip(waits(), before, strict=True)))


@needs_two_processors
def test_a_killed_worker_costs_the_requests_that_it_had(serve: Serve) -> None:
    server = serve("--workers", "2")
    wait_for(lambda: b"likeness_ready_workers 2.0" in server.get("/metrics").body)
    with Traffic(server.connect, CLIENTS) as earlier:
        earlier.wait_answers(200)
    wait_ticks(server)  # its counts are shared after half a second, its log is written after a tenth
    with Traffic(server.connect, CLIENTS) as traffic:
        traffic.wait_answers(1)
        killed = children(server)[0]
        os.kill(killed, signal.SIGKILL)
        at_risk = traffic.statuses[200] + CLIENTS
        wait_for(lambda: len(children(server)) == 2 and killed not in children(server))
        traffic.wait_answers()
    assert (set(traffic.statuses), traffic.wrong, traffic.refused) == ({200}, [], [])
    assert len(traffic.unanswered) <= CLIENTS
    assert server.errors.count(f"worker {killed} ended with code -9") == 1
    wait_for(lambda: b"likeness_ready_workers 2.0" in server.get("/metrics").body)
    answered = earlier.statuses[200] + traffic.statuses[200]
    wait_for(lambda: answered - len(server.log()) <= at_risk)
    wait_for(lambda: answered - server.gauge(SUCCESSFUL) <= at_risk)


@needs_two_processors
def test_a_killed_supervisor_ends_its_workers_and_the_next_server_may_start(serve: Serve) -> None:
    flags = ("--workers", "2", "--port", str(free_port()))
    server = serve(*flags)
    server.wait_ready()
    workers = children(server)
    with Traffic(server.connect, CLIENTS) as traffic:
        traffic.wait_answers()
        server.process.kill()
        server.process.wait()
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
        second = serve(*flags)
        traffic.wait_answers()
    assert (set(traffic.statuses), traffic.wrong, traffic.unanswered) == ({200}, [], traffic.reset)
    assert len(traffic.reset) <= CLIENTS  # as for SIGTERM
    # The other worker's lines may still wait: it tells the length of its queue every tenth of a second only.
    wait_for(lambda: len(server.log() + second.log()) == traffic.statuses[200])
    assert {line["status"] for line in server.log() + second.log()} == {200}


def last_readiness(server: Running) -> Answer:
    """The answer of /readyz with which the server closes the connection."""
    connection = server.connect()
    while True:
        connection.request("GET", "/readyz")
        answer = read_answer(connection)
        if answer.headers.get("connection") == "close":
            return answer


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_sigterm_and_sigint_answer_every_request_that_was_sent(serve: Serve, number: signal.Signals) -> None:
    server = serve("--threads", "2")
    server.wait_ready()
    with ThreadPoolExecutor(2) as pool, Traffic(server.connect, CLIENTS) as traffic:
        running = pool.submit(server.request, body(b"until ending"))
        asking = pool.submit(last_readiness, server)
        traffic.wait_answers()
        server.process.send_signal(number)
        readiness = asking.result()
        wait_for(lambda: len(traffic.refused) >= CLIENTS)
        server.create("ending")
        assert (running.result().status, running.result().headers["connection"]) == (200, "close")
        assert server.exit_code() == 0
    assert (readiness.status, readiness.json["status"]) == (503, "stopping")
    assert (set(traffic.statuses), traffic.wrong, traffic.unanswered) == ({200}, [], traffic.reset)
    # The system resets a connection that is made between the last one that is accepted and the end of the socket. Its
    # request is not read: each line of the log is that of an answer.
    assert len(traffic.reset) <= CLIENTS
    assert [line["status"] for line in server.log()] == [200] * (traffic.statuses[200] + 1)
    assert "unfinished" not in server.errors


def test_sighup_reopens_files_between_answers(serve: Serve) -> None:
    server = serve("--access-log", "access.jsonl")
    server.wait_ready()
    log = server.folder / "access.jsonl"
    with Traffic(server.connect, CLIENTS) as traffic:
        for number in range(3):
            traffic.wait_answers()
            log.rename(server.folder / f"rotated-{number}.jsonl")
            server.process.send_signal(signal.SIGHUP)
            wait_for(log.exists)
        traffic.wait_answers()
    assert (set(traffic.statuses), traffic.wrong, traffic.refused, traffic.unanswered) == ({200}, [], [], [])
    assert server.stop() == 0
    assert server.errors.count("opened again") == 3
    files = [*server.folder.glob("rotated-*.jsonl"), log]
    assert sum(len(each.read_text().splitlines()) for each in files) == traffic.statuses[200]


def test_certificates_are_renewed_without_a_failed_handshake(
    serve: Serve, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    cert, key = (Path(shutil.copy(each, tmp_path)) for each in certificate)
    server = serve("--tls-certificate", str(cert), "--tls-key", str(key))
    context = ssl.create_default_context(cafile=str(cert))
    (tmp_path / "new").mkdir()
    new = make_certificate(tmp_path / "new")
    context.load_verify_locations(cafile=str(new[0]))

    def connect() -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("localhost", server.port, context=context, timeout=60)

    def is_stale() -> bool:
        connection = connect()
        connection.request("GET", "/metrics")
        page = read_answer(connection).body
        connection.close()
        return b'likeness_stale_files{file="tls_certificate"} 1.0' in page

    one_handshake_each = {**HEADERS, "Connection": "close"}
    with Traffic(connect, CLIENTS, sign=lambda _: one_handshake_each) as traffic:
        traffic.wait_answers()
        os.replace(new[0], cert)
        server.process.send_signal(signal.SIGHUP)  # too early: the key is not there yet
        wait_for(lambda: "stays in use" in server.errors)
        assert is_stale()
        traffic.wait_answers()
        os.replace(new[1], key)
        address = ("127.0.0.1", server.port)
        wait_for(lambda: ssl.get_server_certificate(address).strip() == cert.read_text().strip())
        assert not is_stale()
        traffic.wait_answers()
    assert (set(traffic.statuses), traffic.wrong, traffic.refused, traffic.unanswered) == ({200}, [], [], [])


def test_a_key_is_replaced_and_revoked_in_use_also_while_the_file_cannot_be_read(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    old, other = create_key(path, user="rotated"), create_key(path, user="other")
    server = serve("--keys", str(path), "--reload-grace-seconds", "0.1")
    server.wait_ready()
    with Traffic(server.connect, 2, sign=signer(other)) as others, Traffic(server.connect, 2, sign=signer(old)) as olds:
        olds.wait_answers()
        new = create_key(path, user="rotated")
        path.rename(tmp_path / "away")
        revoke_key(tmp_path / "away", old.id)
        wait_for(lambda: b'likeness_stale_files{file="keys"} 1.0' in server.get("/metrics").body)
        wait_for(lambda: server.get("/readyz").status == 503)
        olds.wait_answers()  # the last good keys remain in force
        assert set(olds.statuses) == {200}
        (tmp_path / "away").rename(path)
        wait_for(lambda: b'likeness_stale_files{file="keys"} 0.0' in server.get("/metrics").body)
        assert server.get("/readyz").status == 200
        data = body()
        assert server.request(data, signer(old)(data)).code == "UnrecognizedClientException"
        assert server.request(data, signer(new)(data)).status == 200
        olds.wait_answers(status=400)
        others.wait_answers()
    assert (set(others.statuses), others.wrong, others.unanswered) == ({200}, [], [])
    assert (set(olds.codes), olds.wrong, olds.unanswered) == ({"UnrecognizedClientException"}, [], [])
    assert "the keys loaded before stay in force" in server.errors


def test_a_server_behind_a_passed_unix_socket_is_replaced_without_a_refused_request(
    serve: Serve, tmp_path: Path
) -> None:
    """As systemd's socket units pass it; the new server starts beside the old one."""
    path = tmp_path / "likeness.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1024)

        def start() -> Running:
            take = f'exec 3<&{listener.fileno()}; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"'
            return serve(
                "--unix-socket",
                str(path),
                prefix=["bash", "-c", take, "bash", sys.executable],
                pass_fds=[listener.fileno()],
            )

        def connect() -> http.client.HTTPConnection:
            return UnixConnection(path)

        old = start()
        with Traffic(connect, CLIENTS) as traffic:
            for _ in range(2):
                traffic.wait_answers()
                new = start()
                traffic.wait_answers()
                assert old.stop() == 0
                traffic.wait_answers()
                old = new
            assert old.stop() == 0  # no server at all for a moment: connections wait
            old = start()
            traffic.wait_answers()
        assert (set(traffic.statuses), traffic.wrong, traffic.refused, traffic.unanswered) == ({200}, [], [], [])
        assert old.stop() == 0
        assert path.exists()


def test_a_clock_turned_by_an_hour_refuses_signatures_until_it_is_right(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    key = create_key(path, user="tester")
    server = serve("--keys", str(path), program=TURNED_CLOCK)
    unsigned = serve("--rate-per-second", "0.001", "--rate-burst", "11", "--threads", "1", program=TURNED_CLOCK)
    server.wait_ready()
    unsigned.wait_ready()
    with ThreadPoolExecutor(5) as pool, Traffic(server.connect, 2, sign=signer(key)) as traffic:
        for number, seconds in enumerate((3600, -3600)):
            traffic.wait_answers()
            asked = [pool.submit(unsigned.request, body(b"until turned-%d" % number)) for _ in range(2)]
            wait_for(lambda: unsigned.gauge("queue_length") == 1)
            for each in (server, unsigned):
                (each.folder / "ahead").write_text(str(seconds))
            traffic.wait_answers(status=400)
            create_key(path, user=f"meanwhile-{number}")
            wait_for(lambda keys=number + 2: f"key file reloaded: {keys} keys" in server.errors)
            assert server.get("/readyz").status == 200
            asked += [pool.submit(unsigned.request, body()) for _ in range(3)]
            wait_for(lambda: unsigned.gauge("queue_length") == 4)
            unsigned.create(f"turned-{number}")
            assert [each.result().status for each in asked] == [200] * 5
            for each in (server, unsigned):
                (each.folder / "ahead").unlink()
        traffic.wait_answers()
    assert (set(traffic.codes), traffic.wrong, traffic.unanswered) == ({"InvalidSignatureException"}, [], [])
    reasons = {line["reason"].split(":")[0] for line in server.log() if line["status"] == 400}
    assert len(reasons) == 2, reasons
    # Ten of the eleven are taken; an hour would be worth three more.
    assert [unsigned.request(body()).status for _ in range(2)] == [200, 400]


class PhotosStore(BaseHTTPRequestHandler):
    """A store whose object `7` is the photo for which the stub answers with the similarity 7."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        photo = b"similarity %s " % self.path.rpartition("/")[2].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(photo)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(photo)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def photos_store(port: int) -> Iterator[None]:
    """A running store; at the end it refuses connections, and those that are open are closed."""
    open_ones: list[socket.socket] = []

    class Store(ThreadingHTTPServer):
        daemon_threads = True

        def process_request(self, request: Any, client_address: Any) -> None:
            open_ones.append(request)
            super().process_request(request, client_address)

    with Store(("127.0.0.1", port), PhotosStore) as store:
        threading.Thread(target=store.serve_forever, args=(0.05,), daemon=True).start()
        yield
        store.shutdown()
        for each in open_ones:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def test_a_store_that_is_gone_for_a_while_costs_only_the_requests_that_read_from_it(serve: Serve) -> None:
    port = free_port()
    server = serve("--s3-endpoint-url", f"http://127.0.0.1:{port}", "--s3-anonymous")
    server.wait_ready()
    from_s3 = Traffic(server.connect, 2, make=lambda similarity: s3_body(str(similarity)))
    with Traffic(server.connect, CLIENTS) as inline, from_s3:
        with photos_store(port):
            from_s3.wait_answers()
        from_s3.wait_answers(status=400)
        inline.wait_answers()
        with photos_store(port):
            from_s3.wait_answers()
            inline.wait_answers()
    assert (set(inline.statuses), inline.wrong, inline.refused, inline.unanswered) == ({200}, [], [], [])
    assert (set(from_s3.codes), from_s3.wrong, from_s3.refused, from_s3.unanswered) == (
        {"InvalidS3ObjectException"},
        [],
        [],
        [],
    )
    failed = {line["reason"].partition(": ")[2] for line in server.log() if line["status"] == 400}
    assert "the store cannot be reached" in failed
    assert server.gauge('s3_failures_total{cause="unavailable"}') == from_s3.statuses[400]


def test_without_descriptors_new_connections_wait_or_replace_idle_ones(serve: Serve) -> None:
    server = serve()
    server.wait_ready()
    answered = []

    def ask() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):  # closed while it was idle
            answered.append(server.request(body()).status)

    with Traffic(server.connect, CLIENTS) as traffic:
        traffic.wait_answers()
        used = max(int(name) for name in os.listdir(f"/proc/{server.process.pid}/fd"))
        limits = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (used + 1, limits[1]))
        with ThreadPoolExecutor(20) as pool:
            for _ in range(20):
                pool.submit(ask)
            wait_for(lambda: "a connection cannot be accepted: Too many open files" in server.errors)
            traffic.wait_answers()
            resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, limits)
        assert server.request(body()).status == 200
    assert (set(traffic.statuses) | set(answered), traffic.wrong, traffic.refused) == ({200}, [], [])
    assert len(answered) >= 10


def test_without_memory_large_requests_are_refused_and_small_ones_served(serve: Serve) -> None:
    """Small ones also in threads that had no work before: a thread started now would lack memory for its stack."""
    server = serve()
    server.wait_ready()
    large = body(b"x" * 5_000_000, b"x" * 5_000_000)
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    threads = thread_budget()
    with ThreadPoolExecutor(threads) as pool, Traffic(server.connect, 1) as traffic:
        traffic.wait_answers()
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        mapped = 1024 * int(status.split("VmSize:")[1].split()[0])
        resource.prlimit(server.process.pid, resource.RLIMIT_AS, (mapped + 1024 * 1024, resource.RLIM_INFINITY))
        with contextlib.suppress(OSError, http.client.HTTPException):
            assert server.request(large).code == "InternalServerError"
        at_once = [pool.submit(server.request, body(b"until all-work")) for _ in range(threads)]
        wait_for(lambda: server.gauge("running") == threads or any(each.done() for each in at_once))
        server.create("all-work")
        assert [each.result().status for each in at_once] == [200] * threads
        traffic.wait_answers()
        assert server.get("/readyz").status == 200
        resource.prlimit(server.process.pid, resource.RLIMIT_AS, unlimited)
        assert server.request(large).status == 200
    wait_for(lambda: "MemoryError" in server.errors)
    assert (set(traffic.statuses), traffic.wrong, traffic.refused, traffic.unanswered) == ({200}, [], [], [])
