"""docs/batch.md is held to the code: its commands run in the order in which they are shown, its table is computed."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.batch.conftest import benchmark

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "batch.md").read_text("utf-8")
BIN = Path(sys.executable).parent


@pytest.mark.engine
@pytest.mark.slow
def test_the_commands_of_the_page_run(
    portraits: dict[str, Path], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    for place in ("cards/anna.jpg", "anna.jpg", "selfies/anna/1.jpg"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(portraits["obama.jpg"], tmp_path / place)
    shutil.copy(portraits["obama2.jpg"], tmp_path / "selfies" / "anna" / "2.jpg")
    (tmp_path / "pairs.csv").write_text("source,target\nanna.jpg,selfies/anna/1.jpg\nanna.jpg,none.jpg\n", "utf-8")
    (tmp_path / "decisions.csv").write_text(
        "source,target,similarity,decision,note\nanna.jpg,selfies/anna/1.jpg,100,accept,\n", "utf-8"
    )
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "RAY_USAGE_STATS_ENABLED": "0"}
    ran = []
    blocks = re.findall(r"^```(sh|python)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    for language, block in blocks:
        for command in block.splitlines() if language == "sh" else [block]:
            if "--engine ray" in command and find_spec("ray") is None:
                continue
            words = ["bash", "-c", command] if language == "sh" else [sys.executable, "-c", command]
            done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280)
            assert done.returncode == 0, (command, done.stderr)
            ran.append(command)
            if "--engine ray" in command:  # the first has started a cluster of its own, the others need not
                environment["RAY_ADDRESS"] = request.getfixturevalue("ray_cluster").address
    assert len(ran) >= 10
    with (tmp_path / "decided.csv").open(newline="", encoding="utf-8") as file:
        assert [row["decision"] for row in csv.DictReader(file)] == ["accept", ""]
    assert (tmp_path / "review.html").is_file()


def test_the_sizing_table_is_what_the_script_computes() -> None:
    script = benchmark()
    assert script.sizing(json.loads(script.RESULTS.read_text("utf-8"))) in PAGE
