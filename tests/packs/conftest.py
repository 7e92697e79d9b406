"""A package index on loopback that can misbehave, and a small pack to install from it."""

import base64
import hashlib
import io
import json
import os
import re
import ssl
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from likeness.packs import store
from likeness.packs.manifest import Distribution


@dataclass
class FakeIndex:
    """What the server offers and how it misbehaves; the tests change it while it runs."""

    files: dict[str, bytes] = field(default_factory=dict)
    """File name → content; the project is what stands before the version in the name."""
    json: bool = True
    hang_s: float = 0.0
    """How long every answer waits."""
    status: int = 200
    """Of file answers."""
    ranges: bool = True
    cut_after: int = 0
    """Break the connection after so many bytes of a file, as many times as `cuts`."""
    cuts: int = 0
    never_beyond: int = 0
    """Close the connection at this byte of a file, every time."""
    block_bytes: int = 1 << 16
    pause_s: float = 0.0
    """Between two blocks of a file."""
    credentials: str = ""
    redirect_to: str = ""
    """Where files really are: another server's address."""
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def paths(self) -> list[str]:
        """The paths asked for, in order."""
        return [path for path, _ in self.requests]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    index: FakeIndex

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        content = self.index.files.get(self.path.rpartition("/")[2])
        self.send_response(200 if content is not None else 404)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()

    def do_GET(self) -> None:
        index = self.index
        index.requests.append((self.path, {key.lower(): value for key, value in self.headers.items()}))
        if index.hang_s:
            time.sleep(index.hang_s)
        if index.credentials and self.headers.get("Authorization") != _basic(index.credentials):
            self._answer(401, "text/plain", b"who are you?")
        elif self.path.startswith("/npm/"):
            # The tarball of @scope/name is @scope/name/-/name-VERSION.tgz there, and scope-name-VERSION.tgz here.
            scope = self.path.removeprefix("/npm/").partition("/")[0].removeprefix("@")
            self._file(f"{scope}-{self.path.rpartition('/')[2]}")
        elif "/simple/" in self.path:
            self._page(self.path.partition("/simple/")[2].strip("/"))
        else:
            self._file(self.path.rpartition("/")[2])

    def _page(self, project: str) -> None:
        names = [name for name in self.index.files if re.match(rf"{project.replace('-', '[-_.]')}-\d", name)]
        if not names:
            self._answer(404, "text/plain", b"no such project")
        elif self.index.json:
            rows = [self._row(name) for name in names]
            page = {"meta": {"api-version": "1.0"}, "name": project, "files": rows}
            self._answer(200, "application/vnd.pypi.simple.v1+json", json.dumps(page).encode())
        else:
            links = "".join(f'<a href="{self._link(name)}">{name}</a>\n' for name in names)
            self._answer(200, "text/html; charset=utf-8", f"<!DOCTYPE html><html><body>{links}</body></html>".encode())

    def _row(self, name: str) -> dict[str, object]:
        hashes = {"sha256": sha256(self.index.files[name])}
        return {"filename": name, "url": f"../../files/{name}", "hashes": hashes}

    def _link(self, name: str) -> str:
        return f"../../files/{name}#sha256={sha256(self.index.files[name])}"

    def _file(self, name: str) -> None:
        if self.index.redirect_to:
            self.send_response(302)
            self.send_header("Location", f"{self.index.redirect_to}/files/{name}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = self.index.files.get(name)
        if content is None or self.index.status != 200:
            self._answer(404 if content is None else self.index.status, "text/plain", b"no")
            return
        start = int((re.match(r"bytes=(\d+)-", self.headers.get("Range", "")) or [0, 0])[1])
        if start and self.index.ranges:
            if start >= len(content):
                self._answer(416, "text/plain", b"")
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            content = content[start:]
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.index.never_beyond:
            content = content[: self.index.never_beyond - (start if self.index.ranges else 0)]
            self.close_connection = True
        self._send(content)

    def _send(self, content: bytes) -> None:
        for start in range(0, len(content), self.index.block_bytes):
            if self.index.cuts and start >= self.index.cut_after:
                self.index.cuts -= 1
                self.close_connection = True
                return
            try:
                self.wfile.write(content[start : start + self.index.block_bytes])
            except OSError:
                self.close_connection = True
                return
            if self.index.pause_s:
                time.sleep(self.index.pause_s)

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are what these tests are about."""


def _basic(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode()).decode()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def serve_index() -> Iterator[object]:
    """A function that starts another fake index and returns it."""
    servers: list[ThreadingHTTPServer] = []

    def start(context: ssl.SSLContext | None = None) -> FakeIndex:
        index = FakeIndex()
        server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"index": index}))
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        index.url = f"http{'s' if context else ''}://127.0.0.1:{server.server_address[1]}"
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return index

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def index(serve_index) -> FakeIndex:
    """A fake package index that behaves."""
    return serve_index()


def wheel(name: str, members: dict[str, bytes]) -> bytes:
    """A wheel of this file name, as far as pip looks into one that it does not install."""
    project, version, *tags = name.removesuffix(".whl").split("-")
    information = f"{project}-{version}.dist-info"
    described = {
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n".encode(),
        f"{information}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {'-'.join(tags)}\n".encode(),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in {**members, **described}.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def sdist(members: dict[str, bytes]) -> bytes:
    """A source distribution."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def tiny_network(factor: float = 2.0) -> bytes:
    """An ONNX network that multiplies its input (N, 3, H, W) by `factor` and adds its mean."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["x", "factor"], ["scaled"]),
            helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=1),
            helper.make_node("Add", ["scaled", "mean"], ["y"]),
        ],
        "tiny",
        [value("x", TensorProto.FLOAT, ["N", 3, "H", "W"])],
        [value("y", TensorProto.FLOAT, ["N", 3, "H", "W"])],
        [numpy_helper.from_array(np.array(factor, np.float32), "factor")],
    )
    return onnx.ModelProto.SerializeToString(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    )


PACK = """
[pack]
name = "tiny"
version = "1"
summary = "A pack for tests."

[distributions.small]
project = "Small.Net"
version = "1.0"
file = "small_net-1.0-py3-none-any.whl"
sha256 = "{wheel_sha}"
size = {wheel_size}

[distributions.big]
project = "big"
version = "2.0"
file = "big-2.0.tar.gz"
sha256 = "{sdist_sha}"
size = {sdist_size}

[files."a.onnx"]
sha256 = "{a_sha}"
licence = "MIT"
licence_url = "https://example.org/licence"
terms = "free"
origin = "nowhere"

[files."a.onnx".source]
distribution = "small"
path = "net/a.onnx"
sha256 = "{a_sha}"

[files."b.onnx"]
sha256 = "{b_sha}"
licence = "MIT"

[files."b.onnx".source]
distribution = "big"
path = "big-2.0/b.onnx"
sha256 = "{b_sha}"

[roles.detector]
file = "a.onnx"
family = "yunet"

[roles.embedder]
file = "b.onnx"
family = "tiny"
size_px = 32
mean = [0.0, 0.0, 0.0]
scale = 1.0
template = [[8, 8], [24, 8], [16, 16], [10, 24], [22, 24]]

[calibration]
scores = [0.2, 0.4]
log10_rates = [-2.0, -4.0]
equal_error_rate = 0.01
measured_log10_rate = -3.5

[[accuracy]]
measure = "AP"
data = "made up"
value = 0.5
low = 0.4
high = 0.6
command = "none"
"""


@dataclass(frozen=True)
class TinyPack:
    """The distributions of the pack `tiny`, by file name, its catalogue entry, and the content of its two files."""

    files: dict[str, bytes]
    entry: str
    a: bytes
    b: bytes

    @property
    def wheel_name(self) -> str:
        return "small_net-1.0-py3-none-any.whl"

    @property
    def sdist_name(self) -> str:
        return "big-2.0.tar.gz"


@pytest.fixture(scope="session")
def tiny() -> TinyPack:
    """A pack of two small networks; one comes in a wheel, one in a sdist of 3 MB that cannot be compressed."""
    a, b = tiny_network(2.0), tiny_network(3.0)
    filler = np.random.default_rng(0).bytes(3_000_000)
    executed = b"raise SystemExit('a distribution was executed')"
    small = wheel("small_net-1.0-py3-none-any.whl", {"net/a.onnx": a, "net/__init__.py": executed})
    big = sdist({"big-2.0/setup.py": executed, "big-2.0/filler": filler, "big-2.0/b.onnx": b})
    entry = PACK.format(
        wheel_sha=sha256(small),
        wheel_size=len(small),
        sdist_sha=sha256(big),
        sdist_size=len(big),
        a_sha=sha256(a),
        b_sha=sha256(b),
    )
    return TinyPack({"small_net-1.0-py3-none-any.whl": small, "big-2.0.tar.gz": big}, entry, a, b)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    folder = tmp_path / "home"
    monkeypatch.setenv("LIKENESS_HOME", str(folder))
    monkeypatch.delenv("LIKENESS_OFFLINE", raising=False)
    return folder


@pytest.fixture
def configured(index: FakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeIndex:
    """The fake index, and nothing else, in the user's configuration of pip and npm."""
    for name in os.environ:
        if name.lower().startswith(("pip_", "npm_config_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name, value in (
        ("PIP_CONFIG_FILE", os.devnull),
        ("PIP_INDEX_URL", f"{index.url}/simple"),
        ("PIP_RETRIES", "0"),
        ("PIP_TIMEOUT", "2"),
        ("PIP_NO_CACHE_DIR", "1"),
        ("NETRC", "/nonexistent"),
        ("npm_config_userconfig", str(tmp_path / "npmrc")),
        ("npm_config_registry", f"{index.url}/npm"),
    ):
        monkeypatch.setenv(name, value)
    return index


@pytest.fixture
def tiny_catalogue(tiny: TinyPack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalogue that holds only the pack `tiny`."""
    folder = tmp_path / "catalogue"
    folder.mkdir()
    (folder / "tiny.toml").write_text(tiny.entry)
    monkeypatch.setattr(store, "CATALOGUE", folder)
    return folder


@pytest.fixture
def tiny_index(tiny: TinyPack, configured: FakeIndex, home: Path, tiny_catalogue: Path) -> FakeIndex:
    """The fake index with the distributions of `tiny`, and everything set so that installing `tiny` uses it."""
    configured.files = dict(tiny.files)
    return configured


@pytest.fixture
def big(tiny: TinyPack) -> Distribution:
    """The larger of the two distributions."""
    content = tiny.files[tiny.sdist_name]
    return Distribution("big", "big", "2.0", tiny.sdist_name, sha256(content), len(content))


class Heard:
    """A Progress that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.bytes: list[int] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def download(self, file: str, total_bytes: int):
        from contextlib import nullcontext

        self.lines.append(f"fetching {file}")
        return nullcontext(self)

    def reached(self, done_bytes: int) -> None:
        self.bytes.append(done_bytes)


@pytest.fixture
def heard() -> Heard:
    """What an installation tells."""
    return Heard()
