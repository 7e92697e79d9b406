"""The command as a client: endpoints, signatures, TLS, timeouts, retries, profiles."""

import base64
import json
import logging
import random
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from likeness.cli.debug_log import PrivateFormatter

Likeness = Callable[..., Any]
Oracle = Callable[..., Any]
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
PHOTOS = ["--source-image", "Bytes=b25l", "--target-image", "Bytes=b25l"]


def last_headers(endpoint: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in endpoint.seen[-1][0].items()}


def test_requests_are_signed(likeness: Likeness, endpoint: Any) -> None:
    assert likeness([*PHOTOS, "--endpoint-url", endpoint.url]).code == 0
    headers = last_headers(endpoint)
    assert "Credential=AKIDEXAMPLE/" in headers["authorization"]
    assert "/eu-west-1/rekognition/aws4_request" in headers["authorization"]
    assert headers["x-amz-target"] == "RekognitionService.CompareFaces"
    assert headers["user-agent"].startswith("likeness/")


def test_region_and_profile(likeness: Likeness, endpoint: Any, home: Path) -> None:
    (home / ".aws").mkdir()
    (home / ".aws" / "credentials").write_text("[work]\naws_access_key_id = WORKKEY\naws_secret_access_key = s\n")
    (home / ".aws" / "config").write_text("[profile work]\nregion = eu-north-1\noutput = text\n")
    ran = likeness([*PHOTOS, "--endpoint-url", endpoint.url, "--profile", "work"], AWS_DEFAULT_REGION=None)
    assert "Credential=WORKKEY/" in last_headers(endpoint)["authorization"]
    assert "/eu-north-1/" in last_headers(endpoint)["authorization"]
    assert ran.out.startswith("FACEMATCHES\t")
    likeness([*PHOTOS, "--endpoint-url", endpoint.url, "--profile", "work", "--region", "ap-south-1"])
    assert "/ap-south-1/" in last_headers(endpoint)["authorization"]
    likeness([*PHOTOS, "--endpoint-url", endpoint.url], AWS_REGION="us-west-2")
    assert "/us-west-2/" in last_headers(endpoint)["authorization"]


def test_unsigned(likeness: Likeness, endpoint: Any) -> None:
    ran = likeness([*PHOTOS, "--endpoint-url", endpoint.url, "--no-sign-request"], AWS_ACCESS_KEY_ID=None)
    assert ran.code == 0
    assert "authorization" not in last_headers(endpoint)


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_REKOGNITION"])
def test_endpoint_of_the_environment(likeness: Likeness, endpoint: Any, variable: str) -> None:
    seen = len(endpoint.seen)
    assert likeness(PHOTOS, **{variable: endpoint.url}).code == 0
    assert len(endpoint.seen) == seen + 1


def test_endpoint_of_the_service_wins(likeness: Likeness, endpoint: Any) -> None:
    seen = len(endpoint.seen)
    likeness(PHOTOS, AWS_ENDPOINT_URL="http://127.0.0.1:1", AWS_ENDPOINT_URL_REKOGNITION=endpoint.url)
    likeness([*PHOTOS, "--endpoint-url", endpoint.url], AWS_ENDPOINT_URL_REKOGNITION="http://127.0.0.1:1")
    assert len(endpoint.seen) == seen + 2


@pytest.mark.parametrize(
    "configuration",
    [
        "[default]\nendpoint_url = {url}\n",
        "[default]\nservices = here\n[services here]\nrekognition =\n  endpoint_url = {url}\n",
    ],
    ids=["profile", "service"],
)
def test_endpoint_of_the_configuration(likeness: Likeness, endpoint: Any, home: Path, configuration: str) -> None:
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text(configuration.format(url=endpoint.url))
    seen = len(endpoint.seen)
    assert likeness(PHOTOS).code == 0
    assert len(endpoint.seen) == seen + 1
    assert likeness(PHOTOS, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS="true").code == 0
    assert len(endpoint.seen) == seen + 1


