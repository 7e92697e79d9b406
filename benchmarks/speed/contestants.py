"""The contestants: a process each, started on first use, with the protocol of `workers/turn.py`."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from benchmarks.speed import environments

_LIKENESS = environments.LIKENESS_PYTHON.with_name("likeness")
_START_SECONDS = 600.0


class ContestantFailed(Exception):
    """A contestant's process has ended, or its server does not answer."""


@dataclass
class Contestant:
    """One worker process. `around` starts what it needs, such as a server, and returns variables of its environment;
    `cold_s` is the time from the start of the process until it can answer.
    """

    name: str
    worker: str
    python: Callable[[], Path]
    around: Callable[[contextlib.ExitStack], Mapping[str, str]] = field(default=lambda _: {})
    cold_s: float | None = None
    _process: subprocess.Popen[str] | None = None
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def ask(self, do: str, *, repeat: int = 1, seconds: float = 600.0, **arguments: Any) -> dict[str, Any]:
        """The answer of `workers/turn.py`; raises ContestantFailed if the process ends instead."""
        process = self._process or self._start()
        request = {"do": do, "repeat": repeat, "seconds": seconds, **arguments}
        return self._exchange(process, json.dumps(request, default=str) + "\n")

    def close(self) -> None:
        """Ends the process and its server."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(20)
            self._process.kill()
            self._process = None
        self._stack.close()

    def _start(self) -> subprocess.Popen[str]:
        python = self.python()
        environment = {**os.environ, **self.around(self._stack)}
        began = time.perf_counter()
        log = self._stack.enter_context(tempfile.TemporaryFile("w+"))  # noqa: SIM115 - the stack closes it
        process = subprocess.Popen(
            [python, "-m", f"benchmarks.speed.workers.{self.worker}"],
            cwd=environments.REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
        )
        self._process, self._log = process, log
        self._exchange(process, "")
        self.cold_s = time.perf_counter() - began
        return process

    def _exchange(self, process: subprocess.Popen[str], line: str) -> dict[str, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(line)
            process.stdin.flush()
        answer = process.stdout.readline()
        if not answer:
            self._log.seek(0)
            last = self._log.read().strip().splitlines()[-1:]
            self.close()
            raise ContestantFailed(f"{self.name}: {last[0] if last else 'ended without a message'}")
        answered: dict[str, Any] = json.loads(answer)
        return answered


def likeness() -> Contestant:
    return Contestant("likeness", "likeness_worker", lambda: environments.LIKENESS_PYTHON)


def floor() -> Contestant:
    return Contestant("floor", "floor_worker", lambda: environments.LIKENESS_PYTHON)


def likeness_http() -> Contestant:
    return Contestant("likeness http", "http_worker", environments.CLIENTS.ready, _likeness_server)


def moto() -> Contestant:
    return Contestant("moto", "http_worker", environments.CLIENTS.ready, _moto_server)


def face_recognition() -> Contestant:
    return Contestant("face_recognition", "face_recognition_worker", environments.FACE_RECOGNITION.ready)


def deepface() -> Contestant:
    return Contestant("deepface", "deepface_worker", environments.DEEPFACE.ready, _deepface_settings)


def _deepface_settings(stack: contextlib.ExitStack) -> Mapping[str, str]:
    del stack
    environments.FACE_RECOGNITION.ready()
    return {"DEEPFACE_HOME": str(environments.deepface_home()), "DEEPFACE_LOG_LEVEL": "50"}


def _likeness_server(stack: contextlib.ExitStack) -> Mapping[str, str]:
    server = stack.enter_context(serving())
    return {"BENCH_URL": server.url, "BENCH_SERVER_PID": str(server.pid), **_aws(*server.keys[0])}


def _moto_server(stack: contextlib.ExitStack) -> Mapping[str, str]:
    port = _free_port()
    command = [environments.CLIENTS.ready().with_name("moto_server"), "--port", str(port)]
    process = stack.enter_context(_running(command, dict(os.environ)))
    url = f"http://127.0.0.1:{port}"
    _wait_for(url, process)
    return {"BENCH_URL": url, "BENCH_SERVER_PID": str(process.pid), **_aws("testing", "testing")}


@dataclass(frozen=True)
class Server:
    """A running `likeness serve`, and the access keys of its callers: id and secret."""

    url: str
    pid: int
    keys: tuple[tuple[str, str], ...]


@contextmanager
def serving(*options: str, callers: int = 1) -> Iterator[Server]:
    """`likeness serve` in a separate process, with an access key for each caller and signature verification."""
    from likeness.aws.keys import create_key

    folder = Path(tempfile.mkdtemp(prefix="likeness-bench-"))
    try:
        keys = folder / "keys.json"
        created = [create_key(keys, f"bench-{number}") for number in range(callers)]
        port = _free_port()
        command = [_LIKENESS, "serve", "--port", str(port), "--keys", keys, "--auth", "sigv4"]
        with _running([*command, *options], dict(os.environ)) as process:
            url = f"http://127.0.0.1:{port}"
            _wait_for(url + "/readyz", process)
            yield Server(url, process.pid, tuple((key.id, key.secret) for key in created))
    finally:
        shutil.rmtree(folder)


def _aws(key_id: str, secret: str) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": key_id,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def _running(command: list[Any], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with urlopen(url, timeout=5):
                return
        except HTTPError as error:
            if error.code != 503:
                return
        except (URLError, OSError):
            pass
        time.sleep(0.05)
    raise ContestantFailed(f"{url} does not answer (exit status {process.poll()})")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cold_start_s(source: Path, target: Path) -> float:
    """The seconds of a whole process of `likeness compare-faces`."""
    began = time.perf_counter()
    command: list[str | Path] = [_LIKENESS, "compare-faces", "--source-image-bytes", f"fileb://{source}"]
    command += ["--target-image-bytes", f"fileb://{target}", "--no-cli-pager"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    return time.perf_counter() - began
