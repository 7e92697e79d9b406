"""`likeness packs` for people and for scripts."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from likeness import packs
from likeness.cli.main import main
from likeness.packs import store


@pytest.fixture
def samples_dir(portraits: dict[str, Path]) -> Path:
    """The folder of the installed sample portraits."""
    return portraits["obama.jpg"].parent


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    code = main(["packs", *arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and no network."""
    monkeypatch.setenv("LIKENESS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LIKENESS_OFFLINE", "1")
    return tmp_path / "home"


def test_list_shows_every_pack_of_the_catalogue_and_the_cache_folder(capsys, home: Path) -> None:
    code, out, _ = run(capsys, "list")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split() == ["Pack", "Version", "On", "disk", "What"]
    assert [line.split()[0] for line in lines[1:-2]] == sorted(store.catalogue())
    assert all("not installed" in line for line in lines[1:-2])
    assert lines[-1] == f"cache folder: {home}"


def test_show_tells_files_licences_terms_and_origins_without_an_installation(capsys, home: Path) -> None:
    code, out, _ = run(capsys, "show", "standard")
    assert code == 0
    for part in (
        "not installed; run: likeness packs install standard",
        "Apache-2.0",
        "MIT",
        "yuface==2023.5.1",
        "c60e392478df0a2fd756f9a230c9935a04d136e9d3bf12e99a850d4802806089",
        "Free for any use, commercial too",
        "Measured accuracy",
        "fewer than 30 errors show no rate",
    ):
        assert part in out, part
    assert run(capsys, "show")[1] == out


@pytest.mark.engine
def test_show_of_the_installed_pack_has_the_promise_and_the_hashes(standard_pack: None, capsys) -> None:
    pack = packs.load("standard")
    _, out, _ = run(capsys, "show", str(pack.manifest.folder))
    for file in pack.manifest.files.values():
        assert file.sha256 in out
    assert re.search(r"^80 +1\.0e-03 +1 in 1,000$", out, re.MULTILINE)
    assert re.search(r"^100 +rarer than \S+ +rarer than 1 in [\d,]+$", out, re.MULTILINE)
    assert re.search(r"^99 +1\.0e-06 \(extrapolated\) +1 in 1,000,000 \(extrapolated\)$", out, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["install", "standard"], 255, "LIKENESS_OFFLINE forbids its download; run `likeness packs install standard`"),
        (["install", "nothing"], 255, "there is no pack 'nothing'; known are "),
        (["install", "--from", "/nonexistent"], 255, "/nonexistent is not a folder"),
        (["install", "yunet-retail"], 255, "face_detection_yunet_2023mar.onnx"),
        (["verify", "standard"], 255, "the pack standard is not installed; run: likeness packs install standard"),
        (["verify", "/nonexistent"], 255, "manifest.toml cannot be read"),
        (["remove", "nothing"], 255, "there is no pack 'nothing'"),
        (["remove"], 252, "likeness packs remove: the following arguments are required"),
        (["instal"], 252, "invalid choice: 'instal'"),
        (["list", "--all"], 252, "unrecognized arguments: --all"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_a_code(capsys, home: Path, arguments, code: int, message: str) -> None:
    found, out, err = run(capsys, *arguments)
    assert (found, out) == (code, "")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.engine
def test_verify_names_the_damaged_file_and_install_mends_it(capsys, samples_dir: Path, home: Path) -> None:
    home.joinpath("packs").mkdir(parents=True)
    folder = home / "packs" / samples_dir.name
    subprocess.run(["cp", "-r", str(samples_dir), str(folder)], check=True)
    assert run(capsys, "verify") == (0, f"whole: {folder}\n", "")
    (folder / "biden.jpg").write_bytes(b"?")
    code, out, err = run(capsys, "verify", "samples")
    assert (code, out) == (255, "")
    assert err == f"likeness: {folder}/biden.jpg has 1 bytes instead of 353723; run: likeness packs install samples\n"
    code, out, err = run(capsys, "install", "samples")
    assert code == 255
    assert "the pack samples is damaged" in err


@pytest.mark.engine
def test_remove_says_what_it_removed(capsys, samples_dir: Path, home: Path) -> None:
    home.joinpath("packs").mkdir(parents=True)
    folder = home / "packs" / samples_dir.name
    subprocess.run(["cp", "-r", str(samples_dir), str(folder)], check=True)
    assert run(capsys, "remove", "samples") == (0, f"removed {folder}\n", "")
    assert not folder.exists()
    assert run(capsys, "remove", "samples") == (0, "samples is not installed\n", "")
    assert run(capsys, "verify")[1] == "no pack is installed; run: likeness packs install\n"


def test_help_of_each_subcommand(capsys) -> None:
    for name in ("list", "show", "install", "verify", "remove"):
        code, out, _ = run(capsys, name, "--help")
        assert code == 0
        assert out.startswith(f"usage: likeness packs {name}")


def on_a_terminal(*arguments: str, columns: int, **environment: str) -> str:
    """What the command draws on a terminal that is so wide."""
    main_end, other = pty.openpty()
    variables = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm-256color", **environment}
    process = subprocess.Popen(
        [sys.executable, "-m", "likeness.cli.main", "packs", *arguments], stdout=other, stderr=other, env=variables
    )
    os.close(other)
    drawn = b""
    while True:
        try:
            block = os.read(main_end, 65536)
        except OSError:
            break
        if not block:
            break
        drawn += block
    os.close(main_end)
    process.wait(timeout=120)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn.decode())


@pytest.mark.parametrize("columns", [60, 100, 160])
def test_tables_fit_the_terminal(columns: int, home: Path) -> None:
    for arguments in (["list"], ["show", "standard"]):
        drawn = on_a_terminal(*arguments, columns=columns, LIKENESS_HOME=str(home))
        # A path is not broken, so that it can be copied.
        lines = [line.rstrip() for line in drawn.splitlines() if not line.startswith("cache folder: ")]
        assert max(map(len, lines)) <= columns
        assert "standard" in drawn
