"""The Containerfile's steps, carried out in a scratch folder, and its image's command as the image would run it.

No container engine is needed: the root is made read-only in a mount namespace, and the user is the image's. The steps
download the released set and take minutes on a busy machine: they are carried out with LIKENESS_IMAGE_STEPS=1 (`make
image-steps`), and otherwise the image's command is that of the environment of the tests.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from tests.deploy.conftest import REPOSITORY, containerfile, image_environment
from tests.listening import address_of, exit_code

from likeness.aws.keys import create_key
from likeness.packs import store

pytestmark = pytest.mark.engine

USER = 10001
#: What an engine does with `read_only: true`, `cap_drop: [ALL]`, `no-new-privileges` and the image's USER.
CONFINED = (
    f"mount -o remount,bind,ro / && exec setpriv --reuid {USER} --regid {USER} --clear-groups --bounding-set=-all "
    '--inh-caps=-all --no-new-privs "$@"'
)


@pytest.fixture(scope="module")
def image(standard_pack: None) -> Iterator[Path]:
    """The root of the image, in a folder that everyone may read."""
    root = Path(tempfile.mkdtemp(prefix="likeness-image-"))
    root.chmod(0o755)
    try:
        # The pack is the tests' own: it is not downloaded again.
        shutil.copytree(store.home() / "packs", root / "var/lib/likeness/packs")
        if os.environ.get("LIKENESS_IMAGE_STEPS"):
            build(root)
        else:
            (root / "opt").mkdir()
            (root / "opt/likeness").symlink_to(Path(sys.executable).parents[1])
        yield root
    finally:
        shutil.rmtree(root)


def build(root: Path) -> None:
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    work = root
    for word, rest in containerfile():
        if word == "WORKDIR":
            work = root / rest.lstrip("/")
            work.mkdir(parents=True, exist_ok=True)
        elif word == "COPY" and not rest.startswith("--from"):
            *sources, target = rest.split()
            for source in sources:
                copy(REPOSITORY / source, work / target / (Path(source).name if target.endswith("/") else ""))
        elif word == "ENV":
            environment |= {name: inside(root, value) for name, value in (each.split("=", 1) for each in rest.split())}
        elif word == "RUN":
            command = [inside(root, each) for each in shlex.split(rest)]
            command[0] = sys.executable if command[0] == "python" else command[0]
            result = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=280)
            assert result.returncode == 0, f"{rest}\n{result.stdout}\n{result.stderr}"


def copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target = target / source.name if target.is_dir() else target
        shutil.copy(source, target)


def inside(root: Path, text: str) -> str:
    """A path of the image as one below the scratch folder."""
    return f"{root}{text}" if text.startswith(("/opt/", "/var/", "/etc/")) else text


@pytest.fixture
def confined() -> list[str]:
    """The beginning of a command that runs as the image does, without an engine."""
    if os.name == "nt" or os.getuid() != 0 or not shutil.which("unshare") or not shutil.which("setpriv"):
        pytest.skip("a read-only root and another user need root, unshare and setpriv")
    command = ["unshare", "--mount", "sh", "-c", CONFINED, "sh"]
    if subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip("this machine allows no mount namespaces")
    assert subprocess.run([*command, "touch", "/tmp/likeness-probe"], capture_output=True).returncode != 0
    return command


def test_the_steps_copy_only_what_the_build_context_contains() -> None:
    kept = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        source
        for word, rest in containerfile()
        if word == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    }
    assert copied == kept
    assert all((REPOSITORY / source).exists() for source in copied)


def test_the_image_runs_as_a_number_and_needs_no_shell() -> None:
    instructions = dict(containerfile())
    assert instructions["USER"] == f"{USER}:{USER}"
    assert json.loads(instructions["ENTRYPOINT"]) == ["/opt/likeness/bin/likeness"]
    assert json.loads(instructions["CMD"]) == ["serve"]
    assert isinstance(json.loads(instructions["HEALTHCHECK"].partition("CMD ")[2]), list)


def test_the_image_serves_signed_requests_on_a_read_only_root(
    image: Path, confined: list[str], portraits: dict[str, Path], tmp_path: Path
) -> None:
    keys = image / "etc/likeness/keys.json"
    keys.parent.mkdir(parents=True)
    key = create_key(keys, user="tester")
    os.chown(keys, 0, USER)  # as Kubernetes mounts a Secret under an fsGroup
    keys.chmod(0o440)
    command = [
        inside(image, "/opt/likeness/bin/python"),
        "-c",
        "import ctypes, ssl, likeness.engine, likeness.server.app",
    ]
    if subprocess.run([*confined, *command], capture_output=True).returncode:
        pytest.skip("another user cannot use the environment of these tests")
    environment = {name: inside(image, value) for name, value in image_environment().items()}
    environment |= {"LIKENESS_PORT": "0", "TMPDIR": "/nonexistent"}
    command = json.loads(dict(containerfile())["ENTRYPOINT"]) + json.loads(dict(containerfile())["CMD"])
    log = tmp_path / "stderr"
    with log.open("wb") as stream:
        started = [*confined, *(inside(image, word) for word in command)]
        process = subprocess.Popen(started, env=environment, stdout=subprocess.DEVNULL, stderr=stream, cwd="/")
    try:
        port = address_of(process, log).rpartition(":")[2]
        address = f"http://127.0.0.1:{port}"
        client = boto3.client(
            "rekognition",
            endpoint_url=address,
            region_name="us-east-1",
            aws_access_key_id=key.id,
            aws_secret_access_key=key.secret,
            config=Config(read_timeout=90, retries={"max_attempts": 0}),
        )
        photos = [{"Bytes": portraits[name].read_bytes()} for name in ("obama.jpg", "obama2.jpg")]
        answer = client.compare_faces(SourceImage=photos[0], TargetImage=photos[1])
        assert len(answer["FaceMatches"]) == 1
        assert health(image, environment | {"LIKENESS_PORT": port}) == 0
    finally:
        process.terminate()
        code = exit_code(process, log)
    assert code == 0, log.read_text()
    assert health(image, environment | {"LIKENESS_PORT": port}) != 0


def health(image: Path, environment: dict[str, str]) -> int:
    """The exit code of the image's health check."""
    text = dict(containerfile())["HEALTHCHECK"].partition("CMD ")[2]
    command = [inside(image, word) for word in json.loads(text)]
    return subprocess.run(command, capture_output=True, timeout=60, env=environment).returncode
