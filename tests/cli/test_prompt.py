"""`--cli-auto-prompt` driven by keys: completions, display, and the command that runs."""

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from likeness.cli import prompt
from likeness.cli.candidates import candidates
from likeness.cli.failures import ArgumentsError
from likeness.cli.options import OPTIONS, OUTPUT_FORMATS


def texts(before: list[str], current: str) -> list[str]:
    return [candidate.text for candidate in candidates(before, current)]


def test_all_options_are_offered_but_those_given() -> None:
    offered = texts(["--source-image-bytes", "fileb://a.jpg"], "")
    hidden = {"--source-image-bytes", "--cli-auto-prompt", "--no-cli-auto-prompt"}
    assert set(offered) == {option.flag for option in OPTIONS} - hidden


def test_options_by_beginning_and_by_part() -> None:
    assert texts([], "--quality") == ["--quality-filter"]
    assert texts([], "thre") == ["--similarity-threshold"]
    assert texts([], "--image") == ["--source-image-bytes", "--target-image-bytes", "--source-image", "--target-image"]


@pytest.mark.parametrize(
    ("option", "typed", "offered"),
    [
        ("--quality-filter", "", ["NONE", "AUTO", "LOW", "MEDIUM", "HIGH"]),
        ("--quality-filter", "h", ["HIGH"]),
        ("--output", "", list(OUTPUT_FORMATS)),
        ("--output", "yaml", ["yaml", "yaml-stream"]),
        ("--color", "o", ["on", "off"]),
        ("--cli-binary-format", "raw", ["raw-in-base64-out"]),
        ("--generate-cli-skeleton", "y", ["yaml-input"]),
        ("--similarity-threshold", "", []),
        ("--source-image-bytes", "", ["fileb://"]),
        ("--source-image", "", ["S3Object={Bucket=", "Bytes=", "file://"]),
        ("--cli-input-json", "f", ["file://"]),
    ],
)
def test_values(option: str, typed: str, offered: list[str]) -> None:
    assert texts([option], typed) == offered


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b c.png", ".hidden.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "x.jpg").touch()
    assert texts(["--source-image-bytes"], "fileb://") == ["fileb://a.jpg", "fileb://album/", "fileb://b c.png"]
    assert texts(["--target-image-bytes"], "fileb://album/") == ["fileb://album/x.jpg"]
    assert texts(["--overlay"], "a") == ["a.jpg", "album/"]
    assert texts(["--source-image-bytes"], f"fileb://{tmp_path}/a.") == [f"fileb://{tmp_path}/a.jpg"]


def test_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text("[profile work]\nregion = eu-west-1\n[profile home]\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    assert texts(["--profile"], "") == ["home", "work"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", ([], "")),
        ("--out", ([], "--out")),
        ("--output ", (["--output"], "")),
        ("--query 'a b", (["--query"], "a b")),
        ('--query "a', (["--query"], "a")),
    ],
)
def test_split_line(line: str, words: tuple[list[str], str]) -> None:
    assert prompt.split_line(line) == words


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("", "still missing: --source-image-bytes and --target-image-bytes"),
        ("--source-image-bytes fileb://a ", "still missing: --target-image-bytes"),
        ("--source-image a --target-image b ", "Enter compares the photos"),
        ("--cli-input-json {} ", "Enter compares the photos"),
        ("--source-image a --quality-filter ", "--quality-filter: Exclude faces below a quality level"),
    ],
)
def test_toolbar(line: str, shown: str) -> None:
    assert shown in "".join(part[1] for part in prompt.toolbar(Document(line)))


@contextmanager
def typing(keys: str) -> Iterator[None]:
    with create_pipe_input() as source, create_app_session(input=source, output=DummyOutput()):
        source.send_text(keys)
        yield


def run(words: list[str]) -> tuple[int, list[str]]:
    ran: list[str] = []

    def command(given: Any) -> int:
        ran.extend(given)
        return 0

    return prompt.run(words, command), ran


