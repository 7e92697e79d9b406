"""Shell completion in the installed shells: bash, zsh and fish."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from likeness.cli import completion
from likeness.cli.main import available
from likeness.cli.options import OPTIONS

BASH, ZSH, FISH = (shutil.which(name) for name in completion.SHELLS)
needs_bash = pytest.mark.skipif(BASH is None, reason="bash is not installed")
needs_zsh = pytest.mark.skipif(ZSH is None, reason="zsh is not installed")
needs_fish = pytest.mark.skipif(FISH is None, reason="fish is not installed")

FLAGS = [option.flag for option in OPTIONS]
QUALITY = ["NONE", "AUTO", "LOW", "MEDIUM", "HIGH"]

#: What is on the line → what must be offered, as whole words.
LINES: list[tuple[str, list[str]]] = [
    ("likeness compare-faces --source", ["--source-image", "--source-image-bytes"]),
    ("likeness compare-faces --quality-filter ", QUALITY),
    ("likeness compare-faces --quality-filter H", ["HIGH"]),
    ("likeness compare-faces --output y", ["yaml", "yaml-stream"]),
    ("likeness compare-faces --generate-cli-skeleton o", ["output"]),
    ("likeness compare-faces --overlay al", ["album/"]),
    ("likeness comp", ["compare-faces", "completion"]),
    ("likeness completion ", ["bash", "zsh", "fish"]),
]
#: The same for names after a prefix.
FILE_LINES: list[tuple[str, list[str]]] = [
    ("likeness compare-faces --source-image-bytes fileb://por", ["fileb://portrait.jpg"]),
    ("likeness compare-faces --target-image-bytes fileb://album/", ["fileb://album/x.jpg"]),
    ("likeness compare-faces --cli-input-json file://in", ["file://input.json"]),
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with photos, in which the shells are asked."""
    for name in ("portrait.jpg", "input.json"):
        (tmp_path / name).touch()
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "x.jpg").touch()
    for shell in completion.SHELLS:
        (tmp_path / f".{shell}").write_text(completion.script(shell))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ask_bash(line: str) -> list[str]:
    """What a press of Tab offers, with what is already on the line before the last colon put back."""
    program = f"""
        source .bash
        COMP_LINE={line!r}; COMP_POINT=${{#COMP_LINE}}
        _likeness 2>/dev/null
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run([BASH or "", "--norc", "-c", program], capture_output=True, text=True, check=True)
    word = "" if line.endswith(" ") else line.rsplit(" ", 1)[-1]
    before = word[: max(word.rfind(":"), word.rfind("=")) + 1]
    return [before + reply.strip() for reply in done.stdout.splitlines() if reply]


def ask_fish(line: str) -> list[str]:
    program = f"source .fish; complete --do-complete {line!r}"
    done = subprocess.run([FISH or "", "--no-config", "-c", program], capture_output=True, text=True, check=True)
    return [reply.split("\t")[0] for reply in done.stdout.splitlines()]


def ask_zsh(terminal_of: Callable[..., Any], folder: Path, line: str, expected: list[str]) -> None:
    """zsh completes in its line editor only: a shell in a terminal is given the line and presses of Tab."""
    (folder / "functions").mkdir()
    shutil.copy(folder / ".zsh", folder / "functions" / "_likeness")
    start = "PROMPT='> '; fpath=(functions $fpath); autoload -Uz compinit; compinit -u -D; print ready"
    (folder / ".zshrc").write_text(f"{start}\n")
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "ZDOTDIR": str(folder), "LANG": "C.UTF-8"}
    terminal = terminal_of(environment, program=[ZSH, "-i"])
    terminal.wait_for(lambda text: text.endswith("ready\n>"))
    terminal.type(f"{line}\t\t")
    terminal.wait_for(lambda text: set(expected) <= set(text.split()))


@needs_bash
@pytest.mark.parametrize(
    ("line", "expected"), [*LINES, *FILE_LINES], ids=lambda value: value if isinstance(value, str) else ""
)
def test_bash(line: str, expected: list[str]) -> None:
    assert sorted(ask_bash(line)) == sorted(expected)


@needs_bash
def test_bash_offers_every_option_and_command() -> None:
    assert set(ask_bash("likeness compare-faces --")) == set(FLAGS)
    assert set(ask_bash("likeness ")) == {*available(), "--version", "--help"}
    assert ask_bash("likeness compare-faces --source-image-bytes ") == ["fileb://"]


@needs_bash
def test_bash_quotes_blanks_in_names(folder: Path) -> None:
    (folder / "two words.jpg").touch()
    assert ask_bash("likeness compare-faces --source-image-bytes fileb://two") == ["fileb://two\\ words.jpg"]


@needs_bash
@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("--source-image-bytes fileb://por", "--source-image-bytes fileb://portrait.jpg --"),
        ("--target-image-bytes fil", "--target-image-bytes fileb://--"),
        ("--similarity", "--similarity-threshold --"),
        ("--overlay album/x", "--overlay album/x.jpg --"),
    ],
)
def test_bash_on_a_terminal(line: str, completed: str, folder: Path, terminal_of: Callable[..., Any]) -> None:
    """A real press of Tab: readline puts in what is missing, and a blank where the word is whole."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", "PS1": "> "}
    terminal = terminal_of(environment, program=[BASH, "--norc", "--noprofile", "-i"])
    terminal.type("source .bash; clear; echo ready\r")
    terminal.wait_for(lambda text: "ready\n>" in text and "clear" not in text)
    terminal.type(f"likeness compare-faces {line}\t")
    terminal.type("--")
    terminal.wait_for(lambda text: text.endswith(f"> likeness compare-faces {completed}"))


@needs_fish
@pytest.mark.parametrize(
    ("line", "expected"), [*LINES, *FILE_LINES], ids=lambda value: value if isinstance(value, str) else ""
)
def test_fish(line: str, expected: list[str]) -> None:
    assert set(expected) <= set(ask_fish(line))


@needs_fish
def test_fish_offers_every_option() -> None:
    assert set(FLAGS) <= set(ask_fish("likeness compare-faces --"))


@needs_zsh
@pytest.mark.parametrize(
    ("line", "expected"),
    [*LINES[:3], LINES[6], *FILE_LINES[:2]],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_zsh(line: str, expected: list[str], folder: Path, terminal_of: Callable[..., Any]) -> None:
    ask_zsh(terminal_of, folder, line, expected)


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_script_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert completion.main([shell]) == 0
    printed = capsys.readouterr().out
    assert printed == completion.script(shell)
    assert all(option.name in printed for option in OPTIONS)


def test_unknown_shell(capsys: pytest.CaptureFixture[str]) -> None:
    assert completion.main(["tcsh"]) == 252
    assert "name one shell of bash, zsh, fish" in capsys.readouterr().err
