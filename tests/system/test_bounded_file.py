"""Pipes, devices, folders and sockets in place of a file: read to the end, or refused with a reason, at once."""

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from likeness.cli import main as front
from likeness.system.bounded_file import check_regular, read_at_most


def test_a_file_is_read_completely_and_a_larger_one_up_to_one_byte_more_than_the_limit(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(3_000_000))
    assert len(read_at_most(tmp_path / "file", 3_000_000)) == 3_000_000
    assert len(read_at_most(tmp_path / "file", 2_000_000)) == 2_000_001
    assert len(read_at_most("/dev/zero", 2_000_000)) == 2_000_001
    assert read_at_most(os.devnull, 10) == b""


def test_a_pipe_with_a_slow_writer_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)

    def write() -> None:
        with path.open("wb", buffering=0) as pipe:
            for _ in range(3):
                pipe.write(b"x" * 100_000)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    assert read_at_most(path, 1_000_000) == b"x" * 300_000
    writer.join(60)


def test_reading_a_pipe_without_data_times_out(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TimeoutError, match=r"nothing came from the pipe for 0\.01 s"):
        read_at_most(tmp_path / "pipe", 10, silence_seconds=0.01)


@pytest.fixture(params=["folder", "pipe", "socket", "device"])
def special(request, tmp_path: Path, monkeypatch) -> Path:
    """A path that is not a regular file, with a short time limit for pipes."""
    monkeypatch.setattr("likeness.system.bounded_file._SILENCE_SECONDS", 0.01)
    monkeypatch.setattr(read_at_most, "__kwdefaults__", {"silence_seconds": 0.01})
    path = tmp_path / "special.csv"
    match request.param:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(path))
        case _:
            path.symlink_to("/dev/zero")
    return path


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("serve --check --port 0 --keys none.json --config {}", 252),
        ("compare-faces --cli-input-json file://{}", 252),
        ("compare-faces --cli-input-yaml file://{}", 252),
        ("compare-faces --source-image file://{}", 252),
        ("keys list --keys {}", 255),
        ("keys create --name someone --keys none.json --policy {}", 255),
        ("evaluate {}", 255),
        ("batch {} --output out.csv", 255),
    ],
)
def test_no_command_waits_for_a_special_file(
    words: str, code: int, special: Path, standard_pack: None, capsys, monkeypatch
) -> None:
    monkeypatch.chdir(special.parent)
    assert front.main(words.format(special).split()) == code
    said = capsys.readouterr().err.strip()
    assert "special.csv" in said
    assert said.count("\n") <= 1
    assert "Traceback" not in said


def test_tables_are_regular_files(special: Path) -> None:
    with pytest.raises(OSError, match=r"it is a (folder|pipe|socket|device); a regular file is needed"):
        check_regular(special)


def test_a_document_from_a_shells_pipe_is_read(tmp_path: Path) -> None:
    command = (
        'cat /dev/null | "$0" -m likeness.cli.main serve --check --port 0 --keys none.json '
        "--config <(sleep 0.1; echo max_faces = 7)"
    )
    ran = subprocess.run(
        ["bash", "-c", command, sys.executable], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    assert "max_faces" in ran.stdout
    assert " 7 " in ran.stdout
