"""The measured server: a process with keys, and what it and its children use. Linux only."""

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from likeness.aws.keys import create_key, load_keys

_START_SECONDS = 60.0


@dataclass
class Usage:
    """The most resident memory and open descriptors of all processes together."""

    megabytes: float = 0.0
    descriptors: int = 0


class Server:
    """`likeness serve` with `workers` workers, eight keys of ordinary clients and one of hostile ones."""

    def __init__(self, workers: int, folder: Path) -> None:
        path = folder / "keys.json"
        for number in range(9):
            create_key(path, user=f"client-{number}")
        *self.keys, self.hostile_key = load_keys(path).values()
        command = [sys.executable, "-m", "likeness.cli.main", "serve", "--port", "0", "--keys", str(path)]
        command += ["--workers", str(workers), "--access-log", "/dev/null"]
        begun = time.monotonic()
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        address = next(line for line in self._process.stderr if "listens on" in line)
        self.port = int(re.search(r":(\d+) ", address)[1])  # type: ignore[index]
        self._wait_ready(workers)
        self.seconds_to_ready = time.monotonic() - begun

    def _wait_ready(self, workers: int) -> None:
        """Waits until every worker is ready."""
        from http.client import HTTPConnection

        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            connection = HTTPConnection("127.0.0.1", self.port, timeout=_START_SECONDS)
            connection.request("GET", "/metrics")
            page = connection.getresponse().read().decode()
            connection.close()
            if f"likeness_ready_workers {float(workers)}" in page:
                return
            time.sleep(0.01)
        raise SystemExit("the server was not ready in time")

    async def watch(self, usage: Usage) -> None:
        """Notes the most that the processes use, without end."""
        while True:
            pids = _tree(self._process.pid)
            usage.megabytes = max(usage.megabytes, sum(map(_resident_megabytes, pids)))
            usage.descriptors = max(usage.descriptors, sum(map(_descriptors, pids)))
            await asyncio.sleep(0.5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        assert self._process.stderr is not None
        self._process.stderr.close()


def _tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += _tree(int(child))
    return found


def _resident_megabytes(pid: int) -> float:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    return 0.0


def _descriptors(pid: int) -> int:
    with contextlib.suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/fd"))
    return 0
