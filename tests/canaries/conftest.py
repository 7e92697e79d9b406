"""A server in empty surroundings, whose secrets, photos and callers' values are all canaries."""

import base64
import hashlib
import http.client
import io
import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from tests.listening import address_of, exit_code

from likeness.comparer import Comparer

from .search import Search

HEADERS = {"X-Amz-Target": "RekognitionService.CompareFaces", "Content-Type": "application/x-amz-json-1.1"}
#: Variables of folders in which programs write without being asked.
FOLDERS = ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR")
#: What a log shows of a long value that a caller chooses: `likeness.aws.quoting`.
_SHOWN_ENDS = 16


def text_of(name: str, length: int = 40) -> str:
    """Letters and digits that nothing else has, always the same for a name."""
    pieces = (hashlib.sha512(f"{name} {number}".encode()).digest() for number in range(1 + length // 64))
    return base64.b64encode(b"".join(pieces), b"xy").decode()[:length]


@dataclass
class Canaries:
    """What is searched for: secrets in full, values of callers but for the ends that logs show."""

    search: Search = field(default_factory=Search)

    def secret(self, name: str, length: int = 40) -> str:
        return self.search.add_text(name, text_of(name, length))

    def value(self, name: str, length: int = 150) -> str:
        text = text_of(name, length)
        self.search.add_bytes(name, text[_SHOWN_ENDS - 8 : 8 - _SHOWN_ENDS].encode())
        return text

    def photo(self, name: str, pixels: Image.Image, kind: str = "JPEG", begins: str = "") -> bytes:
        """The picture with canaries wherever a file has room for text."""
        stream = io.BytesIO()
        if kind == "PNG":
            texts = PngInfo()
            texts.add_text("Comment", self.secret(f"{name} comment"))
            texts.add_itxt("Title", self.secret(f"{name} title"))
            pixels.save(stream, kind, pnginfo=texts, icc_profile=self.secret(f"{name} profile", 200).encode())
        else:
            exif = Image.Exif()
            exif[0x010E] = self.secret(f"{name} description")
            profile = self.secret(f"{name} profile", 200).encode()
            comment = begins + self.secret(f"{name} comment")
            pixels.save(stream, kind, quality=90, comment=comment, exif=exif, icc_profile=profile)
        return stream.getvalue()


@dataclass(frozen=True)
class Pictures:
    """Photos of one person and of nobody."""

    person: Image.Image
    again: Image.Image
    nobody: Image.Image


@pytest.fixture(scope="session")
def pictures(portraits: Mapping[str, Path]) -> Pictures:
    return pictures_of(portraits)


def pictures_of(portraits: Mapping[str, Path]) -> Pictures:
    """From the sample portraits."""

    def small(name: str) -> Image.Image:
        image = Image.open(portraits[name]).convert("RGB")
        image.thumbnail((320, 320))
        return image

    nobody = Image.effect_noise((160, 120), 40).convert("RGB")
    return Pictures(small("obama.jpg"), small("obama2.jpg"), nobody)


@pytest.fixture(scope="session")
def measured(comparer: Comparer) -> Callable[..., None]:
    """Adds a pair of photos and what the engine finds to what is searched for: see `add_pair`.

    By the standard pack, or by another one whose comparer and name are given.
    """

    def add(canaries: Canaries, source: bytes, target: bytes, comparer: Comparer = comparer, by: str = "") -> None:
        add_pair(canaries.search, source, target, comparer, by)

    return add


def add_pair(search: Search, source: bytes, target: bytes, comparer: Comparer, by: str = "") -> None:
    """Adds a pair of photos, its pixels, vectors, landmarks and similarity to what is searched for."""
    directions = []
    for name, data in ((f"source{by}", source), (f"target{by}", target)):
        search.add_bytes(f"photo of the {name}", data)
        pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        search.add_pixels(f"pixels of the {name}", pixels)
        analysed = comparer.analyse(data)
        search.add_vector(f"vector of the {name}", analysed.vectors[0])
        directions.append(analysed.vectors[0] / np.linalg.norm(analysed.vectors[0]))
        search.add_sequence(f"direction of the {name}", directions[-1])
        landmarks = np.array([[each.x, each.y] for each in analysed.faces[0].landmarks])
        search.add_sequence(f"landmarks of the {name}", landmarks)
        search.add_sequence(f"landmarks of the {name} in pixels", landmarks * pixels.shape[1::-1])
    match = comparer.compare(source, target, similarity_threshold=0).matches[0]
    assert match.similarity < 100
    search.add_number(f"similarity{by}", match.similarity)
    search.add_number(f"cosine{by}", float(directions[0] @ directions[1]))


def empty_surroundings(folder: Path) -> dict[str, str]:
    """An environment whose folders are empty and below `folder`, but for the installed packs."""
    from likeness.packs import store

    others = ("LIKENESS_", "AWS_", "XDG_", "PYTHON")
    # By PYTHONPATH a program runs the code that is tested, wherever that is.
    kept = {n: v for n, v in os.environ.items() if n == "PYTHONPATH" or not n.startswith(others)}
    for name in FOLDERS:
        (folder / name).mkdir()
        kept[name] = str(folder / name)
    (folder / "work").mkdir()
    return kept | {
        "LIKENESS_HOME": str(store.home()),
        "LIKENESS_OFFLINE": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@dataclass
class Client:
    """Sends requests of one caller, signed or as they are."""

    port: int
    key_id: str
    secret: str
    token: str | None
    #: For HTTPS.
    context: ssl.SSLContext | None = None

    def send(
        self, body: Any, headers: Mapping[str, str] | None = None, path: str = "/", *, signed: bool = True, **key: str
    ) -> tuple[int, bytes]:
        """Status, and headers and body of the answer. `key` replaces parts of the caller's key."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = HEADERS | dict(headers or {})
        if signed:
            request = AWSRequest("POST", f"http://127.0.0.1:{self.port}{path}", sent, data)
            mine = {"key_id": self.key_id, "secret": self.secret, "token": self.token} | key
            credentials = Credentials(str(mine["key_id"]), str(mine["secret"]), mine["token"])
            SigV4Auth(credentials, "rekognition", "us-east-1").add_auth(request)
            sent = dict(request.headers.items())
        return self.ask("POST", path, data, sent)

    def ask(self, method: str, path: str, data: bytes = b"", headers: Mapping[str, str] | None = None) -> Any:
        if self.context is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        else:
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=self.context)
        try:
            connection.request(method, path, data, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, str(answer.getheaders()).encode() + b"\n" + answer.read()
        finally:
            connection.close()


def wait_for(condition: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="session")
def start_server() -> Callable[..., Any]:
    """Starts the server of `program.py` with settings and variables, and with `context` for TLS.

    With Python's and asyncio's messages for debugging, or without. A context manager of the process and its port, which
    ends the server, and checks how it has ended.
    """

    @contextmanager
    def start(
        folder: Path,
        settings: str,
        *,
        debug: bool = False,
        context: ssl.SSLContext | None = None,
        variables: Mapping[str, str] | None = None,
        code: int = 0,
    ) -> Iterator[tuple[Any, int]]:
        (folder / "likeness.toml").write_text(settings)
        environment = empty_surroundings(folder) | {"CANARIES_OPENED": str(folder / "opened")} | dict(variables or {})
        program = Path(__file__).with_name("program.py")
        command = [sys.executable, *(["-X", "dev"] if debug else []), str(program)]
        command += ["--config", str(folder / "likeness.toml")]
        with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as errors:
            process = subprocess.Popen(command, cwd=folder / "work", env=environment, stdout=out, stderr=errors)
        try:
            port = int(address_of(process, folder / "stderr").rsplit(":", 1)[1])
            client = Client(port, "", "", None, context)
            wait_for(lambda: client.ask("GET", "/readyz")[0] == 200)
            yield process, port
        finally:
            process.terminate()
            assert exit_code(process, folder / "stderr") == code

    return start
