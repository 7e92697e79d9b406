"""The local engine: bounded in memory, whatever the photos hold."""

import json
import subprocess
import time
from pathlib import Path

import pytest
from PIL import Image
from tests.batch.conftest import LIKENESS, likeness

pytestmark = [pytest.mark.engine, pytest.mark.slow]


def test_the_memory_asked_for_is_kept_to(many: Path, portraits: dict[str, Path], tmp_path: Path) -> None:
    with Image.open(portraits["obama.jpg"]) as picture:
        large = picture.convert("RGB").resize((3000, 4000))
    names = []
    for number in range(4):
        large.putpixel((0, 0), (number, 0, 0))
        names.append(str(tmp_path / f"{number}.png"))
        large.save(names[-1], compress_level=1)
    pairs = (many / "pairs.csv").read_text("utf-8") + "".join(f"{names[0]},{name}\n" for name in names)
    (many / "large.csv").write_text(pairs, "utf-8")
    arguments = ["batch", many / "large.csv", "--output", tmp_path / "out.jsonl", "--memory", "650M"]
    process = subprocess.Popen([LIKENESS, *map(str, arguments)], stderr=subprocess.DEVNULL)
    most_kb, end = 0, time.monotonic() + 240
    while process.poll() is None:
        assert time.monotonic() < end
        most_kb = max(most_kb, peak_kb(process.pid))
        time.sleep(0.02)
    assert process.returncode == 0
    assert 100 << 10 < most_kb < 650 << 10
    last = json.loads((tmp_path / "out.jsonl").read_text("utf-8").splitlines()[-1])
    assert last["matched"]


def test_too_little_memory_is_refused(many: Path, tmp_path: Path) -> None:
    done = likeness("batch", many / "pairs.csv", "--output", tmp_path / "o.csv", "--memory", "100M", check=False)
    assert done.returncode == 255
    assert done.stderr == "likeness: --memory 100M is too little; 500M are needed\n"


def peak_kb(process: int) -> int:
    """The most memory that a process has had, as Linux counts it; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text("utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)
