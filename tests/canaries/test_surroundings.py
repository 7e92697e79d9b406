"""What a process leaves or shows is seen wherever it does so: a program plants a canary in each place."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import wait_for
from .search import Search
from .surroundings import files_below, processes, shared_memory, told_by_proc

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")

#: Plants the text of its standard input in the place that is named, also in a child, and waits.
PROGRAM = """
import os, subprocess, sys, tempfile, threading, time
place, child = sys.argv[1:3]
text = sys.stdin.readline()
if child == "child":
    again = subprocess.Popen([sys.executable, __file__, place, "no"], stdin=subprocess.PIPE, text=True, env={})
    again.stdin.write(text)
    again.stdin.flush()
elif place == "cmdline":
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", text])
elif place == "environ":
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env={"A": text})
elif place == "comm":
    with open("/proc/self/comm", "w") as file:
        file.write(text[:15])
elif place == "thread":
    def named():
        with open(f"/proc/self/task/{threading.get_native_id()}/comm", "w") as file:
            file.write(text[10:20])
        time.sleep(600)
    threading.Thread(target=named, daemon=True).start()
elif place == "deleted":
    kept = tempfile.TemporaryFile()
    kept.write(b"data " + text.encode())
    kept.flush()
elif place == "memory":
    kept = os.memfd_create("memory")
    os.write(kept, bytes(5000) + text.encode())
elif place == "shared":
    with open(f"/dev/shm/likeness-canary-{os.getpid()}", "wb") as file:
        file.write(bytes(5000) + text.encode())
elif place == "file":
    with open("left", "w") as file:
        file.write(text)
elif place == "name":
    with open(text.strip(), "w"):
        pass
print("planted", flush=True)
time.sleep(600)
"""
CANARY = "Kq7wZ1xT9vB3nM5cL8jH2gF4dS6aP0oIuYtReWqA"


@pytest.fixture
def planted(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[int]:
    """The id of a process that has planted the canary, below `tmp_path` if in a file."""
    place, child = request.param
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    (tmp_path / "work").mkdir()
    process = subprocess.Popen(
        [sys.executable, str(program), place, child],
        cwd=tmp_path / "work",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{CANARY}\n".encode())
    process.stdin.flush()
    for _ in range(2 if child == "child" else 1):
        assert process.stdout.readline() == b"planted\n"
    yield process.pid
    for pid in reversed(processes(process.pid)):
        subprocess.run(["kill", "-KILL", str(pid)], check=False)
    process.communicate(timeout=60)


def found_in_proc(pid: int) -> set[str]:
    search = Search()
    search.add_text("canary", CANARY)
    return {
        name.split("/")[1].split()[0]
        for each in processes(pid)
        for name, content in told_by_proc(each)
        if search.found(content)
    }


@pytest.mark.parametrize("planted", [("nowhere", "no"), ("nowhere", "child")], indirect=True)
def test_nothing_is_found_where_nothing_is(planted: int, tmp_path: Path) -> None:
    assert found_in_proc(planted) == set()


@pytest.mark.parametrize(
    ("planted", "expected"),
    [
        ((place, child), expected)
        for place, expected in (
            ("cmdline", "cmdline"),
            ("environ", "environ"),
            ("comm", "comm"),
            ("thread", "task"),
            ("deleted", "fd"),
            ("memory", "fd"),
        )
        for child in ("no", "child")
    ],
    indirect=["planted"],
)
def test_each_place_of_proc(planted: int, expected: str) -> None:
    wait_for(lambda: expected in found_in_proc(planted))  # children need a moment to start


@pytest.mark.parametrize("planted", [("file", "no"), ("name", "child")], indirect=True)
def test_files(planted: int, tmp_path: Path) -> None:
    search = Search()
    search.add_text("canary", CANARY)
    files = files_below(tmp_path / "work")
    assert [path for path, content in files.items() if search.found(content)] == list(files)
    assert len(files) == 1


@pytest.mark.parametrize("planted", [("shared", "no")], indirect=True)
def test_shared_memory_that_has_a_name(planted: int) -> None:
    path = Path(f"/dev/shm/likeness-canary-{planted}")
    search = Search()
    search.add_text("canary", CANARY)
    changed = path.stat().st_mtime_ns
    try:
        assert search.found(shared_memory(changed)[str(path)]) == {"canary"}
        assert str(path) not in shared_memory(changed + 1)
    finally:
        path.unlink()
