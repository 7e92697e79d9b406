"""Start, shutdown and signals; workers, sockets, TLS, and refused settings."""

import http.client
import json
import os
import re
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from likeness.cli.serve import main
from likeness.packs.loaded import pack_folder
from likeness.server.listening import listen
from likeness.server.settings import Settings
from likeness.system.processors import thread_budget

from .conftest import (
    HEADERS,
    STUB,
    Running,
    Serve,
    body,
    make_certificate,
    read_answer,
    refuses_connections,
    wait_for,
)
from .traffic import Traffic

SIGNALLED_AGAIN = Path(__file__).with_name("signalled_again.py")
needs_two_processors = pytest.mark.skipif(thread_budget() < 2, reason="two workers need two processors")


def refused(*flags: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit code and standard error of a server that does not start."""
    environment = os.environ | {"XDG_CONFIG_HOME": "/nonexistent"} | (env or {})
    done = subprocess.run(
        [sys.executable, str(STUB), *flags], capture_output=True, text=True, env=environment, timeout=60
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(("number", "program"), [(signal.SIGTERM, SIGNALLED_AGAIN), (signal.SIGINT, STUB)])
def test_signals_finish_running_requests_refuse_new_ones_and_exit_with_0(
    serve: Serve, number: signal.Signals, program: Path
) -> None:
    """Also where SIGTERM comes again in the middle, as from a supervisor and to its group."""
    server = serve(program=program)
    server.wait_ready()
    idle = server.connect()
    idle.request("GET", "/healthz")
    read_answer(idle)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.request, body(b"until ending"))
        server.wait_running()
        server.process.send_signal(number)
        wait_for(lambda: refuses_connections(server.port))
        assert not running.done()
        server.create("ending")
        assert running.result().status == 200
    assert server.exit_code() == 0
    assert (server.folder / "closed").exists() or program == STUB


def test_the_grace_period_ends(serve: Serve) -> None:
    server = serve("--grace-seconds", "0.3")
    server.wait_ready()
    connection = server.connect()
    connection.request("POST", "/", body(b"until never"), HEADERS)
    server.wait_running()
    server.process.terminate()
    assert server.process.wait(60) == 0
    # On a machine that is busy for two seconds, the second line of defence comes first.
    assert re.search("1 comparisons unfinished|within its grace period and is terminated", server.errors)


def test_a_stalled_log_does_not_delay_shutdown(serve: Serve) -> None:
    """Here it is the thread of a log that nobody reads."""
    folder = Path(tempfile.mkdtemp())
    os.mkfifo(folder / "log")
    reader = os.open(folder / "log", os.O_RDONLY | os.O_NONBLOCK)
    try:
        server = serve("--access-log", str(folder / "log"), "--grace-seconds", "0.5")
        server.wait_ready()
        connection = server.connect()
        for _ in range(300):
            connection.request("POST", "/", body(), HEADERS | {"User-Agent": "x" * 400})
            read_answer(connection)
        assert server.gauge('log_queue_length{log="access log"}') > 0
        server.process.terminate()
        assert server.process.wait(60) == 0
    finally:
        os.close(reader)
        shutil.rmtree(folder)


def test_sigterm_before_anything_is_loaded_ends_at_once(serve: Serve) -> None:
    server = serve("--pack", "not yet")
    assert server.get("/readyz").json["status"] == "loading"
    assert server.stop() == 0
    # A daemon thread that the interpreter ends within the engine's C++ code would abort the process.
    assert "threads left: load" in server.errors


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=needs_two_processors)])
def test_a_missing_pack_ends_the_server_with_an_error(serve: Serve, workers: str) -> None:
    server = serve("--pack", "missing", "--workers", workers, wait=False)
    assert server.process.wait(60) == 78
    assert "pack 'missing' is not installed" in server.errors
    assert "Traceback" not in server.errors


@pytest.mark.fault
def test_a_damaged_pack_ends_the_server_with_the_file_and_the_command_that_mends_it(
    serve: Serve, standard_pack: None, tmp_path: Path
) -> None:
    installed = pack_folder("standard")
    damaged = shutil.copytree(installed, tmp_path / "packs" / installed.name) / "yunet.onnx"
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    command = (sys.executable, "-m", "likeness.cli.main")
    env = {"LIKENESS_HOME": str(tmp_path), "LIKENESS_OFFLINE": "1"}
    server = serve("--no-isolate-decoding", prefix=command, program=Path("serve"), env=env)
    assert server.process.wait(60) == 78
    assert refuses_connections(server.port)
    assert re.search(f"{re.escape(str(damaged))} .*; run: likeness packs install standard", server.errors)


def test_sighup_opens_the_log_again(serve: Serve) -> None:
    server = serve("--access-log", "access.jsonl")
    log = server.folder / "access.jsonl"
    server.request(body())
    wait_for(lambda: log.read_text().endswith("\n"))
    log.rename(server.folder / "rotated.jsonl")
    server.process.send_signal(signal.SIGHUP)
    wait_for(log.exists)
    server.request(body())
    wait_for(lambda: log.read_text().endswith("\n"))
    assert [len(each.read_text().splitlines()) for each in (log, server.folder / "rotated.jsonl")] == [1, 1]


@pytest.mark.fault
def test_a_full_disk_costs_the_line_and_not_the_request(serve: Serve) -> None:
    """A limit of the file's size stands for a disk that fills: what fits of the last lines is written, and removed."""
    server = serve("--access-log", "access.jsonl")
    server.wait_ready()
    log = server.folder / "access.jsonl"
    dropped = 'log_records_dropped_total{log="access log"}'
    with Traffic(server.connect) as traffic:
        traffic.wait_answers()
        room = log.stat().st_size + 10_000
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        wait_for(lambda: server.gauge(dropped) > 0)
        traffic.wait_answers()
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        traffic.wait_answers()
    assert (set(traffic.statuses), traffic.wrong, traffic.refused, traffic.unanswered) == ({200}, [], [], [])
    assert server.errors.count("the access log cannot be written: File too large") == 1
    server.wait_written()
    written = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(written) + server.gauge(dropped) == traffic.statuses[200]


def test_a_unix_socket(serve: Serve) -> None:
    server = serve("--unix-socket", "likeness.sock", "--unix-socket-mode", "600", "--trusted-proxies", "*")
    path = server.folder / "likeness.sock"
    assert path.stat().st_mode & 0o777 == 0o600
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(path))
    connection.request("POST", "/", body(), HEADERS | {"X-Forwarded-For": "192.0.2.1, 203.0.113.7"})
    assert read_answer(connection).status == 200
    assert server.log()[-1]["client"] == "203.0.113.7"
    connection.close()
    code, text = refused("--unix-socket", str(path))
    assert (code, "another server listens" in text) == (252, True)
    server.process.kill()
    server.process.wait()
    assert path.exists()  # left behind by the kill, and no hindrance
    again = serve("--unix-socket", str(path))
    assert again.stop() == 0
    assert not path.exists()


