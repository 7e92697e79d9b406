"""The calls that the console shows run unchanged, with unusual file names, unsigned and signed."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from likeness.aws.keys import create_key

from .conftest import Served
from .test_modules import READ

pytestmark = pytest.mark.engine
#: The AWS CLI expands variables in file names by itself, so there is no $ among the odd characters.
NAMES = ('it\'s "a" `b`.jpg', "ü %s.jpg")


@pytest.fixture(scope="module", params=["open", "signed"])
def call(request: pytest.FixtureRequest, serve: Callable[..., Served], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the page would write for a server, and the environment of who copies it."""
    signed = request.param == "signed"
    environment = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_PAGER": ""}
    flags: tuple[str, ...] = ()
    if signed:
        keys = tmp_path_factory.mktemp("keys") / "keys.json"
        key = create_key(keys, user="console")
        environment |= {"AWS_ACCESS_KEY_ID": key.id, "AWS_SECRET_ACCESS_KEY": key.secret}
        flags = ("--keys", str(keys))
    snippets = {
        "endpoint": serve(*flags).url,
        "region": "eu-central-1",
        "signed": signed,
        "threshold": 80,
        "filter": "NONE",
    }
    return snippets, environment


@pytest.fixture(scope="module")
def texts(call: Any, node: Callable[..., Any]) -> dict[str, str]:
    script = READ + 'import { snippets } from "console/snippets.js"; console.log(JSON.stringify(snippets(given)));'
    return dict(node(script, call[0] | {"source": NAMES[0], "target": NAMES[1]}))


@pytest.fixture(scope="module")
def photos(photo_files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd")
    for name, photo in zip(NAMES, ("person", "again"), strict=True):
        shutil.copy(photo_files[photo], folder / name)
    return folder


def run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=folder, env=inherited | environment | {"PATH": path}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_secret_is_in_them(texts: dict[str, str], call: Any) -> None:
    assert len(texts) == 5
    secret = call[1].get("AWS_SECRET_ACCESS_KEY", "no secret")
    assert not any(secret in text for text in texts.values())


@pytest.mark.parametrize("name", ["aws", "curl"])
def test_shell(name: str, texts: dict[str, str], photos: Path, call: Any) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    answer = json.loads(run(["sh", "-c", texts[name]], photos, call[1]))
    assert answer["FaceMatches"][0]["Similarity"] > 80


@pytest.mark.parametrize("name", ["boto3", "Python without a server"])
def test_python(name: str, texts: dict[str, str], photos: Path, call: Any) -> None:
    (similarity,) = json.loads(run([sys.executable, "-c", texts[name]], photos, call[1]))
    assert similarity > 80


def test_javascript(texts: dict[str, str], photos: Path, call: Any) -> None:
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("the JavaScript SDK needs node and npm")
    if not (photos / "node_modules").exists():
        command = [npm, "install", "--no-audit", "--no-fund", "--no-save", "@aws-sdk/client-rekognition@^3.700.0"]
        if subprocess.run(command, cwd=photos, capture_output=True, timeout=180, check=False).returncode:
            pytest.skip("npm does not bring the JavaScript SDK")
    (photos / "call.mjs").write_text(texts["JavaScript"], "utf-8")
    (similarity,) = json.loads(run(["node", "call.mjs"], photos, call[1]))
    assert similarity > 80
