"""Log files: complete lines in all circumstances, and no blocking by a stalled reader."""

import json
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.full_disk import file_size_limit

from likeness.server import log_files
from likeness.server.log_files import LogFile, LogWriter

from .conftest import Running, Serve, body, wait_for


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_that_does_not_fit_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "log"
    file = LogFile(str(path))
    file.append(b'{"n":1}\n')
    with file_size_limit(12), pytest.raises(OSError, match="too large"):
        file.append(b'{"n":2}\n')
    file.append(b'{"n":3}\n')
    assert lines(path) == [{"n": 1}, {"n": 3}]


def test_a_partial_line_of_a_killed_writer_does_not_join_the_next(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b'{"n":1}\n{"n"')
    LogFile(str(path)).append(b'{"n":3}\n')
    assert path.read_bytes() == b'{"n":1}\n{"n"\n{"n":3}\n'


def test_the_writer_drops_what_cannot_be_written_and_counts_it(tmp_path: Path) -> None:
    path = tmp_path / "log"
    writer = LogWriter("test log", LogFile(str(path)))
    with file_size_limit(4):
        writer.write({"n": 1})
        wait_for(lambda: writer.dropped == 1)
        assert not writer.has_capacity(1)
    writer.write({"n": 2})
    writer.close(5)
    assert lines(path) == [{"n": 2}]


def test_a_writer_that_keeps_records_retries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "_RETRY_SECONDS", 0.02)
    path = tmp_path / "log"
    writer = LogWriter("test log", LogFile(str(path)), keep=True)
    with file_size_limit(4):
        writer.write({"n": 1})
        wait_for(lambda: writer.is_failing)
        writer.write({"n": 2})
    writer.close(5)
    assert lines(path) == [{"n": 1}, {"n": 2}]
    assert writer.dropped == 0


def test_a_full_queue_drops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "QUEUE_RECORDS", 4)
    monkeypatch.setattr(log_files, "_RETRY_SECONDS", 0.02)
    writer = LogWriter("test log", LogFile(str(tmp_path / "log")), keep=True)
    with file_size_limit(4):
        writer.write({"n": 0})
        wait_for(lambda: writer.is_failing)
        for number in range(1, 10):
            writer.write({"n": number})
        assert writer.dropped == 5
    writer.close(5)
    assert lines(tmp_path / "log") == [{"n": number} for number in range(5)]


def test_records_are_gathered_and_written_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gathered = threading.Event()
    monkeypatch.setattr(log_files.time, "sleep", lambda seconds: gathered.wait(60 * seconds))
    written: list[bytes] = []
    file = LogFile(str(tmp_path / "log"))
    monkeypatch.setattr(file, "append", written.append)
    writer = LogWriter("test log", file, gather_seconds=1)
    for number in range(3):
        writer.write({"n": number})
    gathered.set()
    writer.close(60)
    assert written == [b'{"n":0}\n{"n":1}\n{"n":2}\n']


def test_a_rotated_file_is_reopened(tmp_path: Path) -> None:
    path = tmp_path / "log"
    file = LogFile(str(path))
    file.append(b'{"n":1}\n')
    path.rename(tmp_path / "old")
    file.reopen()
    file.append(b'{"n":2}\n')
    assert (lines(tmp_path / "old"), lines(path)) == ([{"n": 1}], [{"n": 2}])


def test_the_server_keeps_answering_when_nothing_reads_its_logs(serve: Serve) -> None:
    """Both streams are pipes that nobody reads: more is logged than they hold."""
    server = serve("--audit-log", "-")
    server.wait_ready()
    reader, writer = os.pipe()
    port = server.port
    command = [sys.executable, *server.process.args[1:]]  # type: ignore[index]
    stalled = subprocess.Popen(command, stdout=writer, stderr=subprocess.PIPE, env=environment(server))
    try:
        assert stalled.stderr is not None
        address = next(line for line in stalled.stderr if b"listens on" in line)
        server.port = int(address.split(b"127.0.0.1:")[1].split()[0])
        long = {"Content-Type": "application/x-amz-json-1.1", "User-Agent": ". " * 250}
        for _ in range(200):
            assert server.request(b"{}", long).status == 400
        assert server.request(body()).status == 200
        assert server.get("/healthz").status == 200
        page = server.get("/metrics").body.decode()
        assert 'likeness_log_queue_length{log="access log"} 0.0' not in page
        stalled.terminate()
        assert stalled.wait(60) == 0
    finally:
        server.port = port
        stalled.kill()
        stalled.wait()
        assert stalled.stderr is not None
        stalled.stderr.close()
        os.close(reader)
        os.close(writer)


def environment(server: Running) -> dict[str, str]:
    none = str(server.folder / "none")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LIKENESS_", "AWS_"))}
    return kept | {"XDG_CONFIG_HOME": str(server.folder), "AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none}


@pytest.mark.fault
@pytest.mark.parametrize(("what", "status"), [("drop", 200), ("refuse", 500)])
def test_audit_when_full_decides_what_happens_on_a_full_disk(
    serve: Serve, tmp_path: Path, what: str, status: int
) -> None:
    server = serve("--audit-log", str(tmp_path / "audit"), "--audit-when-full", what)
    server.wait_ready()
    statuses = []

    def ask() -> int:
        statuses.append(server.request(body()).status)
        return statuses[-1]

    assert [ask() for _ in range(5)] == [200] * 5
    wait_for(lambda: len(lines(tmp_path / "audit")) == 5)
    room = (tmp_path / "audit").stat().st_size + 10  # more than the other files need
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    ask()
    wait_for(lambda: "the audit log cannot be written: File too large" in server.errors)
    wait_for(lambda: ask() == status)
    assert server.get("/healthz").status == 200
    dropped = server.gauge('log_records_dropped_total{log="audit log"}')
    assert (dropped == 0) == (what == "refuse")
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    wait_for(lambda: ask() == 200)
    server.wait_written()
    dropped = server.gauge('log_records_dropped_total{log="audit log"}')
    assert server.stop() == 0
    records = lines(tmp_path / "audit")
    assert len(records) + dropped == len(statuses)
    assert all(record["eventName"] == "CompareFaces" for record in records)
