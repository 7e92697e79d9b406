"""Several workers on one port: start, end, restart, and shared state."""

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from likeness.server.workers import thread_shares
from likeness.system.processors import thread_budget

from .conftest import HEADERS, STUB, Running, Serve, body, free_port, read_answer, refuses_connections, wait_for

needs_two_processors = pytest.mark.skipif(thread_budget() < 2, reason="two workers need two processors")


def sums_to(server: Running, requests: int) -> bool:
    """Whether so many are at work, running or waiting: one worker may have been dealt both."""
    page = server.get("/metrics").body.decode()
    lines = [line.split() for line in page.splitlines() if line.startswith(("likeness_running", "likeness_queue"))]
    return sum(float(value) for _, value in lines) == requests


def children(server: Running) -> list[int]:
    path = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    return [int(pid) for pid in path.read_text().split()] if path.exists() else []


def metrics_without(server: Running, worker: int) -> bytes:
    """The metrics of another worker, and what it knows of this one."""
    os.kill(worker, signal.SIGSTOP)
    try:
        return server.get("/metrics").body
    finally:
        os.kill(worker, signal.SIGCONT)


@needs_two_processors
def test_workers_share_the_port_and_the_metrics(serve: Serve) -> None:
    server = serve("--workers", "2")
    wait_for(lambda: b"likeness_ready_workers 2.0" in server.get("/metrics").body)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: server.request(body(b"sleep 0.02")), range(40)))
    assert [answer.status for answer in answers] == [200] * 40
    counted = b'likeness_cloudwatch_total{metric="SuccessfulRequestCount",operation="CompareFaces"} 40.0'
    wait_for(lambda: all(counted in server.get("/metrics").body for _ in range(8)))
    assert len(children(server)) == 2
    assert server.stop() == 0
    assert all(not Path(f"/proc/{pid}").exists() for pid in children(server))


@needs_two_processors
def test_a_worker_that_dies_is_replaced_and_its_counts_stay(serve: Serve) -> None:
    server = serve("--workers", "2")
    wait_for(lambda: b"likeness_ready_workers 2.0" in server.get("/metrics").body)
    assert server.request(body()).status == 200
    counted = b'metric="SuccessfulRequestCount",operation="CompareFaces"} 1.0'
    first = children(server)
    wait_for(lambda: all(counted in metrics_without(server, pid) for pid in first))
    for pid in first:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(children(server)) == 2 and not set(children(server)) & set(first))
    wait_for(lambda: b"likeness_ready_workers 2.0" in server.get("/metrics").body)
    assert counted in server.get("/metrics").body
    assert server.errors.count("a new one starts") == 2
    assert server.request(body()).status == 200


@needs_two_processors
def test_workers_do_not_outlive_their_supervisor(serve: Serve) -> None:
    server = serve("--workers", "2")
    server.wait_ready()
    workers = children(server)
    server.process.kill()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))


@needs_two_processors
def test_workers_finish_running_requests(serve: Serve) -> None:
    server = serve("--workers", "2")
    server.wait_ready()
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(server.request, body(b"until ending")) for _ in range(2)]
        wait_for(lambda: sums_to(server, 2))
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: refuses_connections(server.port))
        server.create("ending")
        assert server.exit_code() == 0
        assert [each.result().status for each in running] == [200, 200]


@needs_two_processors
def test_a_rate_holds_for_all_workers_together(serve: Serve) -> None:
    server = serve(*["--workers", "2", "--rate-per-second", "0.001", "--rate-burst", "10"])
    server.wait_ready()
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: server.request(body(b"sleep 0.01")).status, range(30)))
    assert sorted(statuses) == [200] * 10 + [400] * 20


@needs_two_processors
def test_a_supervisor_that_is_killed_leaves_nothing_in_the_temporary_folder(serve: Serve, tmp_path: Path) -> None:
    server = serve("--workers", "2", env={"TMPDIR": str(tmp_path)})
    server.wait_ready()
    workers = children(server)
    server.process.kill()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    assert list(tmp_path.iterdir()) == []


