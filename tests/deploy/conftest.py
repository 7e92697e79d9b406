"""The shipped configurations, read; what needs an engine (a container's, a cluster's) is read and not run."""

import re
import shlex
import subprocess
import time
from pathlib import Path

import pytest
from tests.listening import START_SECONDS

from likeness.aws.keys import Record, create_key

REPOSITORY = Path(__file__).resolve().parents[2]
DEPLOY = REPOSITORY / "deploy"


def containerfile() -> list[tuple[str, str]]:
    """The instructions of the Containerfile and their arguments, in order."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Containerfile").read_text("utf-8"), flags=re.MULTILINE)
    lines = filter(None, re.sub(r"\\\n\s*", "", text).splitlines())
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def image_environment() -> dict[str, str]:
    """The environment that the image sets."""
    text = [rest for word, rest in containerfile() if word == "ENV"][-1]
    return dict(each.split("=", 1) for each in shlex.split(text))


@pytest.fixture
def key(tmp_path: Path) -> tuple[Path, Record]:
    """A key file with one key."""
    path = tmp_path / "keys.json"
    return path, create_key(path, user="tester")


def wait_until_it_listens(process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Waits until a server has said so in its log, whatever it listens on."""
    end = time.monotonic() + START_SECONDS
    while " listens on " not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)
