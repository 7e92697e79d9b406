"""Photos for batches: the sample portraits, each in several sizes, and what is no photo."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.batch.ray_cluster import RayCluster

LIKENESS = Path(sys.executable).parent / "likeness"

# By default Ray's workers run at niceness 15: beside two busy processes on two cores they get a thirtieth of the time.
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - Ray's own spelling


def likeness(*arguments: object, check: bool = True, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Runs the command."""
    done = subprocess.run([LIKENESS, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=280)
    assert not check or done.returncode == 0, done.stderr
    return done


def benchmark() -> Any:
    """The module benchmarks/batch.py."""
    place = Path(__file__).resolve().parents[2] / "benchmarks" / "batch.py"
    spec = importlib.util.spec_from_file_location("batch_benchmark", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def folder(portraits: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`photos/` with seven photos, `broken.jpg` among them, and `pairs.csv` of every two, with a column `case`."""
    place = tmp_path_factory.mktemp("batch")
    photos = place / "photos"
    photos.mkdir()
    for name in ("biden.jpg", "obama.jpg", "obama2.jpg"):
        path = portraits[name]
        for width in (300, 360):
            with Image.open(path) as picture:
                small = picture.convert("RGB").resize((width, width * picture.height // picture.width))
                small.save(photos / f"{path.stem}-{width}.jpg", quality=90)
    (photos / "broken.jpg").write_bytes(b"this is no photo")
    names = sorted(path.name for path in photos.iterdir())
    lines = [f"photos/{a},photos/{b},{a[0]}{b[0]}" for a in names for b in names]
    (place / "pairs.csv").write_text("\n".join(["source,target,case", *lines]) + "\n", "utf-8")
    return place


@pytest.fixture
def work(folder: Path, tmp_path: Path) -> Path:
    """A copy of `folder` to write in."""
    shutil.copytree(folder, tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="package")
def s3() -> Iterator[dict[str, str]]:
    """An S3 on this machine, as the environment in which clients find it."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    _, port = server.get_host_and_port()
    try:
        yield {
            "AWS_ACCESS_KEY_ID": "k",
            "AWS_SECRET_ACCESS_KEY": "s",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}",
        }
    finally:
        server.stop()


@pytest.fixture
def bucket(s3: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of an empty bucket of an S3 that this process and its children find."""
    import boto3

    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    client: Any = boto3.client("s3", endpoint_url=s3["AWS_ENDPOINT_URL_S3"])
    client.create_bucket(Bucket="faces")
    yield "faces"
    for each in client.list_objects_v2(Bucket="faces").get("Contents", []):
        client.delete_object(Bucket="faces", Key=each["Key"])
    client.delete_bucket(Bucket="faces")
    client.close()


@pytest.fixture(scope="package")
def ray_folder() -> Iterator[Path]:
    """The folder for temporary files of the cluster, with Ray's own; its path is short, as it is part of sockets'."""
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:
        yield Path(folder)


@pytest.fixture(scope="package")
def ray_cluster(s3: dict[str, str], ray_folder: Path) -> Iterator[RayCluster]:
    """A Ray cluster of several nodes that find the S3, started once for all tests that use it."""
    with RayCluster(s3 | {"TMPDIR": str(ray_folder)}) as cluster:
        yield cluster
