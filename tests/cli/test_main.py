"""The command `likeness`: subcommands, lazy imports, errors of usage."""

import json
import os
import subprocess
import sys

import pytest

from likeness.cli import main as front
from likeness.errors import PackDamaged


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    code = front.main(arguments)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_version_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['likeness', '--version']\n"
        "from likeness.cli.main import main\ncode = main()\n"
        "heavy = {'numpy', 'cv2', 'onnxruntime', 'botocore', 'rich', 'urllib3', 'onnx'} & set(sys.modules)\n"
        "print(code, sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first.startswith("likeness")
    assert second == "0 []"


def test_version_takes_less_than_the_budget() -> None:
    """Processor time, because other programs share the machine."""
    times = []
    for _ in range(5):
        before = os.times()
        subprocess.run([sys.executable, "-m", "likeness.cli.main", "--version"], capture_output=True, check=True)
        after = os.times()
        times.append(sum(after[2:4]) - sum(before[2:4]))
    assert min(times) < 0.6


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["help"]])
def test_help_lists_the_commands(capsys, arguments: list[str]) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, err) == (0, "")
    assert "compare-faces" in out
    assert "packs" in out


def test_without_a_command_the_usage_goes_to_standard_error(capsys) -> None:
    code, out, err = run(capsys)
    assert (code, out) == (252, "")
    assert err.startswith("usage: likeness")


@pytest.mark.parametrize(
    ("given", "hint"),
    [("pack", "did you mean 'packs'?"), ("compare_faces", "did you mean 'compare-faces'?"), ("xyzzy", "commands are ")],
)
def test_an_unknown_command_gets_one_line_with_a_suggestion(capsys, given: str, hint: str) -> None:
    code, out, err = run(capsys, given)
    assert (code, out) == (252, "")
    assert err.count("\n") == 1
    assert err.startswith(f"likeness: unknown command {given!r}; ")
    assert hint in err


def test_an_unknown_option_points_to_the_help(capsys) -> None:
    assert run(capsys, "--verbose")[::2] == (252, "likeness: unknown option --verbose; see `likeness --help`\n")


def test_commands_that_this_installation_lacks_are_not_listed(capsys, monkeypatch) -> None:
    monkeypatch.setitem(front.COMMANDS, "dream", ("likeness.cli.dream:main", "see sheep"))
    assert "dream" not in front.available()
    assert run(capsys, "dream")[0] == 252
    assert "dream" not in run(capsys, "--help")[1]


@pytest.mark.parametrize(
    ("error", "code", "err"),
    [
        (KeyboardInterrupt(), 130, ""),
        (PackDamaged("x.onnx was changed; run: y"), 255, "likeness: x.onnx was changed; run: y\n"),
    ],
)
def test_interruptions_and_our_own_errors_are_no_tracebacks(capsys, monkeypatch, error, code: int, err: str) -> None:
    def raising(_: list[str]) -> int:
        raise error

    monkeypatch.setattr(front, "_function", lambda _: raising)
    assert run(capsys, "packs") == (code, "", err)


@pytest.mark.parametrize("name", ["open_closed_streams", "forbid_core_dumps", "main"])
def test_an_interruption_while_starting_is_no_traceback(name: str, monkeypatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    for each in ("open_closed_streams", "forbid_core_dumps"):
        monkeypatch.setattr(front, each, lambda: None)
    monkeypatch.setattr(front, name, interrupted)
    with pytest.raises(SystemExit) as ended:
        front.run()
    assert ended.value.code == 130


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = f"{sys.executable} -m likeness.cli.main packs list | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.strip() in ("0", "141")


def test_a_comparison_ends_its_process_with_all_written_and_the_right_code() -> None:
    def ran(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "likeness.cli.main", "compare-faces", *options]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    skeleton = ran("--generate-cli-skeleton", "input")
    assert (skeleton.returncode, skeleton.stderr) == (0, "")
    assert set(json.loads(skeleton.stdout)) >= {"SourceImage", "TargetImage", "SimilarityThreshold"}
    mistaken = ran("--no-such-option")
    assert mistaken.returncode == 252
    assert "--no-such-option" in mistaken.stderr