def test_a_server_that_still_finishes_leaves_its_successors_unix_socket(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "likeness.sock"

    def request(data: bytes) -> int:
        connection = http.client.HTTPConnection("localhost", timeout=60)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(path))
        connection.request("POST", "/", data, HEADERS)
        status = read_answer(connection).status
        connection.close()
        return status

    first = serve("--unix-socket", str(path))
    assert request(body()) == 200
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(request, body(b"until succeeded"))
        wait_for(lambda: is_running(path))
        first.process.terminate()
        wait_for(lambda: not listens(path))
        second = serve("--unix-socket", str(path))
        assert request(body()) == 200
        assert first.process.poll() is None
        first.create("succeeded")
        assert running.result() == 200
    assert first.exit_code() == 0
    assert request(body()) == 200
    assert second.stop() == 0
    assert not path.exists()


def is_running(path: Path) -> bool:
    connection = http.client.HTTPConnection("localhost", timeout=60)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(path))
    connection.request("GET", "/metrics")
    answer = read_answer(connection)
    connection.close()
    return b"likeness_running 1.0" in answer.body


def listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def test_tls(serve: Serve, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    server = serve("--tls-certificate", str(cert), "--tls-key", str(key))
    assert server.url.startswith("https://")
    context = ssl.create_default_context(cafile=str(cert))
    connection = http.client.HTTPSConnection("localhost", server.port, context=context, timeout=60)
    connection.request("POST", "/", body(b"x" * 1_000_000), HEADERS)
    assert read_answer(connection).status == 200
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as late:
        server.process.terminate()
        # Neither an idle client, which sends no close_notify, nor one that has still to begin delays the end.
        assert connection.sock.recv(1) == b""
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(late, server_hostname="localhost")
        assert server.exit_code() == 0
    connection.close()


def test_a_renewed_certificate_is_loaded(serve: Serve, certificate: tuple[Path, Path], tmp_path: Path) -> None:
    cert, key = (tmp_path / name for name in ("cert.pem", "key.pem"))
    cert.write_bytes(certificate[0].read_bytes())
    key.write_bytes(certificate[1].read_bytes())
    server = serve("--tls-certificate", str(cert), "--tls-key", str(key))
    before = ssl.get_server_certificate(("127.0.0.1", server.port))
    make_certificate(tmp_path)
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "opened again" in server.errors)
    after = ssl.get_server_certificate(("127.0.0.1", server.port))
    assert before.strip() == certificate[0].read_text().strip()
    assert after.strip() == cert.read_text().strip() != before.strip()


