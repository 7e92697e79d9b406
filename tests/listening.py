"""The address of a server that a test has started on a free port."""

import re
import subprocess
import time
from pathlib import Path

START_SECONDS = 90


def address_of(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """The address that it says in its log, as soon as it does."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        found = re.search(r"listens on (http\S+) \(", log.read_text())
        if found:
            return found[1]
        time.sleep(0.05)
    raise AssertionError(f"the server does not listen:\n{log.read_text()}")
