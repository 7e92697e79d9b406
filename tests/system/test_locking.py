"""The lock excludes other threads and processes, and is free after the death of a process."""

import errno
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from likeness.system import locking
from likeness.system.locking import one_at_a_time

HOLDER = """
import sys, time
from pathlib import Path
from likeness.system.locking import one_at_a_time
with one_at_a_time(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def holder(path: Path, seconds: float) -> "subprocess.Popen[str]":
    """Another process that has the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, path, str(seconds)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_one_thread_at_a_time_is_inside(tmp_path: Path) -> None:
    inside = 0
    most = 0
    counting = threading.Lock()

    def work(_: int) -> None:
        nonlocal inside, most
        with one_at_a_time(tmp_path / "a.lock"):
            with counting:
                inside += 1
                most = max(most, inside)
            time.sleep(0.01)
            with counting:
                inside -= 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))
    assert most == 1
    assert (tmp_path / "a.lock").read_bytes() == b""


def test_waiting_for_another_process_is_reported_once(tmp_path: Path) -> None:
    path, said = tmp_path / "a.lock", []
    begun = time.monotonic()
    with holder(path, 2.0), one_at_a_time(path, waiting=lambda: said.append("waiting")):
        assert time.monotonic() - begun >= 2.0
    assert said == ["waiting"]


def test_a_free_lock_is_taken_without_a_report(tmp_path: Path) -> None:
    for _ in range(2):
        with one_at_a_time(tmp_path / "a.lock", waiting=pytest.fail):
            pass


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    with holder(tmp_path / "a.lock", 60) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    with one_at_a_time(tmp_path / "a.lock", waiting=pytest.fail):
        pass


def test_a_thread_that_waits_does_not_let_another_process_in(tmp_path: Path) -> None:
    path, waiting, done = tmp_path / "a.lock", threading.Event(), threading.Event()

    def wait() -> None:
        with one_at_a_time(path, waiting=waiting.set):
            done.set()

    with one_at_a_time(path):
        thread = threading.Thread(target=wait)
        thread.start()
        assert waiting.wait(60)
        process = subprocess.Popen([sys.executable, "-c", HOLDER, path, "0"], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        held = threading.Thread(target=process.stdout.readline)
        held.start()
        held.join(2.0)
        assert held.is_alive()
        assert not done.is_set()
    thread.join(60)
    assert process.wait(60) == 0
    held.join()
    process.stdout.close()


def test_an_error_inside_leaves_the_lock_free(tmp_path: Path) -> None:
    with pytest.raises(KeyError), one_at_a_time(tmp_path / "a.lock"):
        raise KeyError
    with one_at_a_time(tmp_path / "a.lock", waiting=pytest.fail):
        pass


def test_the_file_is_made_with_the_rights_asked_for(tmp_path: Path) -> None:
    with one_at_a_time(tmp_path / "a.lock", mode=0o600):
        assert os.stat(tmp_path / "a.lock").st_mode & 0o777 == 0o600


def test_an_unusable_path_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "text.lock").write_text("no lock at all, " * 100)
    for path in (tmp_path / "missing" / "a.lock", tmp_path, tmp_path / "text.lock"):
        with pytest.raises(OSError, match=r"lock|directory"), one_at_a_time(path):
            pass


@pytest.mark.parametrize(
    ("failure", "number"),
    [
        (sqlite3.SQLITE_FULL, errno.ENOSPC),
        (sqlite3.SQLITE_READONLY, errno.EROFS),
        (sqlite3.SQLITE_READONLY_DIRECTORY, errno.EROFS),
        (sqlite3.SQLITE_IOERR_WRITE, errno.EIO),
    ],
)
def test_the_error_has_the_errno_of_its_cause(
    failure: int, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Callers tell people of a full disk by it."""

    class Failing(sqlite3.Connection):
        def execute(self, *_: object) -> sqlite3.Cursor:
            error = sqlite3.OperationalError("words of SQLite")
            error.sqlite_errorcode = failure
            raise error

    monkeypatch.setattr(locking, "_connected", lambda path: sqlite3.connect(path, factory=Failing))
    with pytest.raises(OSError, match="words of SQLite") as raised, one_at_a_time(tmp_path / "lock"):
        pass
    assert (raised.value.errno, raised.value.filename) == (number, str(tmp_path / "lock"))
