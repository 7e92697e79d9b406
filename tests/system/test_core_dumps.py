"""A process that is killed by a signal leaves no core dump, whatever the limits it was started with."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.listening import address_of

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="core dumps are forbidden on Linux")

ABORT = "import os; os.abort()"
RAISE = "from resource import *; setrlimit(RLIMIT_CORE, [getrlimit(RLIMIT_CORE)[1]] * 2)"
FORBID = "from likeness.system.core_dumps import forbid_core_dumps as forbid; forbid()"


@contextmanager
def core_dumps_allowed() -> Iterator[None]:
    """Processes started in the block may dump as much as this one could."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, before)


def dumps_core(program: str, folder: Path) -> bool:
    with core_dumps_allowed():
        process = subprocess.Popen([sys.executable, "-c", program], cwd=folder, stderr=subprocess.DEVNULL)
    return ended_with_dump(process)


def ended_with_dump(process: "subprocess.Popen[bytes]") -> bool:
    _, status = os.waitpid(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == -signal.SIGABRT
    return os.WCOREDUMP(status)


@pytest.fixture(scope="module", autouse=True)
def machine_that_dumps(tmp_path_factory: pytest.TempPathFactory) -> None:
    if not dumps_core(ABORT, tmp_path_factory.mktemp("core")):
        pytest.skip("no process on this machine dumps core")


def test_a_process_that_forbids_it_leaves_no_dump(tmp_path: Path) -> None:
    assert not dumps_core(f"{FORBID}; {ABORT}", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_limit_that_is_raised_again_changes_nothing(tmp_path: Path) -> None:
    """As a handler that `core_pattern` names is called whatever the limit."""
    assert not dumps_core(f"{FORBID}; {RAISE}; {ABORT}", tmp_path)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_server_leaves_no_dump(workers: int, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "likeness.cli.main", "serve", "--port", "0", "--workers", str(workers)]
    errors = tmp_path / "errors"
    with errors.open("wb") as stream, core_dumps_allowed():
        process = subprocess.Popen([*command, "--keys", "none"], cwd=tmp_path, stdout=stream, stderr=stream)
    address_of(process, errors)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    limits = [Path(f"/proc/{pid}/limits").read_text() for pid in (process.pid, *children)]
    process.send_signal(signal.SIGABRT)
    assert not ended_with_dump(process)
    assert all("Max core file size        0 " in each for each in limits)


def test_the_command_leaves_no_dump(tmp_path: Path) -> None:
    """It is stopped while it reads a photo from a pipe that nobody writes to."""
    os.mkfifo(tmp_path / "photo")
    command = "import sys; sys.argv[1:] = ['compare-faces', '--source-image-bytes', 'fileb://photo', "
    command += "'--target-image-bytes', 'fileb://photo']; from likeness.cli.main import run; run()"
    with core_dumps_allowed():
        process = subprocess.Popen([sys.executable, "-c", command], cwd=tmp_path)
    with open(tmp_path / "photo", "wb"):  # returns when the command has opened it
        process.send_signal(signal.SIGABRT)
        assert not ended_with_dump(process)


#: A child that can be read first, and then forbids it; the parent is another process of the same user, not root.
_READ_A_CHILD = """
import ctypes, os, sys
from likeness.system.core_dumps import forbid_core_dumps
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
done, say = os.pipe()
heard, go = os.pipe()
child = os.fork()
if child == 0:
    os.close(go)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
    os.write(say, b"1")
    os.read(heard, 1)
    forbid_core_dumps()
    os.write(say, b"2")
    os.read(heard, 1)
    os._exit(0)
def readable():
    os.read(done, 1)
    found = []
    for name in ("environ", "maps", "mem", "fd"):
        try:
            os.listdir(f"/proc/{child}/fd") if name == "fd" else open(f"/proc/{child}/{name}", "rb").close()
            found.append(name)
        except PermissionError:
            pass
    os.write(go, b"1")
    return found
print(readable(), readable())
"""


def test_no_other_process_of_the_user_can_read_it() -> None:
    ended = subprocess.run([sys.executable, "-c", _READ_A_CHILD], capture_output=True, text=True, timeout=60)
    if "['environ', 'maps'" not in ended.stdout:
        pytest.skip(f"no process of this user reads another one: {ended.stdout}{ended.stderr}")
    assert ended.stdout.split("] [")[1] == "]\n"
