"""No home folder, closed or full standard streams: an error message instead of a traceback."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from likeness.packs import store

#: As in a container that runs under an arbitrary number: no HOME, and no entry in the list of users.
HOMELESS = """
import pwd, sys
def unknown(*_):
    raise KeyError("uid not found")
pwd.getpwuid = pwd.getpwnam = unknown
sys.argv[0] = "likeness"
from likeness.cli.main import run
run()
"""


def without_home(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "LIKENESS_OFFLINE": "1"} | variables
    return subprocess.run(
        [sys.executable, "-c", HOMELESS, *words], env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("serve --check", 0),
        ("serve --check --auth none", 0),
        ("serve --check --keys ~/keys.json", 0),
        ("serve --check --auth sigv4", 252),
        ("keys list", 255),
        ("keys create --name me --keys ~nobody/keys.json --policy ~/none", 255),
        ("packs list", 0),
        ("packs show standard", 0),
        ("packs show ~/pack", 255),
        ("packs verify standard", 0),
        ("packs install standard", 0),
        ("compare-faces --output off --source-image-bytes fileb://PHOTO --target-image-bytes fileb://PHOTO", 0),
        ("compare-faces --pack ~/pack --source-image-bytes fileb://PHOTO --target-image-bytes fileb://PHOTO", 253),
        ("compare-faces --source-image-bytes fileb://~/a.jpg --target-image-bytes fileb://~x/b.jpg", 252),
        ("evaluate ~/pairs.csv", 255),
        ("calibrate ~/pairs.csv", 255),
        ("completion bash", 0),
        ("--version", 0),
    ],
)
def test_commands_without_a_home(portraits: dict[str, Path], words: str, code: int) -> None:
    given = words.replace("PHOTO", str(portraits["obama.jpg"])).split()
    ran = without_home(*given, LIKENESS_HOME=str(store.home()))
    assert "Traceback" not in ran.stderr + ran.stdout
    assert ran.returncode == code, ran.stderr


@pytest.mark.parametrize("variables", [{}, {"LIKENESS_HOME": "~/packs"}, {"LIKENESS_HOME": "~nobody/packs"}])
@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("packs list", 255),
        ("packs show standard", 255),
        ("packs install standard", 255),
        ("compare-faces --source-image-bytes fileb://PHOTO --target-image-bytes fileb://PHOTO", 253),
    ],
)
def test_without_a_home_what_needs_packs_says_what_to_set(
    portraits: dict[str, Path], words: str, code: int, variables: dict[str, str]
) -> None:
    ran = without_home(*words.replace("PHOTO", str(portraits["obama.jpg"])).split(), **variables)
    assert "Traceback" not in ran.stderr
    assert "set LIKENESS_HOME to the folder for the packs" in ran.stderr
    assert ran.returncode == code


def test_a_server_without_a_home_says_what_to_set() -> None:
    ran = without_home("serve", "--port", "0")
    assert ran.returncode == 78
    assert "set LIKENESS_HOME to the folder for the packs" in ran.stderr
    assert "frames" not in ran.stderr


COMMANDS = ["--version", "--help", "packs list", "completion bash", "serve --check"]


def likeness(words: str, redirections: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = f'exec "$0" -m likeness.cli.main {words} {redirections}'
    environment = os.environ | {"XDG_CONFIG_HOME": str(folder)}
    return subprocess.run(
        ["bash", "-c", command, sys.executable], env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("words", COMMANDS)
def test_a_full_disk_behind_standard_output_is_an_error_of_one_line(words: str, tmp_path: Path) -> None:
    ran = likeness(words, ">/dev/full", tmp_path)
    assert (ran.returncode, ran.stderr) == (255, "likeness: the output: No space left on device\n")
    assert likeness(words, ">/dev/full 2>/dev/full", tmp_path).returncode == 255


def test_a_current_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    gone = f'cd "{tmp_path}"; rmdir "{tmp_path}"; exec "$0" -m likeness.cli.main packs show ./pack'
    ran = subprocess.run(["bash", "-c", gone, sys.executable], capture_output=True, text=True, timeout=120)
    assert (ran.returncode, ran.stderr) == (255, "likeness: the current folder: No such file or directory\n")


@pytest.mark.parametrize("words", COMMANDS)
def test_closed_streams_are_no_error(words: str, tmp_path: Path) -> None:
    ran = likeness(words, "<&- >&-", tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert likeness(words, "<&- >&- 2>&-", tmp_path).returncode == 0


@pytest.mark.parametrize("redirections", ["<&- >&- 2>&-", ">/dev/full 2>/dev/full", "2>&-"])
def test_a_server_serves_whatever_its_streams_are(redirections: str, standard_pack: None, tmp_path: Path) -> None:
    """And no socket has the number of a stream, to which something may be printed."""
    path = tmp_path / "likeness.sock"
    likeness_serve = f'exec "$0" -m likeness.cli.main serve --unix-socket {path} {redirections}'
    environment = os.environ | {"XDG_CONFIG_HOME": str(tmp_path)}
    with subprocess.Popen(["bash", "-c", likeness_serve, sys.executable], env=environment) as server:
        try:
            ready = f"until curl -sf --unix-socket {path} http://localhost/readyz; do sleep 0.1; done"
            answered = subprocess.run(["bash", "-c", ready], capture_output=True, text=True, timeout=120)
            assert re.search('"status":"ready"', answered.stdout)
            streams = [os.readlink(f"/proc/{server.pid}/fd/{number}") for number in range(3)]
            assert not any(stream.startswith("socket:") for stream in streams)
        finally:
            server.terminate()
    assert server.returncode == 0
