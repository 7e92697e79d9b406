"""A batch on Ray: what the cluster's processes write and show has no photo, vector, landmark, similarity or secret."""

import json
import os
import re
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.batch.ray_cluster import RayCluster, descendants
from tests.canaries import ray_driver
from tests.canaries.conftest import Canaries, add_pair, pictures_of, text_of
from tests.canaries.stand_in import Watched, stand_in
from tests.canaries.surroundings import files_below, shared_memory, told_by_proc

from likeness.batch.cluster.engine import Guarded
from likeness.batch.cluster.work import Work
from likeness.batch.describe import BatchOptions
from likeness.batch.errors import BatchError
from likeness.comparer import Comparer

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(find_spec("ray") is None, reason="no Ray (pip install 'likeness[ray]')"),
]

OBJECTS = ("source", "denied", "broken", "moved", "garbage", "odd", "short", "none")


@dataclass(frozen=True)
class Ran:
    """A batch that has ended: what it said, what its workers showed while they worked, and what the cluster left.

    `told` are the names of what the table holds, and the output.
    """

    canaries: Canaries
    told: list[str]
    output: Path
    ended: "subprocess.CompletedProcess[bytes]"
    shown: list[tuple[str, bytes]]
    files: Mapping[str, bytes]

    def found(self, content: bytes) -> set[str]:
        return self.canaries.search.found(content)


@pytest.fixture(scope="module")
def given(
    portraits: Mapping[str, Path], comparer: Comparer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Canaries, Watched, Path]:
    """Recognisable photos of a store, and in the folder `images`."""
    canaries, pictures = Canaries(), pictures_of(portraits)
    source, target = canaries.photo("source", pictures.person), canaries.photo("target", pictures.again, "PNG")
    add_pair(canaries.search, source, target, comparer)
    folder = tmp_path_factory.mktemp("images")
    for name, data in {"source.jpg": source, "target.png": target, "cut.jpg": source[:2000]}.items():
        (folder / name).write_bytes(data)
    return canaries, Watched(source=source, look=target), folder


@pytest.fixture(scope="module")
def ran(
    ray_cluster: RayCluster,
    ray_folder: Path,
    given: tuple[Canaries, Watched, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Ran:
    (canaries, photos, images), folder, began = given, tmp_path_factory.mktemp("ray"), time.time_ns()
    shown: list[tuple[str, bytes]] = []
    photos.look = lambda: shown.extend(shown_by_workers(ray_cluster))
    targets = ["target.png", "cut.jpg", "s3://bucket/look-.jpg"]
    targets += [f"s3://bucket/{kind}-{canaries.value(kind)}.jpg" for kind in OBJECTS]
    rows = [f"source.jpg,{each},{canaries.value('case')}" for each in targets]
    (folder / "pairs.csv").write_text("\n".join(["source,target,case", *rows]) + "\n")
    output = folder / "out.jsonl"
    command = [sys.executable, ray_driver.__file__, "batch", folder / "pairs.csv", "--images", images]
    command += ["--output", output, "--engine", "ray", "--address", ray_cluster.address, "--actors", "1"]
    planted = {place: canaries.secret(f"planted: {place}") for place in (*ray_driver.PLACES, "exception")}
    with stand_in(photos, f"/bucket/source?X-Amz-Security-Token={canaries.secret('address', 100)}") as store:
        secrets = {
            "LIKENESS_S3_ENDPOINT_URL": store,
            "LIKENESS_S3_ACCESS_KEY_ID": "AKIASTORE",
            "LIKENESS_S3_SECRET_ACCESS_KEY": canaries.secret("secret of the store"),
            "LIKENESS_S3_SESSION_TOKEN": canaries.secret("token of the store", 200),
            "LIKENESS_S3_ATTEMPTS": "1",
        }
        ended = subprocess.run(
            [*map(str, command)],
            input=json.dumps(planted).encode(),
            env=os.environ | secrets,
            capture_output=True,
            timeout=280,
        )
    files = files_below(ray_folder, since=began) | shared_memory(began)
    for path in map(Path, files):
        if path.name.startswith(ray_driver.SHARED_MEMORY):
            path.unlink()
    return Ran(canaries, [*OBJECTS, "case"], output, ended, shown, files)


def shown_by_workers(cluster: RayCluster) -> Iterator[tuple[str, bytes]]:
    for pid in descendants(cluster.process.pid):
        told = list(told_by_proc(pid))
        if any(name.endswith("cmdline") and b"MapWorker" in content for name, content in told):
            yield from told


def test_all_was_reached(ran: Ran) -> None:
    """Photos in files and in a store, with matches and errors of each kind, and a worker while it worked."""
    assert ran.ended.returncode == 0, ran.ended.stderr
    rows = [json.loads(line) for line in ran.output.read_text().splitlines()]
    assert [row["error"] for row in rows].count(None) == 3
    assert {row["error"] for row in rows} >= {"InvalidImageFormatException", "InvalidS3ObjectException"}
    assert any(name.endswith("cmdline") for name, _ in ran.shown)
    assert any(name.endswith("environ") and b"RAY_" in content for name, content in ran.shown)


def test_no_worker_shows_any(ran: Ran) -> None:
    assert {name: found for name, content in ran.shown if (found := ran.found(content))} == {}


def test_no_file_of_the_cluster_has_any_but_what_is_planted(ran: Ran) -> None:
    """Neither logs nor events nor temporary files of all its processes, also when a worker fails."""
    assert any("ray-data" in path for path in ran.files)
    found = {path: found for path, content in ran.files.items() if (found := ran.found(content))}
    assert set().union(*found.values()) == {f"planted: {place}" for place in ray_driver.PLACES}, found


def test_nothing_is_said(ran: Ran) -> None:
    assert b"the Ray cluster failed: " in ran.ended.stderr
    assert ran.found(ran.ended.stdout + ran.ended.stderr) == set()


def test_the_output_has_what_is_asked_for(ran: Ran) -> None:
    """And in OUT.run is what is needed to try failed pairs again: neither faces nor vectors."""
    files = files_below(ran.output.parent)
    assert {path for path in files if path.startswith(f"{ran.output}.run/")}
    for path, content in files.items():
        assert ran.found(content) <= {*ran.told, "similarity"}, path


def test_an_unexpected_error_of_a_node_is_told_without_its_text() -> None:
    text = text_of("vector")  # not in this line, which is part of the traceback
    with pytest.raises(RuntimeError, match=rf"^ValueError at {re.escape(ray_driver.__file__)}:\d+$") as failed:
        Guarded(ray_driver.Failing, text)({"number": [0]})  # type: ignore[arg-type]
    assert text not in "".join(traceback.format_exception(failed.value))


def test_what_a_user_can_mend_is_told_by_a_node_as_it_is() -> None:
    def damaged(_: Work) -> None:
        raise BatchError("a part is damaged")

    with pytest.raises(BatchError, match=r"^a part is damaged$"):
        Guarded(damaged, Work("shared", "images", BatchOptions()))
