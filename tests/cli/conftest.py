"""The real AWS CLI as reference, an endpoint that answers in the wire format, and the command in this process."""

import fcntl
import json
import os
import pty
import select
import shutil
import struct
import subprocess
import sys
import termios
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyte
import pytest

from likeness import inprocess
from likeness.aws import protocol
from likeness.aws.errors import WireError
from likeness.cli import compare_faces
from likeness.errors import ImageTooLarge, InternalFailure, InvalidImageFormat, NoFaceFound, RequestError, Throttled
from likeness.faces import (
    BoundingBox,
    Comparison,
    Emotion,
    Face,
    FaceMatch,
    Landmark,
    Pose,
    Quality,
    Smile,
    Trace,
)

#: The original of version 2 (Debian's package `awscli`, 2.9.19) runs on the system's Python.
VERSION_2 = "/usr/bin/aws"
SYSTEM_PYTHON = "/usr/bin/python3"
WORKER = Path(__file__).with_name("aws_worker.py")


@dataclass(frozen=True)
class Ran:
    """What a program left behind."""

    code: int
    out: str
    err: str


def _is_version_2() -> bool:
    if shutil.which(VERSION_2) is None:
        return False
    found = subprocess.run([VERSION_2, "--version"], capture_output=True, text=True, check=False)
    return found.stdout.startswith("aws-cli/2.")


@pytest.fixture(scope="session")
def version_2() -> Iterator[Callable[..., Ran]]:
    """AWS CLI version 2: call it with arguments, environment and folder, or with keywords (see `aws_worker`)."""
    if not _is_version_2():
        pytest.skip(f"no AWS CLI version 2 at {VERSION_2}: apt-get install awscli")
    yield from _oracle(SYSTEM_PYTHON)


@pytest.fixture(scope="session")
def version_1() -> Iterator[Callable[..., Ran]]:
    """AWS CLI version 1, from the test dependencies."""
    yield from _oracle(sys.executable)


