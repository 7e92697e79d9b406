"""Standard streams that are closed, full or without a reader: no traceback, and no loss of other output."""

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from likeness.aws.keys import read_records
from likeness.cli import main as front

pytestmark = pytest.mark.engine


def compare(photos: str, redirections: str, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """The command of a shell with `redirections`, which leave standard error to us unless they say otherwise."""
    command = f'"$0" -m likeness.cli.main compare-faces {photos} {" ".join(more)} {redirections}'
    return subprocess.run(
        ["bash", "-c", command, sys.executable],
        cwd=folder,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def photos(portraits: dict[str, Path]) -> str:
    first, second = portraits["obama.jpg"], portraits["obama2.jpg"]
    return f"--source-image-bytes fileb://{first} --target-image-bytes fileb://{second}"


def test_a_full_disk_behind_the_answer_loses_neither_overlay_nor_explanation(photos: str, tmp_path: Path) -> None:
    ran = compare(photos, ">/dev/full", tmp_path, "--overlay", "both.png", "--explain")
    assert ran.returncode == 255
    assert (tmp_path / "both.png").read_bytes().startswith(b"\x89PNG")
    lines = ran.stderr.splitlines()
    assert "likeness: wrote both.png" in lines
    assert lines[-1] == "Unable to write the answer to standard output: No space left on device"
    assert len(lines) > 5  # the explanation
    assert "Traceback" not in ran.stderr
    assert "Exception ignored" not in ran.stderr


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", "<&-"])
def test_an_unwritable_standard_error_costs_neither_answer_nor_overlay(
    photos: str, tmp_path: Path, redirection: str
) -> None:
    ran = compare(photos, redirection, tmp_path, "--overlay", "both.png", "--explain")
    assert ran.returncode == 0
    assert len(json.loads(ran.stdout)["FaceMatches"]) == 1
    assert (tmp_path / "both.png").read_bytes().startswith(b"\x89PNG")


def test_a_closed_output_costs_no_overlay_and_goes_into_no_file(photos: str, tmp_path: Path) -> None:
    ran = compare(photos, ">&-", tmp_path, "--overlay", "both.png")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert (tmp_path / "both.png").read_bytes().endswith(b"IEND\xaeB`\x82")


@pytest.mark.parametrize("output", ["json", "table", "text", "yaml"])
def test_a_reader_that_has_enough_costs_no_overlay(photos: str, tmp_path: Path, output: str) -> None:
    ran = compare(photos, "| true", tmp_path, "--overlay", "both.png", "--output", output)
    assert "Traceback" not in ran.stderr
    assert "Exception ignored" not in ran.stderr
    assert (tmp_path / "both.png").is_file()


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", ">&- 2>&-", ">/dev/full 2>/dev/full"])
def test_the_exit_code_of_a_mistake_does_not_depend_on_its_reader(tmp_path: Path, redirection: str) -> None:
    assert compare("--source-image none.jpg", redirection, tmp_path).returncode == 252
    ran = subprocess.run(
        ["bash", "-c", f'"$0" -m likeness.cli.main nonsense {redirection}', sys.executable],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 252


def test_a_key_whose_secret_cannot_be_shown_is_not_made(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    command = f'"$0" -m likeness.cli.main keys create --name someone --keys {keys} >/dev/full'
    ran = subprocess.run(["bash", "-c", command, sys.executable], capture_output=True, text=True)
    assert ran.returncode != 0
    assert "No space left on device" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not keys.exists() or not read_records(keys)


@pytest.mark.parametrize("words", ["create --name someone", "session AKIAX"])
def test_no_key_is_made_for_a_closed_output(words: str, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    command = f'"$0" -m likeness.cli.main keys {words} --keys {keys} >&-'
    ran = subprocess.run(["bash", "-c", command, sys.executable], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (255, "")
    assert ran.stderr == (
        "likeness keys: standard output is closed: the secret could not be shown, and no key is created\n"
    )
    assert not keys.exists()


def test_keys_that_cannot_be_shown_are_no_fault_of_their_file(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    create = [sys.executable, "-m", "likeness.cli.main", "keys", "create", "--name", "a", "--keys", str(keys)]
    assert subprocess.run(create, capture_output=True).returncode == 0
    show = f'set -o pipefail; "$0" -m likeness.cli.main keys list --keys {keys}'
    for redirection, code, message in (
        (">/dev/full", 255, "likeness: the output: No space left on device\n"),
        ("| true", 141, ""),
    ):
        ran = subprocess.run(["bash", "-c", f"{show} {redirection}", sys.executable], capture_output=True, text=True)
        assert (ran.returncode, ran.stderr) == (code, message)


@pytest.mark.parametrize("words", ["keys create --name a --policy - --keys none"])
def test_a_closed_input_is_empty(words: str) -> None:
    command = ["bash", "-c", f'"$0" -m likeness.cli.main {words} <&-', sys.executable]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 255
    assert "Traceback" not in ran.stderr
    assert "this is not JSON" in ran.stderr


class FullDisk(io.StringIO):
    """Takes no character: at once, or, as a buffered stream does, not before it is flushed."""

    def __init__(self, *, buffered: bool) -> None:
        super().__init__()
        self._buffered = buffered

    def write(self, text: str) -> int:
        if self._buffered:
            return super().write(text)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def flush(self) -> None:
        if self.getvalue():
            self.truncate(0)  # what is left goes to nowhere, see `forget_output`
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


#: Everything that prints without a photo: with its exit code where output can be written.
PRINTING = [
    "--help",
    "--version",
    "help",
    "compare-faces --help",
    "compare-faces help",
    "compare-faces --version",
    "compare-faces --generate-cli-skeleton input",
    "compare-faces --generate-cli-skeleton yaml-input",
    *(f"{name} --help" for name in ("serve", "packs", "keys", "batch", "evaluate", "calibrate", "completion")),
    *(f"packs {name} --help" for name in ("list", "show", "install", "verify", "remove")),
    *(f"keys {name} --help" for name in ("create", "list", "session", "revoke")),
    "serve --check",
    "packs",
    "completion bash",
]


@pytest.mark.parametrize("buffered", [True, False], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("words", PRINTING)
def test_output_that_cannot_be_written_fails_every_command(words: str, buffered: bool, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "stdout", FullDisk(buffered=buffered))
    assert front.main(words.split()) == 255
    said = capsys.readouterr().err.strip()
    assert "No space left on device" in said
    assert "\n" not in said
    monkeypatch.undo()
    assert front.main(words.split()) == 0


@pytest.mark.parametrize("buffered", [True, False], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("", 252),
        ("nonsense", 252),
        ("compare-faces --nonsense", 252),
        ("serve --nonsense", 252),
        ("serve --port many", 252),
        ("packs nonsense", 252),
        ("packs show nonsense", 255),
        ("keys", 252),
        ("keys list --keys /nowhere/keys.json", 255),
        ("batch", 252),
        ("batch --targets x --output y.csv", 252),
        ("evaluate", 252),
        ("evaluate /nowhere/pairs.csv", 255),
        ("calibrate", 252),
        ("completion nonsense", 252),
    ],
)
def test_no_exit_code_depends_on_whether_its_reason_can_be_said(
    words: str, code: int, buffered: bool, monkeypatch, capsys
) -> None:
    assert front.main(words.split()) == code
    assert capsys.readouterr().err
    monkeypatch.setattr(sys, "stderr", FullDisk(buffered=buffered))
    assert front.main(words.split()) == code
