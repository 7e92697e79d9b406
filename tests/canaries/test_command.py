"""The command and the batch: what is asked for is in the answer, and nowhere else; also with --debug."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from .conftest import Canaries, Pictures, empty_surroundings
from .stand_in import stand_in
from .surroundings import files_below

pytestmark = pytest.mark.engine

LIKENESS = [sys.executable, "-m", "likeness.cli.main"]
#: As of another server, with blanks.
ANSWER = {"FaceMatches": [{"Similarity": 97.654321, "Face": {"Landmarks": [{"X": 0.3123456, "Y": 0.4567891}]}}]}


@pytest.fixture(scope="module")
def given(
    pictures: Pictures, measured: Callable[..., None], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Canaries, dict[str, Path]]:
    canaries = Canaries()
    source, target = canaries.photo("source", pictures.person), canaries.photo("target", pictures.again, "PNG")
    measured(canaries, source, target)
    folder = tmp_path_factory.mktemp("photos")
    files = {"source.jpg": source, "target.png": target, "cut.jpg": source[:2000], "text.jpg": b"text"}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return canaries, {name: folder / name for name in files}


@contextmanager
def server_of_another(search: Any) -> Iterator[str]:
    """A server whose answers have blanks, and whose errors repeat the request's headers."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            failing = self.path != "/"
            answer = {"__type": "InvalidParameterException", "message": "no"} if failing else ANSWER
            data = json.dumps(answer, indent=1).encode()
            self.send_response(400 if failing else 200)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    search.add_number("their similarity", 97.654321)
    search.add_sequence("their landmark", [0.3123456, 0.4567891])
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def run(folder: Path, arguments: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    environment = empty_surroundings(folder) | variables
    return subprocess.run(
        [*LIKENESS, *arguments], cwd=folder / "work", env=environment, capture_output=True, timeout=120
    )


def compared(source: Path, target: Path) -> list[str]:
    images = ["--source-image-bytes", f"fileb://{source}", "--target-image-bytes", f"fileb://{target}"]
    return ["compare-faces", "--debug", *images]


@pytest.mark.parametrize("target", ["target.png", "cut.jpg", "text.jpg"])
def test_the_command_leaves_and_logs_nothing(
    target: str, given: tuple[Canaries, dict[str, Path]], tmp_path: Path
) -> None:
    canaries, files = given
    ended = run(tmp_path, compared(files["source.jpg"], files[target]), {})
    assert ended.returncode == (0 if target == "target.png" else 254)
    assert b"Sending http request" in ended.stderr
    assert canaries.search.found(ended.stderr) == set()
    assert files_below(tmp_path) == {}


@pytest.mark.parametrize("path", ["", "/fails"])
def test_a_request_to_a_server_is_logged_without_secrets_photos_and_the_answer(
    path: str, given: tuple[Canaries, dict[str, Path]], tmp_path: Path
) -> None:
    canaries, files = given
    credentials = {
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": canaries.secret("secret"),
        "AWS_SESSION_TOKEN": canaries.secret("token", 300),
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with server_of_another(canaries.search) as url:
        command = [*compared(files["source.jpg"], files["target.png"]), "--endpoint-url", url + path]
        ended = run(tmp_path, command, credentials)
    assert ended.returncode == (254 if path else 0)
    assert b"CanonicalRequest" in ended.stderr
    assert b"Response body" in ended.stderr
    assert canaries.search.found(ended.stderr) == set()
    assert files_below(tmp_path) == {}


@pytest.mark.parametrize("kind", ["source", "denied", "garbage", "odd", "moved"])
def test_a_photo_in_s3_is_logged_without_secrets(
    kind: str, given: tuple[Canaries, dict[str, Path]], tmp_path: Path
) -> None:
    canaries, files = given
    photos = {"source": files["source.jpg"].read_bytes()}
    with stand_in(photos, f"/bucket/source?X-Amz-Security-Token={canaries.secret('address', 100)}") as store:
        credentials = {
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": canaries.secret("secret"),
            "AWS_SESSION_TOKEN": canaries.secret("token", 300),
            "AWS_ENDPOINT_URL_S3": store,
        }
        images = ["--source-image", f"S3Object={{Bucket=bucket,Name={kind}}}"]
        images += ["--target-image-bytes", f"fileb://{files['target.png']}"]
        ended = run(tmp_path, ["compare-faces", "--debug", *images], credentials)
    assert ended.returncode == (0 if kind == "source" else 254)
    assert b"CanonicalRequest" in ended.stderr
    for line in ended.stderr.splitlines():
        assert canaries.search.found(line) == set(), line
    assert files_below(tmp_path) == {}


def test_a_batch_leaves_its_output_only(given: tuple[Canaries, dict[str, Path]], tmp_path: Path) -> None:
    canaries, files = given
    folder = files["source.jpg"].parent
    output = tmp_path / "result.jsonl"
    command = ["batch", "--source", str(files["source.jpg"]), "--targets", str(folder), "--output", str(output)]
    ended = run(tmp_path, command, {})
    assert ended.returncode == 0, ended.stderr
    assert canaries.search.found(ended.stdout + ended.stderr) == set()
    # Similarities are what was asked for; vectors are in OUT.run while it runs, and no longer.
    files_left = files_below(tmp_path)
    assert all(path == str(output) or path.startswith(f"{output}.run/") for path in files_left)
    assert set().union(*map(canaries.search.found, files_left.values())) == {"similarity"}