@needs_two_processors
def test_the_metrics_and_new_workers_need_no_temporary_folder(serve: Serve, tmp_path: Path) -> None:
    """Programs clean that folder, or a container has none."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    server = serve("--workers", "2", env={"TMPDIR": str(folder)})
    wait_for(lambda: b"likeness_ready_workers 2.0" in server.get("/metrics").body)
    folder.rmdir()
    assert server.get("/metrics").status == 200
    first = children(server)
    for pid in first:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(children(server)) == 2 and not set(children(server)) & set(first))
    wait_for(lambda: b"likeness_ready_workers 2.0" in server.get("/metrics").body)


@pytest.mark.fault
@needs_two_processors
def test_a_worker_that_cannot_load_for_a_moment_does_not_end_the_others(serve: Serve) -> None:
    server = serve("--workers", "2", "--pack", "unless-away")
    wait_for(lambda: b"likeness_ready_workers 2.0" in server.get("/metrics").body)
    (server.folder / "away").touch()
    os.kill(children(server)[0], signal.SIGKILL)
    wait_for(lambda: "ended with code 78" in server.errors)
    assert server.process.poll() is None
    assert server.request(body()).status == 200
    (server.folder / "away").unlink()
    wait_for(lambda: b"likeness_ready_workers 2.0" in server.get("/metrics").body)
    assert server.stop() == 0


@needs_two_processors
def test_the_queue_limit_is_shared_by_all_workers(serve: Serve) -> None:
    """The system does not deal connections out evenly: one worker may have all of them."""
    server = serve("--workers", "2", "--threads", "2", "--max-queue", "20", "--request-deadline-seconds", "60")
    wait_for(lambda: b"likeness_ready_workers 2.0" in server.get("/metrics").body)
    connection = server.connect(timeout=60)
    connection.request("GET", "/healthz", headers={})
    read_answer(connection)
    # All at once over the connections of one worker: those that were made while the other was stopped.
    stopped = children(server)[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(18) as pool:
            answers = list(pool.map(lambda _: server.request(body(b"sleep 0.05")).status, range(18)))
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert answers == [200] * 18


@needs_two_processors
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_workers_get_the_same_number_of_connections(serve: Serve, tmp_path: Path, kind: str) -> None:
    """Those made while one is stopped go to the other; the next ones go to the first until it has as many."""
    path = tmp_path / "socket"
    server = serve("--workers", "2", *(["--unix-socket", str(path)] if kind == "unix" else []))

    def connect() -> socket.socket:
        if kind == "tcp":
            return socket.create_connection(("127.0.0.1", server.port), timeout=60)
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(60)
        connection.connect(str(path))
        return connection

    with ExitStack() as stack:
        asking = http.client.HTTPConnection("localhost")
        asking.sock = stack.enter_context(connect())

        def are_ready() -> bool:
            asking.request("GET", "/metrics")
            return b"likeness_ready_workers 2.0" in asking.getresponse().read()

        wait_for(are_ready)
        stopped, other = children(server)
        before = {pid: sockets_of(pid) for pid in (stopped, other)}

        def opened(pid: int) -> int:
            return sockets_of(pid) - before[pid]

        def open_one() -> bool:
            number = opened(stopped) + opened(other)
            stack.enter_context(connect())
            wait_for(lambda: opened(stopped) + opened(other) == number + 1)
            return abs(opened(stopped) - opened(other)) <= 2

        os.kill(stopped, signal.SIGSTOP)
        try:
            for _ in range(12):
                open_one()
        finally:
            os.kill(stopped, signal.SIGCONT)
        assert (opened(stopped), opened(other)) == (0, 12)
        # A worker that is too busy for a moment misses some of them.
        assert any(open_one() for _ in range(60))


def sockets_of(pid: int) -> int:
    number = 0
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            number += os.readlink(each).startswith("socket:")
    return number


@needs_two_processors
def test_a_second_sigint_to_the_supervisor_does_not_wait(serve: Serve) -> None:
    server = serve("--workers", "2", "--grace-seconds", "600")
    server.wait_ready()
    connection = server.connect()
    connection.request("POST", "/", body(b"until never"), HEADERS)
    server.wait_running()
    server.process.send_signal(signal.SIGINT)
    wait_for(lambda: refuses_connections(server.port))
    assert server.process.poll() is None
    assert server.stop(signal.SIGINT) == 0


def test_a_server_outlives_the_shell_that_started_it(tmp_path: Path) -> None:
    """`nohup likeness serve &`, and the shell ends."""
    port = free_port()
    script = f'nohup "$0" "{STUB}" --port {port} --auth none > out 2> err & echo $!; read'
    shell = subprocess.Popen(
        ["bash", "-c", script, sys.executable], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert shell.stdin is not None
    assert shell.stdout is not None
    pid = int(shell.stdout.readline())
    try:
        server = Running(shell, tmp_path, port=port)  # type: ignore[arg-type]
        wait_for(lambda: (tmp_path / "err").exists() and "listens on" in (tmp_path / "err").read_text())
        server.wait_ready()
        shell.stdin.close()
        shell.wait()
        time.sleep(0.5)  # time for five looks at who the parent is
        assert server.request(body()).status == 200
        os.kill(pid, signal.SIGHUP)
        assert server.request(body()).status == 200
    finally:
        shell.stdout.close()
        os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not Path(f"/proc/{pid}").exists())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has files in memory without a folder")
@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=needs_two_processors)])
def test_a_read_only_system_without_a_temporary_folder_will_do(
    tmp_path: Path, workers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_only = (
        "mount --make-rprivate /; mount -o bind,ro / /; "
        "for folder in /tmp /var/tmp /dev/shm; do mount -o bind,ro $folder $folder; done; "
        "mount -o remount,bind,ro /; cd /; touch /tmp/x && exit 99; "
        f'exec "$0" "{STUB}" --port 0 --workers {workers} --keys /none'
    )
    user = [] if os.getuid() == 0 else ["--user", "--map-root-user"]
    if not shutil.which("unshare"):
        pytest.skip("there is no unshare")
    with tempfile.TemporaryFile() as err:
        running = subprocess.Popen(
            ["unshare", *user, "--mount", "bash", "-c", read_only, sys.executable],
            stdout=subprocess.DEVNULL,
            stderr=err,
        )

        def errors() -> str:
            return os.pread(err.fileno(), 100_000, 0).decode()

        try:
            wait_for(lambda: "listens on" in errors() or running.poll() is not None)
            if running.poll() in (1, 99) and "Traceback" not in errors():
                pytest.skip("this system lets nobody make a mount namespace")
            assert "Traceback" not in errors()
            port = re.search(r"listens on http://127.0.0.1:(\d+)", errors())
            assert port is not None, errors()
            server = Running(running, tmp_path, port=int(port[1]))
            server.wait_ready()
            assert server.request(body()).status == 200
            assert server.get("/metrics").status == 200
        finally:
            running.terminate()
            running.wait(60)


@pytest.mark.parametrize("threads", [1, 2, 3, 8, 17])
def test_workers_divide_the_processors_and_use_no_more(threads: int) -> None:
    for workers in range(1, threads + 1):
        shares = thread_shares(threads, workers)
        assert sum(shares) == threads
        assert (len(shares), min(shares) >= 1, max(shares) - min(shares) <= 1) == (workers, True, True)