def test_small_answers_are_not_held_back() -> None:
    """asyncio sets TCP_NODELAY only on sockets that know to be TCP; without it each answer waits 40 ms."""
    with listen(Settings(port=0)) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_listening_beyond_loopback_needs_keys_or_auth_none(serve: Serve) -> None:
    code, text = refused("--host", "0.0.0.0", "--port", "0")
    assert code == 252
    assert "likeness keys create" in text
    assert "auth = none" in text
    assert serve("--host", "0.0.0.0", "--auth", "none").stop() == 0


def test_refusals_at_the_start_name_the_setting(
    server: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nonexistent")
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("no certificate")
    for flags, expected in {
        ("--port", str(server.port)): f"port {server.port}: Address already in use",
        ("--host", "no.such.host.invalid", "--auth", "none"): "no.such.host.invalid is not an address",
        ("--prot", "1"): "did you mean --port?",
        ("--workers", "999"): "workers = 999",
        ("--tls-key", "k"): "tls_certificate is missing",
        ("--tls-certificate", str(garbage), "--tls-key", str(garbage)): "cannot be used",
        ("--auth", "sigv4"): "likeness keys create",
        ("--config", "/nonexistent.toml"): "/nonexistent.toml cannot be read",
    }.items():
        assert main(["--port", "0", *flags]) == 252, flags
        assert expected in capsys.readouterr().err


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=needs_two_processors)])
def test_a_log_that_cannot_be_written_ends_the_server(workers: str) -> None:
    ended, text = refused("--port", "0", "--access-log", "/nonexistent/log", "--workers", workers)
    assert (ended, "log file /nonexistent/log cannot be written" in text) == (252, True)


def test_check_prints_the_settings_and_hides_secrets(tmp_path: Path) -> None:
    file = tmp_path / "likeness.toml"
    file.write_text('port = 9000\nmax_faces = 50\n[s3]\naccess_key_id = "AKID"\nsecret_access_key = "hush-hush"\n')
    done = subprocess.run(
        [sys.executable, str(STUB), "--check", "--config", str(file), "--max-faces", "20"],
        env=os.environ | {"LIKENESS_PORT": "9001", "LIKENESS_MAX_FACES": "30"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line}
    assert done.returncode == 0, done.stderr
    assert rows["port"] == ["9001", "LIKENESS_PORT"]
    assert rows["max_faces"] == ["20", "--max-faces"]
    assert rows["s3.access_key_id"] == ["AKID", "file", str(file)]
    assert rows["s3.secret_access_key"][0] == "********"
    assert rows["min_side_px"] == ["80", "default"]
    assert "hush" not in done.stdout + done.stderr
