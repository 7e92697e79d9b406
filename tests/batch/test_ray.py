"""`--engine ray` on a cluster of several nodes on this machine gives what the local engine gives, whatever dies."""

import os
import shutil
import socket
import stat
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.batch.conftest import benchmark, likeness
from tests.batch.ray_cluster import RayCluster, Trial

from likeness.batch.cluster import engine
from likeness.batch.cluster.engine import run_stage
from likeness.batch.cluster.work import DescribeParts, Work
from likeness.batch.describe import BatchOptions
from likeness.batch.described import DescribedPhoto, Faces, Failure, encode
from likeness.batch.errors import BatchError

#: `make kills` asks for more.
KILLS = int(os.environ.get("LIKENESS_KILLS", "3"))

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(900 + 60 * KILLS),
    pytest.mark.skipif(find_spec("ray") is None, reason="no Ray (pip install 'likeness[ray]')"),
]


def test_a_driver_a_worker_and_a_node_that_die_cost_time_and_nothing_else(
    ray_cluster: RayCluster, many: Path, tmp_path: Path
) -> None:
    likeness("batch", many / "pairs.csv", "--output", tmp_path / "local.jsonl")
    trial = Trial(ray_cluster, many / "pairs.csv", tmp_path / "ray.jsonl")
    trial.run(KILLS)
    assert sum(trial.killed.values()) == KILLS
    if KILLS == 3:
        assert trial.killed == {"driver": 1, "worker": 1, "node": 1}
        assert trial.failed_runs == 0
    assert (tmp_path / "ray.jsonl").read_bytes() == (tmp_path / "local.jsonl").read_bytes()
    assert not (tmp_path / "ray.jsonl.run" / "faces").exists()


