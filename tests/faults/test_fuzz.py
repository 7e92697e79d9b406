"""A short, reproducible form of `make fuzz`: every target with its seeds and some hundred mutations of them."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
#: Ten seconds of processor time; a machine that does other work besides may take long.
pytestmark = pytest.mark.timeout(900)
#: Mutated inputs of each target, besides its seeds.
INPUTS = 200
#: Whole comparisons are `test_malformed.py`'s.
NAMES = sorted(path.stem for path in (REPOSITORY / "fuzz" / "targets").glob("[a-z]*.py") if path.stem != "comparison")


@pytest.fixture(scope="module")
def tried() -> dict[str, dict[str, Any]]:
    """What each target ended with, in one process; the last one that it began is missing if that process crashes."""
    run = subprocess.run(
        [sys.executable, "-m", "fuzz.worker", *NAMES, "--inputs", str(INPUTS), "--seed", "7"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=840,
        check=False,
    )
    results = [json.loads(line) for line in run.stdout.splitlines() if line.startswith('{"target"')]
    assert run.returncode == 0, f"crashed after {[each['target'] for each in results]}: {run.stderr[-2000:]}"
    return {each["target"]: each for each in results}


@pytest.mark.parametrize("name", NAMES)
def test_mutated_inputs_end_with_an_answer_or_a_documented_error(tried: dict[str, dict[str, Any]], name: str) -> None:
    result = tried[name]
    assert not result["findings"], "\n".join(result["findings"])
    assert sum(result["outcomes"].values()) > INPUTS


_WATCHED = """
import sys, time
from pathlib import Path
from fuzz import watched
from fuzz.target import Target

watched.MOST_SECONDS, watched.MOST_BYTES = 0.05, 30_000_000

def run(data):
    if data == b"raise":
        raise ZeroDivisionError
    if data == b"documented":
        raise ValueError
    began = time.process_time()
    while data == b"slow" and time.process_time() < began + 0.1:
        pass
    if data == b"large":
        bytearray(100_000_000)

watch = watched.Watched(
    Target(run, (ValueError,), list), watched.State(Path(sys.argv[1])), lambda headline, _, data: print(headline, data)
)
for data in (b"fine", b"raise", b"documented", b"slow", b"large", b"raise"):
    watch(data)
print(dict(watch.outcomes))
"""


def test_errors_that_are_not_documented_time_and_memory_are_findings(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", _WATCHED, str(tmp_path / "state")],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert run.stdout.splitlines() == [
        "ZeroDivisionError in <string>:11 b'raise'",
        "slow b'slow'",
        "memory b'large'",
        "{'answer': 3, 'finding': 2, 'ValueError': 1}",
    ]


_CRASHING = """
import os, signal, sys
from fuzz import run, target

def crash(data):
    if data:
        os.kill(os.getpid(), signal.SIGSEGV)

target.load = lambda name: target.Target(crash, (), lambda: [b"", b"crashes"])
"""


def test_a_crash_is_a_finding_with_its_input(tmp_path: Path) -> None:
    """The process is lost; the runner has its last input from the shared state."""
    (tmp_path / "sitecustomize.py").write_text(_CRASHING)
    options = ["--seconds", "2", "--seed", "7", "--findings", tmp_path / "found", "--record", tmp_path / "record.json"]
    run = subprocess.run(
        [sys.executable, "-m", "fuzz.run", "jpeg", *options],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{REPOSITORY}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 1, run.stderr
    reports = list((tmp_path / "found").glob("jpeg-*.txt"))
    assert reports
    for report in reports:
        assert report.read_text().startswith("SIGSEGV")
        assert report.with_suffix("").read_bytes()
    (row,) = json.loads((tmp_path / "record.json").read_text())
    assert (row["target"], row["findings"], row["seed"]) == ("jpeg", len(reports), 7)


def test_the_record_keeps_every_run_with_what_it_found_and_its_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(REPOSITORY)
    run = import_module("fuzz.run")
    monkeypatch.setattr(run, "_commit", lambda: "0123abc")
    for findings in (1, 0):
        run.record(tmp_path / "record.json", run.Row("jpeg", 60.0, 1000, findings=findings), 7)
    rows = json.loads((tmp_path / "record.json").read_text())
    assert [row["findings"] for row in rows] == [1, 0]
    assert {row["commit"] for row in rows} == {"0123abc"}
    assert all(row["ended"].endswith(" UTC") and row["python"] for row in rows)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="fuzz.run reads Linux's /proc")
@pytest.mark.parametrize(
    ("program", "is_waiting"),
    [
        ("import time; time.sleep(60)", True),
        ("import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])", False),
    ],
)
def test_a_process_that_waits_is_told_from_one_that_works_however_busy_the_machine_is(
    program: str, is_waiting: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(REPOSITORY)
    run = import_module("fuzz.run")

    with subprocess.Popen([sys.executable, "-c", program], process_group=0) as process:
        try:
            time.sleep(0.5)  # Python starts
            waiting = run.Waiting(process.pid)
            for _ in range(15):
                time.sleep(0.1)
                waiting.look()
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    assert waiting.seconds > 1 if is_waiting else waiting.seconds < 1
