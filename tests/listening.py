"""Servers that tests start on free ports: the address of one, and its end."""

import re
import subprocess
import time
from pathlib import Path

START_SECONDS = 90
#: Longer than the grace period of the settings, after which a server that hangs ends itself, and says so.
END_SECONDS = 60


def address_of(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """The address that it says in its log, as soon as it does."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        found = re.search(r"listens on (http\S+) \(", log.read_text())
        if found:
            return found[1]
        time.sleep(0.05)
    raise AssertionError(f"the server does not listen:\n{log.read_text()}")


def exit_code(process: "subprocess.Popen[bytes]", log: Path) -> int:
    """The exit code of a server that was asked to end and has nothing left to do: it must not end late, or by force."""
    try:
        code = process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError(f"the server did not end in {END_SECONDS} s:\n{log.read_text()}") from None
    said = log.read_text()
    assert not re.search(r"within (its|the) grace period|graceful shutdown exceeded", said), said
    return code