def test_the_line_typed_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    with typing("--quality-filter HIGH --query 'a b'\r"):
        assert run(["--cli-auto-prompt"]) == (0, ["--quality-filter", "HIGH", "--query", "a b"])
    captured = capsys.readouterr()
    assert captured.err == "> likeness compare-faces --quality-filter HIGH --query 'a b'\n"
    assert captured.out == ""


def test_the_given_arguments_begin_the_line() -> None:
    with typing("--output text\r"):
        _, ran = run(["--cli-auto-prompt", "--query", "a b"])
    assert ran == ["--query", "a b", "--output", "text"]


def test_giving_up() -> None:
    with typing("\x03"), pytest.raises(KeyboardInterrupt):
        run(["--cli-auto-prompt"])
    with typing("\x04"), pytest.raises(KeyboardInterrupt):
        run(["--cli-auto-prompt"])


def test_modes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.delenv("AWS_CLI_AUTO_PROMPT", raising=False)
    assert prompt.resolve_mode([]) == "off"
    (tmp_path / "config").write_text("[default]\ncli_auto_prompt = on-partial\n[profile x]\ncli_auto_prompt = on\n")
    assert prompt.resolve_mode([]) == "on-partial"
    assert prompt.resolve_mode(["--profile", "x"]) == "on"
    monkeypatch.setenv("AWS_CLI_AUTO_PROMPT", "on")
    assert prompt.resolve_mode([]) == "on"
    assert prompt.resolve_mode(["--no-cli-auto-prompt"]) == "off"
    assert prompt.resolve_mode(["help"]) == "off"


def test_partial_mode_asks_after_bad_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CLI_AUTO_PROMPT", "on-partial")
    tried: list[list[str]] = []

    def command(words: Any) -> int:
        tried.append(list(words))
        if len(tried) == 1:
            raise ArgumentsError("no such option")
        return 0

    with typing("--output text\r"):
        assert prompt.run(["--query", "a"], command) == 0
    assert tried == [["--query", "a"], ["--query", "a", "--output", "text"]]


def test_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(ArgumentsError, match="needs a terminal"):
        run(["--cli-auto-prompt"])


def test_on_a_terminal(environment: dict[str, str], tmp_path: Path, terminal_of: Callable[..., Any]) -> None:
    """Names appear while one types, Tab takes one, the command is shown as it grows, and then it runs."""
    (tmp_path / "portrait.jpg").write_bytes(b"x")
    terminal = terminal_of(environment, "--cli-auto-prompt", "--no-cli-pager", "--generate-cli-skeleton", "output")
    terminal.wait_for(lambda text: "> likeness compare-faces --no-cli-pager --generate-cli-skeleton output" in text)
    terminal.type("--quality-filter ")
    terminal.wait_for(lambda text: "MEDIUM" in text and "--quality-filter: Exclude faces" in text)
    terminal.type("HIGH --source-image-bytes fileb://po")
    terminal.wait_for(lambda text: ends_a_line(text, "fileb://po") and offers(text, "fileb://portrait.jpg"))
    terminal.type("\t")
    terminal.wait_for(lambda text: ends_a_line(text, "-bytes fileb://portrait.jpg"))
    terminal.type("--target-image-bytes fileb://port")
    terminal.wait_for(lambda text: ends_a_line(text, "-bytes fileb://port") and offers(text, "fileb://portrait.jpg"))
    terminal.type("\t")
    terminal.wait_for(lambda text: ends_a_line(text, "--target-image-bytes fileb://portrait.jpg"))
    terminal.type("\r")
    screen = terminal.wait_for(lambda text: '"SourceImageOrientationCorrection"' in text or "error" in text.lower())
    assert "error" not in screen.lower()
    assert terminal.close() == 0


def ends_a_line(text: str, typed: str) -> bool:
    return any(line.endswith(typed) for line in text.splitlines())


def offers(text: str, candidate: str) -> bool:
    """Whether the menu below the line has it."""
    return any(line.strip() == candidate for line in text.splitlines())
