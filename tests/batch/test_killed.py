"""A run that is killed goes on where it stopped, and writes what it would have written."""

import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.batch.conftest import LIKENESS, likeness

pytestmark = [pytest.mark.engine, pytest.mark.slow]

KILLS = 20


@pytest.fixture(scope="module")
def many(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs of some hundred photos, each with content of its own."""
    place = tmp_path_factory.mktemp("many")
    photos = sorted((folder / "photos").glob("*.jpg"))
    (place / "photos").mkdir()
    names = []
    for number in range(300):
        photo = photos[number % len(photos)]
        names.append(f"photos/{number:03}.jpg")
        # What follows the end of a JPEG is not looked at, and makes it another content.
        (place / names[-1]).write_bytes(photo.read_bytes() + number.to_bytes(4, "big"))
    lines = [f"{a},{b}" for a, b in zip(names, names[7:] + names[:7], strict=True)]
    (place / "pairs.csv").write_text("\n".join(["source,target", *lines * 4]) + "\n", "utf-8")
    return place


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT])
def test_killed_at_any_moment_the_output_is_the_same(many: Path, kind: signal.Signals) -> None:
    whole, broken = many / "whole.jsonl", many / f"broken-{kind}.jsonl"
    arguments = ["batch", many / "pairs.csv", "--output"]
    if not whole.exists():
        likeness(*arguments, whole)
    moments = random.Random(int(kind))
    killed = 0
    for _ in range(KILLS if kind == signal.SIGKILL else 3):
        process = subprocess.Popen([LIKENESS, *map(str, arguments), broken], stderr=subprocess.PIPE)
        time.sleep(moments.uniform(0.1, 1.5))
        process.send_signal(kind)
        _, said = process.communicate(timeout=30)
        killed += process.returncode != 0
        assert process.returncode in (0, -kind, 130)
        assert b"Traceback" not in said
    likeness(*arguments, broken)
    assert killed > 0
    assert broken.read_bytes() == whole.read_bytes()
    assert not list(many.rglob(".*.part"))
    shutil.rmtree(many / f"{broken.name}.run")
    broken.unlink()
