"""`--engine ray` on a cluster of several nodes on this machine gives what the local engine gives, whatever dies."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.batch.conftest import likeness

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="no Ray (pip install 'likeness[ray]')"),
]


def test_a_driver_a_worker_and_a_node_that_die_cost_time_and_nothing_else(many: Path, tmp_path: Path) -> None:
    likeness("batch", many / "pairs.csv", "--output", tmp_path / "local.jsonl")
    trial = Path(__file__).with_name("cluster_trial.py")
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, trial, many / "pairs.csv", tmp_path / "ray.jsonl"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["exit"] == 0, told["said"]
    assert (told["nodes"], told["workers killed"], told["nodes killed"]) == (4, 1, 1)
    assert 0 < told["driver killed after parts"] < 5
    assert (tmp_path / "ray.jsonl").read_bytes() == (tmp_path / "local.jsonl").read_bytes()
    assert not (tmp_path / "ray.jsonl.run" / "faces").exists()


def test_what_is_for_one_machine_is_refused(many: Path, tmp_path: Path) -> None:
    arguments = ("batch", many / "pairs.csv", "--output", tmp_path / "out.csv", "--engine", "ray", "--keep-store")
    done = likeness(*arguments, check=False)
    assert done.returncode == 255
    assert "are for one machine" in done.stderr
