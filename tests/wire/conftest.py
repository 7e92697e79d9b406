"""A running `likeness serve` with the real engine, S3, keys of every kind, and a client that signs by hand."""

import hashlib
import hmac
import http.client
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import botocore.session
import numpy as np
import pytest
from PIL import Image
from tests.listening import address_of, exit_code

from likeness.aws.keys import Record, create_key, create_session, revoke_key

BUCKET = "photos-test"
TARGET = "RekognitionService.CompareFaces"
CONTENT_TYPE = "application/x-amz-json-1.1"
LIKENESS = Path(sys.executable).with_name("likeness")
#: Loading the engine takes a second; a machine that builds something else at the same time needs more.
START_SECONDS = 90
COMPARE = {"Effect": "Allow", "Action": "rekognition:CompareFaces", "Resource": "*"}
READ = {"Effect": "Allow", "Action": "s3:GetObject*", "Resource": f"arn:aws:s3:::{BUCKET}/*"}


@dataclass(frozen=True)
class Server:
    """Where the server is, the keys it knows by what they are for, and its logs."""

    url: str
    keys: Mapping[str, Record]
    folder: Path

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.url.removeprefix("http://").rsplit(":", 1)
        return host, int(port)

    def environment(self, key: str = "full") -> dict[str, str]:
        """What an AWS client finds in its environment; nothing of the person who runs the tests."""
        record = self.keys[key]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return inherited | {
            "AWS_ACCESS_KEY_ID": record.id,
            "AWS_SECRET_ACCESS_KEY": record.secret,
            **({"AWS_SESSION_TOKEN": record.session_token} if record.session_token else {}),
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_REGION": "eu-central-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(self.folder / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.folder / "none"),
            "AWS_PAGER": "",
        }


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, dict[str, Any]]:
        return self.status, self.json


@dataclass
class Wire:
    """Sends requests as they are written, signed by hand from the published recipe unless told otherwise."""

    server: Server
    key: str = "full"
    region: str = "eu-central-1"
    service: str = "rekognition"
    secret: str | None = None
    key_id: str | None = None
    time: Callable[[], datetime] = lambda: datetime.now(UTC)
    day: str | None = None
    signed: Mapping[str, str] = field(default_factory=dict)

    def post(self, body: Any, **headers: str | None) -> Answer:
        """Sends a signed body (an object is made JSON). Headers are named with underscores; None leaves one out."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        plain = {"X-Amz-Target": TARGET, "Content-Type": CONTENT_TYPE}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        for name in named:
            plain = {known: value for known, value in plain.items() if known.lower() != name.lower()}
        sent = plain | {name: value for name, value in named.items() if value is not None}
        return self.send("POST", data, self.sign(data, sent) | sent)

    def sign(self, data: bytes, headers: Mapping[str, str]) -> dict[str, str]:
        record = self.server.keys[self.key]
        stamp = self.time().strftime("%Y%m%dT%H%M%SZ")
        host = "{}:{}".format(*self.server.address)
        added = {"Host": host, "X-Amz-Date": stamp} | dict(self.signed)
        if record.session_token:
            added["X-Amz-Security-Token"] = record.session_token
        lines = {name.lower(): " ".join(value.split()) for name, value in (added | dict(headers)).items()}
        names = sorted(lines)
        scope = f"{self.day or stamp[:8]}/{self.region}/{self.service}/aws4_request"
        payload = added.get("X-Amz-Content-Sha256", hashlib.sha256(data).hexdigest())
        canonical = "\n".join(["POST", "/", "", *(f"{n}:{lines[n]}" for n in names), "", ";".join(names), payload])
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = ("AWS4" + (self.secret or record.secret)).encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), "sha256").digest()
        signature = hmac.new(key, text.encode(), "sha256").hexdigest()
        credential = f"{self.key_id or record.id}/{scope}"
        added["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={';'.join(names)}, Signature={signature}"
        )
        return added

    def send(self, method: str, data: bytes = b"", headers: Mapping[str, str] | None = None, path: str = "/") -> Answer:
        """Sends just this, signed or not."""
        connection = http.client.HTTPConnection(*self.server.address, timeout=60)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            wanted = {"Host": "{}:{}".format(*self.server.address), "Content-Length": str(len(data))} | dict(
                headers or {}
            )
            for name, value in wanted.items():
                connection.putheader(name, value.encode() if isinstance(value, str) else value)
            connection.endheaders(data)
            response = connection.getresponse()
            names = [name.lower() for name, _ in response.getheaders()]
            assert len(names) == len(set(names)), "a header is sent twice"
            return Answer(response.status, {n.lower(): v for n, v in response.getheaders()}, response.read())
        finally:
            connection.close()


@dataclass(frozen=True)
class Photos:
    """Encoded photos of people who agreed to nothing but being presidents, and what is drawn from them."""

    person: bytes
    person_again: bytes
    other_person: bytes
    no_face: bytes

    @staticmethod
    def pixels(photo: bytes) -> Image.Image:
        return Image.open(BytesIO(photo)).convert("RGB")

    @staticmethod
    def jpeg(image: Image.Image, **options: Any) -> bytes:
        buffer = BytesIO()
        image.save(buffer, "JPEG", quality=95, **options)
        return buffer.getvalue()


def inline(photo: bytes) -> dict[str, str]:
    return {"Bytes": b64encode(photo).decode()}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under `make clients`, which was to bring them, a client that is missing fails its test and is named."""
    report = yield
    if report.skipped and os.environ.get("ALL_CLIENTS"):
        report.outcome = "failed"
        report.longrepr = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
    return report


