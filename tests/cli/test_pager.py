"""The pager: only on a terminal, the configured one, and none if disabled."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PHOTOS = ("--source-image", "Bytes=b25l", "--target-image", "Bytes=b25l", "--generate-cli-skeleton", "output")
QUERY = ("--query", "SourceImageFace.Confidence")


@pytest.fixture
def pager(tmp_path: Path) -> str:
    """A pager that says that it is one, and with which flags `less` would run."""
    script = tmp_path / "pager.py"
    script.write_text("import os, sys\nprint('paged', os.environ.get('LESS'), sys.stdin.read().strip())\n")
    return f"{sys.executable} {script}"


def test_pages_on_a_terminal(environment: dict[str, str], terminal_of: Callable[..., Any], pager: str) -> None:
    terminal = terminal_of({**environment, "AWS_PAGER": pager}, *PHOTOS, *QUERY)
    terminal.wait_for(lambda text: text == "paged FRX 0.0")
    assert terminal.close() == 0


@pytest.mark.parametrize("silenced", [("--no-cli-pager",), ()], ids=["option", "empty variable"])
def test_pages_nothing_where_not_wanted(
    environment: dict[str, str], terminal_of: Callable[..., Any], pager: str, silenced: tuple[str, ...]
) -> None:
    terminal = terminal_of({**environment, "AWS_PAGER": pager if silenced else ""}, *PHOTOS, *QUERY, *silenced)
    terminal.wait_for(lambda text: text == "0.0")
    assert terminal.close() == 0


def test_configured_pager_and_the_users_flags(
    environment: dict[str, str], home: Path, terminal_of: Callable[..., Any], pager: str
) -> None:
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text(f"[default]\ncli_pager = {pager}\n")
    terminal = terminal_of({**environment, "LESS": "R", "PAGER": "false"}, *PHOTOS, *QUERY)
    terminal.wait_for(lambda text: text == "paged R 0.0")
    assert terminal.close() == 0


def test_a_missing_pager_is_reported(environment: dict[str, str], terminal_of: Callable[..., Any]) -> None:
    terminal = terminal_of({**environment, "AWS_PAGER": "no-such-pager"}, *PHOTOS, *QUERY)
    terminal.wait_for(lambda text: "Unable to redirect output to pager" in text and "no-such-pager" in text)
    assert terminal.close() == 253


def test_leaving_the_pager_early_is_no_error(environment: dict[str, str], terminal_of: Callable[..., Any]) -> None:
    terminal = terminal_of({**environment, "AWS_PAGER": "true"}, *PHOTOS)
    assert terminal.close() == 0


def test_colours_on_a_terminal(environment: dict[str, str], terminal_of: Callable[..., Any]) -> None:
    table = ("--query", "SourceImageFace", "--output", "table", "--color", "auto", "--no-cli-pager")
    terminal = terminal_of(environment, *PHOTOS, *table)
    terminal.wait_for(lambda text: "BoundingBox" in text)
    assert terminal.close() == 0
    colours = {cell.fg for row in terminal.screen.buffer.values() for cell in row.values()}
    assert {"blue", "brown"} <= colours


def test_never_without_a_terminal(likeness: Callable[..., Any], pager: str) -> None:
    ran = likeness([*PHOTOS, *QUERY], AWS_PAGER=pager)
    assert (ran.code, ran.out) == (0, "0.0\n")


def test_a_closed_pipe_is_no_error(environment: dict[str, str]) -> None:
    """`likeness compare-faces ... | head -1` says nothing on standard error."""
    import subprocess

    program = "import sys; from likeness.cli.compare_faces import main; sys.exit(main(sys.argv[1:]))"
    reader, writer = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", program, *PHOTOS], stdout=writer, stderr=subprocess.PIPE, env=environment
    ) as process:
        os.close(writer)
        os.close(reader)
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 0
