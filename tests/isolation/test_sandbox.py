"""What a decoder can still do: nothing but compute."""

import os
import platform
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from likeness.image import ImageLimits, open_image
from likeness.isolation import sandbox
from likeness.isolation.decoders import Decoders

from .conftest import jpeg
from .test_decoders import the_only

#: Each line is tried after `enter`, and says "done" or the error's name.
_TRIALS = """
import ctypes, errno, mmap, os, resource, socket, sys
from likeness.isolation import sandbox
listener, abstract = int(sys.argv[1]), "\\0" + sys.argv[2]
results = {{}}
{enter}
for name, work in {{
    "open": lambda: os.open("/etc/passwd", os.O_RDONLY),
    "create": lambda: os.open(os.getcwd() + "/created", os.O_CREAT | os.O_WRONLY),
    "truncate": lambda: os.truncate("there", 0),
    "list": lambda: os.listdir("/"),
    "environment": lambda: os.open("/proc/%d/environ" % os.getppid(), os.O_RDONLY),
    "tcp": lambda: socket.socket().connect(("127.0.0.1", listener)),
    "listen": lambda: socket.socket().bind(("127.0.0.1", 0)),
    "unix": lambda: socket.socket(socket.AF_UNIX),
    "abstract": lambda: socket.socket(socket.AF_UNIX).connect(abstract),
    "fork": lambda: os._exit(0) if os.fork() == 0 else None,
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "signal": lambda: os.kill(os.getppid(), 0),
    "executable memory": lambda: mmap.mmap(-1, 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC),
    "limits": lambda: resource.setrlimit(resource.RLIMIT_CPU, (1000, 1000)),
    "ptrace": lambda: sandbox._checked(sandbox._library.ptrace(7, 2**31 - 1, 0, 0)),
    "memory": lambda: mmap.mmap(-1, 1 << 33),
}}.items():
    try:
        work()
        results[name] = "done"
    except OSError as error:
        results[name] = errno.errorcode[error.errno]
    except ValueError:  # what setrlimit makes of EPERM
        results[name] = "EPERM"
os.write(1, repr(results).encode())
"""


def tried(enter: str, folder: Path) -> dict[str, Any]:
    """What a process can do after the line `enter`."""
    (folder / "there").write_bytes(b"x")
    name = f"likeness-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0{name}")
        abstract.listen()
        code = _TRIALS.format(enter=enter)
        command = [sys.executable, "-c", code, str(listener.getsockname()[1]), name]
        done = subprocess.run(command, capture_output=True, check=False, timeout=120, cwd=folder)
    assert done.returncode == 0, done.stderr.decode()
    return dict(eval(done.stdout))


@pytest.fixture(scope="module")
def layers() -> dict[str, str]:
    """The layers that this machine has."""
    decoders = Decoders.for_photos(1, ImageLimits())
    try:
        return decoders.layers()
    finally:
        decoders.close()


def needs(layers: dict[str, str], *names: str) -> None:
    for name in names:
        if layers[name]:
            pytest.skip(f"no {name} here: {layers[name]}")


def test_every_layer_is_named(layers: dict[str, str]) -> None:
    assert set(layers) == {"no_new_privileges", "limits", "landlock", "seccomp"}
    assert not layers["no_new_privileges"]
    assert not layers["limits"]


def test_without_a_sandbox_nothing_is_refused(tmp_path: Path) -> None:
    outcomes = tried("os.execv = lambda *_: None", tmp_path)
    assert outcomes.pop("ptrace") == "ESRCH"  # there is no such process
    assert set(outcomes.values()) == {"done"}, outcomes


def test_all_layers_together_leave_nothing(layers: dict[str, str], tmp_path: Path) -> None:
    needs(layers, "seccomp")
    outcomes = tried("sandbox.enter(64 << 20, 3)", tmp_path)
    assert outcomes.pop("memory") == "ENOMEM"
    assert set(outcomes.values()) == {"EPERM"}, outcomes


def test_landlock_alone_closes_files_and_the_network(layers: dict[str, str], tmp_path: Path) -> None:
    needs(layers, "landlock")
    outcomes = tried(
        "os.execv = lambda *_: None; sandbox._prctl(38, 1); sandbox._restrict_files_and_network()", tmp_path
    )
    assert {outcomes[name] for name in ("open", "create", "list", "environment")} == {"EACCES"}
    version = sandbox._call(444, None, 0, 1)
    assert outcomes["truncate"] == ("EACCES" if version >= 3 else "done")
    assert outcomes["tcp"] == outcomes["listen"] == ("EACCES" if version >= 4 else "done")
    assert outcomes["signal"] == outcomes["abstract"] == ("EPERM" if version >= 6 else "done")


def test_without_seccomp_files_and_the_network_are_closed_all_the_same(layers: dict[str, str], tmp_path: Path) -> None:
    """As on a machine without a list of system calls."""
    needs(layers, "landlock")
    outcomes = tried(
        "sandbox._filter_calls = lambda: None; sandbox.enter(64 << 20, 100); os.execv = lambda *_: None", tmp_path
    )
    assert {outcomes[name] for name in ("open", "create", "list", "environment")} == {"EACCES"}


def test_limits_alone_leave_no_descriptor_and_no_memory(tmp_path: Path) -> None:
    outcomes = tried(
        "sandbox._limit(sandbox._address_space_bytes() + (64 << 20), 3); os.execv = lambda *_: None", tmp_path
    )
    assert {outcomes[name] for name in ("open", "create", "list", "tcp", "unix")} == {"EMFILE"}
    assert outcomes["memory"] == "ENOMEM"


