"""Another checkout's server against this one's: processor time of the server for one ordinary request, interleaved.

    git worktree add ../old 355f669 && make -C ../old .venv/.installed
    python -m benchmarks.serving ../old [--rounds 9] [--engine]

One client sends the same pair of 640x480 portraits over a persistent connection. Without `--engine`, the servers answer
without analysing the photos (`tests/server/stub_server.py`), so that only HTTP, JSON and admission are measured; with
it, they compare. Prints the medians over rounds and the median of new minus old. Linux only.
"""

import argparse
import http.client
import os
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.load.requests import ordinary_request

REPOSITORY = Path(__file__).resolve().parents[1]
_START_SECONDS = 60.0
MOST_CLIENTS = 8
_TICKS = os.sysconf("SC_CLK_TCK")
_STUB = ["tests/server/stub_server.py"]
_LIKENESS = ["-m", "likeness.cli.main", "serve"]
HEADERS = {"X-Amz-Target": "RekognitionService.CompareFaces", "Content-Type": "application/x-amz-json-1.1"}


class Server:
    """A checkout's server, started with `flags`."""

    def __init__(self, folder: Path, home: Path, *, engine: bool, scratch: Path, flags: Sequence[str] = ()) -> None:
        command = [str(folder / ".venv" / "bin" / "python"), *(_LIKENESS if engine else _STUB)]
        command += ["--port", "0", "--access-log", str(scratch / "access.log"), "--keys", str(scratch / "none.json")]
        command += flags
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "LIKENESS_HOME": str(home), "LIKENESS_OFFLINE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if found := re.search(r"listens on http://[^:]+:(\d+)", line):
                break
        else:
            raise SystemExit(f"the server of {folder} ended")
        self._connections = [self._connect(int(found[1])) for _ in range(MOST_CLIENTS)]
        self._wait_ready()

    @staticmethod
    def _connect(port: int) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", port, timeout=_START_SECONDS)

    def _wait_ready(self) -> None:
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            self._connections[0].request("GET", "/readyz")
            answer = self._connections[0].getresponse()
            answer.read()
            if answer.status == 200:
                return
            time.sleep(0.1)
        raise SystemExit("the server was not ready in time")

    def cpu_of(self, data: bytes, repeat: int, clients: int = 1) -> float:
        """Seconds of processor time of the server and its decoders for one of `repeat` requests of so many clients."""
        before = self._cpu_seconds()
        with ThreadPoolExecutor(clients) as pool:
            each = repeat // clients
            for sending in [pool.submit(_send, one, data, each) for one in self._connections[:clients]]:
                sending.result()
        return (self._cpu_seconds() - before) / (each * clients)

    def _cpu_seconds(self) -> float:
        return sum(_cpu_seconds(pid) for pid in (self._process.pid, *_children(self._process.pid)))

    def close(self) -> None:
        """Ends the process."""
        for connection in self._connections:
            connection.close()
        self._process.terminate()
        self._process.wait()


def _send(connection: http.client.HTTPConnection, data: bytes, repeat: int) -> None:
    for _ in range(repeat):
        connection.request("POST", "/", data, HEADERS)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"a request was answered {answer.status}")


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _children(pid: int) -> list[int]:
    """The processes that the threads of a process have started."""
    return [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, help="the other checkout, with its .venv")
    parser.add_argument("--old-home", type=Path, help="its LIKENESS_HOME, by default this one's")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--repeat", type=int, help="requests a round; 300, or 50 with --engine")
    parser.add_argument("--engine", action="store_true", help="compare the photos")
    options = parser.parse_args()
    home = Path(os.environ.get("LIKENESS_HOME", Path.home() / ".cache" / "likeness"))
    repeat = options.repeat or (50 if options.engine else 300)
    data = ordinary_request().partition(b"\r\n\r\n")[2]
    with tempfile.TemporaryDirectory() as name:
        servers = [
            Server(folder, its_home, engine=options.engine, scratch=Path(name))
            for folder, its_home in ((options.old.resolve(), options.old_home or home), (REPOSITORY, home))
        ]
        rounds: list[list[float]] = []
        for number in range(options.rounds + 1):  # the first warms up
            took = [0.0, 0.0]
            for which in (0, 1) if number % 2 else (1, 0):
                took[which] = 1000 * servers[which].cpu_of(data, repeat)
            rounds.append(took)
        for server in servers:
            server.close()
    old, new = (statistics.median(column) for column in zip(*rounds[1:], strict=True))
    less = statistics.median(new - old for old, new in rounds[1:])
    print(f"{len(data)} bytes: {old:.2f} ms old, {new:.2f} ms new, {less:+.2f} ms (medians of {options.rounds} rounds)")


if __name__ == "__main__":
    main()
