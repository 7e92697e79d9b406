"""Real server processes on free loopback ports, and raw requests to them."""

import base64
import contextlib
import errno
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.listening import exit_code

from likeness.aws.keys import create_key

STUB = Path(__file__).with_name("stub_server.py")
HEADERS = {"X-Amz-Target": "RekognitionService.CompareFaces", "Content-Type": "application/x-amz-json-1.1"}


def body(source: bytes = b"source", target: bytes = b"target", **members: Any) -> bytes:
    """A request's body with inline images."""
    images = {"SourceImage": source, "TargetImage": target}
    return json.dumps(
        {name: {"Bytes": base64.b64encode(image).decode()} for name, image in images.items()} | members
    ).encode()


def s3_body(name: str, bucket: str = "photos-test", version: str | None = None) -> bytes:
    """A request's body with the same S3Object twice."""
    reference = {"Bucket": bucket, "Name": name} | ({"Version": version} if version else {})
    return json.dumps({"SourceImage": {"S3Object": reference}, "TargetImage": {"S3Object": reference}}).encode()


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json["__type"])


@dataclass
class Running:
    """A server process. Its access log and its errors go to files of `folder`."""

    process: subprocess.Popen[bytes]
    folder: Path
    url: str = ""
    port: int = 0
    connections: list[http.client.HTTPConnection] = field(default_factory=list)

    def connect(self, timeout: float = 60) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        self.connections.append(connection)
        return connection

    def request(
        self, data: bytes = b"", headers: dict[str, str] | None = None, method: str = "POST", path: str = "/"
    ) -> Answer:
        connection = self.connect()
        connection.request(method, path, body=data or None, headers=HEADERS if headers is None else headers)
        answer = read_answer(connection)
        connection.close()
        return answer

    def get(self, path: str) -> Answer:
        return self.request(method="GET", path=path, headers={})

    def wait_ready(self) -> None:
        wait_for(lambda: self.get("/readyz").status == 200)

    def gauge(self, name: str) -> float:
        """A number of `/metrics`."""
        page = self.get("/metrics").body.decode()
        return next(float(line.split()[-1]) for line in page.splitlines() if line.startswith(f"likeness_{name} "))

    def wait_running(self, requests: int = 1) -> None:
        """Waits until so many are being compared."""
        wait_for(lambda: self.gauge("running") == requests)

    def create(self, name: str) -> None:
        """Makes a file in the server's folder: what the stub waits for with `until NAME`."""
        (self.folder / name).touch()

    def log(self) -> list[dict[str, Any]]:
        """The access log, when what was answered before is written."""
        self.wait_written()
        return [json.loads(line) for line in (self.folder / "stdout").read_text().splitlines()]

    def wait_written(self) -> None:
        """Waits until the logs hold what was answered before: they are written beside the answers."""
        if self.process.poll() is None:
            wait_for(self._logs_are_written)

    def _logs_are_written(self) -> bool:
        if not self.port:  # a Unix socket, which `get` does not know
            return (self.folder / "stdout").read_text().endswith("\n")
        lengths = re.findall(r"^likeness_log_queue_length\{.* (\S+)$", self.get("/metrics").body.decode(), re.MULTILINE)
        return bool(lengths) and not any(map(float, lengths))

    @property
    def errors(self) -> str:
        return (self.folder / "stderr").read_text()

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.exit_code()

    def exit_code(self) -> int:
        """See `tests.listening.exit_code`."""
        return exit_code(self.process, self.folder / "stderr")

    def end(self) -> None:
        """Waits until it has ended, as it was asked to."""
        assert self.exit_code() == 0, self.errors


def read_answer(connection: http.client.HTTPConnection) -> Answer:
    return read_response(connection.getresponse())


def read_response(response: http.client.HTTPResponse) -> Answer:
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{condition} did not come true in {seconds} s"
        time.sleep(0.02)


Serve = Callable[..., Running]


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Starts servers with the flags given, and ends them all after the module's last test."""
    started: list[Running] = []
    with contextlib.ExitStack() as stack:

        def start(
            *flags: str,
            wait: bool = True,
            env: dict[str, str] | None = None,
            folders: Sequence[str] = (),
            prefix: Sequence[str] = (sys.executable,),
            program: Path = STUB,
            pass_fds: Sequence[int] = (),
        ) -> Running:
            folder = tmp_path_factory.mktemp("server")
            for name in folders:
                (folder / name).mkdir()
            environment = {
                k: v for k, v in os.environ.items() if not k.startswith(("LIKENESS_", "AWS_", "PROMETHEUS_"))
            }
            # Nobody's keys, nobody's credentials.
            environment |= {"XDG_CONFIG_HOME": str(folder), "AWS_EC2_METADATA_DISABLED": "true"} | (env or {})
            environment |= {
                "AWS_CONFIG_FILE": str(folder / "none"),
                "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
            }
            command = [*prefix, str(program), "--port", "0", *flags]
            out = stack.enter_context((folder / "stdout").open("wb"))
            err = stack.enter_context((folder / "stderr").open("wb"))
            process = subprocess.Popen(command, stdout=out, stderr=err, env=environment, cwd=folder, pass_fds=pass_fds)
            running = Running(process, folder)
            started.append(running)
            if wait:
                _await_address(running)
            return running

        yield start
        alive = [each for each in started if each.process.poll() is None]
        for each in alive:  # they end side by side
            each.process.terminate()
        for connection in (connection for each in started for connection in each.connections):
            connection.close()
        for each in alive:
            stack.callback(each.end)


def _await_address(running: Running) -> None:
    def found() -> bool:
        assert running.process.poll() is None, running.errors
        match = re.search(r"listens on (\S+) \(", running.errors)
        if match is None:
            return False
        running.url = match[1]
        port = re.search(r":(\d+)", running.url)
        running.port = int(port[1]) if port else 0
        return True

    wait_for(found)


@pytest.fixture(scope="module")
def server(serve: Serve) -> Running:
    """A server with the defaults, for tests that change nothing in it."""
    running = serve()
    running.wait_ready()
    return running


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost, signed by itself, and its key."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


def make_certificate(folder: Path) -> tuple[Path, Path]:
    command = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost"
    subprocess.run(
        [*command.split(), "-addext", "subjectAltName=DNS:localhost"], cwd=folder, check=True, capture_output=True
    )
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    """A file with one key, which may compare what comes with the request."""
    path = tmp_path / "keys.json"
    create_key(path, user="tester")
    return path


def refuses_connections(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
