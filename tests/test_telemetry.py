"""ONNX Runtime's telemetry is off in every way of using Likeness: no file in the user's home, no name resolved.

With telemetry on, ONNX Runtime writes its files immediately and resolves its host nine seconds after its import. Each
program is observed for longer than that, after it has loaded its engine.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from likeness.system.processors import thread_budget

NAMES_ASKED = Path(__file__).with_name("names_asked.py")
_SECONDS = 10.5
_LIBRARY = """
import sys, time, likeness
with likeness.Comparer() as comparer:
    comparer.compare(sys.argv[1], sys.argv[2])
    time.sleep(float(sys.argv[3]))
"""
_NAMESPACE = ["unshare", "--user", "--map-root-user", "--net", "--mount"]
#: Two workers need two processors.
WAYS = ("library", "command", "server", "batch", "workers")[: 4 if thread_budget() < 2 else 5]


#: The batch is done before ONNX Runtime would ask for its host, so its process stays.
_BATCH = """
import sys, time
from likeness.cli.main import main
seconds = float(sys.argv.pop())
code = main(sys.argv[1:])
time.sleep(seconds)
sys.exit(code)
"""


def command_of(way: str, portraits: dict[str, Path]) -> list[str]:
    source, target = str(portraits["obama.jpg"]), str(portraits["obama2.jpg"])
    likeness = [sys.executable, "-m", "likeness.cli.main"]
    return {
        "library": [sys.executable, "-c", _LIBRARY, source, target, str(_SECONDS)],
        "command": [
            *(*likeness, "compare-faces", "--output", "off", "--source-image-bytes", f"fileb://{source}"),
            *("--target-image-bytes", f"fileb://{target}"),
        ],
        "batch": [
            *(sys.executable, "-c", _BATCH, "batch", "--source", source, "--targets", str(Path(target).parent)),
            *("--output", "result.jsonl", str(_SECONDS)),
        ],
        "server": [*likeness, "serve", "--access-log", os.devnull],
        "workers": [*likeness, "serve", "--access-log", os.devnull, "--workers", "2"],
    }[way]


def environment(home: Path) -> dict[str, str]:
    """The environment of somebody new, but for the installed packs."""
    from likeness.packs import store

    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LIKENESS_", "AWS_", "XDG_"))}
    kept.pop("ORT_DISABLE_TELEMETRY", None)
    return kept | {
        "HOME": str(home),
        "LIKENESS_HOME": str(store.home()),
        "LIKENESS_OFFLINE": "1",
        "LIKENESS_KEYS": "/nonexistent",
    }


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_command_leaves_nothing_in_the_users_home(tmp_path: Path, portraits: dict[str, Path]) -> None:
    subprocess.run(command_of("command", portraits), env=environment(tmp_path), check=True, timeout=120)
    assert files_below(tmp_path) == []


@pytest.mark.slow
def test_no_way_of_use_leaves_a_file_or_asks_for_a_host(tmp_path: Path, portraits: dict[str, Path]) -> None:
    if (
        not shutil.which("unshare")
        or subprocess.run([*_NAMESPACE, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("this system lets nobody make a network namespace (unshare)")
    running = {}
    for way in WAYS:
        (tmp_path / way).mkdir()
        watched = [*_NAMESPACE, sys.executable, str(NAMES_ASKED), str(_SECONDS), *command_of(way, portraits)]
        running[way] = subprocess.Popen(watched, cwd=tmp_path, env=environment(tmp_path / way), stdout=subprocess.PIPE)
    results = {
        way: json.loads(process.communicate(timeout=240)[0].splitlines()[-1]) for way, process in running.items()
    }
    assert {way: each["code"] for way, each in results.items()} == dict.fromkeys(WAYS, 0)
    assert {way: each["names"] for way, each in results.items()} == {way: [] for way in WAYS}
    assert {way: files_below(tmp_path / way) for way in WAYS} == {way: [] for way in WAYS}
