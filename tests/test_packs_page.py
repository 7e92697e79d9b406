"""docs/packs.md: each of its commands is run, here or by the test that is named."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from tests.authoring import shaped

from likeness import packs
from likeness.cli.main import main

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = (REPOSITORY / "docs" / "packs.md").read_text("utf-8")
#: Commands that need what a test of the page does not have: labelled photos, an empty cache folder.
ELSEWHERE = {
    "calibrate": "tests/cli/test_calibrate.py",
    "packs remove": "tests/cli/test_packs.py",
}


def commands() -> list[list[str]]:
    """The words of the commands in the page's blocks, without `likeness` and comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("likeness ")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


@pytest.mark.engine
def test_the_commands_of_the_page_run_in_its_order(
    standard_pack: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    standard = packs.load("standard").manifest.folder
    assert standard is not None
    shutil.copy(standard / "yunet.onnx", tmp_path / "detector.onnx")
    shaped.embedder(standard / "mobilefacenet.onnx", tmp_path / "embedder.onnx", colour="rgb", mean=127.5, scale=127.5)
    monkeypatch.chdir(tmp_path)
    ran = []
    for words in commands():
        elsewhere = next((test for name, test in ELSEWHERE.items() if " ".join(words).startswith(name)), None)
        if elsewhere is not None:
            name = words[0] if words[0] != "packs" else words[1]
            assert f'"{name}"' in (REPOSITORY / elsewhere).read_text("utf-8") or f"cli import {name}" in (
                REPOSITORY / elsewhere
            ).read_text("utf-8")
            continue
        if "--from" in words:  # the folder of a machine without a network
            words = [word for word in words if word not in ("--from", "/media/files")]
        assert main(words) == 0, words
        ran.append(words[1])
    assert {"list", "show", "install", "verify", "new", "check"} <= set(ran)
    assert "chosen" in capsys.readouterr().out