def test_nothing_is_sent_without_an_endpoint(likeness: Likeness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither region nor credentials nor a socket are needed."""

    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    ran = likeness(PHOTOS, AWS_DEFAULT_REGION=None, AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)
    assert ran.code == 0
    assert json.loads(ran.out)["FaceMatches"][0]["Similarity"] == 100.0


def same_error(likeness: Likeness, version_2: Oracle, environment: dict[str, str], folder: Path, *more: str) -> Any:
    """What both say of the same arguments in the same environment."""
    original = version_2(["rekognition", "compare-faces", *PHOTOS, *more], environment, folder)
    absent = {
        name: environment.get(name) for name in ("AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    }
    ran = likeness([*PHOTOS, *more], **environment | absent)
    assert (ran.code, ran.out, ran.err) == (original.code, original.out, original.err)
    return ran


def test_without_region_or_credentials(
    likeness: Likeness, version_2: Oracle, environment: dict[str, str], tmp_path: Path, endpoint: Any
) -> None:
    at = ("--endpoint-url", endpoint.url)
    no_region = {name: value for name, value in environment.items() if name != "AWS_DEFAULT_REGION"}
    assert same_error(likeness, version_2, no_region, tmp_path, *at).code == 253
    no_keys = {name: value for name, value in environment.items() if name != "AWS_ACCESS_KEY_ID"}
    no_keys.pop("AWS_SECRET_ACCESS_KEY")
    assert same_error(likeness, version_2, no_keys, tmp_path, *at).code == 253
    assert same_error(likeness, version_2, environment, tmp_path, "--endpoint-url", "127.0.0.1:8000").code == 252
    assert same_error(likeness, version_2, environment, tmp_path, *at, "--region", "not a region").code == 255


def test_no_server(likeness: Likeness, version_2: Oracle, environment: dict[str, str], tmp_path: Path) -> None:
    impatient = environment | {"AWS_MAX_ATTEMPTS": "1"}
    ran = same_error(likeness, version_2, impatient, tmp_path, "--endpoint-url", "http://127.0.0.1:1/")
    assert ran.code == 255
    assert ran.err == '\nCould not connect to the endpoint URL: "http://127.0.0.1:1/"\n'


def test_retries_are_counted(
    likeness: Likeness, version_2: Oracle, environment: dict[str, str], tmp_path: Path, endpoint: Any
) -> None:
    """An overloaded server is asked three times (standard mode), and the text says so."""
    (tmp_path / "busy.jpg").write_bytes(b"busy")
    arguments = ["--source-image-bytes", "fileb://busy.jpg", *PHOTOS[2:], "--endpoint-url", endpoint.url]
    seen = len(endpoint.seen)
    ran = likeness(arguments)
    assert len(endpoint.seen) == seen + 3
    original = version_2(["rekognition", "compare-faces", *arguments], environment, tmp_path)
    assert (ran.code, ran.err) == (original.code, original.err)
    assert "(reached max retries: 2)" in ran.err


def test_errors_in_this_process_are_final(likeness: Likeness, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"broken")
    ran = likeness(["--source-image-bytes", "fileb://broken.jpg", *PHOTOS[2:]])
    assert ran.code == 254
    assert ran.err == (
        "\nAn error occurred (InternalServerError) when calling the CompareFaces operation: Internal server error\n"
        "likeness: see the log\n"
    )


class _Slow(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.server.leave.wait(20)  # type: ignore[attr-defined]

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def slow_server() -> Iterator[str]:
    """A server that takes requests and does not answer."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Slow) as server:
        server.leave = threading.Event()  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.leave.set()  # type: ignore[attr-defined]
        server.shutdown()


def test_read_timeout(likeness: Likeness, slow_server: str) -> None:
    ran = likeness([*PHOTOS, "--endpoint-url", slow_server, "--cli-read-timeout", "1"], AWS_MAX_ATTEMPTS="1")
    assert ran.code == 255
    assert ran.err == f'\nRead timeout on endpoint URL: "{slow_server}/"\n'


def test_connect_timeout(likeness: Likeness) -> None:
    """A queue of connections that is full answers nothing, as a host behind a firewall does."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(server.getsockname())
        ran = likeness([*PHOTOS, "--endpoint-url", url, "--cli-connect-timeout", "1"], AWS_MAX_ATTEMPTS="1")
        for each in waiting:
            each.close()
    assert ran.code == 255
    assert ran.err == f'\nConnect timeout on endpoint URL: "{url}/"\n'


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody has signed but itself, with its key."""
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    key = path.with_name("key.pem")
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    made += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(path)]
    subprocess.run(made, check=True, capture_output=True)
    return path