def test_limits_are_never_raised(tmp_path: Path) -> None:
    """Root may raise them."""
    outcomes = tried(
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 36, 1 << 36)); sandbox._limit(1 << 37, 3); "
        "results['AS'] = resource.getrlimit(resource.RLIMIT_AS); os.execv = lambda *_: None",
        tmp_path,
    )
    assert outcomes["AS"] == (1 << 36, 1 << 36)


def test_a_decoder_leaves_no_dump_and_can_start_nothing_for_any_user(tmp_path: Path) -> None:
    """Root is bound by fewer of these limits than other users: here they are read, with calls that seccomp refuses."""
    outcomes = tried(
        "sandbox._filter_calls = lambda: None; sandbox.enter(64 << 20, 3); os.execv = lambda *_: None; "
        "results.update({'dumpable': sandbox._library.prctl(3)} | {"
        "name: resource.getrlimit(getattr(resource, 'RLIMIT_' + name)) for name in ('CORE', 'FSIZE', 'NPROC', 'NOFILE')"
        "})",
        tmp_path,
    )
    assert outcomes["dumpable"] == 0
    assert {outcomes[name] for name in ("CORE", "FSIZE", "NPROC")} == {(0, 0)}
    assert outcomes["NOFILE"] == (3, 3)


def test_a_decoder_shows_its_layers_and_has_nothing(layers: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    monkeypatch.setenv("LIKENESS_S3_SECRET_ACCESS_KEY", "a secret")
    decoders = Decoders.for_photos(1, ImageLimits())
    try:
        process = Path("/proc") / str(the_only(decoders).pid)
        status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
        assert status["NoNewPrivs"] == "1"
        assert status["Threads"] == "1"
        assert status["Name"] == "likeness-decode"
        assert (process / "oom_score_adj").read_text() == "1000\n"
        if not layers["seccomp"]:
            assert status["Seccomp"] == "2"
        if not os.access(process / "environ", os.R_OK) or os.geteuid() != 0:
            pytest.skip("only root may look at the descriptors and the environment of a decoder")
        assert b"secret" not in (process / "environ").read_bytes()
        held = {each.name: os.readlink(each) for each in (process / "fd").iterdir()}
        assert held.pop("0").startswith("socket:")
        assert held == {"1": "/dev/null", "2": "/dev/null"}
        assert os.readlink(process / "cwd") == "/"
    finally:
        decoders.close()


def test_signals_to_the_whole_group_do_not_end_a_decoder() -> None:
    decoders = Decoders.for_photos(1, ImageLimits())
    try:
        process = the_only(decoders)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(process.pid, number)
        assert open_image(jpeg(), decode=decoders.decode).pixels().shape == (240, 320, 3)
        assert not decoders.lost
    finally:
        decoders.close()


def test_a_machine_without_a_list_of_calls_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert "riscv64" in sandbox._failure_of(sandbox._filter_calls)


ALLOWED, REFUSED, KILLED = 0x7FFF0000, 0x00050001, 0x80000000


def verdict(program: bytes, architecture: int, number: int, third_argument: int = 0) -> int:
    """What the kernel would do about a call: the program, run as Documentation/networking/filter.rst has it."""
    data = struct.pack("<IIQ6Q", number, architecture, 0, 0, 0, third_argument, 0, 0, 0)
    steps = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    at, word = 0, 0
    while True:
        code, if_so, if_not, value = steps[at]
        at += 1
        if code == 0x20:
            (word,) = struct.unpack_from("<I", data, value)
        elif code == 0x15:
            at += if_so if word == value else if_not
        elif code == 0x45:
            at += if_so if word & value else if_not
        else:
            assert code == 0x06
            return int(value)


#: <asm/unistd.h> of x86_64, and <asm-generic/unistd.h>, which aarch64 uses.
COMPUTING = {
    "read": (0, 63),
    "write": (1, 64),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "brk": (12, 214),
    "madvise": (28, 233),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "futex": (202, 98),
    "sched_yield": (24, 124),
    "clock_gettime": (228, 113),
    "getrandom": (318, 278),
    "restart_syscall": (219, 128),
    "exit": (60, 93),
    "exit_group": (231, 94),
}


@pytest.mark.parametrize(
    ("column", "machine", "architecture", "mmap", "mprotect"),
    [(0, "x86_64", 0xC000003E, 9, 10), (1, "aarch64", 0xC00000B7, 222, 226)],
)
def test_the_filter_lets_through_what_computing_needs(
    column: int, machine: str, architecture: int, mmap: int, mprotect: int
) -> None:
    program = sandbox.filter_program(machine)
    listed = {numbers[column] for numbers in COMPUTING.values()}
    for number in range(600):
        expected = ALLOWED if number in listed | {mmap, mprotect} else REFUSED
        assert verdict(program, architecture, number) == expected, number
        assert verdict(program, architecture ^ 1, number) == KILLED
    for mapping in (mmap, mprotect):
        assert verdict(program, architecture, mapping, 0b011) == ALLOWED
        assert verdict(program, architecture, mapping, 0b101) == REFUSED
    assert verdict(program, architecture, 0x40000000 | min(listed)) == REFUSED  # the numbers of x32
