"""A running server with the real engine: AWS CLI 2 and 1, and our command with and without it, give the same answer."""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.listening import address_of, exit_code

pytestmark = pytest.mark.engine

#: Loading the engine takes a second; a machine that builds something else at the same time needs more.
START_SECONDS = 90
LIKENESS = Path(sys.executable).with_name("likeness")
FORMATS = (
    (),
    ("--output", "table"),
    ("--query", "FaceMatches[].[Similarity, Face.Pose.Yaw]", "--output", "text"),
)


@pytest.fixture(scope="module")
def running(standard_pack: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `likeness serve` on loopback, without keys."""
    folder = tmp_path_factory.mktemp("running")
    log = folder / "log.txt"
    with log.open("wb") as stream:
        command = [LIKENESS, "serve", "--port", "0", "--auth", "none"]
        process = subprocess.Popen(command, stdout=stream, stderr=stream, cwd=folder)
        try:
            url = address_of(process, log)
            _wait_until_ready(url, process, log)
            yield url
        finally:
            process.terminate()
            assert exit_code(process, log) == 0


def _wait_until_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.1)
    raise AssertionError(f"the server is not ready: {log.read_text()}")


@pytest.fixture
def photos(portraits: dict[str, Path], tmp_path: Path) -> list[str]:
    """A portrait, and a picture that shows the same man and another."""
    from PIL import Image

    people = [Image.open(portraits[name]).convert("RGB") for name in ("obama2.jpg", "biden.jpg")]
    group = Image.new("RGB", (800, 500))
    for at, person in enumerate(people):
        person.thumbnail((400, 500))
        group.paste(person, (400 * at, 0))
    group.save(tmp_path / "group.jpg", quality=95)
    return ["--source-image-bytes", f"fileb://{portraits['obama.jpg']}", "--target-image-bytes", "fileb://group.jpg"]


def test_all_clients_print_the_same_answer(
    running: str,
    photos: list[str],
    version_1: Callable[..., Any],
    version_2: Callable[..., Any],
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    for options in FORMATS:
        arguments = [*photos, *options]
        remote = [*arguments, "--endpoint-url", running]
        original = version_2(["rekognition", "compare-faces", *remote], environment, tmp_path)
        assert (original.code, original.err) == (0, "")
        assert original.out
        for words in (remote, arguments):
            ours = likeness(words, environment, tmp_path)
            assert (ours.returncode, ours.stderr) == (0, "")
            assert ours.stdout.splitlines() == original.out.splitlines()
        first = version_1(["rekognition", "compare-faces", *remote], environment, tmp_path)
        assert (first.code, first.out) == (0, original.out)
    answer = json.loads(likeness(photos, environment, tmp_path).stdout)
    assert [len(answer["FaceMatches"]), len(answer["UnmatchedFaces"])] == [1, 1]


def test_all_refuse_the_same(
    running: str, version_2: Callable[..., Any], environment: dict[str, str], tmp_path: Path, portraits: dict[str, Path]
) -> None:
    """A photo without a face, a GIF, a text: the service's line, and in this process the reason below it."""
    from PIL import Image

    Image.new("RGB", (300, 300), (90, 140, 200)).save(tmp_path / "sky.png")
    Image.new("RGB", (300, 300)).save(tmp_path / "photo.gif")
    (tmp_path / "notes.jpg").write_text("dear diary")
    target = ["--target-image-bytes", f"fileb://{portraits['obama.jpg']}"]
    for name, code in (
        ("sky.png", "InvalidParameterException"),
        ("photo.gif", "InvalidImageFormatException"),
        ("notes.jpg", "InvalidImageFormatException"),
    ):
        arguments = ["--source-image-bytes", f"fileb://{name}", *target]
        remote = [*arguments, "--endpoint-url", running]
        original = version_2(["rekognition", "compare-faces", *remote], environment, tmp_path)
        ours, here = (likeness(words, environment, tmp_path) for words in (remote, arguments))
        assert original.code == ours.returncode == here.returncode == 254
        assert code in original.err
        assert ours.stderr == original.err
        assert here.stderr.startswith(original.err)
        reason = here.stderr.removeprefix(original.err).splitlines()
        assert len(reason) == 1
        assert reason[0].startswith("likeness: ")


def likeness(arguments: list[str], environment: dict[str, str], folder: Path) -> "subprocess.CompletedProcess[str]":
    """The command as people run it, with the packs of this machine."""
    # What chooses packs and arithmetic must be that of the server; what belongs to AWS must be that of the test.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    of_aws = {name: value for name, value in environment.items() if name.startswith("AWS_")}
    at_home = {**inherited, **of_aws, "AWS_CONFIG_FILE": os.devnull}
    command = [LIKENESS, "compare-faces", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=at_home, cwd=folder, timeout=120, check=False)
