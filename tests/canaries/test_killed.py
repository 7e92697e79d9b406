"""What a server and a batch leave that are killed (`kill -9`) while they have photos: only their own files."""

import signal
import stat
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from likeness.packs import store

from .conftest import Canaries, Client, Pictures, empty_surroundings, wait_for
from .crashes import send
from .stand_in import Watched, stand_in
from .surroundings import decoders, files_below, has_ended, shared_memory

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="isolated decoders are Linux's"),
]
#: More than a batch keeps in memory before it writes faces to its store.
PHOTOS = 70


@pytest.fixture(scope="module")
def given(pictures: Pictures, measured: Callable[..., None]) -> tuple[Canaries, bytes, bytes]:
    canaries = Canaries()
    source, target = canaries.photo("source", pictures.person), canaries.photo("target", pictures.again, "PNG")
    measured(canaries, source, target)
    return canaries, source, target


def test_a_server(given: tuple[Canaries, bytes, bytes], start_server: Callable[..., Any], tmp_path: Path) -> None:
    """Its decoders end, and the memory that they share with it is gone."""
    canaries, source, target = given
    images = [{"Bytes": b64encode(photo).decode()} for photo in (source, target)]
    body, began = {"SourceImage": images[0], "TargetImage": images[1]}, time.time_ns()
    settings = 'port = 0\nauth = "none"\nisolate_decoding = true\n'
    with start_server(tmp_path, settings, code=-signal.SIGKILL) as (process, port):
        client = Client(port, "", "", None)
        assert client.send(body, signed=False)[0] == 200
        asking = [threading.Thread(target=send, args=(client, body)) for _ in range(4)]
        for each in asking:
            each.start()
        apart = decoders(process.pid)
        assert apart
        process.kill()
        for each in asking:
            each.join()
        wait_for(lambda: all(map(has_ended, apart)))
    files = files_below(tmp_path)
    assert {Path(path).name for path in files} == {"likeness.toml", "stdout", "stderr", "opened"}
    files |= files_below(store.home(), since=began) | shared_memory(began)
    assert {path: found for path, content in files.items() if (found := canaries.search.found(content))} == {}


def batch_of_many(folder: Path, photo: bytes) -> list[str]:
    """The command: photos that are all different files, and one of a store."""
    (folder / "photos").mkdir()
    for number in range(PHOTOS):  # what follows the end of a JPEG is not looked at
        (folder / "photos" / f"{number}.jpg").write_bytes(photo + number.to_bytes(4, "big"))
    rows = [f"photos/0.jpg,photos/{number}.jpg" for number in range(PHOTOS)]
    (folder / "pairs.csv").write_text("\n".join(["source,target", *rows, "photos/0.jpg,s3://bucket/look-.jpg"]))
    (folder / "result").mkdir()
    output = folder / "result" / "out.jsonl"
    return [sys.executable, "-m", "likeness.cli.main", "batch", str(folder / "pairs.csv"), "--output", str(output)]


def run_until_killed(command: list[str], variables: Mapping[str, str], photos: Watched, kept: Path) -> bytes:
    """Kills the command when it has written faces and waits for its last photo; returns what it has said."""

    def kill() -> None:
        wal = kept / "faces.sqlite-wal"
        wait_for(lambda: wal.exists() and wal.stat().st_size > PHOTOS * 512)
        process.kill()

    photos.look = kill
    process = subprocess.Popen(command, cwd=variables["HOME"], env=variables, stderr=subprocess.PIPE)
    said = process.communicate(timeout=120)[1]
    photos.look = lambda: None
    assert process.returncode == -signal.SIGKILL, said
    return said


def modes(paths: Iterable[Path]) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in paths}


def test_a_batch(given: tuple[Canaries, bytes, bytes], tmp_path: Path) -> None:
    """Faces are in OUT.run, for its owner only, and go with the next run."""
    (canaries, source, target), began = given, time.time_ns()
    command, output, surroundings = batch_of_many(tmp_path, source), tmp_path / "result" / "out.jsonl", tmp_path / "own"
    kept, photos = output.with_name("out.jsonl.run"), Watched(look=target)
    surroundings.mkdir()
    variables = empty_surroundings(surroundings) | {
        "LIKENESS_S3_ACCESS_KEY_ID": "AKIASTORE",
        "LIKENESS_S3_SECRET_ACCESS_KEY": canaries.secret("secret"),
        "LIKENESS_S3_SESSION_TOKEN": canaries.secret("token", 200),
    }

    def found(files: Mapping[str, bytes]) -> set[str]:
        return set().union(*map(canaries.search.found, files.values()))

    with stand_in(photos, "") as address:
        variables["LIKENESS_S3_ENDPOINT_URL"] = address
        said = run_until_killed(command, variables, photos, kept)
        assert found(files_below(kept)) == {"vector of the source"}
        assert modes(path for path in (kept, *kept.rglob("*")) if path.is_dir()) == {0o700}
        assert modes(path for path in kept.rglob("*") if path.is_file()) == {0o600}
        assert not output.exists()
        assert found(files_below(surroundings) | shared_memory(began) | {"stderr": said}) == set()
        ended = subprocess.run(command, cwd=surroundings, env=variables, capture_output=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert found(files_below(kept) | files_below(surroundings) | {"stderr": ended.stderr}) == set()
    assert found({"output": output.read_bytes()}) == {"similarity"}