def test_on_a_cluster_that_shares_a_bucket_failed_pairs_end_the_run_or_are_tried_again(
    ray_cluster: RayCluster, work: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", ray_cluster.address)
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


def test_all_pairs_on_a_cluster_are_those_of_one_machine(
    ray_cluster: RayCluster, work: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", ray_cluster.address)
    upload(work / "photos", bucket)
    there = ("batch", "--all-pairs", f"s3://{bucket}/photos/", "--top", "2", "--output")
    likeness(*there, work / "local.jsonl")
    on_ray = ("--engine", "ray", "--actors", "1", "--keep-store")
    kept = likeness(*there, work / "far.jsonl", *on_ray).stderr
    assert (work / "far.jsonl").read_bytes() == (work / "local.jsonl").read_bytes()
    assert len((work / "far.jsonl").read_text("utf-8").splitlines()) > 3
    # What is kept serves the next run, which is of other pairs, and goes with it, as that keeps nothing.
    run = work / "far.jsonl.run"
    assert f"{run}/kept contains face embeddings, which are biometric data" in kept
    assert {path.name for path in run.iterdir()} >= {"kept", "manifest.json"}
    assert not {path.name for path in run.iterdir()} & {"faces", "vectors", "candidates", "photos"}
    blobs = [path for path in run.glob("kept/*/*") if path.is_file()]
    assert len(blobs) == 6, "one a photo that can be used"
    assert {stat.S_IMODE(path.stat().st_mode) for path in blobs} == {0o600}
    for blob in blobs:
        blob.write_bytes(encode(DescribedPhoto(Failure("NoFaceFound", "KeptException", "kept"), Faces((), b""))))
    again = ("batch", work / "pairs.csv", "--output", work / "again.jsonl")
    likeness(*again, "--engine", "ray", "--actors", "1", "--store", run)
    assert (work / "again.jsonl").read_text("utf-8").count("KeptException") == 6 * 7
    assert not list(run.glob("kept/*/*"))


def upload(folder: Path, bucket: str) -> None:
    import boto3

    client: Any = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL_S3"])
    for path in folder.iterdir():
        client.upload_file(str(path), bucket, f"{folder.name}/{path.name}")
    client.close()


def test_memory_of_driver_and_object_store_is_flat_in_the_number_of_pairs(
    ray_cluster: RayCluster, many: Path, tmp_path: Path
) -> None:
    header, *lines = (many / "pairs.csv").read_text("utf-8").splitlines()
    lines = [line for line in lines if line.startswith(("photos/00", "photos/01"))][:12]
    used = {}
    for pairs in (1_000, 20_000):
        table = [header, *(lines * (pairs // len(lines) + 1))[:pairs]]
        (many / f"{pairs}.csv").write_text("\n".join(table) + "\n", "utf-8")
        output = str(tmp_path / f"{pairs}.jsonl")
        on_ray = ("--engine", "ray", "--address", ray_cluster.address, "--actors", "1")
        used[pairs] = benchmark().command(many, f"{pairs}.csv", output, *on_ray, cluster=ray_cluster.process.pid)
    for what in ("peak_mb", "object_store_mb"):
        assert 0 < used[20_000][what] <= 1.2 * used[1_000][what] + 8, (what, used)


def test_a_bound_of_the_store_is_for_one_machine(many: Path, tmp_path: Path) -> None:
    words = ("batch", many / "pairs.csv", "--output", tmp_path / "out.csv", "--engine", "ray", "--store-size", "1G")
    done = likeness(*words, check=False)
    assert done.returncode == 255
    assert "--store-size is for one machine: the nodes of a cluster need all faces" in done.stderr


def test_an_address_without_a_cluster_is_refused_at_once(work: Path) -> None:
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        words = ("batch", work / "pairs.csv", "--output", work / "out.csv", "--engine", "ray", "--address", address)
        done = likeness(*words, check=False)
    assert done.returncode == 255
    assert done.stderr == f"likeness: no Ray cluster at {address}: [Errno 111] Connection refused\n"


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
        BatchError, match=r"^the Ray cluster failed: the node is marked dead\. The same command resumes"
    ):
        run_stage(ray, DescribeParts, Work("shared", "images", BatchOptions(), False), [0, 1], 1, done.append)
    assert ray.asked == [0, 1]
    assert done == [{"photos": 1}]


@pytest.mark.parametrize("theirs", ["Python 3.99.0, Likeness 0.0", None])
def test_a_node_with_another_version_is_refused_before_any_work(
    theirs: str | None,
) -> None:
    node = {"NodeID": "one", "NodeManagerAddress": "10.0.0.7", "Alive": True}
    gone = {"NodeID": "two", "NodeManagerAddress": "10.0.0.8", "Alive": False}
    dying = {"NodeID": "three", "NodeManagerAddress": "10.0.0.9", "Alive": True}
    asked: list[str] = []

    class Unschedulable(Exception):
        pass

    def answer(node_id: str) -> str:
        asked.append(node_id)
        if node_id == "three":  # it has died, and Ray does not list it as dead yet
            raise Unschedulable
        return theirs or engine._versions()

    strategies = SimpleNamespace(NodeAffinitySchedulingStrategy=lambda node_id, soft: node_id)
    placed = SimpleNamespace(options=lambda scheduling_strategy: SimpleNamespace(remote=lambda: scheduling_strategy))
    ray = SimpleNamespace(
        util=SimpleNamespace(scheduling_strategies=strategies),
        remote=lambda **_: lambda _: placed,
        nodes=lambda: [dying, node, gone],
        exceptions=SimpleNamespace(
            RayError=Unschedulable, TaskUnschedulableError=Unschedulable, NodeDiedError=Unschedulable
        ),
        get=lambda node_id, timeout: answer(node_id),
    )
    if theirs is None:
        engine._check_versions(ray)
    else:
        with pytest.raises(
            BatchError, match=r"^node 10\.0\.0\.7 has Python 3\.99\.0, Likeness 0\.0, and this machine "
        ):
            engine._check_versions(ray)
    assert asked == ["three", "one"]