@pytest.fixture
def tls_endpoint(endpoint: Any, certificate: Path) -> Iterator[str]:
    """The endpoint behind TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    with ThreadingHTTPServer(("127.0.0.1", 0), endpoint.handler) as server:
        server.seen = endpoint.seen  # type: ignore[attr-defined]
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@needs_openssl
def test_certificates_are_checked(likeness: Likeness, tls_endpoint: str, certificate: Path) -> None:
    at = [*PHOTOS, "--endpoint-url", tls_endpoint]
    refused = likeness(at, AWS_MAX_ATTEMPTS="1")
    assert refused.code == 255
    assert refused.err.startswith(f"\nSSL validation failed for {tls_endpoint}/ ")
    assert likeness([*at, "--ca-bundle", str(certificate)]).code == 0
    assert likeness(at, AWS_CA_BUNDLE=str(certificate)).code == 0
    missing = likeness([*at, "--ca-bundle", "/none.pem"], AWS_MAX_ATTEMPTS="1")
    assert missing.code == 255
    assert "No such file or directory" in missing.err


@needs_openssl
@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_certificates_are_not_verified_on_request(likeness: Likeness, tls_endpoint: str) -> None:
    assert likeness([*PHOTOS, "--endpoint-url", tls_endpoint, "--no-verify-ssl"]).code == 0


def test_debug_log_holds_no_photo(likeness: Likeness, endpoint: Any, tmp_path: Path) -> None:
    """--debug says what happens, on standard error only, and leaves photos out, however small."""
    photo = bytes(range(256)) * 40
    (tmp_path / "photo.jpg").write_bytes(photo)
    arguments = ["--source-image-bytes", "fileb://photo.jpg", "--target-image", "Bytes=c21hbGw="]
    for more in (["--endpoint-url", endpoint.url], []):
        ran = likeness([*arguments, *more, "--debug", "--query", "SourceImageFace.Confidence"])
        assert ran.out == "99.99871063232422\n"
        assert "botocore" in ran.err
        assert "of a photo" in ran.err
        for secret in ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYX", "c21hbGw=", "\\x01\\x02\\x03\\x04"):
            assert secret not in ran.err
    assert likeness([*arguments, "--query", "SourceImageFace.Confidence"]).err == ""


@pytest.mark.parametrize("write", [lambda data: base64.b64encode(data).decode(), bytes.hex, repr])
@pytest.mark.parametrize("length", [60, 150, 5000])
def test_debug_log_holds_no_photo_in_another_place(write: Callable[[bytes], str], length: int) -> None:
    photo = b"\xff\xd8\xff\xe0" + random.Random(1).randbytes(length)
    text = write(photo)
    record = logging.makeLogRecord({"msg": "Arguments: %s, %s", "args": ({"Bytes": photo}, text)})
    shown = PrivateFormatter().format(record)
    assert text[12:60] not in shown
    assert repr(photo)[30:60] not in shown


def test_our_own_options_need_the_engine_here(likeness: Likeness, endpoint: Any) -> None:
    for option in (["--explain"], ["--overlay", "x.png"], ["--pack", "standard"]):
        ran = likeness([*PHOTOS, *option, "--endpoint-url", endpoint.url])
        assert ran.code == 252
        assert f"{option[0]} needs the engine in this process" in ran.err
