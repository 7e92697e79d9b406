"""Other clients, unmodified: `make clients` installs them into .clients.

What is missing is skipped by name, and fails under `make clients`.

Each is a program of the folder `clients`, which tries the same cases in one process and tells the outcomes: the number
of matches, or the client's own name of the error.
"""

import json
import os
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.engine

PROGRAMS = Path(__file__).with_name("clients")
INSTALLED = Path(__file__).resolve().parents[2] / ".clients"
CLIENTS = {
    "aioboto3": [INSTALLED / "venv" / "bin" / "python", PROGRAMS / "aioboto3_client.py"],
    "capo-rekognition": [INSTALLED / "venv" / "bin" / "python", PROGRAMS / "capo_client.py"],
    "boto3 of Debian": ["/usr/bin/python3", PROGRAMS / "boto3_client.py"],
    "JavaScript v2": [shutil.which("node") or "node", INSTALLED / "npm" / "javascript_v2.cjs"],
    "Go v1": [INSTALLED / "go1"],
    "Go v2": [INSTALLED / "go2"],
}
DEBIANS_BOTO3 = Path("/usr/lib/python3/dist-packages/boto3")
EXPECTED = {
    "bytes": "1 match",
    "stored": "1 match",
    "session": "1 match",
    "nobody": "InvalidParameterException",
    "text": "InvalidImageFormatException",
    "missing": "InvalidS3ObjectException",
    "denied": "AccessDeniedException",
    "revoked": "UnrecognizedClientException",
}


@pytest.fixture
def given(server: Any, photo_files: dict[str, Path], s3_versions: dict[str, str]) -> dict[str, Any]:
    """What each program is told."""
    return {
        "url": server.url,
        "bucket": "photos-test",
        "files": {name: str(path) for name, path in photo_files.items()},
        "keys": {name: [key.id, key.secret, key.session_token or ""] for name, key in server.keys.items()},
    }


@pytest.mark.parametrize("client", CLIENTS)
def test_success_and_errors_are_the_clients_own(client: str, server: Any, given: dict[str, Any]) -> None:
    program = CLIENTS[client]
    needed = [*program, DEBIANS_BOTO3] if client == "boto3 of Debian" else program
    if not all(Path(each).exists() for each in needed):
        pytest.skip(f"{client} is not installed (make clients)")
    done = subprocess.run(
        [*program, json.dumps(given)],
        env=server.environment(),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == EXPECTED


@pytest.fixture
def page(browser: Any, page_origin: str) -> Iterator[Any]:
    """An empty page of the origin that may call the server."""
    opened = browser.new_page()
    opened.goto(page_origin)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def bundle_v3(javascript_sdk: Path) -> Path:
    """The program with the JavaScript SDK v3 in one script, as a web page's build makes it."""
    modules, bundle = javascript_sdk / "node_modules", javascript_sdk / "bundle.js"
    command = [modules / ".bin" / "esbuild", PROGRAMS / "browser_v3.mjs", "--bundle", "--minify", f"--outfile={bundle}"]
    environment = os.environ | {"NODE_PATH": str(modules)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    return bundle


def in_browser(page: Any, given: dict[str, Any], *scripts: Path) -> None:
    for script in scripts:
        page.add_script_tag(path=script)
    photos = {name: b64encode(Path(path).read_bytes()).decode() for name, path in given["files"].items()}
    outcome = page.evaluate("given => tryCases(given)", given | {"photos": photos})
    assert outcome["found"] == EXPECTED
    # A page can read only the headers that the server exposes to it.
    assert [len(each) for each in outcome["requestIds"]] == [36] * len(EXPECTED)


def test_javascript_v3_bundled_in_a_browser(page: Any, bundle_v3: Path, given: dict[str, Any]) -> None:
    in_browser(page, given, bundle_v3)


def test_javascript_v2_in_a_browser(page: Any, given: dict[str, Any]) -> None:
    sdk = INSTALLED / "npm" / "node_modules" / "aws-sdk" / "dist" / "aws-sdk.min.js"
    if not sdk.exists():
        pytest.skip("JavaScript v2 is not installed (make clients)")
    in_browser(page, given, sdk, PROGRAMS / "browser_v2.js")


def test_a_page_of_another_origin_is_refused(page: Any, page_origin: str, given: dict[str, Any]) -> None:
    send = """async (url) => {
      try {
        const target = "RekognitionService.CompareFaces";
        const headers = { "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target };
        return (await (await fetch(url, { method: "POST", body: "{}", headers })).json()).__type;
      } catch (error) {
        return error.message;
      }
    }"""
    assert page.evaluate(send, given["url"]) == "MissingAuthenticationTokenException"
    page.goto(page_origin.replace("127.0.0.1", "localhost"))
    assert page.evaluate(send, given["url"]) == "Failed to fetch"