def _oracle(python: str) -> Iterator[Callable[..., Ran]]:
    # The system's interpreter must not see this virtual environment's packages, nor be told about them.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    with subprocess.Popen(
        [python, str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None

        def run(
            arguments: list[str] | None = None,
            environment: dict[str, str] | None = None,
            folder: Path | None = None,
            **task: object,
        ) -> Ran:
            if arguments is not None:
                task = {"arguments": arguments, "environment": environment, "folder": str(folder)}
            print(json.dumps(task), file=worker.stdin, flush=True)
            return Ran(**json.loads(worker.stdout.readline()))

        yield run
        worker.stdin.close()


def a_face(left: float, *, emotions: bool = True, sharpness: float = 95.51618957519531) -> Face:
    """A face with digits as the service has them."""
    landmarks = tuple(
        Landmark(name, left + x, y)
        for name, x, y in (
            ("eyeLeft", 0.03, 0.267),
            ("eyeRight", 0.087, 0.268),
            ("mouthLeft", 0.034, 0.351),
            ("mouthRight", 0.081, 0.352),
            ("nose", 0.052, 0.314),
        )
    )
    return Face(
        BoundingBox(0.12368916720151901, 0.25140416622161865, left, 0.16007372736930847),
        99.99871,
        landmarks,
        Pose(-0.10309021919965744, -3.7351467609405518, 0.8637830018997192),
        Quality(65.29893493652344, sharpness),
        (Emotion("CALM", 80.25), Emotion("HAPPY", 19.749996), Emotion("FEAR", 4e-06)) if emotions else None,
        Smile(False, 88.5) if emotions else None,
    )


ANSWERS: dict[bytes, Comparison] = {
    b"one": Comparison(a_face(0.59), (FaceMatch(100.0, a_face(0.59)),), ()),
    b"group": Comparison(
        a_face(0.1),
        (FaceMatch(99.12345, a_face(0.2)), FaceMatch(1e-05, a_face(-0.01, sharpness=3.0e-07))),
        (FaceMatch(12.5, a_face(0.4)), FaceMatch(1.0, a_face(0.7))),
    ),
    b"bare": Comparison(a_face(0.1), (), (FaceMatch(3.5, a_face(0.4, emotions=False)),)),
    b"nobody": Comparison(a_face(0.1), (), ()),
    b"noted": Comparison(
        a_face(0.1), (), (), trace=Trace(notes=("SourceImage: 3 faces found; the largest was compared",))
    ),
}
ERRORS: dict[bytes, RequestError] = {
    b"faceless": NoFaceFound("SourceImage: no face found (largest candidate 22 px)"),
    b"gif": InvalidImageFormat("TargetImage: neither JPEG nor PNG but GIF"),
    b"huge": ImageTooLarge("SourceImage: 20000 x 20000 px, more than 100 megapixels"),
    b"busy": Throttled("the queue is full"),
    b"broken": InternalFailure("see the log"),
}


class Scripted:
    """A comparer whose answer is chosen by the source photo's bytes."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def warm_up(self) -> None:
        pass

    def compare(self, source: bytes, target: bytes, **_: object) -> Comparison:
        if source in ERRORS:
            raise ERRORS[source]
        return ANSWERS.get(source) or ANSWERS[b"one"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((dict(self.headers), body))  # type: ignore[attr-defined]
        response = answer(body, dict(self.headers))
        self.send_response_only(response.status)
        for name, value in response.headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(response.body)

    def log_message(self, *_: object) -> None:
        pass


def answer(body: bytes, headers: dict[str, str]) -> protocol.WireResponse:
    """The wire's answer by the scripted comparer; `x-test-status` of the path is not looked at."""
    request_id = str(uuid.uuid4())
    refused = protocol.route("POST", headers.items(), request_id=request_id)
    if refused is not None:
        return refused
    try:
        request = protocol.validate(protocol.parse_body(body))
        source = request.source if isinstance(request.source, bytes) else b"one"
        return protocol.success(Scripted().compare(source, b""), request_id)
    except (RequestError, WireError) as error:
        return protocol.failure(error, request_id)


@dataclass(frozen=True)
class Endpoint:
    """A server on a port of its own, and the requests it has seen: headers and body."""

    url: str
    seen: list[tuple[dict[str, str], bytes]]
    handler: type[BaseHTTPRequestHandler] = _Handler


@pytest.fixture(scope="session")
def endpoint() -> Iterator[Endpoint]:
    """An endpoint that answers as the wire does, from a script."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.seen = []  # type: ignore[attr-defined]
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield Endpoint(f"http://127.0.0.1:{server.server_address[1]}", server.seen)  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder that is the home, with nothing in it but what a test writes there."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    """What every program gets: a region, credentials, and nothing of the person who runs the tests."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


Likeness = Callable[..., Ran]


@pytest.fixture
def likeness(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Likeness:
    """The command in this process with the scripted comparer: call it with arguments, and with more variables."""
    monkeypatch.setattr(inprocess, "Comparer", Scripted)

    def run(arguments: list[str], **more: str | None) -> Ran:
        with monkeypatch.context() as patched:
            for name in list(os.environ):
                patched.delenv(name)
            for name, value in {**environment, **more}.items():
                if value is not None:
                    patched.setenv(name, value)
            patched.chdir(tmp_path)
            capfd.readouterr()
            code = compare_faces.main(arguments)
            out, err = capfd.readouterr()
        return Ran(code, out, err)

    return run


class Terminal:
    """A terminal of 100 x 24 with a program in it."""

    def __init__(self, environment: dict[str, str], folder: Path, program: list[str]) -> None:
        self.side, theirs = pty.openpty()
        self.screen = pyte.Screen(100, 24)
        # The program asks where the cursor is; a terminal answers.
        self.screen.write_process_input = lambda data: os.write(self.side, data.encode())  # type: ignore[method-assign]
        self.stream = pyte.ByteStream(self.screen)
        os.set_blocking(self.side, False)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        self.process = subprocess.Popen(
            program,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**environment, "TERM": "xterm-256color"},
            cwd=folder,
            start_new_session=True,
        )
        os.close(theirs)
        self._before = ""

    def type(self, keys: str) -> None:
        self._before = self.text
        os.write(self.side, keys.encode())

    def wait_for(self, shown: Callable[[str], bool], seconds: float = 60) -> str:
        """The screen as soon as `shown`, which must be false of the screen before the last keys were typed.

        Else nothing would be waited for, and what is typed next might come before the program is ready for it.
        """
        assert not shown(self._before), f"this stood on the screen before the last keys:\n{self._before}"
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            ready, _, _ = select.select([self.side], [], [], 0.1)
            if ready and not self._read():
                break
            if shown(self.text):
                return self.text
        assert shown(self.text), self.text
        return self.text

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display).strip()

    def _read(self) -> bool:
        """Takes in what the program has written; False when it has ended."""
        try:
            self.stream.feed(os.read(self.side, 65536))
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True

    def close(self) -> int:
        """The exit code, when the program has ended and all that it wrote is on the screen."""
        until = time.monotonic() + 60
        while time.monotonic() < until and (not select.select([self.side], [], [], 0.1)[0] or self._read()):
            pass
        code = self.process.wait(60)
        os.close(self.side)
        return code


@dataclass(frozen=True)
class S3:
    """An S3 and a bucket in it that holds `a b.jpg`, a photo of a group."""

    url: str
    bucket: str


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    """An S3 on this machine."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
    )
    client.create_bucket(Bucket="photos")
    client.put_object(Bucket="photos", Key="a b.jpg", Body=b"group")
    yield S3(url, "photos")
    client.close()
    server.stop()


@pytest.fixture
def terminal_of(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Runs the command, or another program, in a terminal: call it with an environment and arguments."""
    opened: list[Terminal] = []
    command = "import sys; from likeness.cli.compare_faces import main; sys.exit(main(sys.argv[1:]))"

    def open_terminal(environment: dict[str, str], *arguments: str, program: list[str] | None = None) -> Terminal:
        opened.append(Terminal(environment, tmp_path, [*(program or [sys.executable, "-c", command]), *arguments]))
        return opened[-1]

    yield open_terminal
    for terminal in opened:
        terminal.process.kill()
        terminal.process.wait()