@pytest.fixture(scope="session")
def photos(portraits: Mapping[str, Path]) -> Photos:
    """The sample portraits, made smaller (comparing is what is slow), and a landscape with nobody in it."""

    def small(name: str) -> bytes:
        image = Image.open(portraits[name]).convert("RGB")
        image.thumbnail((640, 640))
        return Photos.jpeg(image)

    rows, columns = np.mgrid[0:360, 0:480]
    hills = rows > 220 + 25 * np.sin(columns / 60)
    sky = np.dstack([120 + rows // 4, 160 + rows // 5, 230 - rows // 8])
    landscape = np.where(hills[..., None], np.array([70, 120, 60]) + (columns % 7)[..., None], sky).astype(np.uint8)
    return Photos(small("obama.jpg"), small("obama2.jpg"), small("biden.jpg"), Photos.jpeg(Image.fromarray(landscape)))


@pytest.fixture(scope="session")
def request_with(photos: Photos) -> Callable[..., dict[str, Any]]:
    """A request as JSON would have it: photos as bytes, anything else as it is; both of one person unless told."""

    def make(source: Any = None, target: Any = None, **members: Any) -> dict[str, Any]:
        images = [photos.person if each is None else each for each in (source, target)]
        found = [inline(each) if isinstance(each, bytes) else each for each in images]
        return {"SourceImage": found[0], "TargetImage": found[1]} | members

    return make


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """The address of a real S3 server on loopback."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture(scope="session")
def s3_versions(s3_url: str, photos: Photos) -> dict[str, str]:
    """Fills the S3 server; the versions of `person.jpg` by who is in them."""
    client = botocore.session.Session().create_client(
        "s3", endpoint_url=s3_url, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    client.create_bucket(Bucket=BUCKET)
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    contents = {"folder/again ä.jpg": photos.person_again, "empty.jpg": b"", "landscape.jpg": photos.no_face}
    contents["large.jpg"] = photos.person.ljust(15 * 1024 * 1024 + 1, b"\0")
    for name, data in contents.items():
        client.put_object(Bucket=BUCKET, Key=name, Body=data)
    first = client.put_object(Bucket=BUCKET, Key="person.jpg", Body=photos.other_person)["VersionId"]
    second = client.put_object(Bucket=BUCKET, Key="person.jpg", Body=photos.person)["VersionId"]
    return {"other_person": first, "person": second}


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Record]]:
    """A key file and its keys by what they are for."""
    path = tmp_path_factory.mktemp("keys") / "keys.json"

    def make(user: str, *statements: Any) -> Record:
        return create_key(path, user, account="111122223333", policy={"Statement": list(statements)})

    full = make("full", COMPARE, READ)
    records = {
        "full": full,
        "no-s3": make("no-s3", COMPARE),
        "no-action": make("no-action", READ),
        "denied": make("denied", COMPARE, {"Effect": "Deny", "Action": "rekognition:*", "Resource": "*"}),
        "slow": make("slow", COMPARE),
        "slower": make("slower", COMPARE),
        "revoked": make("revoked", COMPARE),
        "session": create_session(path, full.id),
        "expired": create_session(path, full.id, duration=timedelta(seconds=1)),
    }
    revoke_key(path, records["revoked"].id)
    return path, records


class _EmptyPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><link rel=icon href=data:,>")

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="session")
def page_origin() -> Iterator[str]:
    """The origin of an empty page, which may call the server from a browser."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _EmptyPage) as pages:
        thread = threading.Thread(target=pages.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{pages.server_port}"
        pages.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def server(
    keys: tuple[Path, dict[str, Record]],
    s3_url: str,
    s3_versions: dict[str, str],
    page_origin: str,
    standard_pack: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """`likeness serve`, ready, in a process of its own."""
    path, records = keys
    folder = tmp_path_factory.mktemp("server")
    (folder / "likeness.toml").write_text(f"""
port = 0
auth = "sigv4"
keys = "{path}"
threads = 2
cors_origins = ["{page_origin}"]
access_log = "{folder / "access.jsonl"}"
audit_log = "{folder / "audit.jsonl"}"
[rates]
{records["slow"].id} = 0.01
{records["slower"].id} = 0.01
[s3]
endpoint_url = "{s3_url}"
access_key_id = "test"
secret_access_key = "test"
""")
    errors = folder / "stderr.txt"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            [LIKENESS, "serve", "--config", folder / "likeness.toml"], stdout=stderr, stderr=stderr, cwd=folder
        )
        try:
            found = Server(address_of(process, errors), records, folder)
            _wait_until_ready(found, process, errors)
            yield found
        finally:
            process.terminate()
            code = exit_code(process, errors)
    assert code == 0, errors.read_text()
    assert "Traceback" not in errors.read_text()


def _wait_until_ready(server: Server, process: "subprocess.Popen[bytes]", errors: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if Wire(server).send("GET", path="/readyz").status == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"the server did not get ready:\n{errors.read_text()}")


@pytest.fixture
def wire(server: Server) -> Wire:
    """A client that sends what it is told to."""
    return Wire(server)


@pytest.fixture
def send_as(server: Server) -> Callable[..., Wire]:
    """A client with another key, another clock, or other mistakes."""
    return lambda **options: Wire(server, **options)


@pytest.fixture(scope="session")
def boto3_client(server: Server) -> Callable[..., Any]:
    """Makes boto3's client for a key, as a program of a user would."""
    import boto3
    from botocore.config import Config

    def make(key: str = "full", *, max_attempts: int = 1, **options: Any) -> Any:
        record = server.keys[key]
        session = boto3.Session(record.id, record.secret, record.session_token, region_name="eu-central-1")
        config = Config(retries={"total_max_attempts": max_attempts, "mode": "legacy"})
        return session.client("rekognition", **{"endpoint_url": server.url, "config": config} | options)

    return make


@pytest.fixture(scope="session")
def photo_files(photos: Photos, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The photos as files, for clients that read files."""
    folder = tmp_path_factory.mktemp("photos")
    files = {"person": photos.person, "again": photos.person_again, "no-face": photos.no_face, "text": b"no photo"}
    for name, data in files.items():
        (folder / f"{name}.jpg").write_bytes(data)
    return {name: folder / f"{name}.jpg" for name in files}


@pytest.fixture(scope="session")
def javascript_sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the JavaScript SDK v3 for Rekognition and a bundler, fetched by npm."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("the JavaScript SDK needs node and npm")
    folder = tmp_path_factory.mktemp("javascript")
    (folder / "package.json").write_text('{"private":true,"type":"module"}')
    packages = ["@aws-sdk/client-rekognition@^3.700.0", "esbuild"]
    command = [npm, "install", "--no-audit", "--no-fund", "--no-save", *packages]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=180, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("npm did not bring the JavaScript SDK within three minutes")
    if done.returncode:
        pytest.skip(f"npm does not bring the JavaScript SDK: {done.stderr.strip()[-200:]}")
    return folder
