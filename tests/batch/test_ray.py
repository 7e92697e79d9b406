"""`--engine ray` on a cluster of several nodes on this machine gives what the local engine gives, whatever dies."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.batch.conftest import likeness

from likeness.batch.cluster.engine import run_stage
from likeness.batch.cluster.work import DescribeParts, Work
from likeness.batch.describe import BatchOptions
from likeness.batch.errors import BatchError

#: `make kills` asks for more.
KILLS = int(os.environ.get("LIKENESS_RAY_KILLS", "3"))

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(900 + 60 * KILLS),
    pytest.mark.skipif(find_spec("ray") is None, reason="no Ray (pip install 'likeness[ray]')"),
]


def test_a_driver_a_worker_and_a_node_that_die_cost_time_and_nothing_else(many: Path, tmp_path: Path) -> None:
    likeness("batch", many / "pairs.csv", "--output", tmp_path / "local.jsonl")
    trial = Path(__file__).with_name("cluster_trial.py")
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, trial, many / "pairs.csv", tmp_path / "ray.jsonl", str(KILLS)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600 + 60 * KILLS,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["exit"] == 0, told["said"]
    assert told["driver"] + told["worker"] + told["node"] == KILLS
    if KILLS == 3:
        assert (told["driver"], told["worker"], told["node"], told["failed runs"]) == (1, 1, 1, 0)
    assert (tmp_path / "ray.jsonl").read_bytes() == (tmp_path / "local.jsonl").read_bytes()
    assert not (tmp_path / "ray.jsonl.run" / "faces").exists()


def test_on_a_cluster_that_shares_a_bucket_failed_pairs_end_the_run_or_are_tried_again(
    work: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    arguments = ("batch", work / "pairs.csv", "--output")
    likeness(*arguments, work / "local.jsonl")
    far = (*arguments, work / "far.jsonl", "--engine", "ray", "--actors", "1", "--shared", f"s3://{bucket}/run")
    ended = likeness(*far, "--fail-fast", check=False)
    assert ended.returncode == 255
    assert "broken.jpg" in ended.stderr
    assert "as --fail-fast asks" in ended.stderr
    likeness(*far)
    assert (work / "far.jsonl").read_bytes() == (work / "local.jsonl").read_bytes()
    shutil.copy(work / "photos" / "obama-300.jpg", work / "photos" / "broken.jpg")
    for output in (("local.jsonl",), ("far.jsonl", *far[4:])):
        likeness(*arguments, work / output[0], *output[1:], "--retry-errors")
    assert (work / "far.jsonl").read_bytes() == (work / "local.jsonl").read_bytes()
    assert b'"error":"' not in (work / "far.jsonl").read_bytes()


@pytest.mark.parametrize("option", ["--keep-store", "--all-pairs"])
def test_what_is_for_one_machine_is_refused(many: Path, tmp_path: Path, option: str) -> None:
    given = (many / "pairs.csv", option) if option == "--keep-store" else (option, many / "photos")
    done = likeness("batch", *given, "--output", tmp_path / "out.csv", "--engine", "ray", check=False)
    assert done.returncode == 255
    assert "are for one machine" in done.stderr


class FailingRay:
    """As much of Ray as a stage asks for; its dataset ends with Ray's own error."""

    class exceptions:  # noqa: N801
        class RayError(Exception):
            pass

    def __init__(self) -> None:
        self.data = self
        self.asked: list[int] = []

    def from_items(self, items: list[dict[str, int]], **_: object) -> "FailingRay":
        self.asked = [item["number"] for item in items]
        return self

    def map_batches(self, *_: object, **__: object) -> "FailingRay":
        return self

    def ActorPoolStrategy(self, **_: object) -> None:  # noqa: N802
        return None

    def iter_rows(self) -> Iterator[dict[str, int]]:
        yield {"photos": 1}
        raise self.exceptions.RayError("the node is marked dead\nand much more")


def test_a_cluster_that_fails_is_said_in_words() -> None:
    ray = FailingRay()
    done: list[dict[str, int]] = []
    with pytest.raises(
        BatchError, match=r"^the Ray cluster failed: the node is marked dead\. The same command continues"
    ):
        run_stage(ray, DescribeParts, Work("shared", "images", BatchOptions(), False), [0, 1], 1, done.append)
    assert ray.asked == [0, 1]
    assert done == [{"photos": 1}]
