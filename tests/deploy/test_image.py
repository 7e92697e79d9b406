"""The image, built and run by a container engine: LIKENESS_ENGINE is its command (`make image ENGINE=podman`)."""

import json
import os
import shlex
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from tests.listening import START_SECONDS

from likeness.aws.keys import Record, create_key
from likeness.comparer import Comparer

ENGINE = shlex.split(os.environ.get("LIKENESS_ENGINE", ""))

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not ENGINE, reason="no container engine is named: make image ENGINE=docker"),
]

IMAGE = "likeness"
USER = 10001
PYTHON = "/opt/likeness/bin/python"
#: What compose.yaml asks for.
CONFINED = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges:true", "--memory=4g", "--pids-limit=256"]
#: compose.yaml's stop_grace_period; then an engine kills, and the exit code is 137.
STOP_SECONDS = "35"


def engine(*arguments: str, timeout: float = 120) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*ENGINE, *arguments], capture_output=True, text=True, timeout=timeout)


def answer_of(*arguments: str) -> str:
    """The standard output of the engine, which must succeed."""
    done = engine(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def confined() -> list[str]:
    """The options of `run` that leave the server nothing to write to."""
    mounts_temporary_folders = "--read-only-tmpfs" in answer_of("run", "--help")  # podman does, docker does not
    return [*CONFINED, *(["--read-only-tmpfs=false"] if mounts_temporary_folders else [])]


@pytest.fixture
def key(tmp_path: Path) -> tuple[Path, Record]:
    """A folder with a key file that root and the group of the image's user may read, and its key."""
    if os.getuid() != 0:
        pytest.skip("only root can give the key file to the group of the image's user")
    folder = tmp_path / "keys"
    folder.mkdir()
    created = create_key(folder / "keys.json", user="tester")
    os.chown(folder / "keys.json", 0, USER)
    (folder / "keys.json").chmod(0o440)
    return folder, created


@pytest.fixture
def container(request: pytest.FixtureRequest, confined: list[str], key: tuple[Path, Record]) -> Iterator[str]:
    """The name of a running container of the image, started with the parameter's further options."""
    name = f"likeness-test-{os.getpid()}"
    options = [*confined, "--publish=127.0.0.1::8080", f"--volume={key[0]}:/etc/likeness:ro", *request.param]
    answer_of("run", "--detach", f"--name={name}", *options, IMAGE)
    try:
        yield name
    finally:
        engine("rm", "--force", name)


def wait_until_ready(address: str, name: str) -> None:
    end = time.monotonic() + START_SECONDS
    while not is_ready(address):
        assert time.monotonic() < end, engine("logs", name).stderr
        time.sleep(0.2)


def is_ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/readyz", timeout=10):
            return True
    except (OSError, HTTPException):  # 503 while the pack loads, or nobody listens yet
        return False


def status_of_the_server(name: str) -> dict[str, list[str]]:
    """What the kernel says about the container's first process."""
    text = answer_of("exec", name, PYTHON, "-c", "print(open('/proc/1/status').read())")
    return {line.partition(":")[0]: line.partition(":")[2].split() for line in text.splitlines()}


@pytest.mark.parametrize(
    ("container", "user"),
    [([], USER), ([f"--user=54321:{USER}", "--env=LIKENESS_ISOLATE_DECODING=true"], 54321)],
    indirect=["container"],
    ids=["the image's user", "another user, with decoder processes"],
)
def test_it_serves_signed_requests_and_ends_when_asked(
    container: str, user: int, key: tuple[Path, Record], comparer: Comparer, portraits: dict[str, Path]
) -> None:
    address = f"http://{answer_of('port', container, '8080').splitlines()[0]}"
    wait_until_ready(address, container)
    client = boto3.client(
        "rekognition",
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id=key[1].id,
        aws_secret_access_key=key[1].secret,
        config=Config(read_timeout=90, retries={"max_attempts": 0}),
    )
    photos = [portraits[name] for name in ("obama.jpg", "obama2.jpg")]
    source, target = ({"Bytes": photo.read_bytes()} for photo in photos)
    (match,) = client.compare_faces(SourceImage=source, TargetImage=target)["FaceMatches"]
    (expected,) = comparer.compare(*photos).matches
    assert match["Similarity"] == pytest.approx(expected.similarity, abs=0.01)  # the released set may differ from ours

    server = status_of_the_server(container)
    assert server["Uid"] == [str(user)] * 4
    assert server["Gid"] == [str(USER)] * 4
    assert set(server["CapBnd"] + server["CapEff"]) == {"0" * 16}
    assert server["NoNewPrivs"] == ["1"]
    temporary = engine("exec", container, PYTHON, "-c", "import tempfile; tempfile.gettempdir()")
    assert "No usable temporary directory" in temporary.stderr
    assert answer_of("exec", container, PYTHON, "-c", "import os; print(os.listdir('/dev/shm'))") == "[]"
    assert engine("exec", container, *health_check()).returncode == 0

    answer_of("stop", "-t", STOP_SECONDS, container)
    assert answer_of("inspect", "--format={{.State.ExitCode}}", container) == "0", engine("logs", container).stderr


def health_check() -> list[str]:
    """The command that the image's own health check runs."""
    kept = json.loads(answer_of("inspect", "--type=image", "--format={{json .Config.Healthcheck}}", IMAGE) or "null")
    assert kept, "the image has no health check: podman keeps it with BUILDAH_FORMAT=docker only"
    assert kept["Test"][0] == "CMD"
    return list(kept["Test"][1:])


def ended(*options: str, command: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
    """A container of the image that ends by itself."""
    return engine("run", "--rm", *options, IMAGE, *command)


@pytest.mark.parametrize(
    ("isolated", "said"),
    [("false", "in the server's own process"), ("true", "in processes of their own, with no_new_privileges")],
)
def test_it_says_how_it_decodes(isolated: str, said: str, confined: list[str], key: tuple[Path, Record]) -> None:
    options = [f"--volume={key[0]}:/etc/likeness:ro", f"--env=LIKENESS_ISOLATE_DECODING={isolated}"]
    checked = ended(*confined, *options, command=("serve", "--check"))
    assert checked.returncode == 0, checked.stderr
    assert f"decoding: {said}" in checked.stdout


def test_it_does_not_start_without_keys(confined: list[str]) -> None:
    done = ended(*confined)
    assert done.returncode == 252
    assert "/etc/likeness/keys.json" in done.stderr
