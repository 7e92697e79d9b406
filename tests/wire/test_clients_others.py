"""Other clients, unmodified: `make clients` installs them into .clients; what is missing is skipped by name.

Each is a program of the folder `clients`, which tries the same cases in one process and prints the outcomes: the number
of matches, or the client's own name of the error.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.engine

PROGRAMS = Path(__file__).with_name("clients")
INSTALLED = Path(__file__).resolve().parents[2] / ".clients"
CLIENTS = {
    "aioboto3": [INSTALLED / "venv" / "bin" / "python", PROGRAMS / "aioboto3_client.py"],
    "capo-rekognition": [INSTALLED / "venv" / "bin" / "python", PROGRAMS / "capo_client.py"],
    "JavaScript v2": [shutil.which("node") or "node", INSTALLED / "npm" / "javascript_v2.cjs"],
    "Go v1": [INSTALLED / "go1"],
    "Go v2": [INSTALLED / "go2"],
}
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


@pytest.mark.parametrize("client", CLIENTS)
def test_success_and_errors_are_the_clients_own(
    client: str, server: Any, photo_files: dict[str, Path], s3_versions: dict[str, str]
) -> None:
    program = CLIENTS[client]
    if not all(Path(each).exists() for each in program):
        pytest.skip(f"{client} is not installed (make clients)")
    given = {
        "url": server.url,
        "bucket": "photos-test",
        "files": {name: str(path) for name, path in photo_files.items()},
        "keys": {name: [key.id, key.secret, key.session_token or ""] for name, key in server.keys.items()},
    }
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
