"""Every option of every command with invalid values: an exit code, a line or two, and only correct hints.

The commands run in this process, in an empty folder without photos, so that a value that is accepted fails later.
"""

import argparse
import base64
import os
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from likeness.cli import batch, calibrate, evaluate, keys, main, packs, serve
from likeness.cli.main import COMMANDS
from likeness.cli.options import OPTIONS
from likeness.cli.streams import LONGEST_WORD

Likeness = Callable[..., Any]

#: What makes each command fail, or end, soon where the option under test is fine.
REST: dict[str, list[str]] = {
    "serve": ["--check"],
    "batch": ["missing.csv", "--output", "out.jsonl"],
    "evaluate": ["missing.csv"],
    "calibrate": ["missing.csv"],
    "keys create": ["--name", "somebody"],
    "keys session": ["AKIDMISSING"],
    "keys revoke": ["AKIDMISSING"],
}
PARSERS: dict[str, Callable[[], argparse.ArgumentParser]] = {
    "serve": serve._parser,
    "batch": batch._parser,
    "evaluate": evaluate._parser,
    "calibrate": calibrate._parser,
    "packs": packs._parser,
    "keys": keys._parser,
}
#: A photo that was given in place of a value.
PHOTO = base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(range(256)) * 40).decode()
VALUES = ("", "x", "-1", "nan", "1e999", "9" * 5000, "none!", PHOTO)
#: 0 where a value turns out to be one, such as the name of a file to write; else as the commands document them.
CODES = {0, 252, 255, 78}


def _parsers() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for name, make in PARSERS.items():
        parser = make()
        below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        yield name, parser
        for action in below:
            yield from ((f"{name} {each}", child) for each, child in action.choices.items())


def _flags() -> Iterator[tuple[str, argparse.Action]]:
    for name, parser in _parsers():
        for action in parser._actions:
            if action.option_strings and not isinstance(action, argparse._HelpAction):
                yield name, action


ACTIONS = list(_flags())
IDS = [f"{name} {action.option_strings[0]}" for name, action in ACTIONS]


@pytest.fixture(autouse=True)
def _nothing_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder and home, no settings of the person who runs the tests, no pack, and no network."""
    monkeypatch.chdir(tmp_path)
    for name in [each for each in os.environ if each.startswith(("LIKENESS_", "AWS_", "RAY_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LIKENESS_HOME", str(tmp_path / "packs"))
    monkeypatch.setenv("LIKENESS_KEYS", str(tmp_path / "keys.json"))
    monkeypatch.setenv("LIKENESS_OFFLINE", "1")
    monkeypatch.setenv("HOME", str(tmp_path))


def distance(one: str, other: str) -> int:
    """How many letters must be added, taken out or replaced, or neighbours swapped, to get from one to the other."""
    rows = [list(range(len(other) + 1))]
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, wanted in enumerate(other, 1):
            row.append(min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (letter != wanted)))
            if i > 1 and j > 1 and (letter, one[i - 2]) == (other[j - 2], wanted):
                row[-1] = min(row[-1], rows[-2][j - 2] + 1)
        rows.append(row)
    return rows[-1][-1]


def check(message: str, code: int, given: str) -> None:
    """What is said of the wrong value or name `given` is short, and a hint in it is near to what was given."""
    assert code in CODES
    assert "Traceback" not in message
    assert PHOTO[LONGEST_WORD + 1 : LONGEST_WORD + 60] not in message
    if code == 0:
        return
    lines = message.strip().splitlines()
    assert 1 <= len(lines) <= 2, message
    assert lines[0].startswith("likeness"), message
    if "did you mean " in message:
        hinted = message.rpartition("did you mean ")[2].strip().rstrip("?").strip("'").removeprefix("--")
        assert distance(given.removeprefix("--"), hinted) <= max(2, len(hinted) // 3), message


def run(capfd: pytest.CaptureFixture[str], words: list[str]) -> tuple[int, str]:
    capfd.readouterr()
    code = main.main(words)
    return code, capfd.readouterr().err


@pytest.mark.parametrize(("command", "action"), ACTIONS, ids=IDS)
def test_a_wrong_value(command: str, action: argparse.Action, capfd: pytest.CaptureFixture[str]) -> None:
    flag = action.option_strings[0]
    values = VALUES if action.nargs != 0 else ("x", PHOTO)
    near = [str(choice)[:-1] + "_" for choice in action.choices or ()]
    for value in chain(values, near):
        code, message = run(capfd, [*command.split(), *REST.get(command, []), f"{flag}={value}"])
        check(message, code, value)
        if action.choices and value not in action.choices:
            assert code == 252


@pytest.mark.parametrize(("command", "action"), ACTIONS, ids=IDS)
def test_a_name_nearly_right(command: str, action: argparse.Action, capfd: pytest.CaptureFixture[str]) -> None:
    flag = action.option_strings[0]
    swapped = f"{flag[:3]}{flag[4]}{flag[3]}{flag[5:]}" if len(flag) > 5 else flag + "s"
    for wrong in {swapped, flag + "x", flag.replace("-", "_").replace("__", "--") + "_"} - {flag}:
        code, message = run(capfd, [*command.split(), *REST.get(command, []), wrong, "1"])
        assert code == 252
        check(message, code, wrong)
        if command == "serve":
            assert "did you mean --" in message


@pytest.mark.parametrize("command", [name for name, _ in _parsers()])
@pytest.mark.parametrize("wrong", ["--nonsense", "--n", "---", "--=x", "-q", "--no-way", "--likeness", PHOTO])
def test_an_invalid_option(command: str, wrong: str, capfd: pytest.CaptureFixture[str]) -> None:
    code, message = run(capfd, [*command.split(), *REST.get(command, []), wrong])
    check(message, code, wrong)
    assert "did you mean" not in message


@pytest.mark.parametrize("wrong", ["nonsense", "faces", "similarity", "version", "Serve me", "x" * 5000, "-", ""])
def test_an_unknown_command(wrong: str, capfd: pytest.CaptureFixture[str]) -> None:
    code, message = run(capfd, [wrong])
    assert code == 252
    assert len(message.splitlines()) == 1
    assert "did you mean" not in message


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_nearly_right(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    for wrong in (name[:-1], name + "s", name.replace("-", "_") + "x", name[1:]):
        if wrong not in COMMANDS:
            assert f"did you mean {name!r}?" in run(capfd, [wrong])[1]


@pytest.mark.parametrize("option", [each for each in OPTIONS if each.takes_value], ids=lambda each: each.name)
def test_a_wrong_value_of_compare_faces(option: Any, likeness: Likeness, tmp_path: Path) -> None:
    """Words and codes are those of AWS CLI (`test_oracle`); beside a refusal there may be one hint."""
    (tmp_path / "one.jpg").write_bytes(b"one")
    photos = ["--source-image-bytes", "fileb://one.jpg", "--target-image-bytes", "fileb://one.jpg"]
    for value in VALUES:
        ran = likeness([*photos, f"{option.flag}={value}"])
        assert ran.code in (0, 252, 253, 254, 255)
        assert "Traceback" not in ran.err
        assert PHOTO[LONGEST_WORD + 1 : LONGEST_WORD + 60] not in ran.err
        hints = [line for line in ran.err.splitlines() if line.startswith("likeness: ")]
        assert len(hints) <= 1
        assert not any("fileb://" in hint for hint in hints if "is empty" not in hint), hints
